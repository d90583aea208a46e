"""Sandbox NetSuite: token, records by external id, totals it computes itself, refusals in its own words."""

from __future__ import annotations

import json
import os
import threading
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from infra.local.sandbox import Fault, Sandboxes
from infra.local.sandbox.netsuite_fields import APPLY_LINE, ITEM_LINE, RECORDS, kinds_of
from infra.local.sandbox.netsuite_fields_orders import JOURNAL_LINE
from tests.unit.sandbox.conftest import TOKEN, StillClock, assertion, b64, token_form

CONTRACTS = Path(os.environ.get("CONTRACTS_DIR", Path(__file__).parents[4] / "shared" / "contracts"))
API = CONTRACTS / "netsuite" / "openapi.derived.json"
V1 = "/services/rest/record/v1"
QUERY = "/services/rest/query/v1/suiteql"
CUSTOMER = {"companyName": "Northwind", "subsidiary": {"id": "1"}, "currency": {"id": "1"}, "isPerson": False}
LINE = {"item": {"externalId": "sku-pro"}, "quantity": 10, "amount": 199.99, "taxCode": {"id": "7"}}


def invoice(*lines: dict[str, Any], **fields: Any) -> dict[str, Any]:
    body = {
        "entity": {"externalId": "C-1"},
        "subsidiary": {"id": "1"},
        "currency": {"id": "1"},
        "tranDate": "2026-11-20",
        "item": {"items": list(lines or [LINE])},
    }
    return {**body, **fields}


def put(netsuite: httpx.Client, path: str, body: dict[str, Any]) -> httpx.Response:
    return netsuite.put(f"{V1}/{path}", json=body)


@pytest.fixture
def ready(netsuite: httpx.Client) -> httpx.Client:
    """A caller in an account that has the customer C-1."""
    assert put(netsuite, "customer/eid:C-1", CUSTOMER).status_code == 204
    return netsuite


def error(answer: httpx.Response) -> tuple[int, str, str]:
    one = answer.json()["o:errorDetails"][0]
    assert answer.json()["status"] == answer.status_code
    return answer.status_code, one["o:errorCode"], one.get("o:errorPath", "")


# --- the token --------------------------------------------------------------------------------------------------


def secret_of(sandboxes: Sandboxes) -> dict[str, Any]:
    return sandboxes.secrets("test")["tieout/test/netsuite/acme"]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"kid": "other"}, "invalid_client"),
        ({"iss": "other"}, "invalid_client"),
        ({"alg": "PS256"}, "invalid_client"),
        ({"aud": "https://elsewhere.example/token"}, "invalid_grant"),
        ({"exp": 1}, "invalid_grant"),
        ({"exp": 4_000_000_000}, "invalid_grant"),
        ({"iat": "now"}, "invalid_grant"),
        ({"scope": ["restlets"]}, "invalid_scope"),
    ],
)
def test_an_assertion_that_does_not_hold_gets_no_token(
    sandboxes: Sandboxes, clock: StillClock, changes: dict[str, Any], problem: str
) -> None:
    secret = secret_of(sandboxes)
    jwt = assertion(secret, clock.now(), **changes)
    answer = httpx.post(secret["base_url"] + TOKEN, data=token_form(jwt))
    assert (answer.status_code, answer.json()["error"]) == (400, problem)


def test_a_changed_claim_breaks_the_signature(sandboxes: Sandboxes, clock: StillClock) -> None:
    secret = secret_of(sandboxes)
    head, claims, signature = assertion(secret, clock.now()).split(".")
    other = assertion(secret, clock.now() + timedelta(seconds=1)).split(".")[1]
    assert other != claims
    answer = httpx.post(secret["base_url"] + TOKEN, data=token_form(f"{head}.{other}.{signature}"))
    assert answer.json()["error"] == "invalid_client"


def test_an_rsa_certificate_signs_with_ps256(sandboxes: Sandboxes, clock: StillClock) -> None:
    key = rsa.generate_private_key(65537, 2048)
    kid = sandboxes.netsuite.tokens.register(key.public_key())
    secret = secret_of(sandboxes)
    signed = assertion(secret, clock.now(), kid=kid, alg="PS256").rpartition(".")[0]
    digest = hashes.SHA256()
    signature = key.sign(signed.encode(), padding.PSS(padding.MGF1(digest), digest.digest_size), digest)
    answer = httpx.post(secret["base_url"] + TOKEN, data=token_form(f"{signed}.{b64(signature)}"))
    assert (answer.status_code, answer.json()["token_type"]) == (200, "Bearer")


def test_a_token_ends_after_an_hour(netsuite: httpx.Client, clock: StillClock) -> None:
    assert netsuite.get(f"{V1}/invoice").status_code == 200
    clock.advance(3600)
    answer = netsuite.get(f"{V1}/invoice")
    assert error(answer)[:2] == (401, "INVALID_LOGIN")


# --- records ----------------------------------------------------------------------------------------------------


def test_an_upsert_answers_204_with_the_address_and_nothing_else(ready: httpx.Client) -> None:
    answer = put(ready, "invoice/eid:TIE-1", invoice())
    assert (answer.status_code, answer.content) == (204, b"")
    shown = ready.get(answer.headers["Location"]).json()
    by_ref = ready.get(f"{V1}/invoice/eid:TIE-1").json()
    assert shown == by_ref
    assert answer.headers["Location"].endswith(f"{V1}/invoice/{shown['id']}")


def test_netsuite_computes_the_total_from_lines_and_tax(ready: httpx.Client) -> None:
    put(ready, "invoice/eid:TIE-1", invoice(LINE, {**LINE, "amount": 0.5, "taxCode": {"id": "5"}}))
    text = ready.get(f"{V1}/invoice/eid:TIE-1").text
    shown = json.loads(text, parse_float=Decimal)
    # 199.99 x 8.875 % = 17.749..., rounded on the line
    assert (shown["subtotal"], shown["taxTotal"], shown["total"]) == (
        Decimal("200.49"), Decimal("17.75"), Decimal("218.24"),
    )  # fmt: skip
    assert shown["currency"] == {"id": "1", "refName": "USD"}
    assert (shown["externalId"], shown["status"]) == ("TIE-1", {"id": "A", "refName": "Open"})
    assert "items" not in shown["item"]


def test_a_tax_amount_that_is_sent_wins_over_the_rate(ready: httpx.Client) -> None:
    put(ready, "invoice/eid:TIE-1", invoice({**LINE, "tax1Amt": 17.74}))
    shown = ready.get(f"{V1}/invoice/eid:TIE-1", params={"expandSubResources": "true"}).json()
    assert shown["total"] == 217.73
    assert shown["item"]["items"][0]["grossAmt"] == 217.73
    wrong = put(ready, "invoice/eid:TIE-2", invoice({**LINE, "tax1Amt": 17.74, "grossAmt": 217.74}))
    assert error(wrong) == (400, "USER_ERROR", "item.items[0].grossAmt")


def test_an_amount_can_come_from_quantity_and_rate(ready: httpx.Client) -> None:
    line = {"item": {"id": "102"}, "quantity": 3, "rate": 19.995, "taxCode": {"id": "5"}}
    put(ready, "invoice/eid:TIE-1", invoice(line))
    assert ready.get(f"{V1}/invoice/eid:TIE-1").json()["total"] == 59.99


def test_the_same_upsert_again_doubles_the_lines_unless_they_are_replaced(ready: httpx.Client) -> None:
    put(ready, "invoice/eid:TIE-1", invoice())
    put(ready, "invoice/eid:TIE-1?replace=item", invoice())
    assert ready.get(f"{V1}/invoice/eid:TIE-1").json()["subtotal"] == 199.99
    put(ready, "invoice/eid:TIE-1", invoice())
    assert ready.get(f"{V1}/invoice/eid:TIE-1").json()["subtotal"] == 399.98
    assert len(ready.get(f"{V1}/invoice").json()["items"]) == 1


def test_a_line_with_its_number_is_changed_in_place(ready: httpx.Client) -> None:
    put(ready, "invoice/eid:TIE-1", invoice())
    change = {"item": {"items": [{"line": 1, "amount": 100}]}}
    assert ready.patch(f"{V1}/invoice/eid:TIE-1", json=change).status_code == 204
    assert ready.get(f"{V1}/invoice/eid:TIE-1").json()["total"] == 108.88


def test_a_post_with_a_known_external_id_is_refused(ready: httpx.Client) -> None:
    body = invoice(externalId="TIE-1")
    assert ready.post(f"{V1}/invoice", json=body).status_code == 204
    again = ready.post(f"{V1}/invoice", json=body)
    assert error(again)[:2] == (400, "USER_ERROR")
    assert "already exists" in again.text


def test_a_record_that_is_not_there_is_404(ready: httpx.Client) -> None:
    assert error(ready.get(f"{V1}/invoice/eid:TIE-9"))[:2] == (404, "NONEXISTENT_ID")
    assert error(ready.get(f"{V1}/invoice/1"))[:2] == (404, "NONEXISTENT_ID")
    assert ready.patch(f"{V1}/invoice/eid:TIE-9", json={"memo": "x"}).status_code == 404


def test_an_unknown_field_is_an_error_or_silently_lost(ready: httpx.Client, sandboxes: Sandboxes) -> None:
    assert error(put(ready, "invoice/eid:TIE-1", invoice(memmo="x"))) == (400, "INVALID_CONTENT", "memmo")
    wrong_line = invoice({**LINE, "taxcode": {"id": "7"}})
    assert error(put(ready, "invoice/eid:TIE-1", wrong_line))[2] == "item.items[0].taxcode"
    del ready.headers["X-NetSuite-PropertyNameValidation"]
    assert put(ready, "invoice/eid:TIE-1", invoice(memmo="x")).status_code == 204
    assert "memmo" not in ready.get(f"{V1}/invoice/eid:TIE-1").json()
    assert sandboxes.netsuite.dropped_fields == ["memmo"]


def test_custom_fields_are_known(ready: httpx.Client) -> None:
    assert put(ready, "invoice/eid:TIE-1", invoice(custbody_tieout_key="k")).status_code == 204
    assert ready.get(f"{V1}/invoice/eid:TIE-1").json()["custbody_tieout_key"] == "k"


@pytest.mark.parametrize(
    ("change", "code", "path"),
    [
        ({"currency": {"id": "99"}}, "INVALID_CONTENT", "currency"),
        ({"currency": {"id": "4"}}, "INVALID_KEY_OR_REF", "currency"),
        ({"subsidiary": {"id": "2"}}, "INVALID_KEY_OR_REF", "subsidiary"),
        ({"entity": {"externalId": "C-9"}}, "INVALID_KEY_OR_REF", "entity"),
        ({"terms": {"externalId": "NET99"}}, "INVALID_KEY_OR_REF", "terms"),
        ({"tranDate": "20.11.2026"}, "INVALID_CONTENT", "tranDate"),
        ({"memo": 7}, "INVALID_CONTENT", "memo"),
        ({"currency": "USD"}, "INVALID_CONTENT", "currency"),
        ({"item": {"items": []}}, "USER_ERROR", "item"),
        ({"item": {"items": [{**LINE, "item": {"externalId": "sku-0"}}]}}, "INVALID_KEY_OR_REF", "item.items[0].item"),
        ({"item": {"items": [{**LINE, "taxCode": {"id": "99"}}]}}, "INVALID_CONTENT", "item.items[0].taxCode"),
        ({"item": {"items": [{**LINE, "amount": "199.99"}]}}, "INVALID_CONTENT", "item.items[0].amount"),
        ({"externalId": "TIE-2"}, "INVALID_CONTENT", "externalId"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_and_named(
    ready: httpx.Client, sandboxes: Sandboxes, change: dict[str, Any], code: str, path: str
) -> None:
    assert error(put(ready, "invoice/eid:TIE-1", invoice(**change))) == (400, code, path)
    assert sandboxes.netsuite.find("invoice", "TIE-1") is None


def test_an_external_id_has_no_odd_characters(ready: httpx.Client) -> None:
    assert error(put(ready, "invoice/eid:a%7Cb", invoice()))[1] == "INVALID_CONTENT"


def test_a_refused_change_changes_nothing(ready: httpx.Client) -> None:
    put(ready, "invoice/eid:TIE-1", invoice())
    before = ready.get(f"{V1}/invoice/eid:TIE-1").json()
    put(ready, "invoice/eid:TIE-1", invoice({**LINE, "taxCode": {"id": "99"}}, memo="x"))
    assert ready.get(f"{V1}/invoice/eid:TIE-1").json() == before


def test_a_closed_period_takes_nothing_new_and_no_change(ready: httpx.Client, sandboxes: Sandboxes) -> None:
    put(ready, "invoice/eid:TIE-1", invoice(tranDate="2026-10-31"))
    sandboxes.netsuite.close_period("2026-10")
    for answer in (
        put(ready, "invoice/eid:TIE-2", invoice(tranDate="2026-10-31")),
        ready.patch(f"{V1}/invoice/eid:TIE-1", json={"memo": "late"}),
        ready.patch(f"{V1}/invoice/eid:TIE-1", json={"status": "V"}),
        ready.delete(f"{V1}/invoice/eid:TIE-1"),
    ):
        assert error(answer) == (400, "USER_ERROR", "tranDate")
        assert "closed period" in answer.text
    assert put(ready, "invoice/eid:TIE-2", invoice(tranDate="2026-11-01")).status_code == 204


def test_a_customer_needs_a_name_and_a_subsidiary(netsuite: httpx.Client) -> None:
    assert error(put(netsuite, "customer/eid:C-1", {**CUSTOMER, "companyName": ""}))[2] == "companyName"
    bare = {"companyName": "X"}
    assert error(put(netsuite, "customer/eid:C-1", bare)) == (400, "USER_ERROR", "subsidiary")
    person = {"firstName": "John", "lastName": "Smith", "subsidiary": {"externalId": "US01"}}
    assert put(netsuite, "customer/eid:CID002", person).status_code == 204


def test_two_customers_cannot_share_an_entity_id(ready: httpx.Client) -> None:
    assert put(ready, "customer/eid:C-2", {**CUSTOMER, "entityId": "N1"}).status_code == 204
    again = put(ready, "customer/eid:C-3", {**CUSTOMER, "entityId": "N1"})
    assert "entity already exists" in again.text


def test_a_record_in_use_cannot_be_deleted(ready: httpx.Client) -> None:
    put(ready, "invoice/eid:TIE-1", invoice())
    assert ready.delete(f"{V1}/customer/eid:C-1").status_code == 400
    assert ready.delete(f"{V1}/invoice/eid:TIE-1").status_code == 204
    assert ready.delete(f"{V1}/customer/eid:C-1").status_code == 204


# --- payments, credit memos, void -------------------------------------------------------------------------------


def payment(amount: float, **fields: Any) -> dict[str, Any]:
    lines = [{"doc": {"externalId": "TIE-1"}, "apply": True, "amount": amount}]
    return {"customer": {"externalId": "C-1"}, "currency": {"id": "1"}, "payment": amount,
            "tranDate": "2026-11-21", "apply": {"items": lines}, **fields}  # fmt: skip


def test_a_payment_lowers_what_remains_once(ready: httpx.Client, sandboxes: Sandboxes) -> None:
    put(ready, "invoice/eid:TIE-1", invoice())
    for _ in range(2):  # the same upsert again is the same payment
        assert put(ready, "customerPayment/eid:TIE-P1?replace=apply", payment(117.74)).status_code == 204
    assert ready.get(f"{V1}/invoice/eid:TIE-1").json()["amountRemaining"] == 100
    over = put(ready, "customerPayment/eid:TIE-P2", payment(100.01))
    assert error(over) == (400, "USER_ERROR", "apply.items[0].amount")
    assert put(ready, "customerPayment/eid:TIE-P2", payment(100)).status_code == 204
    assert ready.get(f"{V1}/invoice/eid:TIE-1").json()["status"] == {"id": "B", "refName": "Paid In Full"}
    shown = ready.get(f"{V1}/customerPayment/eid:TIE-P2").json()
    assert (shown["total"], shown["applied"], shown["unapplied"]) == (100, 100, 0)
    entry = next(e for e in sandboxes.book("netsuite", "acme") if e.external_ref == "TIE-P2")
    assert (entry.kind, entry.total_minor, entry.parent_ref) == ("payment", 10000, "TIE-1")


def test_a_payment_applies_only_to_the_same_customers_invoice(ready: httpx.Client) -> None:
    put(ready, "customer/eid:C-2", {**CUSTOMER, "companyName": "Other"})
    put(ready, "invoice/eid:TIE-1", invoice(entity={"externalId": "C-2"}))
    assert error(put(ready, "customerPayment/eid:P", payment(1)))[2] == "apply.items[0]"


def test_a_credit_memo_over_all_closes_the_invoice(ready: httpx.Client, sandboxes: Sandboxes) -> None:
    put(ready, "invoice/eid:TIE-1", invoice())
    body = invoice(apply={"items": [{"doc": {"externalId": "TIE-1"}, "apply": True, "amount": 217.74}]})
    assert put(ready, "creditMemo/eid:TIE-C1?replace=item,apply", body).status_code == 204
    shown = ready.get(f"{V1}/creditMemo/eid:TIE-C1").json()
    assert (shown["total"], shown["unapplied"], shown["status"]["refName"]) == (217.74, 0, "Fully Applied")
    assert ready.get(f"{V1}/invoice/eid:TIE-1").json()["amountRemaining"] == 0
    entry = next(e for e in sandboxes.book("netsuite", "acme") if e.kind == "credit_note")
    assert (entry.total_minor, entry.status, entry.parent_ref) == (21774, "applied", "TIE-1")


def test_an_invoice_becomes_a_payment_or_a_credit_memo_by_transform(ready: httpx.Client) -> None:
    put(ready, "invoice/eid:TIE-1", invoice())
    url = f"{V1}/invoice/eid:TIE-1/!transform"
    line = {**LINE, "amount": 100}
    part = {"externalId": "TIE-C1", "item": {"items": [line]}}
    assert ready.post(f"{url}/creditMemo", json=part).status_code == 204
    assert ready.get(f"{V1}/invoice/eid:TIE-1").json()["amountRemaining"] == 108.86
    answer = ready.post(f"{url}/customerPayment", json={"externalId": "TIE-P1"})
    assert ready.get(answer.headers["Location"]).json()["payment"] == 108.86
    assert ready.get(f"{V1}/invoice/eid:TIE-1").json()["amountRemaining"] == 0
    assert ready.post(f"{url}/customerPayment", json={"externalId": "TIE-P1"}).status_code == 400


def test_a_voided_invoice_shows_nothing_and_its_book_entry_says_so(ready: httpx.Client, sandboxes: Sandboxes) -> None:
    put(ready, "invoice/eid:TIE-1", invoice())
    assert ready.patch(f"{V1}/invoice/eid:TIE-1", json={"status": {"id": "V"}}).status_code == 204
    shown = ready.get(f"{V1}/invoice/eid:TIE-1").json()
    assert (shown["total"], shown["amountRemaining"], shown["status"]["id"]) == (0, 0, "V")
    entry = next(e for e in sandboxes.book("netsuite", "acme") if e.kind == "invoice")
    assert (entry.total_minor, entry.status) == (21774, "voided")


# --- SuiteQL ----------------------------------------------------------------------------------------------------


def ask(netsuite: httpx.Client, query: str, **headers: str) -> httpx.Response:
    return netsuite.post(QUERY, json={"q": query}, headers={"Prefer": "transient", **headers})


def test_suiteql_answers_in_text_and_leaves_nulls_out(ready: httpx.Client) -> None:
    put(ready, "invoice/eid:TIE-1", invoice())
    query = (
        "SELECT t.id, externalid, foreigntotal, trandate, memo AS note FROM transaction t "
        "WHERE type = 'CustInvc' AND externalid IN ('TIE-1', 'TIE-2') AND trandate >= TO_DATE('2026-11-01', 'x')"
    )
    page = ask(ready, query).json()
    assert (page["count"], page["hasMore"], page["totalResults"]) == (1, False, 1)
    row = page["items"][0]
    assert row == {
        "links": [], "id": row["id"], "externalid": "TIE-1", "foreigntotal": "217.74", "trandate": "11/20/2026",
    }  # fmt: skip


def test_suiteql_finds_a_customer_with_a_quote_in_its_name(ready: httpx.Client) -> None:
    put(ready, "customer/eid:C-2", {**CUSTOMER, "companyName": "O'Neil"})
    query = "SELECT id, externalid FROM customer WHERE companyname = 'O''Neil' AND isinactive = 'F'"
    assert [row["externalid"] for row in ask(ready, query).json()["items"]] == ["C-2"]


def test_suiteql_pages(ready: httpx.Client) -> None:
    for number in range(2, 6):
        put(ready, f"customer/eid:C-{number}", {**CUSTOMER, "companyName": f"N{number}"})
    query = {"q": "SELECT externalid FROM customer ORDER BY externalid DESC"}
    headers = {"Prefer": "transient"}
    page = ready.post(QUERY, json=query, headers=headers, params={"limit": 2, "offset": 2}).json()
    assert ([row["externalid"] for row in page["items"]], page["hasMore"]) == (["C-3", "C-2"], True)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT id FROM nowhere",
        "SELECT id, nothing FROM customer",
        "SELECT id FROM customer WHERE nothing = 'x'",
        "SELECT id FROM customer WHERE id = '1' OR id = '2'",
        "DELETE FROM customer",
        "SELECT id FROM customer WHERE id",
    ],
)
def test_suiteql_refuses_what_it_does_not_understand(ready: httpx.Client, query: str) -> None:
    assert error(ask(ready, query))[:2] == (400, "INVALID_PARAMETER")


def test_suiteql_wants_prefer_transient(ready: httpx.Client) -> None:
    assert ask(ready, "SELECT id FROM customer", Prefer="").status_code == 400


# --- the account as a whole -------------------------------------------------------------------------------------


def test_too_many_calls_at_once_are_blocked_for_the_whole_account(ready: httpx.Client, sandboxes: Sandboxes) -> None:
    sandboxes.netsuite.limit = 2
    sandboxes.faults.add(Fault("slow", "GET /netsuite", times=2, args={"seconds": 5}))
    slow = [threading.Thread(target=ready.get, args=(f"{V1}/invoice",)) for _ in range(2)]
    for thread in slow:
        thread.start()
    while sandboxes.netsuite._at_once < 2:
        slow[0].join(0.01)
    answer = ready.get(f"{V1}/customer")
    sandboxes._stopping.set()
    for thread in slow:
        thread.join()
    assert (answer.status_code, answer.json()["o:errorDetails"][0]["o:errorCode"]) == (
        429, "CONCURRENCY_LIMIT_EXCEEDED",
    )  # fmt: skip
    assert ready.get(f"{V1}/customer").status_code == 200


def test_the_same_upsert_twenty_times_at_once_makes_one_record(ready: httpx.Client, sandboxes: Sandboxes) -> None:
    sandboxes.netsuite.limit = 100
    threads = [
        threading.Thread(target=put, args=(ready, "invoice/eid:TIE-1?replace=item", invoice())) for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [(e.external_ref, e.total_minor) for e in sandboxes.book("netsuite", "acme") if e.kind == "invoice"] == [
        ("TIE-1", 21774)
    ]


def test_the_accepted_fields_are_those_of_the_contract() -> None:
    if not API.exists():
        pytest.skip(f"no contract files at {CONTRACTS}; set CONTRACTS_DIR")
    schemas = json.loads(API.read_text())["components"]["schemas"]
    tables = {**RECORDS, "itemElement": ITEM_LINE, "applyElement": APPLY_LINE, "journalLineElement": JOURNAL_LINE}
    for name, table in tables.items():
        assert set(kinds_of(table)) == set(schemas[name]["properties"]), name


def test_a_credit_on_an_invoice_that_is_paid_cannot_be_applied_to_it(ready: httpx.Client) -> None:
    put(ready, "invoice/eid:TIE-1", invoice())
    put(ready, "customerPayment/eid:TIE-P1", payment(217.74))
    lines = {"items": [{"doc": {"externalId": "TIE-1"}, "apply": True, "amount": 217.74}]}
    assert error(put(ready, "creditMemo/eid:TIE-C1", invoice(apply=lines)))[2] == "apply.items[0].amount"
    assert put(ready, "creditMemo/eid:TIE-C1", invoice()).status_code == 204
    assert ready.get(f"{V1}/creditMemo/eid:TIE-C1").json()["unapplied"] == 217.74


def test_a_null_on_a_line_is_as_if_it_were_not_sent(ready: httpx.Client) -> None:
    put(ready, "invoice/eid:TIE-1", invoice({**LINE, "quantity": None, "description": None}))
    shown = ready.get(f"{V1}/invoice/eid:TIE-1", params={"expandSubResources": "true"}).json()
    line = shown["item"]["items"][0]
    assert (line["quantity"], "description" in line) == (1, False)


def test_an_administrator_is_told_what_the_account_allows_at_once_and_nobody_else(
    sandboxes: Sandboxes, netsuite: httpx.Client
) -> None:
    account = sandboxes.netsuite
    path = "/services/rest/system/v1/governanceLimits"
    assert netsuite.get(path).json() == {
        "accountConcurrencyLimit": 5, "accountUnallocatedConcurrencyLimit": 5, "integrationLimitType": "accountLimit",
    }  # fmt: skip
    account.share = 2
    assert netsuite.get(path).json() == {
        "accountConcurrencyLimit": 5, "accountUnallocatedConcurrencyLimit": 3, "integrationConcurrencyLimit": 2,
        "integrationLimitType": "integrationSpecific",
    }  # fmt: skip
    account.administrator = False
    assert netsuite.get(path).status_code == 403
