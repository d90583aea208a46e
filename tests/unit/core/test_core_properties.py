"""What must hold for any input, by thousands of examples: shares, journals, round trips, keys, hostile numbers."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from decimal import Decimal
from time import process_time
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.unit.core.documentsamples import BOOKED, NEW, USAGE
from tests.unit.core.test_documents import ALL, INVOICE
from tieout.core import documents
from tieout.core.canonical import LOOKALIKES, canonical_key
from tieout.core.clocks import DocumentDate, EventInstant, PostingDate
from tieout.core.documents import Document, JournalEntry, JournalLine
from tieout.core.money import EXPONENTS, Currency, Money, total
from tieout.core.parse import read_json
from tieout.core.verdicts import NeedsHuman

thousands = settings(max_examples=2000)


@thousands
@given(
    st.integers(-(10**17), 10**17),
    st.sampled_from(sorted(EXPONENTS)),
    st.lists(st.integers(0, 10**6) | st.decimals(0, 1000, places=4), min_size=1, max_size=12).filter(any),
)
def test_a_share_out_sums_exactly_in_every_currency(minor: int, unit: str, weights: list[int | Decimal]) -> None:
    assert total(Money.of(minor, unit).allocate(weights), unit).minor == minor


sides = st.tuples(st.sampled_from(["debit", "credit"]), st.integers(0, 10**12))


@thousands
@given(st.lists(sides, min_size=1, max_size=6), st.sampled_from(["JPY", "USD", "KWD", "CLF"]), st.booleans())
def test_a_journal_is_made_when_it_balances_and_never_when_it_does_not(
    rows: list[tuple[Any, int]], unit: str, close: bool
) -> None:
    lines = [JournalLine(account="a", side=side, amount=Money.of(minor, unit)) for side, minor in rows]
    rest = sum(minor if side == "debit" else -minor for side, minor in rows)
    if close:
        lines.append(JournalLine(account="z", side="credit" if rest > 0 else "debit", amount=Money.of(abs(rest), unit)))
    else:
        lines.append(JournalLine(account="z", side="credit", amount=Money.of(0, unit)))
    fields = BOOKED | {"currency": Currency(unit), "number": "1", "lines": tuple(lines)}
    if close or rest == 0:
        made = JournalEntry(**fields)
        assert all(left == right for _, left, right in documents.prove_totals(made).equations)
    else:
        with pytest.raises(NeedsHuman) as told:
            JournalEntry(**fields)
        assert told.value.code == "journal_unbalanced"


text = st.text(st.characters(exclude_categories=("Cs", "Cc", "Cn")), min_size=1, max_size=20)


@thousands
@given(
    st.sampled_from([doc for doc in ALL if hasattr(doc, "source_id")]),
    text,
    text,
    st.integers(0, 10**15),
    st.datetimes(),
)
def test_any_document_comes_back_from_its_bytes_as_it_was(
    doc: Document, source_id: str, account: str, version: int, moment: Any
) -> None:
    seconds = abs(int((moment - moment.min).total_seconds())) % 10**10
    changed = {"source_id": source_id, "account": account, "version": version,
               "event_instant": EventInstant.from_epoch(seconds)}  # fmt: skip
    one = doc.model_copy(update=changed)
    packed = documents.dump(one)
    assert documents.load(doc.kind, packed) == one
    assert documents.dump(documents.load(doc.kind, packed)) == packed
    assert read_json(packed)["version"] == version


@thousands
@given(text)
def test_a_key_is_the_same_for_every_normal_form_and_is_its_own_key(name: str) -> None:
    key = canonical_key(name)
    assert canonical_key(key) == key
    for form in ("NFC", "NFD"):
        assert canonical_key(unicodedata.normalize(form, name)) == key


@thousands
@given(st.text(st.characters(codec="ascii", categories=("Lu", "Nd")), min_size=1, max_size=12), st.data())
def test_a_number_that_a_person_cannot_tell_apart_has_the_same_key(number: str, data: st.DataObject) -> None:
    twins: dict[str, list[str]] = {}
    for code, latin in LOOKALIKES.items():
        twins.setdefault(chr(latin), []).append(chr(code))
    spelled = []
    for char in number:
        options = [char, char.lower(), chr(ord(char) + 0xFEE0), char + "\u200b", *twins.get(char.lower(), ())]
        spelled.append(data.draw(st.sampled_from(options)))
    assert canonical_key("".join(spelled)) == canonical_key(number)
    assert canonical_key(number.replace("1", "-")) == canonical_key(number.replace("1", "\u2011"))


def refusal(act: Callable[[], object]) -> str:
    began = process_time()
    try:
        act()
        code = "fine"
    except NeedsHuman as verdict:
        code = verdict.code
    assert process_time() - began < 2, "bounded time"
    return code


numbers = st.one_of(
    st.sampled_from(["NaN", "sNaN", "Infinity", "-0", "-0.00", "1e2000000", "1E400", "1_000", "١٢", "１２", " 12 ",
                     "0x1", "9" * 5000, "+1", "1.", ".5", "true", "\ufeff1"]),
    st.from_regex(r"\A-?[0-9]{1,40}(\.[0-9]{0,30})?([eE][+-]?[0-9]{1,7})?\Z"),
    st.text(max_size=12),
)  # fmt: skip


@thousands
@example("1e2000000")
@example("9" * 5000)
@given(numbers)
def test_a_hostile_number_is_one_typed_refusal_in_bounded_time(number: str) -> None:
    assert refusal(lambda: Money.parse(number, "USD")) in ("fine", "bad_amount", "amount_out_of_range")
    assert refusal(lambda: read_json(b'{"amount":' + number.encode("utf-8", "replace") + b"}")) in ("fine", "bad_json")
    for kind, body, place in (
        ("usage_record", json.loads(documents.dump(USAGE)), "quantity"),
        ("invoice", json.loads(documents.dump(INVOICE)), "net"),
    ):
        said = refusal(lambda kind=kind, body=body, place=place: documents.load(  # type: ignore[misc]
            kind, json.dumps(body | {place: number}).encode("utf-8", "replace")))  # fmt: skip
        assert said in ("fine", "document_invalid") if place == "quantity" else said == "document_invalid"


@pytest.mark.parametrize("doc", NEW, ids=lambda doc: doc.kind)
@pytest.mark.parametrize("minor", ["true", "1.5", '"1"', "1e3", "null", "9" * 19, "-" + "9" * 400, "[]"])
def test_no_amount_of_any_new_kind_takes_anything_but_a_whole_number(doc: Document, minor: str) -> None:
    packed = documents.dump(doc).decode()
    if '"minor":' not in packed:
        return
    head, _, tail = packed.partition('"minor":')
    rest = tail[tail.index(",") :]
    with pytest.raises(NeedsHuman) as told:
        documents.load(doc.kind, f'{head}"minor":{minor}{rest}'.encode())
    assert told.value.code in ("document_invalid", "amount_out_of_range")


@pytest.mark.parametrize("make", [DocumentDate.parse, PostingDate.parse, EventInstant.parse])
@settings(max_examples=300)
@given(st.text(max_size=40))
def test_no_text_makes_a_clock_crash(make: Callable[[str], object], text: str) -> None:
    assert refusal(lambda: make(text)) in ("fine", "bad_date")
