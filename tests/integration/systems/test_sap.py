"""SAP against its sandbox over real HTTP: sessions, simulation, logs under 200, parts of a partner, the ledger."""

from __future__ import annotations

import dataclasses
from datetime import date
from decimal import Decimal
from typing import Any

import httpx
import pytest

from infra.local.sandbox import Fault
from infra.local.sandbox.sap import SOAP_PATH, Sap
from tests.integration.systems.cases.sap import Case
from tests.integration.systems.conftest import Bench
from tieout import systems
from tieout.aws import http
from tieout.aws.http import HttpWire
from tieout.contract import Work
from tieout.core.verdicts import NeedsHuman, TryAgain, Uncertain

SAP = systems.target("sap")
SOAP = f"POST .*{SOAP_PATH}"
PARTNERS = "/A_BusinessPartner$"


@pytest.fixture
def desk(bench: Bench) -> Case:
    return Case(bench)


def there(desk: Case) -> Sap:
    return desk.bench.sandboxes.of(Sap)


def simulating(desk: Case) -> Case:
    """The same tenant, each entry simulated first, as it is unless the account says no."""
    secret = {**there(desk).secret(), "settings": {}}
    desk.wire = HttpWire(SAP, "acme", lambda: secret, desk.bench.now)
    return desk


def state(desk: Case, work: Work) -> str:
    return desk.bench.find(desk.wire, SAP, work).state


# --- sessions ----------------------------------------------------------------------------------------------------
def test_a_write_shows_the_token_and_the_cookies_of_the_look_before_it(desk: Case) -> None:
    desk.post(desk.work("customer", "upsert"))
    assert [call.status for call in desk.bench.sandboxes.calls(f"POST .*{PARTNERS}")] == [201]


def test_a_session_that_another_server_does_not_know_is_opened_again_once(desk: Case) -> None:
    work, sandbox = desk.work("customer", "upsert"), there(desk)
    opened = sandbox._opened
    asked: list[int] = []

    def lost_once(reply: Any) -> Any:
        made = opened(reply)
        asked.append(1)
        if len(asked) == 1:
            sandbox.forget_sessions()
        return made

    sandbox._opened = lost_once  # type: ignore[method-assign]
    desk.post(work)
    assert [call.status for call in desk.bench.sandboxes.calls(f"POST .*{PARTNERS}")] == [403, 201]
    assert len(desk.book()) == 1


def test_a_session_that_is_refused_twice_is_tried_again_later_and_wrote_nothing(desk: Case) -> None:
    work, sandbox = desk.work("customer", "upsert"), there(desk)
    sandbox._session_holds = lambda request: False  # type: ignore[method-assign]
    with pytest.raises(TryAgain, match="target_credentials"):
        SAP.send(desk.wire, [work])
    assert [call.status for call in desk.bench.sandboxes.calls(f"POST .*{PARTNERS}")] == [403, 403]
    assert desk.book() == []


def test_the_client_of_all_accounts_keeps_no_cookie_of_any(desk: Case) -> None:
    desk.post(desk.work("customer", "upsert"))
    assert not list(http.client().cookies.jar)


# --- the other scheme --------------------------------------------------------------------------------------------
def with_client(desk: Case, **more: str) -> HttpWire:
    """The same tenant, reached with a token."""
    sandbox = there(desk)
    secret = {
        "base_url": sandbox.base_url, "client_id": sandbox.client_id, "client_secret": sandbox.client_secret,
        "token_url": f"{sandbox.base_url}/oauth/token", "settings": {}, **more,
    }  # fmt: skip
    return HttpWire(SAP, "acme", lambda: secret, desk.bench.now)


def test_a_tenant_is_reached_with_a_token_where_the_secret_holds_a_client(desk: Case) -> None:
    desk.wire = with_client(desk, user="nobody", password="wrong")
    desk.post(desk.work("invoice", "create"))
    assert len(desk.bench.sandboxes.calls("POST .*/oauth/token")) == 1
    desk.bench.advance(3600)
    desk.post(desk.work("invoice", "create", "b"))
    assert len(desk.bench.sandboxes.calls("POST .*/oauth/token")) == 2


def test_a_client_that_is_not_known_is_told_and_nothing_is_asked(desk: Case) -> None:
    work = desk.work("invoice", "create")
    with pytest.raises(TryAgain, match="target_credentials"):
        SAP.send(with_client(desk, client_secret="wrong"), [work])
    assert desk.bench.sandboxes.calls(SOAP) == []


# --- partners ----------------------------------------------------------------------------------------------------
def test_a_changed_customer_changes_names_and_address_each_under_its_tag(desk: Case) -> None:
    address = desk.payload("customer", "upsert")["Address"]
    for name, street in (
        ("Bluebird Inc", "1 A Street"),
        ("Bluebird Inc", "2 B Street"),
        ("Bluebird Ltd", "1 A Street"),
    ):
        work = desk.make("customer", "upsert", OrganizationBPName1=name, Address={**address, "StreetName": street})
        assert state(desk, work) == "absent"
        desk.post(work)
        assert state(desk, work) == "complete"
    assert len(there(desk).partners) == 1
    row = next(iter(there(desk).partners.values()))
    assert (row["OrganizationBPName1"], row["to_BusinessPartnerAddress"]["results"][0]["StreetName"]) == (
        "Bluebird Ltd", "1 A Street",
    )  # fmt: skip


def test_a_tag_that_is_stale_is_tried_again_and_a_half_changed_partner_is_in_doubt(desk: Case) -> None:
    desk.post(desk.work("customer", "upsert"))
    row = next(iter(there(desk).partners.values()))
    address = {**desk.payload("customer", "upsert")["Address"], "StreetName": "2 B Street"}
    name = desk.make("customer", "upsert", OrganizationBPName1="Bluebird Ltd")
    both = desk.make("customer", "upsert", OrganizationBPName1="Bluebird Ltd", Address=address)
    shown = there(desk)._filtered

    def changed_meanwhile(part: dict[str, Any]) -> Any:
        def act(entities: str, query: Any) -> Any:
            found = shown(entities, query)
            part["rev"] += 1
            return found

        return act

    there(desk)._filtered = changed_meanwhile(row)  # type: ignore[method-assign]
    with pytest.raises(TryAgain, match="target_conflict"):
        SAP.send(desk.wire, [name])
    there(desk)._filtered = changed_meanwhile(row["to_BusinessPartnerAddress"]["results"][0])  # type: ignore[method-assign]
    with pytest.raises(Uncertain, match="a part is changed"):
        SAP.send(desk.wire, [both])
    there(desk)._filtered = shown  # type: ignore[method-assign]
    assert state(desk, both) == "absent"
    desk.post(both)
    assert state(desk, both) == "complete"


def test_a_customer_is_seen_by_name_unless_it_is_archived(desk: Case) -> None:
    ident = desk.post(desk.make("customer", "upsert", OrganizationBPName1="O'Neill & Sons")).remote
    assert [one.remote for one in SAP.look(desk.wire, "customer", {"name": "O'Neill & Sons"})] == [ident]
    there(desk).partners[ident]["IsMarkedForArchiving"] = True
    assert SAP.look(desk.wire, "customer", {"name": "O'Neill & Sons"}) == []
    assert SAP.look(desk.wire, "customer", {"name": "x" * 41}) == []


def test_an_undone_customer_is_blocked_and_one_that_is_not_there_cannot_be_undone(desk: Case) -> None:
    desk.post(desk.work("customer", "undo"))
    assert [one.status for one in there(desk).book()] == ["blocked"]
    assert SAP.look(desk.wire, "customer", {"name": "Bluebird Robotics Inc"}) == []
    with pytest.raises(NeedsHuman, match="target_no_such_thing"):
        SAP.send(desk.wire, [desk.make("customer", "undo", "nobody")])
    assert len(there(desk).partners) == 1


def test_a_record_that_somebody_works_on_is_tried_again_also_where_the_log_says_it(desk: Case) -> None:
    invoice = desk.work("invoice", "create")
    there(desk).locked = True
    for work in (desk.work("customer", "upsert", "b"), invoice):
        with pytest.raises(TryAgain, match="target_conflict"):
            SAP.send(desk.wire, [work])
    there(desk).locked = False
    desk.post(invoice)


# --- journal entries ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["invoice", "credit_note", "payment", "journal_entry"])
def test_an_entry_is_simulated_before_it_is_posted(desk: Case, kind: str) -> None:
    work = simulating(desk).work(kind, "create")
    before = len(desk.bench.sandboxes.calls(SOAP))
    desk.post(work)
    assert len(desk.bench.sandboxes.calls(SOAP)) == before + 2
    assert [one.external_ref for one in there(desk).book() if one.kind == kind] == [work.ref]


def test_what_a_simulation_refuses_is_never_posted(desk: Case) -> None:
    work = simulating(desk).work("invoice", "create")
    there(desk).closed_until = date(2026, 11, 4)
    with pytest.raises(NeedsHuman, match="period_closed"):
        SAP.send(desk.wire, [work])
    assert [call.status for call in desk.bench.sandboxes.calls(SOAP)] == [200]
    assert there(desk).documents == {}


@pytest.mark.parametrize("fault", ["commit_then_drop", "drop_before", "html_500", "not_json", "truncated"])
def test_a_simulation_that_nobody_answered_has_written_nothing_and_is_no_doubt(desk: Case, fault: str) -> None:
    work = simulating(desk).work("invoice", "create")
    desk.bench.sandboxes.faults.add(Fault(fault, SOAP))
    with pytest.raises(TryAgain, match="simulation"):
        SAP.send(desk.wire, [work])
    assert there(desk).documents == {}
    desk.bench.sandboxes.faults.add(Fault(fault, SOAP, after=1))
    with pytest.raises(Uncertain):
        SAP.send(desk.wire, [work])
    done = fault not in ("drop_before", "html_500")
    assert state(desk, work) == ("complete" if done else "absent")
    desk.post(work)
    assert len(there(desk).documents) == 1


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        ({"CompanyCode": "9999"}, "target_refused", "Company code 9999 does not exist"),
        ({"Debtor": "4711"}, "target_reference_missing", "Customer 4711 is not defined in company code 1710"),
        ({"GLAccount": "99999999"}, "target_reference_missing", "G/L account 99999999"),
        ({"DebitCreditCode": "H"}, "target_refused", "does not go with"),
    ],
)
def test_a_refusal_under_http_200_is_a_refusal_with_its_words(
    desk: Case, change: dict[str, str], code: str, said: str
) -> None:
    good = desk.work("invoice", "create")
    [(name, value)] = change.items()
    payload = good.payload
    for old in ("1710", "17100001", "41000000", "S"):
        payload = payload.replace(f"<{name}>{old}<".encode(), f"<{name}>{value}<".encode())
    assert payload != good.payload
    with pytest.raises(NeedsHuman, match=code) as raised:
        SAP.send(desk.wire, [dataclasses.replace(good, payload=payload)])
    assert said in raised.value.facts["said"]
    assert desk.bench.sandboxes.calls(SOAP)[-1].status == 200
    assert state(desk, good) == "absent"


def test_a_closed_period_is_told_under_http_200_too(desk: Case) -> None:
    work = desk.work("invoice", "create")
    desk.bench.sandboxes.faults.add(Fault("closed_period", SOAP))
    with pytest.raises(NeedsHuman, match="period_closed"):
        SAP.send(desk.wire, [work])


def test_a_failed_read_back_is_no_licence_to_post_again(desk: Case) -> None:
    for fault in ("concurrency_429", "html_500", "drop_before"):
        work = desk.work("invoice", "create", fault)
        desk.bench.sandboxes.faults.add(Fault(fault, "GET .*/GLAccountLineItem$", after=1))
        with pytest.raises(Uncertain, match="read-back"):
            SAP.send(desk.wire, [work])
        assert state(desk, work) == "complete"


def test_the_ledger_shows_each_entry_once_and_a_second_one_of_a_reference_is_for_a_person(desk: Case) -> None:
    work = desk.work("invoice", "create")
    desk.post(work)
    assert {row["Ledger"] for row in there(desk).lines} == {"0L", "2L"}
    lines = [dict(row) for row in there(desk).lines if row["Ledger"] == "0L"]
    there(desk).lines += [{**row, "AccountingDocument": "0100000777"} for row in lines]
    found = desk.bench.find(desk.wire, SAP, work)
    assert (found.state, found.code) == ("ambiguous", "found_several")
    with pytest.raises(Uncertain, match="target_duplicate"):
        SAP.send(desk.wire, [work])


def test_books_and_its_taking_back_come_to_nothing_in_the_ledger(desk: Case) -> None:
    desk.post(desk.work("invoice", "create"))
    desk.post(desk.work("invoice", "void", "b"))
    left: dict[str, Decimal] = {}
    for row in there(desk).lines:
        left[row["GLAccount"]] = left.get(row["GLAccount"], Decimal(0)) + Decimal(row["AmountInTransactionCurrency"])
    assert set(left.values()) == {0}
    assert set(left) == {"41000000", "12100000", "22000000"}


def test_an_entry_that_does_not_come_to_zero_does_not_leave(desk: Case) -> None:
    with pytest.raises(NeedsHuman, match="journal_unbalanced"):
        desk.make(
            "payment", "create", Item={**desk.payload("payment", "create")["Item"], "AmountInTransactionCurrency": 1}
        )


def test_the_sandbox_wants_its_session_and_answers_a_fault_to_what_is_no_entry(desk: Case) -> None:
    sandbox = there(desk)
    auth = (sandbox.user, sandbox.password)
    partner = f"{sandbox.base_url}/sap/opu/odata/sap/API_BUSINESS_PARTNER/A_BusinessPartner"
    refused = httpx.post(partner, auth=auth, json={"OrganizationBPName1": "x"})
    assert (refused.status_code, refused.headers["x-csrf-token"]) == (403, "Required")
    assert httpx.get(partner).status_code == 401
    assert httpx.post(sandbox.base_url + SOAP_PATH, auth=auth, content=b"<x/>").status_code == 500
