"""The mapping engine: six verbs, nothing in silence, every mistake told with its line."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.unit.core.mapping_mistakes import DOCUMENT_MISTAKES, HEADER_MISTAKES, MISTAKES
from tests.unit.core.mappingtools import ORIGIN, compiled, invoice, mistakes, node, view
from tieout.core import documents
from tieout.core.clocks import DocumentDate, DueDate
from tieout.core.documents import Invoice
from tieout.core.mapping import VERBS, Lineage
from tieout.core.nodes import GovernanceError
from tieout.core.parse import write_json
from tieout.core.verdicts import NeedsHuman, NotYet

PAYLOAD = """
scope: {customer: any}
fields:
  ref: {from: ref}
  entity.id: {lookup: customers, from: invoice.customer_id, missing: customer_not_linked}
  entity.mail: {from: customer.mail, optional: true}
  tranDate: {from: invoice.document_date}
  dueDate: {from: invoice.due_date, optional: true}
  kind: {const: standard}
  memo: {text: "{{No}} {invoice.number} of {invoice.document_date}"}
  terms: {call: cut, with: {text: invoice.terms, length: {const: 3}}, optional: true}
  item.items:
    each: invoice.lines
    fields:
      qty: {from: it.quantity}
      amount: {from: it.net.decimal, means: without tax}
      item.id: {lookup: items, from: it.product_id, missing: item_not_mapped}
      item.unit: {lookup: items, take: unit, from: it.product_id, missing: item_not_mapped}
      tax: {lookup: tax_codes, key: "{it.tax_code}", on: invoice.tax_point, missing: tax_code_not_mapped}
"""
DOCUMENT = """
fields:
  number: {from: object.no}
  customer_id: {from: object.who.id}
  currency: {call: currency, from: object.cur}
  document_date: {call: document_date, with: {moment: object.at, zone: origin.zone}}
  tax_point: {call: tax_point, with: {moment: object.at, zone: origin.zone}}
  posting_date: {call: posting_date, with: {moment: object.at, zone: origin.zone}}
  memo: {from: object.deep.memo, optional: true}
  net: {call: stripe_money, with: {minor: object.net, currency: object.cur}}
  tax: {call: stripe_money, with: {minor: object.tax, currency: object.cur}}
  gross: {call: stripe_money, with: {minor: object.total, currency: object.cur}}
  lines:
    each: object.rows
    as: row
    fields:
      line_id: {text: "{object.no}-{row.n}"}
      tax_code: {from: row.taxes.0.code, optional: true}
      net: {call: stripe_money, with: {minor: row.net, currency: object.cur}}
"""
HEAD = "version: 1\nowner: finance-ops\nmakes: invoice\n"
OBJECT: dict[str, Any] = {
    "no": "A-1", "who": {"id": "cus_1"}, "cur": "usd", "at": 1769916600, "net": 300, "tax": 20, "total": 320,
    "rows": [{"n": 1, "net": 100, "taxes": [{"code": "NY"}]}, {"n": 2, "net": 200, "taxes": []}], "extra": [1],
}  # fmt: skip
GIVEN = {"customers": {"cus_1": "777"}}


def scope(**more: Any) -> dict[str, Any]:
    return {"invoice": invoice(), "ref": "TIE-1"} | more


def test_a_document_becomes_a_payload() -> None:
    made = compiled(PAYLOAD).render(scope(), view(GIVEN))
    line = {"qty": Decimal("1.50"), "amount": Decimal("100.00"), "item": {"id": "101", "unit": "EA"}, "tax": "9"}
    assert made == {
        "ref": "TIE-1",
        "entity": {"id": "777"},
        "tranDate": "2026-01-31",
        "kind": "standard",
        "memo": "{No} A-1 of 2026-01-31",
        "item": {"items": [line, line, line]},
    }
    assert b'"amount":100.00' in write_json(made)


def test_optional_fields_are_there_when_their_value_is() -> None:
    full = scope(invoice=invoice(due_date=DueDate.parse("2026-03-02"), terms="NET30"), customer={"mail": "a@b.c"})
    made = compiled(PAYLOAD).render(full, view(GIVEN))
    assert (made["dueDate"], made["terms"], made["entity"]["mail"]) == ("2026-03-02", "NET", "a@b.c")


def test_a_sources_object_becomes_a_document_and_knows_where_it_is_from() -> None:
    doc = compiled(DOCUMENT, HEAD).document({"object": OBJECT, "origin": ORIGIN}, view())
    assert isinstance(doc, Invoice)
    assert doc.document_date == DocumentDate.parse("2026-01-31"), "03:30 UTC is the evening before in New York"
    assert (doc.source, doc.account, doc.source_id, doc.entity, doc.version) == ("stripe", "acct_us", "in_1", "US01", 3)
    assert [(line.line_id, line.tax_code, line.net.minor) for line in doc.lines] == [
        ("A-1-1", "NY", 100), ("A-1-2", None, 200),
    ]  # fmt: skip
    assert documents.prove_totals(doc).equations
    assert doc.memo is None


def test_a_field_that_the_source_added_since_changes_nothing() -> None:
    mapping = compiled(DOCUMENT, HEAD)
    more = OBJECT | {"new": {"deep": [1]}, "who": {"id": "cus_1", "vip": True}}
    one = mapping.document({"object": OBJECT, "origin": ORIGIN}, view())
    assert mapping.document({"object": more, "origin": ORIGIN}, view()) == one


@pytest.mark.parametrize(
    ("change", "field", "path"),
    [
        ({"no": None}, "number", "object.no"),
        ({"who": None}, "customer_id", "object.who.id"),
        ({"who": "cus_1"}, "customer_id", "object.who.id"),
        ({"who": {}}, "customer_id", "object.who.id"),
        ({"rows": None}, "lines", "object.rows"),
        ({"rows": {"n": 1}}, "lines", "object.rows"),
        ({"net": None}, "net", "object.net"),
        ({"rows": [{"n": 1}]}, "net", "row.net"),
    ],
)
def test_an_absent_value_stops_and_says_which(change: dict[str, Any], field: str, path: str) -> None:
    with pytest.raises(NeedsHuman) as told:
        compiled(DOCUMENT, HEAD).document({"object": OBJECT | change, "origin": ORIGIN}, view())
    facts = told.value.facts
    assert (told.value.code, facts["field"], facts["path"]) == ("mapping_value_missing", field, path)


def test_an_absent_value_stops_with_the_mappings_own_code() -> None:
    with pytest.raises(NeedsHuman) as told:
        compiled("fields: {a: {from: object.a, missing: deal_incomplete}}").render({"object": {}}, view())
    assert told.value.code == "deal_incomplete"


@pytest.mark.parametrize(
    ("change", "given", "code", "table", "key"),
    [
        ({}, {}, "customer_not_linked", "customers", "cus_1"),
        ({"customer_id": "cus_2"}, GIVEN, "customer_not_linked", "customers", "cus_2"),
        ({"product": "prod_new"}, GIVEN, "item_not_mapped", "items", "prod_new"),
        ({"tax": "FR-VAT-20"}, GIVEN, "tax_code_not_mapped", "tax_codes", "FR-VAT-20"),
    ],
)
def test_an_unmapped_value_holds_and_never_falls_back(
    change: dict[str, str], given: dict[str, dict[str, str]], code: str, table: str, key: str
) -> None:
    doc = invoice(customer_id=change.get("customer_id", "cus_1"))
    line = doc.lines[0].model_copy(
        update={"product_id": change.get("product", "prod_pro"), "tax_code": change.get("tax", "NY")}
    )
    with pytest.raises(NotYet) as told:
        compiled(PAYLOAD).render(scope(invoice=doc.model_copy(update={"lines": (line,)})), view(given))
    facts = told.value.facts
    assert (told.value.code, facts["table"], facts["what"], facts["entity"]) == (code, table, key, "US01")
    assert facts["gate"] == ("parent" if table == "customers" else "tables")


def test_the_engine_tells_which_given_rows_it_will_want() -> None:
    nested = """
fields:
  a: {lookup: customers, from: object.who, missing: x}
  rows:
    each: object.rows
    fields:
      b: {lookup: invoices, from: it.inv, missing: x}
      more: {each: it.more, fields: {c: {lookup: invoices, key: "in_{it.n}", missing: x}}}
      d: {lookup: payments, from: it.pay, missing: x}
"""
    found = {
        "who": None,
        "rows": [{"inv": "in_1", "more": [{"n": 7}], "pay": "pay_1"}, {"more": None}, {"inv": "in_2"}],
    }
    assert compiled(nested).wants({"object": found}) == [
        ("invoices", "in_1"), ("invoices", "in_7"), ("payments", "pay_1"), ("invoices", "in_2"),
    ]  # fmt: skip
    assert compiled(PAYLOAD).wants(scope()) == [("customers", "cus_1")]


def test_an_inner_each_leaves_the_outer_element_as_it_was() -> None:
    text = """
fields:
  rows:
    each: object.rows
    fields:
      inner: {each: it.more, fields: {n: {from: it.n}}}
      n: {from: it.n}
"""
    made = compiled(text).render({"object": {"rows": [{"n": 1, "more": [{"n": 5}]}, {"n": 2, "more": []}]}}, view())
    assert made == {"rows": [{"inner": [{"n": 5}], "n": 1}, {"inner": [], "n": 2}]}


def leaves(value: Any, at: str = "") -> dict[str, Any]:
    if isinstance(value, dict):
        return {name: leaf for key, one in value.items() for name, leaf in leaves(one, f"{at}.{key}").items()}
    if isinstance(value, list):
        return {name: leaf for n, one in enumerate(value) for name, leaf in leaves(one, f"{at}.{n}").items()}
    return {at.removeprefix("."): value}


def test_lineage_covers_every_output_field_with_its_very_value() -> None:
    mapping = compiled(PAYLOAD)
    made = mapping.render(scope(), view(GIVEN))
    told = {one.field: one.value for one in mapping.lineage(scope(), view(GIVEN))}
    assert told == leaves(made)


def test_lineage_names_rule_inputs_and_the_row_with_its_days() -> None:
    told = {one.field: one for one in compiled(PAYLOAD).lineage(scope(), view(GIVEN))}
    tax, amount = told["item.items.2.tax"], told["item.items.0.amount"]
    assert isinstance(tax, Lineage)
    assert tax.inputs == {"it.tax_code": "NY"}
    assert tax.row == "tax_codes 2.b, 'NY' (organisation), 2026-01-01 to further notice"
    assert amount.rule == "from: it.net.decimal"
    assert amount.means == "without tax"
    assert amount.inputs == {"it.net.decimal": Decimal("100.00")}
    assert amount.line == 19


def test_lineage_stops_where_rendering_stops() -> None:
    with pytest.raises(NotYet) as told:
        compiled(PAYLOAD).lineage(scope(), view())
    assert told.value.code == "customer_not_linked"


def test_a_posting_can_record_what_it_was_made_by() -> None:
    assert compiled(PAYLOAD).stamp(view()) == {"mapping": "toy@1", "items": "1.a", "tax_codes": "2.b"}


def test_a_payload_holds_no_amount_nor_float_unseen() -> None:
    with pytest.raises(TypeError, match="Money"):
        compiled("fields: {a: {call: stripe_money, with: {minor: object.n, currency: object.c}}}").render(
            {"object": {"n": 1, "c": "usd"}}, view()
        )


def test_a_text_takes_no_truth_and_no_list() -> None:
    for value in (True, [1], {"a": 1}):
        with pytest.raises(NeedsHuman):
            compiled('fields: {a: {text: "x{object.v}"}}').render({"object": {"v": value}}, view())


# -- every kind of mistake, and what it says ----------------------------------------------------------------


@pytest.mark.parametrize(("text", "told"), MISTAKES, ids=[told.partition(": ")[2][:40] for _, told in MISTAKES])
def test_a_mistake_is_told_with_its_line_and_a_suggestion(text: str, told: str) -> None:
    found = mistakes(text)
    assert len(found) == 1
    assert found[0].startswith(told)


@pytest.mark.parametrize(("header", "told"), HEADER_MISTAKES)
def test_a_mistake_in_the_header_is_told(header: str, told: list[str]) -> None:
    assert mistakes("fields: {a: {const: 1}}", header) == told


@pytest.mark.parametrize(("why", "change", "told"), DOCUMENT_MISTAKES)
def test_a_mapping_to_a_document_is_held_to_its_model(why: str, change: dict[str, str], told: list[str]) -> None:
    text = DOCUMENT
    for old, new in change.items():
        assert old in text, why
        text = text.replace(old, new)
    assert mistakes(text, HEAD) == told


def test_dotted_fields_of_a_document_are_held_to_the_part_they_build() -> None:
    head = "version: 1\nowner: x\nmakes: customer\n"
    text = "fields:\n  canonical_id: {from: object.id}\n  legal_name: {from: object.n}\n"
    assert mistakes(text + "  billing_address.line1: {from: object.s}", head) == [
        "7: field 'city' is needed by Address and not made", "7: field 'country' is needed by Address and not made",
    ]  # fmt: skip
    assert mistakes(text + "  billing_adress.line1: {from: object.s}", head) == [
        "7: no field 'billing_adress' in Customer; did you mean 'billing_address'?"
    ]


def test_all_mistakes_of_a_file_are_told_at_once_and_name_the_file() -> None:
    with pytest.raises(GovernanceError) as told:
        compiled("fields:\n  a: {form: ref}\n  b: {from: reff}\n")
    assert str(told.value).splitlines() == [
        "toy.yaml:5: 'a' needs one of the six verbs: unknown verb 'form'; did you mean 'from'?",
        "toy.yaml:6: unknown start 'reff' of path 'reff'; did you mean 'ref'?",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1\na: 2", "2: 'a' stands twice"),
        ("a: 0x10", "1: '0x10' reads in more than one way; write it in quotes"),
        ("a: 1e3", None),
        ("a: 017", "1: '017' reads in more than one way; write it in quotes"),
        ("a: !!python/object:os.system x", "1: 'x' reads in more than one way; write it in quotes"),
        ("a: .inf", "1: '.inf' reads in more than one way; write it in quotes"),
    ],
)
def test_yaml_that_reads_in_more_than_one_way_is_refused(text: str, told: str | None) -> None:
    if told is None:
        assert str(node(text).value["a"].value) == "1e3"  # type: ignore[union-attr, call-overload, index]
        return
    with pytest.raises(GovernanceError) as raised:
        node(text)
    assert told in str(raised.value)


def test_norway_is_a_country_and_a_price_is_exact() -> None:
    found = node("{country: NO, on: off, price: 1.10, day: 2026-01-31, yes: true}").value
    assert isinstance(found, dict)
    assert {name: child.value for name, child in found.items()} == {
        "country": "NO", "on": "off", "price": Decimal("1.10"), "day": "2026-01-31", "yes": True,
    }  # fmt: skip


def test_there_are_six_verbs_and_no_seventh() -> None:
    assert VERBS == ("from", "const", "text", "lookup", "each", "call")
