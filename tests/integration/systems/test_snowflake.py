"""What is peculiar to Snowflake: one row whoever sends it, jobs that go on, tokens of our own, no value in SQL."""

from __future__ import annotations

import dataclasses
from decimal import Decimal

import pytest

from infra.local.sandbox import Fault
from infra.local.sandbox.snowflake import Snowflake
from tests.integration.systems.cases.snowflake import Case
from tests.integration.systems.conftest import Bench
from tieout.aws.http import HttpWire
from tieout.contract import Work
from tieout.core.exchange import Request
from tieout.core.verdicts import NeedsHuman, TryAgain, Uncertain


@pytest.fixture
def case(bench: Bench) -> Case:
    return Case(bench)


@pytest.fixture
def there(bench: Bench) -> Snowflake:
    return bench.sandboxes.of(Snowflake)


def under_another_id(work: Work) -> Work:
    """The same statement, which Snowflake cannot know again by its request id."""
    request = Request.load(work.payload)
    path = request.path.replace(request.path.partition("requestId=")[2][:8], "0badc0de")
    return dataclasses.replace(work, payload=Request(request.method, path, request.body, request.headers).dump())


def test_a_row_is_there_once_under_one_request_id_and_under_two(case: Case, there: Snowflake) -> None:
    work = case.work("invoice", "create")
    first = case.post(work)
    assert case.post(work) == case.post(under_another_id(work)) == first
    [row] = there.rows.values()
    assert (row["AMOUNT"], row["CURRENCY"]) == (Decimal("544.380000000"), "USD")
    assert (row["EVENT_TIME"], row["POSTING_PERIOD"]) == ("2026-11-02T17:30:00Z", "2026-12")


def test_a_void_and_a_newer_version_are_rows_of_their_own(case: Case, there: Snowflake) -> None:
    case.post(case.work("invoice", "create"))
    case.post(case.work("invoice", "void"))
    later = case.make("invoice", "create", VERSION="9", **case.parents("invoice", "create", ""))
    assert case.found(later) == "absent"
    case.post(later)
    assert sorted((row["ACTION"], row["VERSION"]) for row in there.rows.values()) == [
        ("create", "1793640600"), ("create", "9"), ("void", "1793640600"),
    ]  # fmt: skip


def test_a_statement_that_goes_on_is_delivered_and_its_handle_is_asked(case: Case, there: Snowflake) -> None:
    there.runs = 50
    work = case.work("payment", "create")
    [echo] = case.target.send(case.wire, [work])
    assert echo is not None
    assert (echo.later, echo.ref) == (True, None)
    later = dataclasses.replace(work, batch=echo.remote)
    assert case.bench.find(case.wire, case.target, later).state == "pending"
    case.bench.advance(51)
    assert case.bench.find(case.wire, case.target, later).state == "complete"


def test_the_same_request_while_it_runs_is_the_same_job(case: Case, there: Snowflake) -> None:
    there.runs = 50
    work = case.work("payment", "create")
    [first] = case.target.send(case.wire, [work])
    [again] = case.target.send(case.wire, [work])
    assert first == again
    case.bench.advance(51)
    assert len(there.rows) == 1


def test_a_job_that_failed_is_a_refusal_with_its_sentence(case: Case, there: Snowflake) -> None:
    there.runs, there.broken = 50, "Numeric value 'x' is not recognized"
    work = case.work("payment", "create")
    [echo] = case.target.send(case.wire, [work])
    assert echo is not None
    there.broken = ""
    case.bench.advance(10)
    there.broken = "Numeric value 'x' is not recognized"
    case.bench.advance(41)
    there.broken = ""
    found = case.bench.find(case.wire, case.target, dataclasses.replace(work, batch=echo.remote))
    assert (found.state, found.code) == ("refused", "record_rejected")
    assert "Numeric value" in found.said


def test_a_handle_that_is_forgotten_leaves_the_row_to_say(case: Case) -> None:
    work = dataclasses.replace(case.work("payment", "create"), batch="00000000-0000-4000-8000-000000000000")
    assert case.bench.find(case.wire, case.target, work).state == "absent"
    case.post(work)
    assert case.bench.find(case.wire, case.target, work).state == "complete"


def test_a_value_that_reads_like_sql_is_a_value(case: Case, there: Snowflake) -> None:
    evil = "in_1'; DROP TABLE TIEOUT_DOCUMENTS; --"
    case.post(case.make("invoice", "create", OBJECT_ID=evil))
    [row] = there.rows.values()
    assert row["OBJECT_ID"] == evil


def test_a_column_that_the_table_does_not_have_is_no_statement(case: Case) -> None:
    with pytest.raises(ValueError, match="IBAN"):
        case.make("invoice", "create", IBAN="x")


def test_a_right_that_is_missing_is_for_a_person(case: Case) -> None:
    work = case.work("invoice", "create")
    case.bench.sandboxes.faults.add(Fault("closed_period", case.decisive(work)))
    with pytest.raises(NeedsHuman, match="target_forbidden"):
        case.target.send(case.wire, [work])


def test_a_read_back_that_fails_leaves_doubt_and_the_row_ends_it(case: Case) -> None:
    work = case.work("invoice", "create")
    case.bench.sandboxes.faults.add(Fault("rate_limit", case.decisive(work), after=1))
    with pytest.raises(Uncertain, match="target_unclear"):
        case.target.send(case.wire, [work])
    assert case.found(work) == "complete"


def test_a_token_is_of_this_key_account_and_user_and_lives_less_than_an_hour(case: Case, there: Snowflake) -> None:
    case.post(case.work("invoice", "create"))
    case.bench.advance(3500)
    case.post(case.work("invoice", "create", "later"))
    for field, value in (("user", "SOMEBODY"), ("account_identifier", "other-org"), ("private_key", "no key")):
        secret = {**there.secret(), field: value}
        wire = HttpWire(case.target, "acme", lambda secret=secret: secret, case.bench.now)  # type: ignore[misc]
        with pytest.raises(TryAgain, match="target_credentials") as raised:
            case.target.send(wire, [case.work("invoice", "create", "other")])
        assert "no key" not in str(raised.value)
