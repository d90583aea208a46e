"""The law of targets: held by every target in the registry, over a wire that answers as told."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from infra.accept import examples, outcome
from tests.integration.systems.law import case_of
from tieout import flows, mappings, systems, tables
from tieout.contract import Finds, Measured, Target, Work
from tieout.core.classify import COMMON, Answer, Row, classify
from tieout.core.documents import KINDS
from tieout.core.problems import PROBLEMS
from tieout.core.verdicts import NeedsHuman, TryAgain, Uncertain, Verdict

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
FUNCTION_TIMEOUT = 60
HTTP = [name for name in systems.TARGETS if not systems.target(name).batches]
every_target = pytest.mark.parametrize("name", systems.TARGETS)
every_http_target = pytest.mark.parametrize("name", HTTP)


@dataclass
class FakeWire:
    """Answers each call by a function of method and path; remembers what was asked."""

    answer: Callable[[str, str], Answer]
    account: str = "acme"
    settings: Mapping[str, str] = field(
        default_factory=lambda: {
            "company_id": "b18aed47-c385-49d2-b954-dbdf8ad71780",
            "company": "1",
            "currency": "USD",
            "simulate": "no",
            "quotes": "cpq",
            "journal": "on",
            "write_accounts": "on",
        }
    )
    asked: list[tuple[str, str]] = field(default_factory=list)

    def call(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Answer:
        self.asked.append((method, path))
        return self.answer(method, path)

    def put_once(self, name: str, body: bytes) -> bool:
        raise AssertionError("no file target")

    def get(self, name: str) -> bytes | None:
        raise AssertionError("no file target")


def always(status: int, body: Any = None, **headers: str) -> FakeWire:
    content = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    return FakeWire(lambda method, path: Answer(status, headers, content))


@cache
def _usual() -> Mapping[str, Mapping[str, Any]]:
    """What each mapping's usual example makes."""
    return {one.mapping: outcome(one)["makes"] for one in examples() if one.path.stem == "usual"} | {
        "salesforce.status": next(
            outcome(one)["makes"] for one in examples() if one.name == "salesforce.status/accepted"
        )
    }


def payloads(target: Target) -> dict[tuple[str, str], Mapping[str, Any]]:
    """One rendered payload for each thing the target can be asked, out of the mapping examples."""
    return {done: _usual()[action.mapping or ""] for done, action in target.actions.items()}


def work(target: Target, kind: str, action: str) -> Work:
    payload = payloads(target)[kind, action]
    request = target.build(kind, action, "TIE-A", payload)
    total = None if kind in ("customer", "subscription", "status", "ticket") else 54438
    return Work(f"{kind}/x/{action}", kind, action, "TIE-A", "US01", "acme", "USD", total, request, NOW, NOW)


def works(name: str) -> list[Work]:
    target = systems.target(name)
    return [work(target, kind, action) for kind, action in target.actions]


# --- what is declared --------------------------------------------------------------------------------------------
@every_target
def test_every_action_is_of_a_known_kind_and_has_a_mapping_that_makes_something_for_this_system(name: str) -> None:
    target = systems.target(name)
    for (kind, _), action in target.actions.items():
        assert kind in KINDS
        assert action.mapping is not None
        loaded = mappings.load(action.mapping, tables.load().columns())
        assert loaded.makes.partition(".")[0] == name
        assert loaded.kind is None


@every_target
def test_every_undo_is_an_action_of_the_same_kind(name: str) -> None:
    target = systems.target(name)
    for (kind, _), action in target.actions.items():
        if action.undo:
            assert (kind, action.undo) in target.actions


@every_target
def test_a_document_must_be_shown_whole_and_master_data_by_our_reference(name: str) -> None:
    for (kind, action), declared in systems.target(name).actions.items():
        if kind in ("invoice", "credit_note", "payment"):
            assert declared.echo == ("ref", "currency", "total"), (kind, action)
        elif action != "undo":
            assert "ref" in declared.echo, (kind, action)


@every_target
def test_the_quiet_period_outlasts_whatever_a_write_may_still_take(name: str) -> None:
    quiet = systems.target(name).quiet
    assert quiet.period >= quiet.least(FUNCTION_TIMEOUT)
    assert quiet.client_timeout < FUNCTION_TIMEOUT


@every_target
def test_our_reference_fits_the_target_and_keeps_its_bits(name: str) -> None:
    target = systems.target(name)
    ref = target.reference.of("invoice/stripe:acct_us:in_1/create/post/g0")
    assert len(ref) == target.reference.length
    assert ref.isascii()
    assert all(letter.isalnum() or letter in "_-" for letter in ref)
    assert (target.reference.length - len(target.reference.prefix)) * math.log2(len(target.reference.alphabet)) >= 75
    assert ref != target.reference.of("invoice/stripe:acct_us:in_1/create/post/g1")


@every_target
def test_every_step_of_the_flow_table_can_be_done_by_every_target_a_route_may_choose(name: str) -> None:
    known = tables.load()
    roles = {route.role for route in known.routes if route.system == name}
    for flow in flows.FLOWS:
        for step in flow.steps:
            if step.does == "post" and step.role in roles:
                for action in (step.action, *([step.undo] if step.undo else [])):
                    if (step.kind, action) == ("credit_note", "void"):
                        continue  # made all the same: the planner ends it unsent with its document, or stops it
                    assert (step.kind, action) in systems.target(name).actions, (flow.name, step.name, action)


@every_target
def test_a_file_target_says_when_an_acknowledgement_is_late(name: str) -> None:
    target = systems.target(name)
    assert target.ack_due > 0 or not target.batches
    assert target.finds in Finds


# --- the request -------------------------------------------------------------------------------------------------
@every_target
def test_a_request_is_the_same_bytes_each_time_and_carries_our_reference(name: str) -> None:
    target = systems.target(name)
    for one in works(name):
        assert one.payload == work(target, one.kind, one.action).payload
        if one.action != "undo":
            assert b"TIE-A" in one.payload, (one.kind, one.action)


@every_target
def test_a_reference_that_would_change_the_request_cannot_be_built_in(name: str) -> None:
    target = systems.target(name)
    for (kind, action), payload in payloads(target).items():
        for bad in ("TIE-A\nX-Evil: 1", "TIE-A\r\n\r\n"):
            try:
                built = target.build(kind, action, bad, payload)
            except ValueError:
                continue
            assert b"\nX-Evil" not in built
            assert bad.encode() not in built


# --- the verdicts ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "row"), [(name, row) for name in HTTP for row in systems.target(name).verdicts], ids=str
)
def test_every_row_of_a_verdict_table_is_met_by_its_answer(name: str, row: Row) -> None:
    one = next(item for item in works(name) if item.action != "undo")
    status = row.status if row.status > 99 else row.status * 100
    with pytest.raises(Verdict) as raised:
        systems.target(name).send(always(status, case_of(name).error(row.says)), [one])
    assert (type(raised.value), raised.value.code) == (row.verdict, row.code)


@every_target
def test_no_row_stands_behind_one_that_says_the_same_before_it(name: str) -> None:
    rows = systems.target(name).verdicts
    for position, row in enumerate(rows):
        before = next((other for other in rows[:position] if other.matches(row.status, row.says)), None)
        assert before is None, f"{row} is never reached: {before}"


@every_target
def test_every_verdict_a_table_names_has_its_sentence(name: str) -> None:
    assert {row.code for row in (*systems.target(name).verdicts, *COMMON)} <= set(PROBLEMS)


@every_target
@pytest.mark.parametrize("status", [500, 502, 503, 504, 520, 599, 301, 302, 100])
def test_an_answer_that_nobody_declared_leaves_everything_open(name: str, status: int) -> None:
    verdict = classify(systems.target(name).verdicts, Answer(status), "")
    assert isinstance(verdict, Uncertain)


@every_http_target
@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, {}, b"<html>maintenance</html>"),
        Answer(200, {}, b'{"id": "x"', truncated=True),
        Answer(200, {}, b"{}"),
        Answer(200, {}, b'{"id": 1e999999999999}'),
        Answer(200, {}, b"[" * 100_000),
        Answer(502, {}, b"Bad Gateway"),
    ],
    ids=["html", "cut", "empty object", "absurd number", "deep", "gateway"],
)
def test_a_write_answered_strangely_is_never_taken_for_done_or_not_done(name: str, answer: Answer) -> None:
    target = systems.target(name)
    for one in works(name):
        with pytest.raises(Uncertain):
            target.send(FakeWire(lambda method, path: answer), [one])


@every_http_target
def test_what_the_transport_says_passes_through(name: str) -> None:
    def unreachable(method: str, path: str) -> Answer:
        raise TryAgain("target_unreachable")

    def lost(method: str, path: str) -> Answer:
        raise Uncertain("target_lost")

    for one in works(name):
        with pytest.raises(TryAgain, match="target_unreachable"):
            systems.target(name).send(FakeWire(unreachable), [one])
        with pytest.raises(Uncertain, match="target_lost"):
            systems.target(name).send(FakeWire(lost), [one])


#: Whose undo writes only where it has found what to undo: here nothing is there.
LOOKS_FOR_WHAT_IT_UNDOES = ("stripe", "businesscentral", "sap")


@every_http_target
@pytest.mark.parametrize(
    "failure", [TryAgain("target_unreachable"), NeedsHuman("target_forbidden"), Uncertain("target_lost")]
)
def test_once_a_write_was_taken_no_failure_behind_it_lets_it_be_sent_again(name: str, failure: Verdict) -> None:
    written: list[str] = []

    def taken(method: str, path: str) -> Answer:
        if not case_of(name).reads(method, path):
            written.append(method)
            return Answer(204, {"location": "https://x/services/rest/record/v1/invoice/1"})
        if written:
            raise failure
        return Answer(200, {}, case_of(name).before(path))  # a look before the write finds nothing

    for one in works(name):
        if one.action == "undo" and name in LOOKS_FOR_WHAT_IT_UNDOES:
            continue
        written.clear()
        with pytest.raises(Uncertain):
            systems.target(name).send(FakeWire(taken), [one])
        assert len(written) == 1


@every_http_target
def test_a_pause_that_was_asked_for_is_in_the_facts_and_never_absurd(name: str) -> None:
    one = works(name)[0]
    for asked, kept in (("7", "7"), ("99999999", "900"), ("soon", None), ("-5", None), ("²", None)):
        with pytest.raises(TryAgain) as raised:
            systems.target(name).send(always(429, None, **{"retry-after": asked}), [one])
        assert raised.value.facts.get("after") == kept


@every_http_target
def test_a_document_that_is_not_there_is_found_absent_or_gone(name: str) -> None:
    def nothing(method: str, path: str) -> Answer:
        assert case_of(name).reads(method, path), "looking changes nothing"
        nothing = case_of(name).nothing
        return (
            Answer(200, {}, nothing)
            if nothing is not None and (method != "GET" or "?" in path)
            else Answer(404, {}, case_of(name).absent)
        )

    for one in works(name):
        found = systems.target(name).find(FakeWire(nothing), one)
        done = case_of(name).gone_is_done and one.action == "undo"
        assert found.state == ("complete" if done else "absent")


@every_http_target
@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
def test_a_look_that_failed_says_nothing_about_the_document(name: str, status: int) -> None:
    for one in works(name):
        with pytest.raises(Verdict):
            systems.target(name).find(always(status), one)


# --- one by one --------------------------------------------------------------------------------------------------
def test_netsuite_showing_another_total_is_never_found_complete() -> None:
    target = systems.target("netsuite")
    shown = {"id": "7", "externalId": "TIE-A", "currency": {"id": "1"}, "total": 544.38, "tranId": "INV1"}
    one = work(target, "invoice", "create")
    assert target.find(always(200, shown), one).state == "complete"
    for change in (
        {"total": 544.37},
        {"total": "544.38"},
        {"externalId": "TIE-B"},
        {"currency": {"id": "4"}},
        {"currency": None},
    ):
        found = target.find(always(200, shown | change), one)
        assert (found.state, found.code) == ("ambiguous", "target_echo_differs"), change


ACCOUNT = {"accountUnallocatedConcurrencyLimit": 3, "accountConcurrencyLimit": 5}


@pytest.mark.parametrize(
    ("told", "allows"),
    [
        ({"integrationLimitType": "integrationSpecific", "integrationConcurrencyLimit": 2, **ACCOUNT}, 2),
        ({"integrationLimitType": "accountLimit", **ACCOUNT}, 3),
        ({"integrationLimitType": "internal", **ACCOUNT}, None),
        ({"integrationLimitType": "accountLimit", "accountUnallocatedConcurrencyLimit": 0}, None),
        ({}, None),
    ],
)
def test_netsuites_own_limit_is_our_share_or_what_nobody_has_for_himself(told: Any, allows: int | None) -> None:
    wire, target = always(200, told), systems.target("netsuite")
    assert isinstance(target, Measured)
    assert target.allows(wire) == allows
    assert wire.asked == [("GET", "/services/rest/system/v1/governanceLimits")]


def test_netsuites_limit_is_not_for_everybody_to_know() -> None:
    target = systems.target("netsuite")
    assert isinstance(target, Measured)
    with pytest.raises(NeedsHuman):
        target.allows(always(403))


def test_netsuites_number_is_compared_to_the_last_cent_and_not_as_a_float() -> None:
    target = systems.target("netsuite")
    body = b'{"id":"7","externalId":"TIE-A","currency":{"id":"1"},"total":544.3800000000000000001}'
    assert target.find(always(200, body), work(target, "invoice", "create")).state == "ambiguous"
    body = b'{"id":"7","externalId":"TIE-A","currency":{"id":"1"},"total":544.380}'
    assert target.find(always(200, body), work(target, "invoice", "create")).state == "complete"


def xero_invoice(**change: Any) -> dict[str, Any]:
    shown = {"InvoiceID": "i1", "Reference": "TIE-A", "CurrencyCode": "USD", "Total": 544.38, "Status": "AUTHORISED"}
    return {"Invoices": [shown | change]}


def test_xero_showing_another_total_currency_or_state_is_never_found_complete() -> None:
    target = systems.target("xero")
    one = work(target, "invoice", "create")
    assert target.find(always(200, xero_invoice()), one).state == "complete"
    for change in ({"Total": 544.37}, {"Total": "544.38"}, {"CurrencyCode": "NZD"}, {"CurrencyCode": None}):
        found = target.find(always(200, xero_invoice(**change)), one)
        assert (found.state, found.code) == ("ambiguous", "target_echo_differs"), change
    assert target.find(always(200, xero_invoice(Status="VOIDED")), one).state == "absent"
    assert target.find(always(200, xero_invoice(Reference="TIE-B")), one).state == "absent"
    twice = {"Invoices": xero_invoice()["Invoices"] * 2}
    assert target.find(always(200, twice), one).code == "found_several"


def test_a_search_that_xero_answers_without_its_list_is_not_taken_for_absent() -> None:
    target = systems.target("xero")
    with pytest.raises(Uncertain):
        target.find(always(200, {"Status": "OK"}), work(target, "invoice", "create"))


@pytest.mark.parametrize(
    "hint", [{"ValidationErrors": [{"Message": "x"}]}, {"HasErrors": True}, {"StatusAttributeString": "ERROR"}], ids=str
)
def test_a_refusal_inside_a_200_of_xero_is_never_taken_for_done(hint: dict[str, Any]) -> None:
    target = systems.target("xero")
    with pytest.raises(Uncertain):
        target.send(always(200, xero_invoice(**hint)), [work(target, "invoice", "create")])


def test_two_objects_of_one_reference_at_stripe_are_for_a_person() -> None:
    target = systems.target("stripe")
    row = {"id": "cus_1", "metadata": {"tieout_ref": "TIE-A"}}
    page = {"object": "list", "data": [row, {**row, "id": "cus_2"}], "has_more": False}
    found = target.find(always(200, page), work(target, "customer", "create"))
    assert (found.state, found.code) == ("ambiguous", "found_several")


def test_stripe_reads_every_page_before_it_says_absent_and_gives_up_honestly() -> None:
    target = systems.target("stripe")
    row = {"id": "cus_9", "metadata": {"tieout_ref": "TIE-A"}}

    def pages(method: str, path: str) -> Answer:
        last = "starting_after=cus_b" in path
        rows = [row] if last else [{"id": "cus_b" if "starting_after" in path else "cus_a", "metadata": {}}]
        return Answer(200, {}, json.dumps({"data": rows, "has_more": not last}).encode())

    assert target.find(FakeWire(pages), work(target, "customer", "create")).state == "complete"
    endless = always(200, {"data": [{"id": "cus_a", "metadata": {}}], "has_more": True})
    with pytest.raises(Uncertain):
        target.find(endless, work(target, "customer", "create"))


def test_stripes_idempotency_key_stays_for_a_resend_and_changes_with_the_generation() -> None:
    target = systems.target("stripe")
    seen: list[str] = []

    class Wire(FakeWire):
        def call(self, method: str, path: str, *, headers: Any = None, body: bytes | None = None) -> Answer:
            seen.append(headers["Idempotency-Key"])
            return Answer(200, {}, b'{"id": "cus_1", "metadata": {"tieout_ref": "TIE-A"}}')

    one = work(target, "customer", "create")
    for item in (one, one, replace(one, key="customer/x/create/g1")):
        target.send(Wire(lambda method, path: Answer(500)), [item])
    assert seen[0] == seen[1] != seen[2]
    assert len(seen[0]) <= 255


def test_what_zendesks_search_gives_is_only_ours_by_its_own_external_id() -> None:
    target = systems.target("zendesk")
    one = work(target, "ticket", "create")
    row = {"id": 7, "external_id": "TIE-A", "status": "new"}
    assert target.find(always(200, {"tickets": [row]}), one).state == "complete"
    assert target.find(always(200, {"tickets": [{**row, "external_id": "TIE-B"}]}), one).state == "absent"
    assert target.find(always(200, {"tickets": [row, {**row, "id": 8}]}), one).code == "found_several"
    with pytest.raises(Uncertain):
        target.find(always(200, {"results": []}), one)


@pytest.mark.parametrize(
    "name", [name for name in systems.TARGETS if ("invoice", "void") in systems.target(name).actions]
)
def test_a_void_that_writes_a_posting_date_of_its_own_says_so_and_no_other_does(name: str) -> None:
    """The planner goes by it: what is dated never changes a closed period, and can be credited on account."""
    actions = systems.target(name).actions
    made, back = actions["invoice", "create"], actions["invoice", "void"]
    assert back.mapping is not None
    if back.mapping == made.mapping:
        return  # a record of what became of it elsewhere: nothing is taken back there
    text = (Path(mappings.__file__).parent / back.mapping / "mapping.yaml").read_text()
    assert back.dated == ("invoice.posting_date" in text)
