"""Odoo against its sandbox: what is its own beside the law of all targets."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from infra.local.sandbox import Fault
from infra.local.sandbox.odoo import Odoo
from tests.integration.systems.cases.odoo import Case
from tests.integration.systems.conftest import Bench
from tieout.contract import Work
from tieout.core.classify import Answer
from tieout.core.money import Currency, Money
from tieout.core.verdicts import NeedsHuman, TryAgain, Uncertain

POST = "POST .*/account.move/action_post$"


@pytest.fixture
def there(bench: Bench) -> Case:
    return Case(bench)


def sandbox(there: Case) -> Odoo:
    return there.bench.sandboxes.of(Odoo)


def states(there: Case) -> list[str]:
    return [row["state"] for row in sandbox(there).rows["account.move"].values()]


@pytest.mark.parametrize("fault", ["drop_before", "commit_then_drop", "html_500"])
def test_what_broke_between_draft_and_posting_is_finished_and_not_made_again(there: Case, fault: str) -> None:
    work = there.work("invoice", "create")
    there.bench.sandboxes.faults.add(Fault(fault, POST))
    with pytest.raises(Uncertain):
        there.target.send(there.wire, [work])
    assert there.found(work) == ("complete" if fault == "commit_then_drop" else "partial")
    there.post(work)
    assert states(there) == ["posted"]
    assert there.found(work) == "complete"


def test_a_refused_posting_leaves_a_draft_that_is_in_no_book(there: Case) -> None:
    work = there.work("invoice", "create")
    there.bench.sandboxes.faults.add(Fault("closed_period", POST))
    before = there.book()
    with pytest.raises(NeedsHuman, match="period_closed"):
        there.target.send(there.wire, [work])
    assert (there.book(), states(there)) == (before, ["draft"])


def test_too_many_calls_behind_the_draft_are_doubt_and_not_a_licence_to_make_it_again(there: Case) -> None:
    work = there.work("invoice", "create")
    there.bench.sandboxes.faults.add(Fault("rate_limit", POST))
    with pytest.raises(Uncertain):
        there.target.send(there.wire, [work])
    assert there.found(work) == "partial"


def test_a_document_that_odoo_moved_out_of_a_locked_period_is_never_taken_for_posted(there: Case) -> None:
    work = there.work("invoice", "create")
    sandbox(there).lock_date = date(2026, 11, 30)
    with pytest.raises(Uncertain, match="target_echo_differs") as raised:
        there.target.send(there.wire, [work])
    assert raised.value.facts["difference"] == "date 2026-12-01 for 2026-11-02"
    assert there.found(work) == "ambiguous"


def test_a_total_that_odoo_computes_otherwise_leaves_the_draft_and_is_a_persons_to_decide(there: Case) -> None:
    work = there.make("invoice", "create", "", 54437, **there.parents("invoice", "create", ""))
    echo = there.target.send(there.wire, [work])[0]
    assert echo is not None
    assert (echo.total, states(there)) == (54438, ["draft"])
    assert there.found(work) == "ambiguous"


def test_two_documents_of_one_reference_are_doubt_when_sent_and_a_case_when_looked_for(there: Case) -> None:
    work = there.work("invoice", "create")
    there.post(work)
    rows = sandbox(there).rows["account.move"]
    rows[999] = {**next(iter(rows.values())), "id": 999}
    with pytest.raises(Uncertain, match="target_duplicate"):
        there.target.send(there.wire, [work])
    assert there.found(work) == "ambiguous"


def test_a_cancelled_document_is_none(there: Case) -> None:
    work = there.work("invoice", "create")
    there.post(work)
    next(iter(sandbox(there).rows["account.move"].values()))["state"] = "cancel"
    assert there.found(work) == "absent"


def test_an_invoice_that_is_paid_already_takes_no_second_payment(there: Case) -> None:
    first = there.work("payment", "create")
    there.post(first)
    [invoice] = [row["id"] for row in sandbox(there).rows["account.move"].values()]
    with pytest.raises(NeedsHuman, match="target_refused") as raised:
        there.target.send(there.wire, [there.make("payment", "create", "second", invoice_id=str(invoice))])
    assert "nothing left to pay" in raised.value.facts["said"]


def test_a_wizard_that_was_opened_and_not_used_books_nothing(there: Case) -> None:
    work = there.work("payment", "create")
    before = there.book()
    there.bench.sandboxes.faults.add(Fault("commit_then_drop", "POST .*/account.payment.register/create$"))
    with pytest.raises(Uncertain):
        there.target.send(there.wire, [work])
    assert (there.found(work), there.book()) == ("absent", before)
    there.post(work)


def test_a_record_that_is_held_is_tried_again_and_one_that_is_gone_is_said(there: Case) -> None:
    class Held:
        """Somebody else holds what our entry needs."""

        account, settings = there.wire.account, there.wire.settings
        put_once, get = there.wire.put_once, there.wire.get

        def call(self, method: str, path: str, **more: Any) -> Answer:
            if path.endswith("/create"):
                return Answer(409, {}, b'{"name": "odoo.exceptions.LockError", "message": "Cannot lock record"}')
            return there.wire.call(method, path, **more)

    with pytest.raises(TryAgain, match="target_conflict"):
        there.target.send(Held(), [there.work("invoice", "create")])
    with pytest.raises(NeedsHuman, match="target_reference_missing"):
        there.target.send(there.wire, [there.make("invoice", "create", partner_id="4711")])


def test_an_id_that_is_none_stops_before_anything_is_sent(there: Case) -> None:
    for bad in ("abc", "-1", "1.0", "", "²"):
        with pytest.raises(NeedsHuman, match="target_no_such_thing"):
            there.make("invoice", "create", partner_id=bad)


def test_partners_are_seen_by_tax_number_or_mail_or_name(there: Case) -> None:
    ident = there.post(there.make("customer", "upsert")).remote
    for facts in ({"tax_id": "84-2210456"}, {"email": "finance@bluebird.example"}, {"name": "Bluebird Robotics Inc"}):
        assert [one.remote for one in there.target.look(there.wire, "customer", facts)] == [ident]
    assert there.target.look(there.wire, "customer", {"name": "nobody"}) == []


def test_the_traceback_of_a_refusal_is_never_passed_on(there: Case) -> None:
    there.bench.sandboxes.faults.add(Fault("closed_period", "POST .*/account.move/create$"))
    with pytest.raises(NeedsHuman) as raised:
        there.target.send(there.wire, [there.work("invoice", "create")])
    assert "Traceback" not in str(raised.value) + str(raised.value.facts)


def open_of(there: Case) -> dict[str, int]:
    """What is open of each posted entry, by its kind of entry."""
    return {row["move_type"]: int(row["amount_residual"] * 100) for row in sandbox(there).rows["account.move"].values()}


def refund(there: Case, minor: int, mark: str = "") -> Work:
    """A credit note of one line without tax against the one invoice."""
    value = Money(minor, Currency.of("USD")).decimal
    line = {**there.payload("credit_note", "create")["invoice_line_ids"][0], "price_unit": value, "tax_ids": "5"}
    parents = there.parents("credit_note", "create", "settled")
    return there.make("credit_note", "create", mark, minor, invoice_line_ids=[line], **parents)


@pytest.mark.parametrize("by_odoo", [True, False])
def test_a_refund_settles_of_its_invoice_what_it_is_worth_and_of_itself_what_is_open(
    there: Case, by_odoo: bool
) -> None:
    sandbox(there).reconciles = by_odoo
    there.post(refund(there, 50_000, "part"))
    assert open_of(there) == {"out_invoice": 4_438, "out_refund": 0}
    more = refund(there, 5_000, "more")
    there.post(more)
    assert open_of(there) == {"out_invoice": 0, "out_refund": 562}
    assert there.found(more) == "complete"


@pytest.mark.parametrize("fault", ["drop_before", "commit_then_drop"])
def test_a_refund_is_posted_and_settles_its_invoice_in_one_transaction(there: Case, fault: str) -> None:
    work = there.work("credit_note", "create")
    there.bench.sandboxes.faults.add(Fault(fault, POST))
    with pytest.raises(Uncertain):
        there.target.send(there.wire, [work])
    done = fault == "commit_then_drop"
    assert there.found(work) == ("complete" if done else "partial")
    assert open_of(there)["out_invoice"] == (0 if done else 54_438)
    there.post(work)
    assert open_of(there) == {"out_invoice": 0, "out_refund": 0}


def test_a_refusal_to_settle_is_doubt_behind_the_posting_and_a_persons_when_it_is_sent_again(there: Case) -> None:
    work = there.settles("credit_note", "create")
    for verdict, said in ((Uncertain, "target_unclear"), (NeedsHuman, "period_closed")):
        there.bench.sandboxes.faults.add(Fault("closed_period", "POST .*/js_assign_outstanding_line$"))
        with pytest.raises(verdict, match=said):
            there.target.send(there.wire, [work])
        assert there.found(work) == "partial"
    there.post(work)
    assert open_of(there) == {"out_invoice": 0, "out_refund": 0}


def test_a_void_of_an_invoice_that_is_paid_stays_on_account(there: Case) -> None:
    there.post(there.work("payment", "create", "settled"))
    party = there.parents("invoice", "create", "")
    work = there.make("invoice", "void", "void", **party)
    there.post(work)
    assert open_of(there) == {"out_invoice": 0, "out_refund": 54_438}
    assert there.found(work) == "complete"
