"""Files in which the legacy ERP tells: whole or refused, each record by itself, a number for one content alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.local.sandbox import Sandboxes
from infra.local.sandbox.faults import Fault
from infra.local.sandbox.legacy import Legacy
from tests.integration.systems.conftest import Files, Ours
from tieout import systems
from tieout.aws.http import DropWire
from tieout.contract import Numbered, Read, Span
from tieout.core.verdicts import NeedsHuman, Uncertain, Verdict
from tieout.systems.legacy import files

SOURCE, LISTER = systems.source("legacy"), systems.lister("legacy")
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
PAID = ("P", "ZE1", "2026-11-20", "EUR", "11900", "K1", "RE1", "NTRF", 'thank you, "Elbe" AG')
OPENED = ("C", "new", "K7", "", "Nordlicht GmbH", "ap@nordlicht.example", "DE8", "Hafenstr. 4", "Kiel", "24103", "DE")
ENDINGS = pytest.mark.parametrize("ending", [".csv", ".txt"])


def other(record: Sequence[str], cell: int, value: str) -> tuple[str, ...]:
    """A record with one cell of another value."""
    return (*record[:cell], value, *record[cell + 1 :])


class Erp:
    """The ERP, its drop, and what a look through it tells."""

    def __init__(self) -> None:
        self.files, self.now = Files("legacy/acme/"), NOW
        self.sandboxes = Sandboxes(lambda: self.now)
        self.sandboxes.drop = self.files
        self.there: Legacy = self.sandboxes.legacy
        self.drop = Ours(self.files)

    def tell(self, *records: Sequence[str], stream: str = "PAY", **how: Any) -> str:
        key = self.there.tell(stream, records, **how)
        self.files.written[key] = self.now
        return key.removeprefix("legacy/acme/")

    def bodies(self, hours: float = 1) -> list[bytes]:
        span, page, found = Span(self.now - timedelta(hours=hours), self.now + timedelta(seconds=1), ()), "", []
        while True:
            got = LISTER.listed(DropWire("acme", self.drop), span, page)
            found += list(got.bodies)
            page = got.next
            if not page:
                return found

    def reads(self) -> list[Read]:
        return [read for body in self.bodies() for read in SOURCE.read(body)]

    def out(self, ending: str) -> list[str]:
        return sorted(body.decode() for key, body in self.files.files.items() if key.endswith(ending))


def reason(body: bytes) -> str:
    with pytest.raises(NeedsHuman, match="file_refused") as said:
        SOURCE.read(body)
    return str(said.value.facts["reason"])


# --- a file ------------------------------------------------------------------------------------------------------
@ENDINGS
def test_records_are_events_of_their_own_and_the_file_takes_its_number(ending: str) -> None:
    erp = Erp()
    erp.tell(PAID, OPENED, ending=ending)
    paid, opened = erp.reads()
    assert (paid.type, paid.object_id, paid.event_id, paid.entity) == ("payment.received", "ZE1", "PAY:1:1", "DE01")
    assert (paid.object["amount"], paid.object["text"]) == (11900, 'thank you, "Elbe" AG')
    assert (opened.type, opened.object_id, opened.object["name"]) == ("customer.created", "K7", "Nordlicht GmbH")
    assert paid.sequence == opened.sequence == Numbered("PAY", 1, 1, patience=3600)
    assert (paid.object_version or 0) < (opened.object_version or 0)
    [told] = erp.out(".receipt")
    assert told.splitlines()[1:] == ["T,2,0" if ending == ".csv" else "T000002000000"]


def test_both_spellings_say_the_same() -> None:
    told = []
    for ending in (".csv", ".txt"):
        erp = Erp()
        erp.tell(PAID, OPENED, ending=ending)
        told.append([(read.event_id, read.object, read.alone) for read in erp.reads()])
    assert told[0] == told[1]


def test_a_file_without_records_takes_its_number_and_starts_nothing() -> None:
    erp = Erp()
    erp.tell()
    [read] = erp.reads()
    assert (read.type, read.sequence) == ("file.empty", Numbered("PAY", 1, 1, patience=3600))
    assert read.type in SOURCE.ignored


@ENDINGS
@pytest.mark.parametrize(("spoil", "said"), [("count", "counts"), ("total", "sum up to"), ("hash", "have the hash")])
def test_a_file_whose_trailer_says_otherwise_is_refused_whole_and_the_erp_is_told(
    spoil: str, said: str, ending: str
) -> None:
    erp = Erp()
    erp.tell(PAID, spoil=spoil, ending=ending)
    [body] = erp.bodies()
    assert said in reason(body)
    assert json.loads(body)["content"], "what was refused is kept"
    assert erp.out(".receipt") == []
    [told] = erp.out(".refused")
    assert said in told


@ENDINGS
@given(st.data())
def test_a_file_that_is_cut_anywhere_is_never_read(ending: str, data: st.DataObject) -> None:
    erp = Erp()
    name = erp.tell(PAID, OPENED, ending=ending)
    content = erp.files.files["legacy/acme/" + name]
    cut = data.draw(st.integers(0, len(content) - 1))
    with pytest.raises(NeedsHuman, match="file_refused"):
        files.read_file("x" + ending, content[:cut])


@given(st.data())
def test_any_changed_byte_of_a_record_is_seen(data: st.DataObject) -> None:
    erp = Erp()
    name = erp.tell(PAID, OPENED)
    content = bytearray(erp.files.files["legacy/acme/" + name])
    first, last = content.index(b"\n") + 1, content.rindex(b"\nT")
    place = data.draw(st.integers(first, last - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(NeedsHuman, match="file_refused"):
        files.read_file("x.csv", bytes(content))


@given(st.binary(max_size=400), st.sampled_from([".csv", ".txt"]))
def test_no_bytes_at_all_make_it_crash(content: bytes, ending: str) -> None:
    with pytest.raises(NeedsHuman, match="file_refused"):
        files.read_file("x" + ending, content)


@pytest.mark.parametrize("head", [{"stream": "pay"}, {"stream": "A" * 13}, {"company": ""}, {"number": 10**9}])
def test_a_header_that_says_too_little_is_refused(head: dict[str, Any]) -> None:
    erp = Erp()
    erp.tell(PAID, **head)
    [body] = erp.bodies()
    assert "header" in reason(body)


def test_a_file_that_is_no_text_is_refused_and_kept() -> None:
    erp = Erp()
    erp.files.put("legacy/acme/in/x.csv", b"H,LEGACY,2,PAY,1,2026-11-20T22:15:00Z,DE01\nM\xfcller\nT,0,0,0\n")
    [body] = erp.bodies()
    assert reason(body) == "it is not UTF-8"
    assert json.loads(body)["content_b64"]


# --- a record ----------------------------------------------------------------------------------------------------
@ENDINGS
@pytest.mark.parametrize(
    ("record", "code"),
    [
        (other(PAID, 4, "-5"), "BAD_AMOUNT"), (other(PAID, 4, "0"), "BAD_AMOUNT"), (other(PAID, 4, ""), "BAD_AMOUNT"),
        (other(PAID, 2, "20.11.2026"), "BAD_DATE"), (other(PAID, 2, "2026-11-31"), "BAD_DATE"),
        (other(PAID, 3, "eur"), "BAD_CURRENCY"), (other(PAID, 1, ""), "BAD_NUMBER"),
        (other(PAID, 5, ""), "BAD_CUSTOMER"), (other(OPENED, 1, "gone"), "BAD_ACTION"),
        (other(OPENED, 4, ""), "BAD_NAME"), (other(OPENED, 10, "de"), "BAD_COUNTRY"),
        (("X", "1"), "BAD_RECORD"), (PAID[:3], "BAD_RECORD"),
    ],
)  # fmt: skip
def test_a_record_that_cannot_be_read_is_refused_alone_and_the_others_go_on(
    record: Sequence[str], code: str, ending: str
) -> None:
    erp = Erp()
    erp.tell(PAID, record, OPENED, ending=ending)
    first, bad, last = erp.reads()
    assert (first.object_id, last.object_id) == ("ZE1", "K7")
    assert (bad.object_id, bool(bad.object["refused"])) == ("PAY:1:2", True)
    [told] = erp.out(".receipt")
    assert code in told
    assert told.splitlines()[-1] == ("T,2,1" if ending == ".csv" else "T000002000001")


def test_a_file_that_is_posted_by_a_script_is_read_as_one_that_was_found() -> None:
    erp = Erp()
    name = erp.tell(PAID)
    content = erp.files.files["legacy/acme/" + name].decode()
    [posted] = SOURCE.read(json.dumps({"v": 1, "file": "other.csv", "content": content}).encode())
    assert erp.reads() == [posted]


# --- a number ----------------------------------------------------------------------------------------------------
@ENDINGS
def test_a_number_that_comes_again_with_another_content_is_refused_whole_and_the_first_stands(ending: str) -> None:
    erp = Erp()
    erp.tell(PAID, name="a", ending=ending)
    before = erp.reads()
    erp.tell(OPENED, number=1, name="b", ending=ending)
    first, second = erp.bodies()
    assert list(SOURCE.read(first)) == before
    assert reason(second) == "number 1 of PAY came before with another content"
    assert len(erp.out(".receipt")) == len(erp.out(".refused")) == 1


def test_the_same_content_under_another_name_or_looked_at_again_is_the_same() -> None:
    erp = Erp()
    name = erp.tell(PAID)
    once = erp.reads()
    erp.files.put("legacy/acme/in/again.csv", erp.files.files["legacy/acme/" + name])
    assert erp.reads() == once + once
    assert erp.bodies() == erp.bodies()
    assert erp.out(".refused") == []


def test_a_file_that_was_refused_does_not_take_the_number_from_the_right_one() -> None:
    erp = Erp()
    erp.tell(PAID, spoil="total", name="a")
    erp.tell(PAID, number=1, name="b")
    wrong, right = erp.bodies()
    assert reason(wrong)
    assert [read.object_id for read in SOURCE.read(right)] == ["ZE1"]


# --- the folder --------------------------------------------------------------------------------------------------
def test_acknowledgements_and_what_is_still_written_are_passed_over() -> None:
    erp = Erp()
    for name in ("b1-DE01.ack.csv", "b1-DE01.ack.txt", "PAY-000001.csv.part", "readme.md", "csv"):
        erp.files.put(f"legacy/acme/in/{name}", b"x")
    assert erp.bodies() == []


def test_what_was_written_before_or_behind_the_span_is_left_to_another() -> None:
    erp = Erp()
    erp.tell(PAID)
    assert len(erp.bodies(1)) == 1
    erp.now += timedelta(hours=2)
    assert erp.bodies(1) == []
    assert len(erp.bodies(3)) == 1


def test_many_files_are_told_page_by_page_and_one_that_goes_is_passed_over() -> None:
    erp = Erp()
    for number in range(12):
        erp.tell(("P", f"ZE{number}", *PAID[2:]))
    assert len(erp.reads()) == 12
    erp.drop.get = lambda name: None  # type: ignore[method-assign]
    assert erp.bodies() == []


def test_a_receipt_that_may_not_be_written_tells_nothing_yet() -> None:
    erp = Erp()
    erp.tell(PAID)

    def lost(name: str, body: bytes) -> bool:
        raise Uncertain("target_lost")

    erp.drop.put_once = lost  # type: ignore[method-assign]
    with pytest.raises(Verdict):
        erp.bodies()
    del erp.drop.put_once
    assert len(erp.reads()) == 1


@pytest.mark.parametrize("kind", ["drop_before", "truncated", "late_commit"])
def test_the_erp_can_be_told_to_lose_cut_or_delay_a_file(kind: str) -> None:
    erp = Erp()
    erp.sandboxes.faults.add(Fault(kind, "DROP /legacy/acme/in/PAY", args={"seconds": 60}))
    erp.tell(PAID)
    if kind == "truncated":
        assert "cut" in reason(erp.bodies()[0])
        return
    assert erp.bodies() == []
    erp.now += timedelta(seconds=61)
    erp.sandboxes.tick()
    assert len(erp.bodies()) == (kind == "late_commit")
