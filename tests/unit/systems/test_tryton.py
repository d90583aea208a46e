"""Tryton as a target, over answers as the real server gave them (the real server itself: `make rehearse`)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from tieout.contract import Echo, Work
from tieout.core.classify import Answer
from tieout.core.exchange import Request
from tieout.core.verdicts import NeedsHuman, Uncertain
from tieout.systems.tryton.target import TARGET

REF = TARGET.reference.of("invoice/one")


def shown(state: str, total: str = "1440.00", **more: Any) -> dict[str, Any]:
    """An invoice as Tryton shows it."""
    return {
        "id": 13, "__name__": "account.invoice", "state": state, "reference": REF,
        "number": "US01-2026-000001" if state == "posted" else None,
        "total_amount": {"__class__": "Decimal", "decimal": total},
        "currency": {"id": 1, "__name__": "currency.currency", "code": "USD"}, **more,
    }  # fmt: skip


class Said:
    """A wire that gives the answers it was told to, in order, and remembers what was asked."""

    account = "us"
    settings: Mapping[str, str] = {"company": "1"}

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str]] = []

    def call(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Answer:
        self.asked.append((method, path.partition("?")[0]))
        answer = self.answers.pop(0)
        return answer if isinstance(answer, Answer) else Answer(200, body=json.dumps(answer).encode())

    def put_once(self, name: str, body: bytes) -> bool:
        raise NotImplementedError

    def get(self, name: str) -> bytes | None:
        raise NotImplementedError


def refused(message: str) -> Answer:
    return Answer(400, body=json.dumps({"status": 400, "message": message, "description": ""}).encode())


def work(kind: str = "invoice") -> Work:
    recorded = TARGET.build(kind, "create", REF, {"type": "out"})
    return Work(f"{kind}/one", kind, "create", REF, "US01", "us", "USD", 144_000, recorded, datetime.now(UTC))


def test_an_invoice_is_looked_for_then_made_then_posted() -> None:
    wire = Said([], shown("draft"), [shown("draft")], shown("posted"))
    assert TARGET.send(wire, [work()]) == [Echo("13", REF, "US01-2026-000001", "USD", 144_000)]
    model = "/rest/model/account.invoice"
    assert wire.asked == [("GET", model), ("POST", model), ("GET", model), ("POST", f"{model}/13/post")]


def test_one_that_another_made_in_the_same_moment_is_seen_and_neither_is_posted_by_us() -> None:
    wire = Said([], shown("draft"), [shown("draft"), shown("posted", id=12)])
    with pytest.raises(Uncertain, match="target_duplicate"):
        TARGET.send(wire, [work()])
    assert [method for method, _ in wire.asked] == ["GET", "POST", "GET"]


def test_a_post_refused_because_another_has_posted_it_is_done() -> None:
    said = refused('You can not call "post" on "US01-2026-000001 [TIE-A]" of "Account Invoice".')
    assert TARGET.send(Said([shown("draft")], said, [shown("posted")]), [work()])[0] == Echo(
        "13", REF, "US01-2026-000001", "USD", 144_000
    )


def test_a_look_behind_a_write_that_fails_leaves_it_in_doubt() -> None:
    with pytest.raises(Uncertain, match="target_unclear"):
        TARGET.send(Said([], shown("draft"), Answer(403)), [work()])


def test_a_draft_that_is_there_is_posted_and_not_made_again() -> None:
    wire = Said([shown("draft")], shown("posted"))
    TARGET.send(wire, [work()])
    assert wire.asked[1:] == [("POST", "/rest/model/account.invoice/13/post")]


def test_what_is_posted_is_left_alone() -> None:
    wire = Said([shown("posted")])
    assert TARGET.send(wire, [work()])[0] == Echo("13", REF, "US01-2026-000001", "USD", 144_000)
    assert [method for method, _ in wire.asked] == ["GET"]


def test_a_draft_with_another_total_is_shown_and_not_posted() -> None:
    wire = Said([], shown("draft", "1440.01"))
    echo = TARGET.send(wire, [work()])[0]
    assert echo is not None
    assert echo.total == 144_001
    assert len(wire.asked) == 2


def test_a_credit_note_is_an_invoice_of_a_negative_total() -> None:
    echo = TARGET.send(Said([shown("posted", "-1440.00")]), [work("credit_note")])[0]
    assert echo is not None
    assert echo.total == 144_000


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ('To continue, you must reopen the period "2026-01" of company "Acme Inc".', "period_closed"),
        ('To continue, you must create a period for the date "01/15/2023".', "period_closed"),
        ('You are not allowed to access "Account Invoice".', "target_forbidden"),
        ('To number the invoice "[in_1]", you must set an invoice date after "11/23/2026"', "target_refused"),
    ],
)
def test_a_refusal_is_told_by_its_sentence(message: str, code: str) -> None:
    with pytest.raises(NeedsHuman) as told:
        TARGET.send(Said([], shown("draft"), [shown("draft")], refused(message), [shown("draft")]), [work()])
    assert told.value.code == code


def test_a_lost_post_behind_a_draft_is_in_doubt() -> None:
    with pytest.raises(Uncertain):
        TARGET.send(Said([], shown("draft"), [shown("draft")], Answer(500, body=b"<html>")), [work()])


@pytest.mark.parametrize(
    ("rows", "state"),
    [
        ([], "absent"),
        ([shown("draft")], "partial"),
        ([shown("posted")], "complete"),
        ([shown("cancelled")], "absent"),
        ([shown("posted"), shown("draft", id=14)], "ambiguous"),
        ([shown("posted", "1.00")], "ambiguous"),
    ],
)
def test_find_says_how_far_it_came(rows: list[dict[str, Any]], state: str) -> None:
    assert TARGET.find(Said(rows), work()).state == state


def test_the_reference_is_in_the_recorded_request_and_no_credential_is() -> None:
    request = Request.load(work().payload)
    assert json.loads(request.body)["reference"] == REF
    assert "authorization" not in {name.lower() for name in request.headers}
