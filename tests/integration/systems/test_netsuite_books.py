"""NetSuite's sales orders and journal entries against its sandbox: what is their own beside the law of all targets."""

from __future__ import annotations

import dataclasses
from decimal import Decimal

import pytest

from infra.local.sandbox.wire import loads
from tests.integration.systems.cases.netsuite import Case
from tests.integration.systems.conftest import Bench
from tieout.core.exchange import Request
from tieout.core.parse import write_json
from tieout.core.verdicts import NeedsHuman


@pytest.fixture
def there(bench: Bench) -> Case:
    return Case(bench)


def test_a_journal_entry_is_booked_by_its_debits_and_an_order_by_its_net(there: Case) -> None:
    for kind in ("journal_entry", "quote"):
        there.post(there.work(kind, "create"))
    booked = {one[0]: one[2:] for one in there.book()}
    assert booked["journal_entry"] == (54438, "USD", "posted")
    assert booked["quote"] == (54438, "USD", "pending")


def test_a_journal_entry_whose_debits_changed_there_is_never_found_complete(there: Case) -> None:
    work = there.work("journal_entry", "create")
    there.post(work)
    record = there.bench.sandboxes.netsuite.find("journalEntry", work.ref)
    assert record is not None
    for line in record.lines:
        line.update({side: Decimal(line[side]) + Decimal("0.01") for side in ("debit", "credit") if line.get(side)})
    assert there.found(work) == "ambiguous"


def test_a_journal_entry_that_does_not_balance_is_refused(there: Case) -> None:
    work = there.work("journal_entry", "create")
    request = Request.load(work.payload)
    body = loads(request.body)
    body["line"]["items"][0]["debit"] += 1
    uneven = Request(request.method, request.path, write_json(body), request.headers).dump()
    with pytest.raises(NeedsHuman, match="target_refused") as raised:
        there.target.send(there.wire, [dataclasses.replace(work, payload=uneven)])
    assert "must balance" in raised.value.facts["said"]


def test_a_journal_entry_into_a_closed_period_is_refused(there: Case) -> None:
    there.bench.sandboxes.netsuite.close_period("2026-11")
    with pytest.raises(NeedsHuman, match="period_closed"):
        there.target.send(there.wire, [there.work("journal_entry", "create")])


def test_each_line_of_a_journal_stands_on_one_side_only(there: Case) -> None:
    lines = loads(Request.load(there.work("journal_entry", "create").payload).body)["line"]["items"]
    assert [sorted(set(line) & {"debit", "credit"}) for line in lines] == [["debit"], ["credit"]]
