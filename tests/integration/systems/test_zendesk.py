"""What is peculiar to Zendesk: the key of a new ticket, closed tickets, unique names, its signed webhook."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from infra.local.sandbox import Fault
from infra.local.sandbox.zendesk import Zendesk
from tests.integration.systems.cases.zendesk import Case
from tests.integration.systems.conftest import Bench
from tieout import systems
from tieout.contract import Delivery
from tieout.core.verdicts import NeedsHuman, TryAgain, Uncertain


@pytest.fixture
def case(bench: Bench) -> Case:
    return Case(bench)


@pytest.fixture
def there(bench: Bench) -> Zendesk:
    return bench.sandboxes.of(Zendesk)


def test_the_key_of_a_new_ticket_answers_again_for_two_hours_and_refuses_other_bytes(case: Case) -> None:
    work = case.work("ticket", "create")
    first = case.post(work)
    case.bench.advance(7100)
    assert case.post(work) == first
    other = dataclasses.replace(work, payload=work.payload.replace(b"NW-0001 is", b"NW-0002 is"))
    with pytest.raises(Uncertain, match="target_duplicate"):
        case.target.send(case.wire, [other])
    case.bench.advance(200)
    case.post(work)
    assert case.found(work) == "ambiguous", "after its life the key no longer holds: that is why a look comes first"


def test_a_pause_that_zendesk_asks_for_is_kept(case: Case) -> None:
    case.bench.sandboxes.faults.add(Fault("rate_limit", "POST .*/tickets", args={"retry_after": 42}))
    with pytest.raises(TryAgain, match="target_busy") as raised:
        case.target.send(case.wire, [case.work("ticket", "create")])
    assert raised.value.facts["after"] == "42"


def test_a_closed_ticket_takes_no_change_and_that_is_no_refusal(case: Case, there: Zendesk) -> None:
    update = case.work("ticket", "update")
    [ticket] = there.tickets.values()
    ticket["status"] = "closed"
    assert case.post(update).remote == str(ticket["id"])
    assert case.found(update) == "complete"
    assert ticket["status"] == "closed"


def test_a_closed_ticket_of_which_nothing_is_shown_is_for_a_person(case: Case, there: Zendesk) -> None:
    update = case.work("ticket", "update")
    case.bench.sandboxes.faults.add(Fault("closed_period", "PUT .*/tickets/"))
    with pytest.raises(NeedsHuman, match="target_refused"):
        case.target.send(case.wire, [update])


def test_an_update_is_found_only_once_the_ticket_shows_it(case: Case, there: Zendesk) -> None:
    update = case.work("ticket", "update")
    assert case.found(update) == "absent"
    case.post(update)
    assert case.found(update) == "complete"
    next(iter(there.tickets.values()))["status"] = "open"
    assert case.found(update) == "absent"


def test_a_second_organization_of_one_name_is_for_a_person_who_sees_the_first(case: Case) -> None:
    first = case.post(case.make("customer", "upsert", "a", name="Bluebird"))
    with pytest.raises(NeedsHuman, match="target_refused"):
        case.target.send(case.wire, [case.make("customer", "upsert", "b", name="bluebird")])
    [seen] = case.target.look(case.wire, "customer", {"name": "BLUEBIRD"})
    assert seen.remote == first.remote
    assert case.target.look(case.wire, "customer", {"email": "ap@bluebird.example"}) == []


def test_fields_of_others_on_an_organization_stay(case: Case, there: Zendesk) -> None:
    work = case.work("customer", "upsert")
    case.post(work)
    [row] = there.organizations.values()
    row["organization_fields"]["region"] = "emea"
    case.post(work)
    assert row["organization_fields"]["region"] == "emea"
    assert case.found(work) == "complete"


def test_a_status_that_an_agent_sets_is_told_signed_and_an_own_ticket_is_known_again(
    case: Case, there: Zendesk
) -> None:
    sent: list[tuple[dict[str, str], bytes]] = []

    def deliver(path: str, headers: dict[str, str], body: bytes) -> int:
        sent.append((headers, body))
        return 200

    case.bench.sandboxes.deliver = deliver
    ours = int(case.post(case.work("ticket", "create")).remote)
    for ident in (ours, there.open_ticket("Double charge")):
        there.set_status(ident, "solved")
    case.bench.advance(1)
    source, reads = systems.source("zendesk"), list[Any]()
    for headers, body in sent:
        lower = {name.lower(): value for name, value in headers.items()}
        delivery = Delivery("zendesk", "acme", "POST", "/hooks/zendesk/acme", lower, body, case.bench.now())
        assert source.verify(delivery, [there.webhook_secret])
        reads += source.read(body)
    assert [read.type for read in reads] == ["ticket.status_changed"] * 2
    assert [bool(read.ours) for read in reads] == [True, False]
    assert len({read.event_id for read in reads}) == 2
