"""Every kind of mistake that a mapping can have, and the line and message that it gives.

A test holds each of them, and `docs/mapping-mistakes.md` is derived from here.
"""

from __future__ import annotations

from typing import Final

MISTAKES: Final = [
    ("fields: {a: {form: ref}}", "4: 'a' needs one of the six verbs: unknown verb 'form'; did you mean 'from'?"),
    ("fields: {a: {means: nothing}}", "4: 'a' needs one of the six verbs: there is none"),
    ("fields: {a: {from: ref, const: 1}}", "4: 'a' has more than one verb: from, const"),
    ("fields: {a: ref}", "4: 'a' needs a rule, e.g. {from: path}"),
    ("fields: {}", "4: 'fields' must be a map of output field and rule"),
    (
        "fields:\n  a: {from: ref}\n  b: {from: invoice.nunber}",
        "6: 'invoice.nunber': no field 'nunber'; did you mean 'number'?",
    ),
    (
        "fields: {a: {from: invioce.number}}",
        "4: unknown start 'invioce' of path 'invioce.number'; did you mean 'invoice'?",
    ),
    ("fields: {a: {from: 'invoice number'}}", "4: 'invoice number' is not a path (names joined by dots)"),
    ("fields: {a: {from: invoice.gross}}", "4: 'invoice.gross' is an amount: say .decimal, .text or .minor"),
    ("fields: {a: {from: invoice.lines}}", "4: 'invoice.lines' is not a single value: use 'each' or 'call'"),
    (
        "fields: {a: {from: invoice.lines.net}}",
        "4: 'invoice.lines.net': a list has no 'net'; go through it with 'each'",
    ),
    ("fields: {a: {each: invoice.net, fields: {b: {const: 1}}}}", "4: 'invoice.net' is not a list"),
    ("fields: {a: {each: invoice.lines}}", "4: 'each' needs 'fields'"),
    (
        "fields: {a: {each: invoice.lines, as: ref, fields: {b: {const: 1}}}}",
        "4: 'ref' already means something else here",
    ),
    ("fields: {a: {lookup: itmes, from: ref, missing: x}}", "4: unknown table 'itmes'; did you mean 'items'?"),
    ("fields: {a: {lookup: items, from: ref}}", "4: a lookup needs 'missing: code': nothing falls back in silence"),
    ("fields: {a: {lookup: items, missing: x}}", "4: a lookup needs either 'from: path' or 'key: template'"),
    (
        "fields: {a: {lookup: items, from: ref, missing: x, take: unti}}",
        "4: table 'items' has no column 'unti'; did you mean 'unit'?",
    ),
    ("fields: {a: {lookup: items, from: ref, missing: x, on: ref}}", "4: 'on' is a day of a document, 'ref' is not"),
    ("fields: {a: {from: ref, missing: Not A Code}}", "4: 'missing' is a problem code, not 'Not A Code'"),
    ("fields: {a: {from: ref, optional: maybe}}", "4: 'optional' is true or false"),
    ("fields: {a: {from: ref, optional: true, missing: x}}", "4: 'a' cannot be both optional and stop with 'x'"),
    (
        "fields: {a: {call: stripe_mony, from: ref}}",
        "4: unknown function 'stripe_mony'; did you mean 'stripe_money'?",
    ),
    ("fields: {a: {call: cut, from: ref}}", "4: 'cut' needs the argument 'length'"),
    (
        "fields: {a: {call: cut, with: {text: ref, lenght: {const: 1}, length: {const: 2}}}}",
        "4: unknown word 'lenght' in the arguments of 'cut'; did you mean 'length'?",
    ),
    ("fields: {a: {const: null}}", "4: 'const' is text, a number or true/false"),
    ('fields: {a: {text: "x {ref"}}', "4: a single brace; write {{ or }} for one in the text"),
    ("fields: {a: {const: 1, looukp: x}}", "4: unknown word 'looukp' in the rule of 'a'"),
    ("fields: {a: {const: 1}, a.b: {const: 2}}", "4: 'a' is made twice: as a value and as 'a.b'"),
    ("fields: {a..b: {const: 1}}", "4: 'a..b' is not an output path (names joined by dots)"),
    ("fields: {a: {const: 1}}\nfeilds: {}", "5: unknown word 'feilds' in a mapping; did you mean 'fields'?"),
    ("fields: {a: {const: 1}}\nscope: {more: invioce}", "5: scope 'more' must be one of any, text, customer"),
]  # fmt: skip
"""What is written under a plain header of three lines, and what is told."""

HEADER_MISTAKES: Final = [
    (
        "means: nothing\n",
        ["1: a mapping needs 'version'", "1: a mapping needs 'owner'", "1: a mapping needs 'makes'"],
    ),
    (
        "version: one\nowner: x\nmakes: invioce\n",
        [
            "1: 'version' must be a whole number",
            "3: 'makes' is a kind of document or system.kind, not 'invioce'; did you mean 'invoice'?",
        ],
    ),
]
"""What is written as the header, and what is told."""

DOCUMENT_MISTAKES: Final = [
    (
        "number is spelled numbr, and net of each line nett",
        {"  number:": "  numbr:", "      net: {call": "      nett: {call"},
        [
            "5: field 'number' is needed by Invoice and not made",
            "6: no field 'numbr' in Invoice; did you mean 'number'?",
            "19: field 'net' is needed by Line and not made",
            "22: no field 'nett' in Line; did you mean 'net'?",
        ],
    ),
]
"""Of a mapping that makes an invoice: what is wrong, what is changed so, and what is told."""
