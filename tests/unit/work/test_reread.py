"""Thin events are read again: asked for once, within the budget, kept, and never lost while their source is silent."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.toy import EVENTS, Stage, stage
from tieout.core import keys, ledger
from tieout.core.classify import Answer
from tieout.core.verdicts import TryAgain, Uncertain
from tieout.core.writes import Item, Write
from tieout.mappings import HOME
from tieout.work import intake, raw, waiting
from tieout.work.ports import Message

INVOICE = json.loads((HOME / "zuora.invoice/examples/usual.json").read_text("utf-8"))["object"]
CALLOUT = json.loads((EVENTS / "zuora/InvoicePosted.json").read_text("utf-8"))
BUDGET = keys.budget_item("zuora:acme-eu")


@dataclass
class Tenant:
    """A wire to a tenant that answers as told: with the invoice as long as nothing else is said."""

    account: str = "acme-eu"
    settings: Mapping[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    says: Callable[[str], Answer] | None = None
    leases: list[Any] = field(default_factory=list)
    on: Stage | None = None

    def call(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Answer:
        assert method == "GET"
        self.asked.append(path)
        if self.on is not None:
            self.leases.append(dict(self.on.world.ledger.items.get(BUDGET, {}).get("leases", {})))
        return self.says(path) if self.says else whole(path)

    def put_once(self, name: str, body: bytes) -> bool:
        raise AssertionError("nothing is written")

    def get(self, name: str) -> bytes | None:
        raise AssertionError("no files")


def whole(path: str, **changes: Any) -> Answer:
    """The invoice that the path asks for."""
    ident = path.partition("?")[0].rpartition("/")[2]
    shown = {**INVOICE, "id": ident, "invoiceNumber": f"N-{ident}", "updatedDate": CALLOUT["updatedDate"], **changes}
    return Answer(200, {}, json.dumps(shown).encode())


def answering(status: int, body: Any = None, **headers: str) -> Callable[[str], Answer]:
    return lambda path: Answer(status, headers, json.dumps(body).encode())


@pytest.fixture
def on() -> Iterator[Stage]:
    with stage() as made:
        made.world.wire = lambda system, account: tenant_of(made)
        made.world.tenant = Tenant(on=made)  # type: ignore[attr-defined]
        yield made


def tenant_of(on: Stage) -> Tenant:
    tenant: Tenant = on.world.tenant  # type: ignore[attr-defined]
    return tenant


@pytest.fixture
def tenant(on: Stage) -> Tenant:
    return tenant_of(on)


def message(body: Mapping[str, Any], name: str, source: str = "zuora", account: str = "acme-eu") -> Message:
    content = json.dumps(body).encode()
    return Message(name, {
        "v": 1, "source": source, "account": account, "received_at": "2026-11-20T12:00:00.000Z",
        "delivery": keys.delivery_id(source, account, content), "body_b64": base64.b64encode(content).decode(),
    })  # fmt: skip


def callout(ident: str = "inv1", **changes: Any) -> dict[str, Any]:
    return {**CALLOUT, "objectId": ident, **changes}


def take(on: Stage, *bodies: Mapping[str, Any]) -> None:
    messages = [message(body, f"m{number}") for number, body in enumerate(bodies)]
    assert intake.intake(messages, on.world.ports()) == []


def events(on: Stage) -> list[Item]:
    return [item for item in on.world.ledger.items.values() if item.get("what") == "event"]


def event(on: Stage) -> Item:
    (item,) = events(on)
    return item


def test_a_thin_event_goes_on_as_if_it_had_carried_its_object_and_what_was_read_is_kept(
    on: Stage, tenant: Tenant
) -> None:
    take(on, callout())
    posting, item = on.one("invoice"), event(on)
    assert (item["state"], item["postings"]) == (ledger.MADE, [posting["key"]])
    assert (posting["total"], posting["currency"], posting["number"]) == (53550, "EUR", "N-inv1")
    assert json.loads(raw.raw(on.world.vault, item["reread"]))["invoiceItems"] == INVOICE["invoiceItems"]
    assert json.loads(raw.raw(on.world.vault, item["vault"])) == callout()
    assert tenant.asked == ["/object-query/invoices/inv1?expand[]=account&expand[]=invoiceItems"]


def test_objects_are_asked_for_once_a_batch_under_one_slot_that_is_given_back(on: Stage, tenant: Tenant) -> None:
    later = "2026-11-02T15:31:08-08:00"
    tenant.says = lambda path: whole(path, updatedDate=later)
    take(on, callout("inv1"), callout("inv1", updatedDate=later), callout("inv2"), callout("inv1", currency="EUR"))
    assert len(tenant.asked) == 2
    assert [len(leases) for leases in tenant.leases] == [1, 1]
    assert on.world.ledger.items[BUDGET]["leases"] == {}
    assert len(on.postings("invoice")) == 2
    assert sorted(item["state"] for item in events(on)) == [ledger.DUPLICATE, ledger.MADE, ledger.MADE]


def test_an_event_that_is_known_is_not_asked_for_again(on: Stage, tenant: Tenant) -> None:
    for number in range(20):
        assert intake.intake([message(callout(), f"m{number}")], on.world.ports()) == []
    assert len(tenant.asked) == 1
    assert event(on)["deliveries"] == 20
    assert len(on.postings("invoice")) == 1


def lost(path: str) -> Answer:
    raise Uncertain("target_lost", "ReadTimeout")


def unreachable(path: str) -> Answer:
    raise TryAgain("target_unreachable", "ConnectError")


NO = {"success": False, "reasons": [{"code": 53100050, "message": "locked"}]}


@pytest.mark.parametrize(
    "says",
    [lost, unreachable, answering(500, "x"), answering(503, None), answering(429, None), answering(200, NO),
     answering(401, {}), lambda path: Answer(200, {}, b"<html>"), lambda path: Answer(200, {}, b"{", truncated=True),
     lambda path: whole(path, updatedDate="2026-11-02T15:30:00-08:00")],
    ids=["lost", "unreachable", "500", "503", "429", "locked under 200", "401", "a page", "cut", "an older state"],
)  # fmt: skip
def test_what_cannot_be_read_now_waits_visibly_and_goes_on_by_itself(
    on: Stage, tenant: Tenant, says: Callable[[str], Answer]
) -> None:
    tenant.says = says
    take(on, callout())
    item = event(on)
    assert (item["state"], item["waits"], "case" in item) == (ledger.WAITING, "source", False)
    assert item["due"]
    assert on.postings() == []
    assert on.probe(minutes=11)["still waits for its source"] == 1
    assert (event(on)["looks"], event(on)["state"]) == (1, ledger.WAITING)
    tenant.says = None
    assert on.probe(minutes=20)["read again from its source"] == 1
    item = event(on)
    assert (item["state"], item["deliveries"]) == (ledger.MADE, 1)
    assert not {"due", "due_shard", "waits", "code", "facts"} & set(item)
    assert on.one("invoice")["total"] == 53550
    assert [send.posting for send in on.world.queues.sent] == [on.one("invoice")["key"]]


@pytest.mark.parametrize("says", [answering(404, {}), answering(410, {}), answering(200, {
    "success": False, "reasons": [{"code": 50000040, "message": "Cannot find entity by key"}]})])  # fmt: skip
def test_an_object_that_is_not_shown_may_be_late_and_is_a_case_after_ten_minutes_until_it_comes(
    on: Stage, tenant: Tenant, says: Callable[[str], Answer]
) -> None:
    tenant.says = says
    take(on, callout())
    assert (event(on)["state"], event(on)["code"]) == (ledger.WAITING, "source_behind")
    on.probe(minutes=11)
    item = event(on)
    assert (item["state"], item["code"], item["facts"]["what"]) == (ledger.CASE, "source_gone", "InvoicePosted inv1")
    assert item["case"]["owner"] == item["owner_team"]
    opened = item["case"]
    on.probe(minutes=11)
    assert event(on)["case"] == opened
    tenant.says = None
    on.probe(minutes=11)
    assert event(on)["state"] == ledger.MADE
    assert "case" not in event(on)


def test_a_read_that_is_forbidden_is_a_case_at_once_and_goes_on_once_it_is_granted(on: Stage, tenant: Tenant) -> None:
    tenant.says = answering(403, {"code": "1", "message": "no permission"})
    take(on, callout())
    assert (event(on)["state"], event(on)["code"]) == (ledger.CASE, "source_forbidden")
    assert [told for told, _ in on.world.bus.told] == ["case.opened"]
    tenant.says = None
    on.probe(minutes=11)
    assert event(on)["state"] == ledger.MADE


def test_a_source_that_is_silent_for_an_hour_is_a_case_and_the_event_still_goes_on(on: Stage, tenant: Tenant) -> None:
    tenant.says = unreachable
    take(on, callout())
    on.probe(minutes=61)
    assert (event(on)["state"], event(on)["code"]) == (ledger.CASE, "source_late")
    assert event(on)["facts"]["said"] == "target_unreachable"
    tenant.says = None
    on.probe(minutes=11)
    assert event(on)["state"] == ledger.MADE


def test_an_object_with_another_id_is_never_taken_for_the_one_that_was_asked_for(on: Stage, tenant: Tenant) -> None:
    tenant.says = lambda path: whole("/x/other")
    take(on, callout())
    assert (event(on)["state"], event(on)["code"]) == (ledger.CASE, "source_unreadable")
    assert on.postings() == []


def test_an_object_that_is_no_business_of_ours_once_it_is_read_is_ignored(on: Stage, tenant: Tenant) -> None:
    tenant.says = lambda path: whole(path, status="Draft")
    take(on, callout())
    assert (event(on)["state"], event(on)["code"]) == (ledger.IGNORED, "not_for_us")


def test_no_call_begins_that_the_rest_of_the_invocation_could_not_record(on: Stage, tenant: Tenant) -> None:
    on.world.remaining = 14.0
    take(on, callout())
    assert tenant.asked == []
    assert (event(on)["state"], event(on)["code"]) == (ledger.WAITING, "deadline_near")


def test_an_account_at_its_limit_is_not_asked(on: Stage, tenant: Tenant) -> None:
    far = "2027-01-01T00:00:00.000Z"
    on.world.ledger.items[BUDGET] = {
        "pk": BUDGET.pk, "sk": BUDGET.sk, "leases": {f"w{n}": far for n in range(100)}, "rev": 1,
    }  # fmt: skip
    take(on, callout())
    assert tenant.asked == []
    assert (event(on)["state"], event(on)["code"]) == (ledger.WAITING, "budget_spent")


def test_a_pause_that_the_source_asks_for_holds_everybody_and_is_kept(on: Stage, tenant: Tenant) -> None:
    tenant.says = lambda path: Answer(429, {"retry-after": "120"}, b"")
    take(on, callout("inv1"), callout("inv2"), callout("inv3"))
    assert len(tenant.asked) == 1, "one 429 is enough"
    assert on.world.ledger.items[BUDGET]["paused_until"] == "2026-11-20T12:02:00.000Z"
    tenant.says = None
    take(on, callout("inv4"))
    assert len(tenant.asked) == 1
    assert {item["state"] for item in events(on)} == {ledger.WAITING}
    on.probe(seconds=125)
    assert {item["state"] for item in events(on)} == {ledger.MADE}


def test_one_object_that_cannot_be_read_does_not_take_the_others_with_it(on: Stage, tenant: Tenant) -> None:
    tenant.says = lambda path: Answer(404) if "bad" in path else whole(path)
    invoice = on.event("invoice.finalized", id="in_1")
    messages = [message(callout("bad"), "a"), message(callout("good"), "b"), message(invoice, "c", "stripe", "acct_us")]
    assert intake.intake(messages, on.world.ports()) == []
    states = {item.get("find"): item["state"] for item in events(on)}
    assert states == {"bad": ledger.WAITING, "good": ledger.MADE, "in_1": ledger.MADE}


def test_a_bug_while_reading_again_returns_the_thin_deliveries_and_no_other(on: Stage, tenant: Tenant) -> None:
    def bug(path: str) -> Answer:
        raise ZeroDivisionError

    tenant.says = bug
    messages = [message(callout(), "a"), message(on.event("invoice.finalized", id="in_1"), "b", "stripe", "acct_us")]
    assert intake.intake(messages, on.world.ports()) == ["a"]
    assert [item["find"] for item in events(on)] == ["in_1"]
    assert on.world.ledger.items[BUDGET]["leases"] == {}
    tenant.says = None
    assert intake.intake(messages, on.world.ports()) == []
    assert len(events(on)) == 2


def test_a_crash_between_the_reading_and_the_booking_reads_again_and_books_once(
    on: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = on.world.ledger.write

    def dies(writes: Sequence[Write]) -> None:
        if any(one.key.pk.startswith("E#") for one in writes):
            raise ConnectionError
        write(writes)

    monkeypatch.setattr(on.world.ledger, "write", dies)
    assert intake.intake([message(callout(), "a")], on.world.ports()) == ["a"]
    assert events(on) == []
    monkeypatch.undo()
    assert intake.intake([message(callout(), "a")], on.world.ports()) == []
    assert len(on.postings("invoice")) == 1


def test_two_probes_that_resume_one_event_make_one_posting(on: Stage, tenant: Tenant) -> None:
    tenant.says = unreachable
    take(on, callout())
    tenant.says = None
    seen = [dict(event(on))]
    waiting.resume(seen, on.world.ports())
    first = dict(event(on))
    waiting.resume(seen, on.world.ports())
    assert event(on) == first
    assert len(on.postings("invoice")) == 1


def test_a_redelivery_while_it_waits_is_counted_and_changes_nothing(on: Stage, tenant: Tenant) -> None:
    tenant.says = unreachable
    take(on, callout())
    assert intake.intake([message(callout(), "again")], on.world.ports()) == []
    item = event(on)
    assert (item["state"], item["deliveries"], len(tenant.asked)) == (ledger.WAITING, 2, 1)


def test_old_news_is_seen_by_the_version_of_what_was_read(on: Stage, tenant: Tenant) -> None:
    account = {"id": "acc", "name": "Falken", "currency": "EUR"}
    new, old = "2026-11-03T00:00:00+00:00", "2026-11-02T00:00:00+00:00"

    def told(at: str) -> dict[str, Any]:
        return callout("acc", eventType="AccountCreated", updatedDate=at)

    tenant.says = lambda path: Answer(200, {}, json.dumps({**account, "updatedDate": new}).encode())
    take(on, told(new))
    take(on, told(old))
    assert [item["state"] for item in sorted(events(on), key=lambda one: str(one["event_id"]))] == [
        ledger.DUPLICATE, ledger.MADE,
    ]  # fmt: skip
    assert len(on.postings("customer")) == 1


def test_an_event_of_a_newer_release_is_left_to_it(on: Stage, tenant: Tenant) -> None:
    tenant.says = unreachable
    take(on, callout())
    key = keys.event("zuora", "acme-eu", str(event(on)["event_id"]))
    on.world.ledger.items[key]["v"] = ledger.SCHEMA + 1
    tenant.says = None
    assert on.probe(minutes=20)["left to a newer release"] == 1
    assert event(on)["state"] == ledger.WAITING
