"""Canonical text: what two spellings of one number or name share. For *detecting* duplicates only.

A non-breaking hyphen, full-width letters, a zero-width space or a Cyrillic В make two invoice numbers that
look the same to a person and differ to a computer, which is how an invoice is booked twice. The key folds
compatibility forms (NFKC), case, dashes, spaces, digits of any script, invisible characters, and letters of
other scripts that look like Latin ones. It does not fold digits with letters (0 and O, 1 and l): number series
tell those apart. The original is always kept and shown; the key is never sent anywhere, and two equal keys
are a question for a person, not a fact.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

# Lower-case letters (after case folding) whose small or capital form is mistaken for a Latin one. A policy:
# short, and tested pair by pair; Unicode UTS #39 lists thousands more that no keyboard offers.
LOOKALIKES: Final = str.maketrans(
    # Cyrillic, Greek, Armenian, Latin extensions
    "авеԍнісјкӏмоԛрѕтԁԝхуѵғһ" + "αβεζηικμνορτυχ" + "օսհ" + "ıɑɡɩʟ",
    "abeghicjklmoqpstdwxyvfh" + "abezhikmnoptyx" + "ouh" + "iagil",
)
_DASHES: Final = dict.fromkeys((*range(0x2010, 0x2016), 0x2212, 0x2043, 0x02D7, 0x30FC, 0xFE58, 0xFE63, 0xFF0D), "-")
_QUOTES: Final = {0x2018: "'", 0x2019: "'", 0x201B: "'", 0x02BC: "'", 0x00B4: "'", 0x60: "'", 0x201C: '"', 0x201D: '"'}
# Invisible without being format characters: joiner, Hangul fillers, variation selectors.
_INVISIBLE: Final = frozenset(
    [0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0, *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)]
)
_SPACES: Final = re.compile(r"\s+")


def canonical_text(text: str) -> str:
    """`text` with one spelling for each character a person cannot tell apart from it; case and script kept."""
    if text.isascii():  # nothing to fold but the spaces and the backtick
        return _SPACES.sub(" ", text.replace("`", "'")).strip()
    # Dashes and quotes first: NFKC would split the acute accent into a space and a combining mark.
    folded = unicodedata.normalize("NFKC", text.translate(_DASHES).translate(_QUOTES))
    return _SPACES.sub(" ", "".join(map(_visible, folded)).translate(_QUOTES)).strip()


def canonical_key(text: str) -> str:
    """The key that spellings of one number or name share: `canonical_text`, folded in case and look-alikes."""
    key = canonical_text(text)
    if key.isascii():
        return key.casefold()
    for _ in range(4):  # folding may open a new composition; it settles at once or in one more round
        folded = canonical_text(unicodedata.normalize("NFKC", key.casefold()).translate(LOOKALIKES))
        if folded == key:
            break
        key = folded
    return key


def _visible(char: str) -> str:
    if char.isascii():
        return char
    category = unicodedata.category(char)
    if category in ("Cf", "Cs", "Cn", "Co") or ord(char) in _INVISIBLE:
        return ""
    if category == "Nd":
        return str(unicodedata.decimal(char))
    if category == "Pd":
        return "-"
    return " " if category == "Zs" else char
