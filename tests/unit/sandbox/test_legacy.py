"""Sandbox legacy ERP: files in, files out, and a book that takes nothing twice."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import pytest

from infra.local.sandbox import Fault, Sandboxes
from tests.unit.sandbox.conftest import Drop, StillClock

OUT, IN = "legacy/acme/out/", "legacy/acme/in/"


def record(line: int, ref: str, **changes: str) -> str:
    cells = {
        "kind": "invoice", "action": "create", "customer": "C-1", "number": "F-1", "date": "2026-11-20",
        "posting": "2026-11-20", "currency": "EUR", "net": "10000", "tax": "1900", "gross": "11900", "parent": "",
        "text": "Pro plan",
    }  # fmt: skip
    return ",".join(["D", str(line), ref, *(cells | changes).values()])


def batch(name: str, *records: str, company: str = "DE01", **wrong: str) -> bytes:
    total = sum(int(text.split(",")[12]) for text in records)
    digest = hashlib.sha256("\n".join(records).encode()).hexdigest()[:16]
    head = wrong.get("head", f"H,TIEOUT,1,{name},2026-11-23T12:00:00Z,{company}")
    tail = wrong.get("tail", f"T,{len(records)},{total},{digest}")
    return "\n".join([head, *records, tail, ""]).encode()


class Erp:
    """The ERP with its drop, ready to be given files."""

    def __init__(self, sandboxes: Sandboxes, clock: StillClock) -> None:
        self.sandboxes, self.clock = sandboxes, clock
        self.files: dict[str, bytes] = {}
        assert isinstance(sandboxes.drop, Drop)
        self.files = sandboxes.drop.files
        sandboxes.legacy.add_customer("C-1")

    def give(self, name: str, *records: str, content: bytes | None = None) -> None:
        self.files[f"{OUT}{name}.csv"] = batch(name, *records) if content is None else content
        self.sandboxes.tick()

    def wait(self, seconds: int = 120) -> None:
        self.clock.advance(seconds)
        self.sandboxes.tick()

    def ack(self, name: str) -> list[list[str]]:
        text = self.files[f"{IN}{name}.ack.csv"].decode()
        assert text.endswith("\n")
        return [line.split(",", 4 if line.startswith("R") else -1) for line in text.splitlines()]

    def answer(self, name: str, *records: str) -> list[list[str]]:
        self.give(name, *records)
        self.wait()
        return self.ack(name)


@pytest.fixture
def erp(sandboxes: Sandboxes, clock: StillClock) -> Erp:
    return Erp(sandboxes, clock)


def test_a_batch_is_acknowledged_after_the_delay(erp: Erp, clock: StillClock) -> None:
    erp.files[f"{OUT}b1.csv"] = batch("b1", record(1, "TIE-1"), record(2, "TIE-2", net="-5", tax="0", gross="-5"))
    due = erp.sandboxes.next_due()
    assert due is not None
    assert due < clock.now()  # a new file wants to be looked at
    erp.sandboxes.tick()
    assert erp.sandboxes.next_due() == clock.now() + timedelta(seconds=120)
    erp.wait(119)
    assert f"{IN}b1.ack.csv" not in erp.files
    erp.wait(1)
    ack = erp.ack("b1")
    assert ack[0] == ["H", "LEGACY", "1", "b1", "2026-11-23T12:02:00Z"]
    assert [cells[:3] + cells[4:] for cells in ack[1:3]] == [
        ["A", "1", "TIE-1", "EUR", "11900"], ["A", "2", "TIE-2", "EUR", "-5"],
    ]  # fmt: skip
    assert ack[3] == ["T", "2", "0"]
    assert erp.sandboxes.next_due() is None


def test_a_file_is_read_once(erp: Erp) -> None:
    erp.answer("b1", record(1, "TIE-1"))
    before = erp.files[f"{IN}b1.ack.csv"]
    erp.wait(1000)
    assert erp.files[f"{IN}b1.ack.csv"] == before


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (batch("b1", record(1, "TIE-1"), tail="T,2,11900,0"), "counts 2"),
        (batch("b1", record(1, "TIE-1"), tail="T,1,11900,0123456789abcdef"), "hash"),
        (batch("b1", record(1, "TIE-1")).replace(b",11900,", b",11901,", 1), "hash"),
        (batch("b1", record(1, "TIE-1")).replace(b"T,1,11900,", b"T,1,11800,"), "control total"),
        (batch("b1", record(1, "TIE-1"), head="H,OTHER,1,b1,2026-11-23T12:00:00Z,DE01"), "header"),
        (batch("b1", record(1, "TIE-1"), head="H,TIEOUT,1,b2,2026-11-23T12:00:00Z,DE01"), "called b1"),
        (batch("b1", record(1, "TIE-1"))[:-40], "trailer"),
        (b"", "missing"),
        (b"\xff\xfe", "UTF-8"),
    ],
)
def test_a_file_that_does_not_hold_together_is_refused_whole(erp: Erp, content: bytes, says: str) -> None:
    erp.give("b1", content=content)
    erp.wait()
    _, reject, tail = erp.ack("b1")
    assert reject[:4] == ["R", "0", "", "BAD_FILE"]
    assert says in reject[4]
    assert tail == ["T", "0", "1"]
    assert erp.sandboxes.book("legacy", "acme") == []


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"customer": "C-9"}, "UNKNOWN_CUSTOMER"),
        ({"posting": "2026-10-31"}, "PERIOD_CLOSED"),
        ({"gross": "11901"}, "BAD_AMOUNT"),
        ({"net": "100.00"}, "BAD_AMOUNT"),
        ({"currency": "XXX"}, "BAD_CURRENCY"),
        ({"kind": "gift"}, "BAD_KIND"),
        ({"action": "sing"}, "BAD_ACTION"),
        ({"date": "2026-02-30"}, "BAD_DATE"),
        ({"kind": "payment", "parent": "TIE-9"}, "UNKNOWN_PARENT"),
        ({"kind": "payment"}, "UNKNOWN_PARENT"),
        ({"text": "a,b"}, "BAD_RECORD"),
    ],
)
def test_one_bad_record_is_refused_and_the_others_are_booked(erp: Erp, change: dict[str, str], code: str) -> None:
    erp.sandboxes.legacy.close_period("2026-10")
    ack = erp.answer("b1", record(1, "TIE-1", **change), record(2, "TIE-2"))
    assert ack[1][:4] == ["R", "1", "TIE-1", code]
    assert ack[2][:3] == ["A", "2", "TIE-2"]
    assert ack[3] == ["T", "1", "1"]
    assert [entry.external_ref for entry in erp.sandboxes.book("legacy", "acme")] == ["TIE-2"]


def test_the_same_reference_is_never_booked_twice(erp: Erp) -> None:
    document = erp.answer("b1", record(1, "TIE-1"))[1][3]
    again = erp.answer("b2", record(1, "TIE-1"))[1]
    assert again[:4] == ["R", "1", "TIE-1", "DUPLICATE"]
    assert document in again[4]
    assert len(erp.sandboxes.book("legacy", "acme")) == 1


def test_a_customer_that_comes_first_in_the_batch_is_known_to_its_invoice(erp: Erp) -> None:
    blank = {"date": "", "posting": "", "currency": "", "net": "0", "tax": "0", "gross": "0"}
    customer = record(1, "TIE-C", kind="customer", customer="C-7", action="upsert", **blank)
    ack = erp.answer("b1", customer, record(2, "TIE-1", customer="C-7"))
    assert [cells[0] for cells in ack[1:3]] == ["A", "A"]
    again = erp.answer("b2", customer)
    assert again[1][:4] == ack[1][:4]  # an upsert of the same customer is the same customer
    gone = record(1, "TIE-C", kind="customer", customer="C-7", action="void", **blank)
    erp.answer("b3", gone)
    assert erp.answer("b4", record(1, "TIE-2", customer="C-7"))[1][3] == "UNKNOWN_CUSTOMER"


def test_payments_credits_and_voids_change_the_state_of_their_invoice(erp: Erp) -> None:
    erp.answer("b1", record(1, "I-1"), record(2, "I-2"), record(3, "I-3"))
    paid = record(1, "P-1", kind="payment", parent="I-1", net="11900", tax="0")
    credit = record(2, "G-1", kind="credit_note", parent="I-2", net="1000", tax="190", gross="1190")
    void = record(3, "V-1", action="void", parent="I-3")
    erp.answer("b2", paid, credit, void)
    entries = {e.external_ref: e for e in erp.sandboxes.book("legacy", "acme")}
    assert {ref: e.status for ref, e in entries.items() if ref.startswith("I")} == {
        "I-1": "paid", "I-2": "open", "I-3": "voided",
    }  # fmt: skip
    assert (entries["G-1"].total_minor, entries["G-1"].parent_ref, entries["G-1"].entity) == (1190, "I-2", "DE01")
    assert (entries["P-1"].kind, entries["V-1"].kind) == ("payment", "void")


def test_an_acknowledgement_can_be_lost_late_or_cut(erp: Erp) -> None:
    add = erp.sandboxes.faults.add
    add(Fault("commit_then_drop", "DROP /legacy/acme/out/b1.csv"))
    add(Fault("late_commit", "DROP /legacy/acme/out/b2.csv", args={"seconds": 600}))
    add(Fault("truncated", "DROP /legacy/acme/out/b3.csv"))
    add(Fault("drop_before", "DROP /legacy/acme/out/b4.csv"))
    for number in (1, 2, 3, 4):
        erp.give(f"b{number}", record(1, f"TIE-{number}"))
    erp.wait()
    assert set(erp.files) & {f"{IN}b{n}.ack.csv" for n in (1, 2, 3, 4)} == {f"{IN}b3.ack.csv"}
    assert b"\nT," not in erp.files[f"{IN}b3.ack.csv"]
    assert [e.external_ref for e in erp.sandboxes.book("legacy", "acme")] == ["TIE-1", "TIE-3"]
    erp.wait(600)
    assert erp.ack("b2")[1][:3] == ["A", "1", "TIE-2"]
    erp.wait(6000)
    assert f"{IN}b1.ack.csv" not in erp.files
    assert len(erp.sandboxes.book("legacy", "acme")) == 3


def test_a_batch_number_is_used_once(erp: Erp) -> None:
    erp.answer("b1", record(1, "TIE-1"))
    erp.files["legacy/acme/out/sub/b1.csv"] = batch("b1", record(1, "TIE-2"))
    erp.sandboxes.tick()
    erp.wait()
    assert erp.ack("b1")[1][3] == "DUPLICATE_BATCH"
