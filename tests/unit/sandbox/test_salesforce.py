"""Sandbox Salesforce: sessions, upsert by external id, SOQL, and the callout of a won opportunity."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from infra.local.sandbox import Product, Sandboxes
from infra.local.sandbox.salesforce import long_id
from tests.unit.sandbox.conftest import Inbox, StillClock

DATA = "/services/data/v67.0"
KEY = "invoice/stripe:acct_us:in_1/post"
STATUS = {
    "Account_Ref__c": "C-1",
    "Document__c": "in_1",
    "Status__c": "accepted",
    "Sentence__c": "Invoice in_1 is in NetSuite.",
    "Version__c": 3,
    "Updated_At__c": "2026-11-23T12:00:00Z",
}


def upsert(salesforce: httpx.Client, body: dict[str, Any], key: str = KEY) -> httpx.Response:
    return salesforce.patch(f"{DATA}/sobjects/Tieout_Status__c/Key__c/{quote(key, safe='')}", json=body)


def soql(salesforce: httpx.Client, query: str) -> httpx.Response:
    return salesforce.get(f"{DATA}/query", params={"q": query})


def error(answer: httpx.Response) -> tuple[int, str]:
    assert isinstance(answer.json(), list)
    return answer.status_code, answer.json()[0]["errorCode"]


def test_a_token_comes_without_a_lifetime_and_with_the_instance(sandboxes: Sandboxes) -> None:
    secret = sandboxes.secrets("test")["tieout/test/salesforce/acme"]
    form = {"grant_type": "client_credentials"}
    auth = (secret["client_id"], secret["client_secret"])
    answer = httpx.post(secret["base_url"] + "/services/oauth2/token", data=form, auth=auth)
    assert answer.status_code == 200
    assert answer.json()["instance_url"] == secret["base_url"]
    assert "expires_in" not in answer.json()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"client_secret": "x"}, "invalid_client"),
        ({"client_id": "x"}, "invalid_client_id"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
    ],
)
def test_a_wrong_client_gets_no_token(sandboxes: Sandboxes, change: dict[str, str], problem: str) -> None:
    secret = sandboxes.secrets("test")["tieout/test/salesforce/acme"]
    form = {
        "grant_type": "client_credentials",
        "client_id": secret["client_id"],
        "client_secret": secret["client_secret"],
        **change,
    }
    answer = httpx.post(secret["base_url"] + "/services/oauth2/token", data=form)
    assert (answer.status_code, answer.json()["error"]) == (400, problem)


def test_a_session_ends(salesforce: httpx.Client, clock: StillClock) -> None:
    assert soql(salesforce, "SELECT Id FROM Account").status_code == 200
    clock.advance(7200)
    assert error(soql(salesforce, "SELECT Id FROM Account")) == (401, "INVALID_SESSION_ID")


def test_an_upsert_creates_and_then_updates(salesforce: httpx.Client, sandboxes: Sandboxes) -> None:
    first = upsert(salesforce, STATUS)
    assert (first.status_code, first.json()["created"], first.json()["success"]) == (201, True, True)
    again = upsert(salesforce, {**STATUS, "Version__c": 4, "Status__c": "compensated"})
    assert (again.status_code, again.json()["created"]) == (200, False)
    assert again.json()["id"] == first.json()["id"]
    rows = sandboxes.salesforce.statuses()
    assert [(row["Key__c"], row["Version__c"], row["Status__c"]) for row in rows] == [(KEY, 4, "compensated")]
    assert first.headers["Sforce-Limit-Info"] == "api-usage=1/100000"


def test_a_row_is_read_by_key_and_by_id(salesforce: httpx.Client) -> None:
    ident = upsert(salesforce, STATUS).json()["id"]
    by_key = salesforce.get(f"{DATA}/sobjects/Tieout_Status__c/Key__c/{quote(KEY, safe='')}").json()
    by_id = salesforce.get(f"{DATA}/sobjects/Tieout_Status__c/{ident}").json()
    assert by_key == by_id
    assert (by_key["Sentence__c"], by_key["attributes"]["type"]) == (STATUS["Sentence__c"], "Tieout_Status__c")
    assert error(salesforce.get(f"{DATA}/sobjects/Tieout_Status__c/Key__c/none")) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"Key__c": KEY}, "INVALID_FIELD"),
        ({"Colour__c": "red"}, "INVALID_FIELD"),
        ({"Version__c": "3"}, "JSON_PARSER_ERROR"),
        ({"Updated_At__c": "yesterday"}, "JSON_PARSER_ERROR"),
        ({"Sentence__c": "x" * 1001}, "STRING_TOO_LONG"),
    ],
)
def test_a_wrong_field_is_refused(
    salesforce: httpx.Client, sandboxes: Sandboxes, change: dict[str, Any], code: str
) -> None:
    assert error(upsert(salesforce, {**STATUS, **change})) == (400, code)
    assert sandboxes.salesforce.statuses() == []


def test_the_external_id_is_unique(salesforce: httpx.Client) -> None:
    upsert(salesforce, STATUS)
    answer = salesforce.post(f"{DATA}/sobjects/Tieout_Status__c", json={**STATUS, "Key__c": KEY})
    assert error(answer) == (400, "DUPLICATE_VALUE")


def test_several_matches_answer_300(salesforce: httpx.Client, sandboxes: Sandboxes) -> None:
    for _ in range(2):
        sandboxes.salesforce.add("Tieout_Status__c", {**STATUS, "Key__c": KEY})
    answer = upsert(salesforce, STATUS)
    assert (answer.status_code, len(answer.json())) == (300, 2)


def test_the_daily_allowance_ends(salesforce: httpx.Client, sandboxes: Sandboxes) -> None:
    sandboxes.salesforce.allowance = 1
    assert upsert(salesforce, STATUS).status_code == 201
    assert error(upsert(salesforce, STATUS)) == (403, "REQUEST_LIMIT_EXCEEDED")


def test_soql_reads_rows_and_parents(salesforce: httpx.Client) -> None:
    query = (
        "SELECT Id, Name, Amount, Account.Name FROM Opportunity "
        "WHERE Selling_Entity__c = 'DE01' AND IsWon = false ORDER BY Name LIMIT 5"
    )
    answer = soql(salesforce, query).json()
    assert (answer["totalSize"], answer["done"]) == (1, True)
    row = answer["records"][0]
    assert (row["Amount"], row["Account"]["Name"]) == (3820.0, "Müller & Söhne GmbH")


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("SELECT Id FROM Nothing", "INVALID_TYPE"),
        ("SELECT Colour__c FROM Account", "INVALID_FIELD"),
        ("SELECT Id FROM", "MALFORMED_QUERY"),
        ("SELECT Id FROM Opportunity WHERE Amount > 'much'", "MALFORMED_QUERY"),
    ],
)
def test_soql_refuses_what_it_does_not_understand(salesforce: httpx.Client, query: str, code: str) -> None:
    assert error(soql(salesforce, query)) == (400, code)


def test_a_won_opportunity_calls_out_with_a_signature(sandboxes: Sandboxes, inbox: Inbox, clock: StillClock) -> None:
    org = sandboxes.salesforce
    account = org.add_account("Contoso", "ap@contoso.example", terms="NET60")
    lines = [Product("PRO", 100, "120.00"), Product("SEAT", 3, "25.50")]
    opportunity = org.add_opportunity(account["Id"], "Contoso Pro", "US01", "USD", lines, "2026-11-23")
    event_id = org.close_won(opportunity["Id"])
    sandboxes.tick()
    path, headers, body = inbox.received[0]
    assert path == "/hooks/salesforce/acme"
    stamp = headers["X-Tieout-Timestamp"]
    assert int(stamp) == int(clock.now().timestamp())
    wanted = hmac.new(org.callout_secrets[0].encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    assert headers["X-Tieout-Signature"] == f"v1={wanted}"
    event = inbox.events[0]
    told = event["opportunity"]
    assert (event["v"], event["event_id"], event["type"]) == (1, event_id, "opportunity.closed_won")
    assert isinstance(event["commit_number"], int)
    assert set(told) == {
        "Id", "Name", "StageName", "IsWon", "CloseDate", "CurrencyIsoCode", "Amount", "Selling_Entity__c",
        "SystemModstamp", "LastStageChangeDate", "Account", "Lines",
    }  # fmt: skip
    assert (told["StageName"], told["IsWon"], told["Amount"]) == ("Closed Won", True, "12076.50")
    assert told["Account"]["Payment_Terms__c"] == "NET60"
    assert told["Lines"][1] == {
        "Id": told["Lines"][1]["Id"], "ProductCode": "SEAT", "Quantity": 3, "UnitPrice": "25.50",
        "TotalPrice": "76.50",
    }  # fmt: skip


def test_winning_twice_rises_the_commit_number(sandboxes: Sandboxes, inbox: Inbox) -> None:
    org = sandboxes.salesforce
    ident = org.opportunities()[0]["Id"]
    first, second = org.close_won(ident), org.close_won(ident)
    sandboxes.tick()
    assert first != second
    assert inbox.events[1]["commit_number"] > inbox.events[0]["commit_number"]


def test_ids_have_eighteen_characters_that_tell_capitals() -> None:
    assert long_id("001D000000IqhSL") == "001D000000IqhSLIAZ"  # the well-known example of the vendor's help page


def test_the_book_shows_status_rows_and_opportunities(salesforce: httpx.Client, sandboxes: Sandboxes) -> None:
    upsert(salesforce, STATUS)
    entries = sandboxes.book("salesforce", "acme")
    assert [(e.external_ref, e.status, e.parent_ref) for e in entries if e.kind == "status"] == [
        (KEY, "accepted", "in_1")
    ]
    assert {(e.total_minor, e.currency, e.entity) for e in entries if e.kind == "opportunity"} == {
        (1_200_000, "USD", "US01"), (382_000, "EUR", "DE01"),
    }  # fmt: skip
