"""The legacy ERP's file: control totals, cells no spreadsheet runs, whole acknowledgements only."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tieout import systems
from tieout.contract import Work
from tieout.core.classify import Answer
from tieout.core.verdicts import NeedsHuman, TryAgain, Uncertain, Verdict
from tieout.systems.legacy.dialects import DIALECTS

LEGACY = systems.target("legacy")
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
INVOICE: dict[str, Any] = {
    "customer_ref": "TIE-C", "document_no": "FL-1", "document_date": "2026-11-02", "posting_date": "2026-11-02",
    "currency": "EUR", "net": 30000, "tax": 5700, "gross": 35700, "text": "Stripe in_1", "lines": [{"tax_code": "V19"}],
}  # fmt: skip


class Wire:
    """Files by name."""

    account = "acme"
    settings: Mapping[str, str] = {}

    def __init__(self, *failures: Verdict | None) -> None:
        self.files: dict[str, bytes] = {}
        self.failures = list(failures)

    def call(self, method: str, path: str, *, headers: Any = None, body: bytes | None = None) -> Answer:
        raise AssertionError("files only")

    def put_once(self, name: str, body: bytes) -> bool:
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            raise failure
        return self.files.setdefault(name, body) is body

    def get(self, name: str) -> bytes | None:
        return self.files.get(name)


def work(number: int = 1, entity: str = "DE01", **changes: Any) -> Work:
    payload = LEGACY.build("invoice", "create", f"TIE-{number}", {**INVOICE, **changes})
    gross = changes.get("gross", INVOICE["gross"])
    return Work(
        f"k{number}", "invoice", "create", f"TIE-{number}", entity, "acme", "EUR", gross, payload, NOW, batch="b1"
    )


def ack(*rows: str, head: str = "H,LEGACY,1,b1-DE01,2026-11-23T12:05:00Z") -> bytes:
    accepted = sum(row.startswith("A") for row in rows)
    return "\n".join([head, *rows, f"T,{accepted},{len(rows) - accepted}", ""]).encode()


def acknowledged(wire: Wire, content: bytes, one: Work) -> tuple[str, str]:
    wire.files["in/b1-DE01.ack.csv"] = content
    found = LEGACY.find(wire, one)
    return found.state, found.code


def test_the_file_carries_count_sum_and_hash_of_what_is_in_it() -> None:
    wire = Wire()
    LEGACY.send(wire, [work(1), work(2, gross=1, net=1, tax=0)])
    [(name, content)] = wire.files.items()
    lines = content.decode().removesuffix("\n").split("\n")
    assert name == "out/b1-DE01.csv"
    assert lines[0] == "H,TIEOUT,1,b1-DE01,2026-11-23T12:00:00Z,DE01"
    wanted = "D,1,TIE-1,invoice,create,TIE-C,FL-1,2026-11-02,2026-11-02,EUR,30000,5700,35700,,Stripe in_1 TAX V19"
    assert lines[1] == wanted
    digest = hashlib.sha256("\n".join(lines[1:3]).encode()).hexdigest()[:16]
    assert lines[3] == f"T,2,35701,{digest}"


@example("=1+1")
@example("+1")
@example("-1")
@example("@SUM(A1)")
@example("\t=1")
@example("\n=1\r\nD,9,X")
@example('a","b')
@given(st.text(max_size=200))
def test_no_text_breaks_a_line_or_runs_in_a_spreadsheet(text: str) -> None:
    wire = Wire()
    LEGACY.send(wire, [work(1, text=text, document_no=text, lines=[])])
    content = next(iter(wire.files.values())).decode()
    assert content.count("\n") == 3
    rows = list(csv.reader(io.StringIO(content)))
    assert [len(row) for row in rows] == [6, 15, 4]
    assert not any(cell[:1] in ("=", "+", "-", "@", "\t", "\r") for cell in (rows[1][6], rows[1][14]))


def test_an_amount_that_is_no_whole_number_never_becomes_a_cell() -> None:
    for wrong in ("12.50", 12.5, None, True, "=1+1"):
        with pytest.raises(NeedsHuman, match="bad_amount"):
            work(1, gross=wrong)


def test_a_negative_amount_stays_a_number() -> None:
    wire = Wire()
    LEGACY.send(wire, [work(1, gross=-5, net=-5, tax=0)])
    assert b",-5,0,-5," in next(iter(wire.files.values()))


def test_each_company_gets_its_own_file() -> None:
    wire = Wire()
    LEGACY.send(wire, [work(1), work(2, entity="AT01")])
    assert sorted(wire.files) == ["out/b1-AT01.csv", "out/b1-DE01.csv"]


def test_when_the_second_file_fails_the_first_is_not_sent_again_unseen() -> None:
    with pytest.raises(Uncertain):
        LEGACY.send(Wire(None, TryAgain("target_unreachable")), [work(1), work(2, entity="AT01")])
    with pytest.raises(TryAgain):
        LEGACY.send(Wire(TryAgain("target_unreachable")), [work(1), work(2, entity="AT01")])


def test_what_was_never_written_is_absent_and_what_was_written_is_pending() -> None:
    wire = Wire()
    assert LEGACY.find(wire, work(1)).state == "absent"
    assert LEGACY.find(wire, replace(work(1), batch=None)).state == "absent"
    LEGACY.send(wire, [work(1)])
    assert LEGACY.find(wire, work(1)).state == "pending"
    assert LEGACY.find(wire, work(2)).state == "absent"


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (ack("A,1,TIE-1,RE1,EUR,35700"), ("complete", "")),
        (ack("A,1,TIE-1,RE1,EUR,35701"), ("ambiguous", "target_echo_differs")),
        (ack("A,1,TIE-1,RE1,USD,35700"), ("ambiguous", "target_echo_differs")),
        (ack("R,1,TIE-1,PERIOD_CLOSED,closed"), ("refused", "period_closed")),
        (ack("R,1,TIE-1,UNKNOWN_CUSTOMER,who"), ("refused", "target_reference_missing")),
        (ack("R,1,TIE-1,SOMETHING_NEW,why"), ("refused", "record_rejected")),
        (ack("R,1,TIE-1,DUPLICATE,is RE1"), ("ambiguous", "target_duplicate")),
        (ack("R,0,,BAD_FILE,hash"), ("refused", "record_rejected")),
        (ack("A,1,TIE-2,RE1,EUR,35700"), ("ambiguous", "target_unclear")),
        (ack("A,1,TIE-1,RE1,EUR,35700")[:-6], ("pending", "")),
        (ack("A,1,TIE-1,RE1,EUR,a lot"), ("pending", "")),
        (ack("A,1,TIE-1,RE1,EUR,35700", head="H,OTHER,1,b1"), ("pending", "")),
        (b"", ("pending", "")),
        (b'"', ("pending", "")),
        (b"\xff\x00", ("pending", "")),
    ],
)
def test_an_acknowledgement_is_believed_only_when_it_is_whole(content: bytes, wanted: tuple[str, str]) -> None:
    wire = Wire()
    LEGACY.send(wire, [work(1)])
    assert acknowledged(wire, content, work(1)) == wanted


@given(st.data())
def test_an_acknowledgement_cut_anywhere_says_nothing(data: st.DataObject) -> None:
    wire = Wire()
    LEGACY.send(wire, [work(1), work(2)])
    whole = ack("A,1,TIE-1,RE1,EUR,35700", "A,2,TIE-2,RE2,EUR,35700")
    cut = whole[: data.draw(st.integers(0, len(whole) - 2))]
    assert acknowledged(wire, cut, work(1)) == ("pending", "")


# --- columns of fixed width --------------------------------------------------------------------------------------
class Columns(Wire):
    settings: Mapping[str, str] = {"format": "fixed"}


def test_in_fixed_width_each_line_of_a_type_is_as_long_as_the_others_and_numbers_stand_right() -> None:
    wire = Columns()
    LEGACY.send(wire, [work(1), work(2, gross=-1, net=-1, tax=0, text="Ünïcode ✓ text")])
    [(name, content)] = wire.files.items()
    head, first, second, tail, end = content.decode().split("\n")
    assert (name, end) == ("out/b1-DE01.txt", "")
    assert len(first) == len(second) == 397
    assert first[:37] == "D000001TIE-1                         "
    assert [second[at : at + 19] for at in (190, 209, 228)] == ["-000000000000000001", "0" * 19, "-000000000000000001"]
    assert (head[:11], tail[:26]) == ("HTIEOUT  1 ", "T0000020000000000000035699")


@given(st.text(max_size=60), st.integers(-(10**17), 10**17))
@example("=SUM(A1)", 0)
@example("a\u2028b\nc", -1)
@example("   left", 5)
def test_what_is_written_in_either_dialect_is_read_back_as_the_same_records(text: str, gross: int) -> None:
    one = work(1, gross=gross, net=gross, tax=0, text=text)
    read = []
    for name, dialect in DIALECTS.items():
        wire = Wire()
        wire.settings = {"format": name}
        LEGACY.send(wire, [one])
        [content] = wire.files.values()
        [record] = [cells for cells in dialect.rows(content, "out") if cells[0] == "D"]
        read.append([cell.rstrip(" ") for cell in record])
    assert read[0] == read[1]


def test_a_record_is_found_in_the_dialect_it_was_written_in_after_the_account_changed_to_another() -> None:
    wire = Wire()
    LEGACY.send(wire, [work(1)])
    wire.settings = {"format": "fixed"}
    wire.files["in/b1-DE01.ack.csv"] = ack("A,1,TIE-1,RE20260001,EUR,35700")
    assert LEGACY.find(wire, work(1)).state == "complete"
    assert LEGACY.send(wire, [work(1)]) == [None]
    assert list(wire.files) == ["out/b1-DE01.csv", "in/b1-DE01.ack.csv"]
    with pytest.raises(Uncertain, match="target_conflict"):
        LEGACY.send(wire, [work(1, text="another")])


def test_a_line_that_is_cut_or_too_long_is_no_record_and_a_cut_acknowledgement_says_nothing() -> None:
    wire = Columns()
    LEGACY.send(wire, [work(1)])
    fixed = DIALECTS["fixed"]
    rows = [
        ["H", "LEGACY", "1", "b1-DE01", "2026-11-23T12:05:00Z"], ["A", "1", "TIE-1", "RE2026000001", "EUR", "35700"],
        ["T", "1", "0"],
    ]  # fmt: skip
    whole = "\n".join([*(fixed.line(cells, "in") for cells in rows), ""]).encode()
    for content, state in ((whole, "complete"), (whole[:-3], "pending"), (whole[:100], "pending"), (b"", "pending")):
        wire.files["in/b1-DE01.ack.txt"] = content
        assert LEGACY.find(wire, work(1)).state == state


def test_a_document_number_that_does_not_fit_stops_and_is_not_cut() -> None:
    assert b"9" * 80 in work(1, document_no="9" * 80).payload
    with pytest.raises(NeedsHuman, match="number_too_long"):
        work(1, document_no="9" * 81)


def test_a_format_that_there_is_not_is_said() -> None:
    wire = Wire()
    wire.settings = {"format": "ebcdic"}
    with pytest.raises(NeedsHuman, match="target_credentials"):
        LEGACY.send(wire, [work(1)])
