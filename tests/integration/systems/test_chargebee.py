"""Chargebee against its sandbox: what is its own beside the law of all targets."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from infra.local.sandbox.chargebee import Chargebee
from tests.integration.systems.cases.chargebee import Case
from tests.integration.systems.conftest import Bench
from tieout import systems
from tieout.core.classify import Answer
from tieout.core.exchange import Request
from tieout.core.parse import write_json
from tieout.core.verdicts import NeedsHuman, TryAgain, Uncertain


@pytest.fixture
def there(bench: Bench) -> Case:
    return Case(bench)


def test_an_id_that_is_taken_is_doubt_that_the_look_ends_once_the_key_is_forgotten(there: Case) -> None:
    work = there.work("customer", "create")
    there.post(work)
    there.bench.sandboxes.of(Chargebee)._answered.clear()
    with pytest.raises(Uncertain, match="target_duplicate"):
        there.target.send(there.wire, [work])
    assert there.found(work) == "complete"


def test_a_key_that_was_used_for_other_bytes_is_doubt(there: Case) -> None:
    work = there.work("customer", "create")
    there.post(work)
    other = there.make("customer", "create", company="Somebody else")
    with pytest.raises(Uncertain, match="target_duplicate"):
        there.target.send(there.wire, [dataclasses.replace(other, key=work.key)])


def test_rows_of_a_subscription_go_out_by_column(there: Case) -> None:
    form = Request.load(there.work("subscription", "create").payload).body.decode()
    assert "subscription_items%5Bitem_price_id%5D%5B0%5D=pro-USD-Monthly" in form
    assert "subscription_items%5Bquantity%5D%5B1%5D=20" in form


def test_a_second_undo_finds_what_it_wanted_and_a_living_one_is_never_taken_for_gone(there: Case) -> None:
    for kind in ("subscription", "customer"):
        undo = there.work(kind, "undo", kind)
        there.post(undo)
        there.bench.sandboxes.of(Chargebee)._answered.clear()
        there.post(undo)
        assert there.found(undo) == "complete"
    alive = there.post(there.work("customer", "create", "alive")).remote
    assert there.found(there.make("customer", "undo", id=alive)) == "absent"


def test_a_lock_on_one_object_is_no_sign_of_a_busy_site(there: Case) -> None:
    class Locked:
        account, settings = there.wire.account, there.wire.settings
        put_once, get = there.wire.put_once, there.wire.get

        def call(self, method: str, path: str, **more: Any) -> Answer:
            return Answer(429, {}, write_json({"api_error_code": "lock_timeout", "type": "operation_failed"}))

    with pytest.raises(TryAgain, match="target_conflict"):
        there.target.send(Locked(), [there.work("customer", "create")])


def test_a_price_that_the_site_does_not_have_is_said(there: Case) -> None:
    row = {"item_price_id": "gold-USD-Monthly", "quantity": 1}
    wrong = there.make(
        "subscription", "create", subscription_items=[row], **there.parents("subscription", "create", "")
    )
    with pytest.raises(NeedsHuman, match="target_reference_missing"):
        there.target.send(there.wire, [wrong])


def test_the_event_of_a_customer_that_we_made_says_that_it_is_ours(there: Case) -> None:
    work = there.work("customer", "create")
    there.post(work)
    row = there.bench.sandboxes.of(Chargebee).customers[work.ref]
    event = {
        "id": "ev_1", "event_type": "customer_created", "api_version": "v2", "occurred_at": row["created_at"],
        "content": {"customer": row},
    }  # fmt: skip
    [read] = systems.source("chargebee").read(write_json(event))
    assert (read.ours, read.object_id) == (work.ref, work.ref)


def test_customers_are_seen_by_mail_only_if_it_is_theirs(there: Case) -> None:
    ident = there.post(there.work("customer", "create")).remote
    mail = there.bench.sandboxes.of(Chargebee).customers[ident]["email"]
    assert [one.remote for one in there.target.look(there.wire, "customer", {"email": mail})] == [ident]
    assert there.target.look(there.wire, "customer", {"email": "nobody@example.com"}) == []
    assert there.target.look(there.wire, "customer", {"name": "Bluebird"}) == []
