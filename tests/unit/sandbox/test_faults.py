"""How the sandboxes misbehave when told to: what the caller sees, and what was done in truth."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest

from infra.local.sandbox import Fault, Sandboxes
from infra.local.sandbox.hubspot import HubSpot
from infra.local.sandbox.quickbooks import QuickBooks
from infra.local.sandbox.system import System
from infra.local.sandbox.wire import Request
from infra.local.sandbox.xero import Xero
from tests.unit.sandbox.conftest import Inbox, StillClock
from tests.unit.sandbox.test_netsuite import CUSTOMER, V1
from tieout import systems
from tieout.core.credentials import missing

FORM = {"email": "a@b.example"}
HEADERS = {"Idempotency-Key": "k1"}
CREATE = "POST /stripe/acct_us/v1/customers"


def made(sandboxes: Sandboxes) -> int:
    return len(sandboxes.stripe["acct_us"].tables["customers"])


def create(stripe: httpx.Client) -> httpx.Response:
    return stripe.post("/v1/customers", data=FORM, headers=HEADERS)


def test_commit_then_drop_does_the_work_and_says_nothing(sandboxes: Sandboxes, stripe: httpx.Client) -> None:
    sandboxes.faults.add(Fault("commit_then_drop", CREATE))
    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        create(stripe)
    assert made(sandboxes) == 1
    again = create(stripe)
    assert (again.status_code, again.headers["Idempotent-Replayed"], made(sandboxes)) == (200, "true", 1)


def test_drop_before_does_nothing_and_says_nothing(sandboxes: Sandboxes, stripe: httpx.Client) -> None:
    sandboxes.faults.add(Fault("drop_before", CREATE))
    with pytest.raises(httpx.RemoteProtocolError):
        create(stripe)
    assert made(sandboxes) == 0
    assert create(stripe).status_code == 200


def test_timeout_after_commit_leaves_the_caller_waiting(sandboxes: Sandboxes, stripe: httpx.Client) -> None:
    sandboxes.faults.add(Fault("timeout_after_commit", CREATE, args={"seconds": 60}))
    with pytest.raises(httpx.ReadTimeout):
        stripe.post("/v1/customers", data=FORM, timeout=0.2)
    assert made(sandboxes) == 1


def test_timeout_before_commit_leaves_the_caller_waiting_for_nothing(
    sandboxes: Sandboxes, stripe: httpx.Client
) -> None:
    sandboxes.faults.add(Fault("timeout_before_commit", CREATE, args={"seconds": 60}))
    with pytest.raises(httpx.ReadTimeout):
        stripe.post("/v1/customers", data=FORM, timeout=0.2)
    assert made(sandboxes) == 0


def test_a_hanging_call_does_not_keep_the_sandboxes_from_stopping(clock: StillClock) -> None:
    sandboxes = Sandboxes(clock)
    sandboxes.start()
    us = sandboxes.stripe["acct_us"]
    sandboxes.faults.add(Fault("timeout_after_commit", CREATE, args={"seconds": 60}))
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{us.base_url}/v1/customers", data=FORM, auth=(us.api_key, ""), timeout=0.2)
    began = time.monotonic()
    sandboxes.stop()
    assert time.monotonic() - began < 5


def test_a_late_commit_lands_when_its_time_comes(sandboxes: Sandboxes, stripe: httpx.Client, clock: StillClock) -> None:
    sandboxes.faults.add(Fault("late_commit", CREATE, args={"seconds": 90}))
    with pytest.raises(httpx.RemoteProtocolError):
        create(stripe)
    assert made(sandboxes) == 0
    assert sandboxes.next_due() == clock.now() + timedelta(seconds=90)
    clock.advance(89)
    sandboxes.tick()
    assert made(sandboxes) == 0
    clock.advance(1)
    sandboxes.tick()
    assert made(sandboxes) == 1


def test_a_late_commit_after_a_resend_doubles_what_is_not_idempotent(
    sandboxes: Sandboxes, netsuite: httpx.Client, clock: StillClock
) -> None:
    sandboxes.faults.add(Fault("late_commit", "POST .*/record/v1/customer", args={"seconds": 90}))
    with pytest.raises(httpx.RemoteProtocolError):
        netsuite.post(f"{V1}/customer", json=CUSTOMER)
    assert netsuite.post(f"{V1}/customer", json=CUSTOMER).status_code == 204
    clock.advance(90)
    sandboxes.tick()
    assert len(sandboxes.book("netsuite", "acme")) == 2


def test_a_truncated_body_is_not_an_answer(sandboxes: Sandboxes, stripe: httpx.Client) -> None:
    sandboxes.faults.add(Fault("truncated", CREATE))
    with pytest.raises(httpx.RemoteProtocolError, match=r"incomplete|without complete|peer closed"):
        create(stripe)
    assert made(sandboxes) == 1


def test_truncating_an_empty_answer_is_hanging_up(sandboxes: Sandboxes, netsuite: httpx.Client) -> None:
    sandboxes.faults.add(Fault("truncated", "PUT /netsuite"))
    with pytest.raises(httpx.RemoteProtocolError):
        netsuite.put(f"{V1}/customer/eid:C-1", json=CUSTOMER)
    assert len(sandboxes.book("netsuite", "acme")) == 1


def test_rate_limit_says_when_to_come_again(sandboxes: Sandboxes, stripe: httpx.Client) -> None:
    sandboxes.faults.add(Fault("rate_limit", CREATE, args={"retry_after": 7}))
    answer = create(stripe)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "7")
    assert answer.json()["error"]["code"] == "rate_limit"
    assert made(sandboxes) == 0


@pytest.mark.parametrize(
    ("kind", "status", "says"),
    [
        ("concurrency_429", 429, "CONCURRENCY_LIMIT_EXCEEDED"),
        ("closed_period", 400, "closed period"),
        ("ok_with_errors", 200, "UNEXPECTED_ERROR"),
        ("html_500", 500, "<html>"),
        ("unavailable", 503, "<html>"),
    ],
)
def test_netsuite_refuses_in_its_own_words(
    sandboxes: Sandboxes, netsuite: httpx.Client, kind: str, status: int, says: str
) -> None:
    sandboxes.faults.add(Fault(kind, "PUT /netsuite"))
    answer = netsuite.put(f"{V1}/customer/eid:C-1", json=CUSTOMER)
    assert answer.status_code == status
    assert says in answer.text
    assert sandboxes.book("netsuite", "acme") == []


def test_a_500_can_come_after_the_work_was_done(sandboxes: Sandboxes, netsuite: httpx.Client) -> None:
    sandboxes.faults.add(Fault("html_500", "PUT /netsuite", args={"committed": True}))
    assert netsuite.put(f"{V1}/customer/eid:C-1", json=CUSTOMER).status_code == 500
    assert len(sandboxes.book("netsuite", "acme")) == 1


def test_salesforce_says_yes_and_means_no(sandboxes: Sandboxes, salesforce: httpx.Client) -> None:
    sandboxes.faults.add(Fault("ok_with_errors", "PATCH /salesforce"))
    url = "/services/data/v67.0/sobjects/Tieout_Status__c/Key__c/k"
    answer = salesforce.patch(url, json={"Status__c": "accepted"})
    assert (answer.status_code, answer.json()["success"]) == (200, False)
    assert sandboxes.salesforce.statuses() == []


def test_a_stale_token_is_stale_for_everybody_until_a_new_one(sandboxes: Sandboxes, netsuite: httpx.Client) -> None:
    sandboxes.faults.add(Fault("stale_token", "PUT /netsuite"))
    assert netsuite.put(f"{V1}/customer/eid:C-1", json=CUSTOMER).status_code == 401
    assert netsuite.get(f"{V1}/customer").status_code == 401


def test_stripe_says_401_once(sandboxes: Sandboxes, stripe: httpx.Client) -> None:
    sandboxes.faults.add(Fault("stale_token", CREATE))
    assert [create(stripe).status_code for _ in range(2)] == [401, 200]


def test_an_outage_lasts_by_the_clock(sandboxes: Sandboxes, stripe: httpx.Client, clock: StillClock) -> None:
    sandboxes.faults.add(Fault("unavailable", "/stripe/acct_us", args={"seconds": 60}))
    seen = []
    for _ in range(3):
        seen.append(create(stripe).status_code)
        clock.advance(29)
    assert seen == [503, 503, 503]
    assert create(stripe).status_code == 200


def test_a_fault_skips_then_strikes_then_is_spent(sandboxes: Sandboxes, stripe: httpx.Client) -> None:
    fault = sandboxes.faults.add(Fault("html_500", "GET /stripe/acct_us", times=2, after=1))
    assert [stripe.get("/v1/prices").status_code for _ in range(4)] == [200, 500, 500, 200]
    assert fault.struck == 2


def test_a_fault_that_matches_nothing_does_nothing(sandboxes: Sandboxes, stripe: httpx.Client) -> None:
    sandboxes.faults.add(Fault("html_500", "GET /stripe/acct_de"))
    assert stripe.get("/v1/prices").status_code == 200


def test_a_caller_that_is_not_who_it_says_meets_no_commit(sandboxes: Sandboxes) -> None:
    us = sandboxes.stripe["acct_us"]
    sandboxes.faults.add(Fault("commit_then_drop", CREATE))
    answer = httpx.post(f"{us.base_url}/v1/customers", data=FORM, auth=("wrong", ""))
    assert (answer.status_code, made(sandboxes)) == (401, 0)


def test_an_unknown_fault_is_refused() -> None:
    with pytest.raises(ValueError, match="no fault is called 'gremlins'"):
        Fault("gremlins")


# --- over HTTP ---------------------------------------------------------------------------------------------------


@pytest.fixture
def origin(sandboxes: Sandboxes) -> str:
    return sandboxes.stripe["acct_us"].base_url.removesuffix("/stripe/acct_us")


def test_faults_are_driven_over_http(sandboxes: Sandboxes, stripe: httpx.Client, origin: str) -> None:
    order = {"kind": "rate_limit", "match": CREATE, "times": 2}
    assert httpx.post(f"{origin}/_faults", json=order).status_code == 201
    assert create(stripe).status_code == 429
    told = httpx.get(f"{origin}/_faults").json()
    assert [(one["kind"], one["struck"]) for one in told] == [("rate_limit", 1)]
    assert httpx.delete(f"{origin}/_faults").json() == []
    assert create(stripe).status_code == 200
    assert httpx.post(f"{origin}/_faults", json={"kind": "gremlins"}).status_code == 400
    assert httpx.post(f"{origin}/_faults", json={"kind": "slow", "match": "("}).status_code == 400


def test_the_book_is_read_over_http(sandboxes: Sandboxes, netsuite: httpx.Client, origin: str) -> None:
    netsuite.put(f"{V1}/customer/eid:C-1", json=CUSTOMER)
    entries = httpx.get(f"{origin}/_book", params={"system": "netsuite"}).json()
    assert [(one["external_ref"], one["kind"], one["entity"]) for one in entries] == [("C-1", "customer", "US01")]
    kinds = {one["system"] for one in httpx.get(f"{origin}/_book").json()}
    assert kinds == {"netsuite", "salesforce"}


def test_every_call_is_in_the_log_with_what_the_caller_saw(
    sandboxes: Sandboxes, stripe: httpx.Client, origin: str
) -> None:
    sandboxes.faults.add(Fault("commit_then_drop", CREATE))
    with pytest.raises(httpx.RemoteProtocolError):
        create(stripe)
    create(stripe)
    assert [(call.status, call.fault) for call in sandboxes.calls(CREATE)] == [(0, "commit_then_drop"), (200, "")]
    assert len(httpx.get(f"{origin}/_log").json()) == 2


def test_an_address_without_a_sandbox_is_404(origin: str) -> None:
    assert httpx.get(f"{origin}/sage/acme/").status_code == 404


def test_secrets_are_named_as_the_product_expects(sandboxes: Sandboxes) -> None:
    secrets = sandboxes.secrets("dev")
    assert {name.split("/")[2] for name in secrets} >= set(systems.TARGETS)
    for name, secret in secrets.items():
        system = name.split("/")[2]
        asks = systems.reader if system in systems.READERS else systems.lister
        declared = (systems.target(system) if system in systems.TARGETS else asks(system)).auth
        assert missing(declared, secret) == (), name
    assert set(secrets["tieout/dev/stripe/acct_us"]) == {"base_url", "api_key", "webhook_secrets"}
    assert set(secrets["tieout/dev/netsuite/acme"]) == {
        "base_url", "account_id", "client_id", "certificate_id", "private_key", "callout_secrets", "settings",
    }  # fmt: skip
    assert set(secrets["tieout/dev/salesforce/acme"]) == {
        "base_url", "client_id", "client_secret", "callout_secrets", "settings",
    }  # fmt: skip
    assert set(secrets["tieout/dev/xero/acme"]) == {
        "base_url", "client_id", "client_secret", "refresh_token", "settings",
    }  # fmt: skip
    assert set(secrets["tieout/dev/zuora/acme-eu"]) == {
        "base_url", "client_id", "client_secret", "callout_credentials",
    }  # fmt: skip
    assert secrets["tieout/dev/legacy/acme"] == {}
    assert "stripe/acct_us" in sandboxes.secrets()


def test_the_same_seed_gives_the_same_ids(clock: StillClock) -> None:
    def first(seed: int) -> tuple[str, str]:
        one = Sandboxes(clock, seed)
        return one.stripe["acct_us"].api_key, one.salesforce.opportunities()[0]["Id"]

    assert first(7) == first(7)
    assert first(7) != first(8)


@pytest.mark.parametrize(
    ("kind", "at_once", "after_ten_minutes"), [("webhook_twice", 2, 2), ("webhook_late", 0, 1), ("webhook_lost", 0, 0)]
)
def test_a_webhook_comes_twice_late_or_never(
    kind: str, at_once: int, after_ten_minutes: int, sandboxes: Sandboxes, inbox: Inbox, clock: StillClock
) -> None:
    fault = sandboxes.faults.add(Fault(kind, "HOOK /hooks/stripe/acct_us", args={"seconds": 600}))
    courier = sandboxes.stripe["acct_us"].courier
    courier.post("evt_1", b"{}", lambda body: {})
    sandboxes.tick()
    assert len(inbox.received) == at_once
    clock.advance(601)
    sandboxes.tick()
    assert (len(inbox.received), fault.struck) == (after_ten_minutes, 1)
    courier.post("evt_2", b"{}", lambda body: {})
    sandboxes.tick()
    assert len(inbox.received) == after_ten_minutes + 1


@pytest.mark.parametrize("kind", ["not_json", "wrong_type", "huge"])
def test_a_strange_answer_hides_work_that_was_done_or_was_not(
    sandboxes: Sandboxes, stripe: httpx.Client, kind: str
) -> None:
    for undone, count in ((True, 0), (False, 1)):
        sandboxes.faults.add(Fault(kind, CREATE, args={"undone": undone}))
        answer = create(stripe)
        assert answer.status_code == 200
        assert b"cus_" not in answer.content
        assert (len(answer.content) > 30_000_000) == (kind == "huge")
        assert made(sandboxes) == count


def test_more_fields_adds_members_at_every_depth_and_keeps_what_was_there(
    sandboxes: Sandboxes, stripe: httpx.Client
) -> None:
    plain = create(stripe).json()
    sandboxes.faults.add(Fault("more_fields", CREATE))
    more = create(stripe).json()
    assert set(more) - set(plain) == {"zz_new", "zz_later"}
    assert {name: more[name] for name in plain if not isinstance(plain[name], dict | list)} == {
        name: value for name, value in plain.items() if not isinstance(value, dict | list)
    }
    assert "zz_new" in more["metadata"]


# --- what not every vendor does ----------------------------------------------------------------------------------
def asked(method: str, path: str, body: object = None, **query: str) -> Request:
    """A request as a sandbox gets it behind its door."""
    return Request(method, path, query, {}, b"" if body is None else json.dumps(body).encode())


def test_an_archived_contact_of_xero_is_listed_where_that_is_asked_for_and_takes_no_invoice(
    sandboxes: Sandboxes,
) -> None:
    books = sandboxes.of(Xero)
    contacts = "/api.xro/2.0/Contacts"
    made = books.process(asked("POST", contacts, {"Contacts": [{"Name": "Initech", "ContactNumber": "TIE-1"}]}))
    ident = json.loads(made.body)["Contacts"][0]["ContactID"]
    where = 'ContactNumber=="TIE-1"'
    invoice = {"Contact": {"ContactID": ident}, "Date": "2026-11-20"}
    sale = asked("PUT", "/api.xro/2.0/Invoices", {"Invoices": [invoice]}, summarizeErrors="true")
    for kind in ("archived_customer", "merged_customer"):
        assert books.means(kind, sale)
        books.set_aside(kind, books.customer_of(sale))
        assert json.loads(books.process(asked("GET", contacts, where=where)).body)["Contacts"] == []
        found = json.loads(books.process(asked("GET", contacts, where=where, includeArchived="true")).body)["Contacts"]
        assert [one["ContactStatus"] for one in found] == ["ARCHIVED"]
        assert ("MergedToContactID" in found[0]) == (kind == "merged_customer")
        refused = books.process(sale)
        assert (refused.status, b"has been archived" in refused.body) == (400, True)
    sandboxes.faults.clear()
    assert b"has been archived" not in books.process(sale).body


def test_an_inactive_customer_of_quickbooks_is_only_queried_by_name_of_its_state_and_a_merged_one_never(
    sandboxes: Sandboxes,
) -> None:
    books = sandboxes.of(QuickBooks)
    made = books.process(asked("POST", "/customer", {"DisplayName": "Initech", "Notes": "TIE-1"}))
    ident = json.loads(made.body)["Customer"]["Id"]
    where = "select * from Customer where DisplayName = 'Initech'"
    states = " and Active in (true, false)"

    def found(more: str = "") -> list[bool]:
        reply = books.process(asked("GET", "/query", query=f"{where}{more} startposition 1 maxresults 10"))
        return [one["Active"] for one in json.loads(reply.body)["QueryResponse"].get("Customer", [])]

    assert (found(), found(states)) == ([True], [True])
    books.set_aside("archived_customer", ident)
    assert (found(), found(states)) == ([], [False])
    assert books.process(asked("GET", f"/customer/{ident}")).status == 200
    books.set_aside("merged_customer", ident)
    assert (found(), found(states)) == ([], [])
    assert books.process(asked("GET", f"/customer/{ident}")).status == 400


@pytest.mark.parametrize("system", ["stripe", "hubspot"])
def test_a_search_that_lags_anyhow_lags_longer_where_it_is_told_to(
    sandboxes: Sandboxes, clock: StillClock, system: str
) -> None:
    if system == "stripe":
        there: System = sandboxes.stripe["acct_us"]
        sandboxes.stripe["acct_us"].add_customer("Initech", "ap@initech.example")
        look = replace(asked("GET", "/v1/customers/search"), raw_query="query=email%3A%22ap%40initech.example%22")
        rows = "data"
    else:
        there = sandboxes.of(HubSpot)
        sandboxes.of(HubSpot).add("companies", {"name": "Initech"})
        wanted = {"propertyName": "name", "operator": "EQ", "value": "Initech"}
        look = asked("POST", "/crm/v3/objects/companies/search", {"filterGroups": [{"filters": [wanted]}]})
        rows = "results"

    def shown(lag: float) -> int:
        return len(json.loads(there.process(replace(look, lag=lag)).body)[rows])

    assert there.means("search_lag", look)
    clock.advance(61)
    assert (shown(0), shown(120)) == (1, 0)
    clock.advance(120)
    assert shown(120) == 1


def test_what_means_nothing_to_a_call_waits_for_one_that_it_means_something_to(
    sandboxes: Sandboxes, stripe: httpx.Client
) -> None:
    order = sandboxes.faults.add(Fault("search_lag", ".*"))
    assert create(stripe).status_code == 200
    assert (order.seen, order.struck) == (0, 0)
    assert stripe.get("/v1/customers/search", params={"query": 'email:"a@b.example"'}).json()["data"] == []
    assert order.struck == 1
