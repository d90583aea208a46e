"""A thin event whose object turns out to be our own makes no posting, and one that cannot be read again is a case."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.toy import EVENTS, Stage, stage
from tieout.core import keys, ledger
from tieout.core.classify import Answer
from tieout.mappings import HOME
from tieout.work import intake
from tieout.work.ports import Message

CARD = json.loads((HOME / "businesscentral.card/examples/usual.json").read_text("utf-8"))["object"]
EVENT = json.loads((EVENTS / "businesscentral/customers.created.json").read_text("utf-8"))
COMPANY = "b18aed47-c385-49d2-b954-dbdf8ad71780"


@dataclass
class Company:
    """A wire to a company that shows one card."""

    card: Mapping[str, Any]
    account: str = "acme"
    settings: Mapping[str, str] = field(default_factory=lambda: {"company_id": COMPANY, "currency": "USD"})

    def call(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Answer:
        assert (method, path) == ("GET", f"/companies({COMPANY})/customers({CARD['id']})")
        return Answer(200, {}, json.dumps(self.card).encode())

    def put_once(self, name: str, body: bytes) -> bool:
        raise AssertionError("nothing is written")

    def get(self, name: str) -> bytes | None:
        raise AssertionError("no files")


@pytest.fixture
def on() -> Iterator[Stage]:
    with stage() as made:
        yield made


def take(on: Stage, card: Mapping[str, Any], **change: Any) -> Any:
    """Intake of one notification; its item."""
    on.world.wire = lambda system, account: Company(card)
    content = json.dumps({"value": [{**EVENT["value"][0], **change}]}).encode()
    body = {
        "v": 1, "source": "businesscentral", "account": "acme", "received_at": "2026-11-20T12:00:00.000Z",
        "delivery": keys.delivery_id("businesscentral", "acme", content),
        "body_b64": base64.b64encode(content).decode(),
    }  # fmt: skip
    assert intake.intake([Message("m1", body)], on.world.ports()) == []
    (item,) = (one for one in on.world.ledger.items.values() if one.get("what") == "event")
    return item


def test_a_card_that_a_person_opened_becomes_a_customer_of_the_billing_system(on: Stage) -> None:
    assert take(on, CARD)["state"] == ledger.MADE
    posting = on.one("customer")
    assert (posting["target"], posting["entity"]) == ("stripe:acct_us", "US01")
    on.settle()
    assert on.one("customer")["state"] == ledger.POSTED


def test_a_card_that_we_opened_makes_no_posting_though_the_event_does_not_say_whose_it_is(on: Stage) -> None:
    item = take(on, {**CARD, "number": "TIE-ABCDEFGHIJKLMNOP"})
    assert (item["state"], item["code"]) == (ledger.IGNORED, "echo")
    assert on.postings() == []


def test_a_thousand_changes_at_once_are_a_case_with_an_owner(on: Stage) -> None:
    told = f"/api/v2.0/companies({COMPANY})/customers?$filter=lastDateTimeModified%20gt%202026-11-20T11:00:00Z"
    item = take(on, CARD, changeType="collection", resource=told)
    assert (item["state"], item["code"]) == (ledger.CASE, "source_unreadable")
    assert item["owner_team"]
