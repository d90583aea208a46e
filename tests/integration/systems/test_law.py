"""The standard suite at the sandboxes: what every target over HTTP is held to, over real HTTP, fault by fault.

A system joins by the registry, and brings ``cases/<name>.py`` (see `law.py`).
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from infra.local.sandbox import Fault, Sandboxes
from infra.local.sandbox.faults import CUSTOMERS
from tests.integration.systems.conftest import TODAY, Bench
from tests.integration.systems.law import AMOUNTS, Rig, case_of, rig
from tieout import systems
from tieout.contract import Finds
from tieout.core.exchange import Request, difference
from tieout.core.problems import PROBLEMS
from tieout.core.verdicts import NeedsHuman, TryAgain, Uncertain, Verdict
from tieout.work.tie import WITH_MONEY

HTTP = [name for name in systems.TARGETS if not systems.target(name).batches]
ACTIONS = [(name, *done) for name in HTTP for done in systems.target(name).actions]
LAGGING = [done for done in ACTIONS if systems.target(done[0]).finds is Finds.LAGGING]
#: Targets of invoices whose vendor is known to archive customers, or to merge them.
ENDED = [
    (one.name, kind) for one in Sandboxes(lambda: TODAY).systems for kind in sorted(one.does & CUSTOMERS)
    if one.name in HTTP and ("invoice", "create") in systems.target(one.name).actions
]  # fmt: skip
#: What keeps customers and books their invoices is an ERP, and closes periods: what each books or takes back.
BOOKED = [
    done for done in ACTIONS
    if {"customer", "invoice"} <= {kind for kind, _ in systems.target(done[0]).actions} and done[1] in WITH_MONEY
]  # fmt: skip
APPLIED = [(name, *done) for name in HTTP for done in case_of(name).applies]
#: Real seconds that a call is waited for where the sandbox is told to be silent.
PATIENCE: Any = 0.5
every_target = pytest.mark.parametrize("name", HTTP)
every_action = pytest.mark.parametrize(("name", "kind", "action"), ACTIONS)


def first(rig: Rig) -> tuple[str, str]:
    """The action by which a target is asked where one is enough: the first it declares."""
    return next(iter(rig.target.actions))


def strike(rig: Rig, kind: str, work: object, **args: object) -> Fault:
    """Order a fault for the call that makes the document."""
    return rig.bench.sandboxes.faults.add(Fault(kind, rig.decisive(work), args=args))  # type: ignore[arg-type]


@every_action
def test_post_twice_gives_one_and_find_sees_what_post_made(bench: Bench, name: str, kind: str, action: str) -> None:
    there = rig(name, bench)
    work = there.work(kind, action)
    before = there.book()
    assert there.found(work) == "absent"
    echo = there.post(work)
    after = there.book()
    assert after != before
    assert there.found(work) == "complete"
    assert there.post(work).remote == echo.remote
    assert there.book() == after


@every_action
def test_a_line_that_drops_before_or_behind_the_commit_leaves_doubt_that_a_look_ends(
    bench: Bench, name: str, kind: str, action: str
) -> None:
    there = rig(name, bench)
    work = there.work(kind, action)
    before = there.book()
    for fault, state in (("drop_before", "absent"), ("commit_then_drop", "complete")):
        struck = strike(there, fault, work)
        with pytest.raises(Uncertain):
            there.target.send(there.wire, [work])
        assert struck.struck == 1
        found = there.found(work)
        if (found, state) == ("partial", "complete"):  # made and not yet in the books: the next send goes on with it
            there.post(work)
            found = there.found(work)
        assert found == state
        assert (there.book() == before) == (state == "absent")


@every_target
@pytest.mark.parametrize(
    ("fault", "state"), [("timeout_before_commit", "absent"), ("timeout_after_commit", "complete")]
)  # fmt: skip
def test_silence_before_or_behind_the_commit_is_waited_for_no_longer_than_declared_and_leaves_doubt(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, name: str, fault: str, state: str
) -> None:
    there = rig(name, bench)
    work = there.work(*first(there))
    before = there.book()
    struck = strike(there, fault, work, seconds=20)
    short = replace(there.target.quiet, client_timeout=PATIENCE)
    began = time.monotonic()
    with monkeypatch.context() as patch:
        patch.setattr(type(there.target), "quiet", short)
        with pytest.raises(Uncertain, match="target_lost: ReadTimeout"):
            there.target.send(there.wire, [work])
    assert time.monotonic() - began < 10, "the sandbox was silent for longer than we wait"
    assert struck.struck == 1
    assert there.found(work) == state
    assert (there.book() == before) == (state == "absent")
    there.post(work)
    assert there.found(work) == "complete"
    assert len(there.book()) == len(before) + 1


@pytest.mark.parametrize(("name", "kind", "action"), APPLIED)
@pytest.mark.parametrize("fault", ["drop_before", "commit_then_drop", "html_500", "rate_limit", "truncated"])
def test_what_is_posted_and_not_applied_is_half_and_finished_by_the_next_send(
    bench: Bench, name: str, kind: str, action: str, fault: str
) -> None:
    there = rig(name, bench)
    work = there.settles(kind, action)
    [before] = [owed for owed in there.owed().values() if owed]
    struck = bench.sandboxes.faults.add(Fault(fault, there.applies[kind, action]))
    with pytest.raises(Uncertain):
        there.target.send(there.wire, [work])
    assert struck.struck == 1
    done = fault in ("commit_then_drop", "truncated")
    book = there.book()
    found = there.found(work)
    assert found in (("complete", "partial") if done else ("partial",))
    there.post(work)
    assert there.found(work) == "complete"
    assert len(there.book()) == len(book)
    assert before > 0
    assert set(there.owed().values()) == {0}
    there.post(work)
    assert set(there.owed().values()) == {0}


@pytest.mark.parametrize(("name", "kind", "action"), APPLIED)
def test_never_more_is_applied_than_is_open(bench: Bench, name: str, kind: str, action: str) -> None:
    there = rig(name, bench)
    for mark in ("first", "second"):
        work = there.settles(kind, action, mark)
        there.post(work)
        assert there.found(work) == "complete"
        assert set(there.owed().values()) == {0}


def test_every_erp_over_http_is_asked_for_a_closed_period() -> None:
    declared = {name for name in HTTP if any(row.code == "period_closed" for row in systems.target(name).verdicts)}
    assert {name for name, _, _ in BOOKED} == declared
    assert declared >= {"businesscentral", "netsuite", "odoo", "quickbooks", "sap", "tryton", "xero"}


@pytest.mark.parametrize(("name", "kind", "action"), BOOKED)
def test_a_closed_period_is_said_to_be_one_and_nothing_is_booked(
    bench: Bench, name: str, kind: str, action: str
) -> None:
    there = rig(name, bench)
    work = there.work(kind, action)
    before = there.book()
    struck = bench.sandboxes.faults.add(Fault("closed_period", there.decisive(work), times=9))
    with pytest.raises(NeedsHuman) as told:
        there.target.send(there.wire, [work])
    assert struck.struck
    assert told.value.code == "period_closed"
    assert there.book() == before
    bench.sandboxes.faults.clear()
    assert there.found(work) in ("absent", "partial")
    there.post(work)
    assert there.found(work) == "complete"


@every_target
def test_what_lands_after_the_line_dropped_is_seen_after_the_quiet_period(bench: Bench, name: str) -> None:
    there = rig(name, bench)
    work = there.work(*first(there))
    strike(there, "late_commit", work, seconds=there.target.quiet.longest_processing)
    with pytest.raises(Uncertain):
        there.target.send(there.wire, [work])
    assert there.bench.find(there.wire, there.target, work).state == "absent"
    assert there.found(work) == "complete"


@every_target
@pytest.mark.parametrize("fault", ["not_json", "wrong_type", "huge", "ok_with_errors", "html_500", "truncated"])
def test_a_strange_answer_to_a_write_that_was_not_done_is_never_taken_for_done(
    bench: Bench, name: str, fault: str
) -> None:
    there = rig(name, bench)
    work = there.work(*first(there))
    before = there.book()
    strike(there, fault, work, undone=True)
    if fault == "truncated":  # an answer is only cut where there is one: the work was done
        with pytest.raises(Uncertain):
            there.target.send(there.wire, [work])
        assert there.found(work) == "complete"
        return
    with pytest.raises(Verdict):
        there.target.send(there.wire, [work])
    assert there.book() == before


@every_target
@pytest.mark.parametrize("fault", ["not_json", "wrong_type", "huge"])
def test_a_strange_answer_to_a_write_that_was_done_never_lets_it_be_sent_as_if_it_was_not(
    bench: Bench, name: str, fault: str
) -> None:
    there = rig(name, bench)
    work = there.work(*first(there))
    strike(there, fault, work)
    with suppress(Uncertain):  # any other verdict is a lie; an echo stands where the target read back at once
        echo = there.target.send(there.wire, [work])[0]
        assert echo is not None
        assert difference(there.target.actions[work.kind, work.action].echo, work, echo) == ""
    assert there.found(work) == "complete"


@every_action
def test_members_that_nobody_knows_change_nothing(bench: Bench, name: str, kind: str, action: str) -> None:
    there = rig(name, bench)
    work = there.work(kind, action)
    bench.sandboxes.faults.add(Fault("more_fields", f" /{name}/", times=0))
    there.post(work)
    assert there.found(work) == "complete"


@every_target
@pytest.mark.parametrize("fault", ["rate_limit", "concurrency_429"])
def test_too_many_calls_are_tried_again_and_wrote_nothing(bench: Bench, name: str, fault: str) -> None:
    there = rig(name, bench)
    work = there.work(*first(there))
    before = there.book()
    strike(there, fault, work, retry_after=7)
    with pytest.raises(TryAgain, match="target_busy") as raised:
        there.target.send(there.wire, [work])
    if fault == "rate_limit":
        assert raised.value.facts["after"] == "7"
    assert there.book() == before
    there.post(work)


@pytest.mark.parametrize(("name", "fault"), ENDED)
def test_an_invoice_to_a_customer_that_was_archived_or_merged_is_a_person_s_and_never_tried_again(
    bench: Bench, name: str, fault: str
) -> None:
    there = rig(name, bench)
    work = there.work("invoice", "create")
    before = there.book()
    struck = strike(there, fault, work)
    for _ in range(2):
        with pytest.raises(NeedsHuman) as raised:
            there.target.send(there.wire, [work])
        problem = PROBLEMS[raised.value.code]
        assert problem.case
        assert problem.owner == "finance-ops"
        assert len(problem.say({key: str(fact) for key, fact in raised.value.facts.items()})) > 80, "it says whose"
    assert struck.struck == 1
    assert there.book() == before
    assert there.found(work) == "absent"
    bench.sandboxes.faults.clear()  # a person brings the customer back, and releases it later
    there.post(replace(work, now=bench.now()))
    assert there.found(work) == "complete"


def test_the_vendors_that_end_customers_are_asked_for_it() -> None:
    assert {name for name, _ in ENDED} == {"businesscentral", "netsuite", "odoo", "quickbooks", "sap", "xero"}


@pytest.mark.parametrize(("name", "kind", "action"), LAGGING)
def test_what_a_lagging_search_does_not_show_yet_is_shown_once_the_declared_lag_is_over(
    bench: Bench, name: str, kind: str, action: str
) -> None:
    there = rig(name, bench)
    work = there.work(kind, action)
    lag = there.target.quiet.search_lag
    bench.advance(lag + 1)  # what it hangs on is seen
    strike(there, "commit_then_drop", work)
    with pytest.raises(Uncertain):
        there.target.send(there.wire, [work])
    after = there.book()
    bench.sandboxes.faults.add(Fault("search_lag", f"GET /{name}/", times=0, args={"seconds": lag}))
    made = action != "update" and action != "void"  # a void is read by the id of its invoice
    bench.advance(lag - 1)
    assert there.bench.find(there.wire, there.target, work).state == ("absent" if made else "complete")
    bench.advance(1)
    assert there.bench.find(there.wire, there.target, work).state in ("complete", "partial")
    assert there.target.quiet.period > lag + there.target.quiet.client_timeout
    assert there.found(work) in ("complete", "partial")
    there.post(work)
    if action != "create" or there.applies.get((kind, action)) is None:
        assert there.book() == after


@every_target
def test_an_outage_is_no_refusal(bench: Bench, name: str) -> None:
    there = rig(name, bench)
    work = there.work(*first(there))
    strike(there, "unavailable", work, seconds=60)
    with pytest.raises(Verdict) as raised:
        there.target.send(there.wire, [work])
    assert not isinstance(raised.value, NeedsHuman)
    bench.advance(61)
    there.post(work)


@every_target
def test_credentials_that_end_in_mid_call_are_renewed_or_said_to_be_dead_and_nothing_is_lost(
    bench: Bench, name: str
) -> None:
    there = rig(name, bench)
    work = there.work(*first(there))
    before = there.book()
    strike(there, "stale_token", work)
    try:
        there.post(work)
    except TryAgain as verdict:
        said, held = verdict.code, there.book()
        there.post(work)
    else:
        said, held = "target_credentials", before
    assert (said, held) == ("target_credentials", before)
    assert there.found(work) == "complete"


@every_target
def test_an_amount_at_the_edge_comes_back_to_the_cent(bench: Bench, name: str) -> None:
    there = rig(name, bench)
    for minor in AMOUNTS:
        work = there.amount(minor, str(minor))
        if work is None:
            assert ("invoice", "create") not in there.target.actions
            return
        assert there.post(work).total == minor
        assert there.found(work) == "complete"


@every_target
def test_no_secret_is_in_a_request_a_verdict_a_repr_or_a_log(
    bench: Bench, name: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    there = rig(name, bench)
    secret = next(one for one in bench.sandboxes.accounts if (one.name, one.account) == (name, there.account)).secret()
    hidden = [str(value) for field, value in secret.items() if field not in ("base_url", "settings")]
    assert hidden
    work = there.work(*first(there))
    told = [repr(there.wire), work.payload.decode("latin-1")]
    for fault in ("html_500", "stale_token", "not_json", "rate_limit", "drop_before"):
        strike(there, fault, work)
        try:
            there.target.send(there.wire, [work])
        except Verdict as verdict:
            told += [str(verdict), repr(verdict), str(verdict.facts)]
    told += [*capfd.readouterr(), caplog.text]
    assert not [one for one in hidden for text in told if one and one in text]


@every_action
def test_a_recorded_request_is_read_back_whole(bench: Bench, name: str, kind: str, action: str) -> None:
    recorded = rig(name, bench).work(kind, action).payload
    assert Request.load(recorded).dump() == recorded
