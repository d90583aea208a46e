"""Canonical keys: two spellings that a person cannot tell apart are one (G8)."""

from __future__ import annotations

import unicodedata
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieout.core.canonical import LOOKALIKES, canonical_key, canonical_text

ALIKE = {chr(code): chr(latin) for code, latin in LOOKALIKES.items()}
TWINS = {latin: [other for other in ALIKE if ALIKE[other] == latin] for latin in set(ALIKE.values())}
DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe63\uff0d"
SPACES = "\u00a0\u2002\u2003\u2009\u202f\u3000"
INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\u00ad\u034f\u202e\u2066\ufe0f\u3164"

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcxyz0123456789-/. "


def disguise(plain: str, chance: Random) -> str:
    """The number as a forger, a copy-paste or another keyboard would spell it."""
    spelled = []
    for char in plain:
        twins = TWINS.get(char.lower(), [])
        trick = chance.randrange(6)
        if char == "-":
            char = chance.choice("-" + DASHES)
        elif char == " ":
            char = chance.choice(" " + SPACES)
        elif trick == 1 and twins:
            char = chance.choice(twins)
        elif trick == 2 and "!" <= char <= "~":
            char = chr(ord(char) + 0xFEE0)
        elif trick == 3:
            char = char.swapcase()
        spelled.append(char)
        if trick == 4:
            spelled.append(chance.choice(INVISIBLE))
    return "".join(spelled)


def test_ten_thousand_disguised_numbers_keep_their_key() -> None:
    chance = Random(20261123)
    for _ in range(10_000):
        plain = "".join(chance.choices(LETTERS, k=chance.randrange(1, 24)))
        spelled = disguise(plain, chance)
        assert canonical_key(spelled) == canonical_key(plain), (plain, spelled)


@given(st.text(LETTERS, max_size=24), st.integers())
def test_a_disguised_number_keeps_its_key(plain: str, seed: int) -> None:
    assert canonical_key(disguise(plain, Random(seed))) == canonical_key(plain)


@given(st.text(max_size=40))
def test_composed_and_decomposed_spellings_share_a_key_and_the_key_is_stable(text: str) -> None:
    key = canonical_key(text)
    assert canonical_key(unicodedata.normalize("NFC", text)) == canonical_key(unicodedata.normalize("NFD", text))
    assert canonical_key(key) == key


@pytest.mark.parametrize(
    ("one", "other"),
    [("INV-1", "INV-2"), ("INV-1", "INV1"), ("INV-10", "INV-IO"), ("B1", "BI"), ("Müller", "Mueller"), ("A B", "AB")],
)
def test_what_a_person_tells_apart_stays_apart(one: str, other: str) -> None:
    assert canonical_key(one) != canonical_key(other)


@pytest.mark.parametrize("twin", sorted(ALIKE), ids=lambda char: f"U+{ord(char):04X}")
def test_every_look_alike_of_the_policy_is_a_lower_case_letter_that_folds(twin: str) -> None:
    assert twin.casefold() == twin
    assert canonical_key(f"x{twin}x") == f"x{ALIKE[twin]}x"


def test_digits_of_any_script_are_digits() -> None:
    assert canonical_key("INV ١٢٣ ४५") == "inv 123 45"


def test_the_text_keeps_case_and_script() -> None:
    assert canonical_text("  Søren’s  GmbH\u200b ") == "Søren's GmbH"
    assert canonical_text("ИНН 7") == "ИНН 7"
