"""Sandbox Stripe: what an integration sees of it on the wire, and what it bills by itself."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import threading
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest

from infra.local.sandbox import Fault, Line, Sandboxes, When
from infra.local.sandbox.webhooks import hmac_hex
from tests.unit.sandbox.conftest import Inbox, StillClock

CONTRACTS = Path(os.environ.get("CONTRACTS_DIR", Path(__file__).parents[4] / "shared" / "contracts"))
SCHEMA = CONTRACTS / "stripe" / "resources.schema.json"


def make_customer(stripe: httpx.Client, **form: str) -> dict[str, Any]:
    answer = stripe.post("/v1/customers", data={"email": "ap@northwind.example", "name": "Northwind", **form})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def bill(sandboxes: Sandboxes, *lines: Line, when: When | None = None) -> dict[str, Any]:
    us = sandboxes.stripe["acct_us"]
    buyer = next(iter(us.tables["customers"]), None) or us.add_customer("Northwind", "ap@northwind.example")["id"]
    wanted = lines or (Line(10000, tax_rate="txr_us_ny_8875"),)
    return us.finalize_invoice(buyer, wanted, when=when or When())


def test_a_caller_without_a_key_is_refused(stripe: httpx.Client) -> None:
    answer = httpx.get(f"{stripe.base_url}v1/customers")
    assert answer.status_code == 401
    assert answer.json()["error"]["type"] == "invalid_request_error"
    wrong = httpx.get(f"{stripe.base_url}v1/customers", headers={"Authorization": "Bearer sk_test_other"})
    assert wrong.status_code == 401


def test_the_key_is_also_taken_as_basic_authentication(sandboxes: Sandboxes) -> None:
    us = sandboxes.stripe["acct_us"]
    assert httpx.get(f"{us.base_url}/v1/customers", auth=(us.api_key, "")).status_code == 200


def test_a_bracketed_form_becomes_a_customer_and_an_event(
    sandboxes: Sandboxes, stripe: httpx.Client, inbox: Inbox
) -> None:
    form = {"address[line1]": "75 Varick Street", "address[country]": "US", "metadata[tieout_ref]": "TIE-1"}
    customer = make_customer(stripe, **form)
    assert customer["id"].startswith("cus_")
    assert customer["address"] == {
        "line1": "75 Varick Street", "line2": None, "city": None, "state": None, "postal_code": None, "country": "US",
    }  # fmt: skip
    assert customer["metadata"] == {"tieout_ref": "TIE-1"}
    assert inbox.events == []  # nothing travels before time is given to it
    sandboxes.tick()
    assert [event["type"] for event in inbox.events] == ["customer.created"]
    assert inbox.events[0]["data"]["object"] == customer


def test_an_unknown_parameter_is_refused_by_name(stripe: httpx.Client) -> None:
    answer = stripe.post("/v1/customers", data={"e_mail": "x@y.example"})
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "parameter_unknown"
    assert answer.json()["error"]["param"] == "e_mail"


def test_a_customer_is_read_changed_and_deleted(stripe: httpx.Client) -> None:
    ident = make_customer(stripe)["id"]
    changed = stripe.post(f"/v1/customers/{ident}", data={"name": "Northwind 2", "metadata[a]": "1"}).json()
    assert (changed["name"], changed["metadata"]) == ("Northwind 2", {"a": "1"})
    assert stripe.delete(f"/v1/customers/{ident}").json()["deleted"] is True
    assert stripe.get(f"/v1/customers/{ident}").json() == {"id": ident, "object": "customer", "deleted": True}
    assert stripe.get("/v1/customers").json()["data"] == []


def test_what_does_not_exist_is_resource_missing(stripe: httpx.Client) -> None:
    answer = stripe.get("/v1/customers/cus_none")
    assert answer.status_code == 404
    assert answer.json()["error"] | {"doc_url": ""} == {
        "type": "invalid_request_error", "code": "resource_missing", "param": "id", "doc_url": "",
        "message": "No such customer: 'cus_none'",
    }  # fmt: skip


def test_lists_are_newest_first_and_page_by_cursor(stripe: httpx.Client) -> None:
    made = [make_customer(stripe, name=f"n{n}")["id"] for n in range(5)]
    first = stripe.get("/v1/customers", params={"limit": 2}).json()
    assert ([row["id"] for row in first["data"]], first["has_more"]) == ([made[4], made[3]], True)
    rest = stripe.get("/v1/customers", params={"limit": 3, "starting_after": made[3]}).json()
    assert ([row["id"] for row in rest["data"]], rest["has_more"]) == ([made[2], made[1], made[0]], False)


def test_a_list_finds_by_email_and_by_time(stripe: httpx.Client, clock: StillClock) -> None:
    make_customer(stripe, email="a@one.example")
    clock.advance(100)
    late = make_customer(stripe, email="b@two.example")
    found = stripe.get("/v1/customers", params={"email": "B@two.example"}).json()["data"]
    assert [row["id"] for row in found] == [late["id"]]
    since = {"created[gte]": str(late["created"])}
    assert [row["id"] for row in stripe.get("/v1/customers", params=since).json()["data"]] == [late["id"]]


def test_search_does_not_see_what_was_just_written(stripe: httpx.Client, clock: StillClock) -> None:
    ident = make_customer(stripe, **{"metadata[tieout_ref]": "TIE-7"})["id"]
    query = {"query": "metadata['tieout_ref']:'TIE-7' AND email:'ap@northwind.example'"}
    assert stripe.get("/v1/customers/search", params=query).json()["data"] == []
    clock.advance(61)
    assert [row["id"] for row in stripe.get("/v1/customers/search", params=query).json()["data"]] == [ident]


def test_the_same_key_again_gets_the_same_answer_and_makes_nothing(sandboxes: Sandboxes, stripe: httpx.Client) -> None:
    headers, form = {"Idempotency-Key": "k1"}, {"email": "a@b.example"}
    first = stripe.post("/v1/customers", data=form, headers=headers)
    again = stripe.post("/v1/customers", data=form, headers=headers)
    assert again.content == first.content
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert len(sandboxes.stripe["acct_us"].tables["customers"]) == 1
    event = sandboxes.stripe["acct_us"].events("customer.created")[0]
    assert event["request"]["idempotency_key"] == "k1"


def test_the_same_key_with_other_parameters_is_an_error(stripe: httpx.Client) -> None:
    headers = {"Idempotency-Key": "k1"}
    stripe.post("/v1/customers", data={"email": "a@b.example"}, headers=headers)
    other = stripe.post("/v1/customers", data={"email": "c@d.example"}, headers=headers)
    assert other.status_code == 400
    assert other.json()["error"]["type"] == "idempotency_error"


def test_a_refused_request_does_not_use_up_its_key(stripe: httpx.Client) -> None:
    headers = {"Idempotency-Key": "k1"}
    assert stripe.post("/v1/customers", data={"bad": "1"}, headers=headers).status_code == 400
    assert stripe.post("/v1/customers", data={"name": "fine"}, headers=headers).status_code == 200


def test_a_key_is_forgotten_after_a_day(stripe: httpx.Client, clock: StillClock) -> None:
    headers, form = {"Idempotency-Key": "k1"}, {"email": "a@b.example"}
    first = stripe.post("/v1/customers", data=form, headers=headers).json()["id"]
    clock.advance(25 * 3600)
    assert stripe.post("/v1/customers", data=form, headers=headers).json()["id"] != first


def test_a_key_in_use_by_a_running_call_is_a_conflict(sandboxes: Sandboxes, stripe: httpx.Client) -> None:
    sandboxes.faults.add(Fault("slow", "POST /stripe/acct_us/v1/customers", args={"seconds": 5}))
    headers, form = {"Idempotency-Key": "k1"}, {"email": "a@b.example"}
    slow: list[int] = []
    thread = threading.Thread(
        target=lambda: slow.append(stripe.post("/v1/customers", data=form, headers=headers).status_code)
    )
    thread.start()
    us = sandboxes.stripe["acct_us"]
    while not us._running:
        thread.join(0.01)
    answer = stripe.post("/v1/customers", data=form, headers=headers)
    sandboxes._stopping.set()  # let the slow call go
    thread.join()
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "idempotency_key_in_use")
    assert slow == [200]
    assert len(us.tables["customers"]) == 1


def test_a_subscription_has_its_period_on_the_item_and_can_be_canceled(stripe: httpx.Client) -> None:
    form = {
        "customer": make_customer(stripe)["id"],
        "items[0][price]": "price_pro_usd",
        "items[0][quantity]": "3",
        "collection_method": "send_invoice",
        "days_until_due": "30",
        "metadata[tieout_ref]": "TIE-9",
    }
    made = stripe.post("/v1/subscriptions", data=form).json()
    assert made["status"] == "active"
    assert "current_period_end" not in made
    item = made["items"]["data"][0]
    assert (item["quantity"], item["price"]["id"]) == (3, "price_pro_usd")
    assert item["current_period_end"] > item["current_period_start"]
    assert stripe.delete(f"/v1/subscriptions/{made['id']}").json()["status"] == "canceled"
    assert stripe.delete(f"/v1/subscriptions/{made['id']}").status_code == 404


@pytest.mark.parametrize(
    ("form", "code", "param"),
    [
        ({"items[0][price]": "price_pro_usd"}, "parameter_missing", "customer"),
        ({"customer": "cus_none", "items[0][price]": "price_pro_usd"}, "resource_missing", "id"),
        ({"items[0][price]": "price_none"}, "resource_missing", "items[0][price]"),
        ({"items[0][price]": "price_pro_usd", "items[0][quantity]": "x"}, "parameter_invalid_integer", None),
        ({"items[0][price]": "price_pro_usd", "collection_method": "send_invoice"}, "parameter_missing", None),
    ],
)
def test_a_wrong_subscription_is_refused(
    stripe: httpx.Client, form: dict[str, str], code: str, param: str | None
) -> None:
    if param != "customer" and "customer" not in form:
        form = {**form, "customer": make_customer(stripe)["id"]}
    error = stripe.post("/v1/subscriptions", data=form).json()["error"]
    assert error["code"] == code
    assert param is None or error["param"] == param


def test_prices_are_found_by_lookup_key(stripe: httpx.Client) -> None:
    found = stripe.get("/v1/prices", params={"lookup_keys[]": "SEAT"}).json()["data"]
    assert [(row["id"], row["unit_amount"], row["currency"]) for row in found] == [("price_seat_usd", 2500, "usd")]


def test_an_invoice_adds_up_in_integers(sandboxes: Sandboxes) -> None:
    invoice = bill(
        sandboxes,
        Line(3333, 3, tax_rate="txr_us_ny_8875"),
        Line(2500, 2, "prod_seat", "Seats", tax_rate="txr_us_ny_8875"),
        Line(50000, 1, "prod_setup", "Set-up", tax_rate="txr_us_exempt"),
    )
    # 9999 x 8.875 % = 887.41, 5000 x 8.875 % = 443.75: each line is rounded by itself, half away from zero
    assert [line["taxes"][0]["amount"] for line in invoice["lines"]["data"]] == [887, 444, 0]
    assert invoice["subtotal"] == 9999 + 5000 + 50000
    assert [(t["tax_rate_details"]["tax_rate"], t["amount"], t["taxable_amount"]) for t in invoice["total_taxes"]] == [
        ("txr_us_ny_8875", 1331, 14999), ("txr_us_exempt", 0, 50000),
    ]  # fmt: skip
    assert invoice["total"] == invoice["amount_due"] == 64999 + 1331


def test_the_life_of_an_invoice_is_told_in_events(sandboxes: Sandboxes, inbox: Inbox) -> None:
    us = sandboxes.stripe["acct_us"]
    first, second = bill(sandboxes), bill(sandboxes)
    us.pay(first["id"])
    us.credit(first["id"], net=1000)
    us.void(second["id"])
    sandboxes.tick()
    assert [event["type"] for event in inbox.events] == [
        "customer.created", "invoice.finalized", "invoice.finalized", "invoice.paid", "credit_note.created",
        "invoice.voided",
    ]  # fmt: skip
    # events are snapshots: what was sent first still shows an open invoice
    assert inbox.events[1]["data"]["object"]["status"] == "open"
    assert inbox.events[3]["data"]["object"]["status"] == "paid"
    note = inbox.events[4]["data"]["object"]
    assert (note["subtotal"], note["total"], note["type"]) == (1000, 1089, "post_payment")
    with pytest.raises(ValueError, match="is void, not open"):
        us.pay(second["id"])


def test_a_credit_before_payment_lowers_what_is_due(sandboxes: Sandboxes) -> None:
    us = sandboxes.stripe["acct_us"]
    invoice = bill(sandboxes)
    note = us.credit(invoice["id"])
    left = us.tables["invoices"][invoice["id"]]
    assert (note["total"], note["type"]) == (10888, "pre_payment")
    assert (left["amount_due"], left["amount_remaining"], left["status"], left["total"]) == (0, 0, "paid", 10888)


def test_a_webhook_is_signed_over_its_bytes_with_every_active_secret(sandboxes: Sandboxes, inbox: Inbox) -> None:
    us = sandboxes.stripe["acct_us"]
    us.webhook_secrets.append("whsec_next")
    bill(sandboxes)
    sandboxes.tick()
    path, headers, body = inbox.received[-1]
    assert path == "/hooks/stripe/acct_us"
    parts = [part.split("=", 1) for part in headers["Stripe-Signature"].split(",")]
    stamp = dict(parts)["t"]
    wanted = [
        hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
        for secret in us.webhook_secrets
    ]
    assert [value for name, value in parts if name == "v1"] == wanted


def test_the_signature_is_the_vendors_own() -> None:
    vector = CONTRACTS / "stripe" / "samples" / "signature_vector.json"
    if not vector.exists():
        pytest.skip(f"no contract files at {CONTRACTS}; set CONTRACTS_DIR")
    known = json.loads(vector.read_text())
    message = f"{known['timestamp']}.{known['payload']}".encode()
    assert hmac_hex(known["secret"], message) in json.dumps(known)


def test_an_event_is_sent_again_until_it_is_accepted(sandboxes: Sandboxes, inbox: Inbox, clock: StillClock) -> None:
    inbox.answers = [500, 503, 202]
    bill(sandboxes, when=When(hold=True))
    sandboxes.stripe["acct_us"].send(sandboxes.stripe["acct_us"].events("invoice.finalized")[0]["id"])
    bodies = []
    while (due := sandboxes.next_due()) is not None:
        clock.at = max(clock.at, due)
        sandboxes.tick(clock.now())
        bodies.append(inbox.received[-1][2])
    invoices = [body for body in bodies if b"invoice.finalized" in body]
    assert len(set(invoices)) == 1
    attempts = [a.status for a in sandboxes.stripe["acct_us"].courier.attempts]
    assert sorted(attempts) == [202, 202, 500, 503]


def test_events_arrive_twice_late_or_out_of_order_when_told(
    sandboxes: Sandboxes, inbox: Inbox, clock: StillClock
) -> None:
    us = sandboxes.stripe["acct_us"]
    invoice = bill(sandboxes, when=When(delay=120))
    us.pay(invoice["id"], When(times=2))
    sandboxes.tick()
    assert [event["type"] for event in inbox.events] == ["customer.created", "invoice.paid", "invoice.paid"]
    assert inbox.received[1][2] == inbox.received[2][2]
    clock.advance(120)
    sandboxes.tick()
    assert inbox.events[-1]["type"] == "invoice.finalized"


def test_an_event_nobody_listens_to_is_kept_but_not_sent(
    sandboxes: Sandboxes, stripe: httpx.Client, inbox: Inbox
) -> None:
    form = {"customer": make_customer(stripe)["id"], "items[0][price]": "price_pro_usd"}
    stripe.post("/v1/subscriptions", data=form)
    sandboxes.tick()
    assert [event["type"] for event in inbox.events] == ["customer.created"]
    kept = stripe.get("/v1/events", params={"type": "customer.subscription.created"}).json()["data"]
    assert len(kept) == 1


def test_accounts_do_not_see_each_other(sandboxes: Sandboxes, stripe: httpx.Client) -> None:
    make_customer(stripe)
    de = sandboxes.stripe["acct_de"]
    assert de.tables["customers"] == {}
    assert stripe.get("/v1/customers", headers={"Authorization": f"Bearer {de.api_key}"}).status_code == 401


def test_the_book_holds_exact_integers(sandboxes: Sandboxes) -> None:
    us = sandboxes.stripe["acct_us"]
    invoice = bill(sandboxes)
    us.pay(invoice["id"])
    us.credit(invoice["id"], net=1000)
    entries = [e for e in sandboxes.book("stripe", "acct_us") if e.kind != "customer"]
    assert [(e.kind, e.total_minor, e.currency, e.entity, e.status) for e in entries] == [
        ("invoice", 10888, "USD", "US01", "paid"), ("payment", 10888, "USD", "US01", "paid"),
        ("credit_note", 1089, "USD", "US01", "issued"),
    ]  # fmt: skip
    assert {e.parent_ref for e in entries[1:]} == {invoice["id"]}


def test_every_object_is_whole_by_the_vendors_schema(sandboxes: Sandboxes, stripe: httpx.Client) -> None:
    if not SCHEMA.exists():
        pytest.skip(f"no contract files at {CONTRACTS}; set CONTRACTS_DIR")
    us = sandboxes.stripe["acct_us"]
    buyer = make_customer(stripe, **{"address[country]": "US"})["id"]
    form = {"customer": buyer, "items[0][price]": "price_pro_usd"}
    subscription = stripe.post("/v1/subscriptions", data=form).json()
    lines = [Line(10000, 2, tax_rate="txr_us_ny_8875"), Line(2500, 1, "prod_seat", "Seats")]
    open_one = us.finalize_invoice(buyer, lines, subscription=subscription["id"], metadata={"po": "7"})
    us.credit(open_one["id"], net=500)
    us.pay(open_one["id"])
    us.void(bill(sandboxes)["id"])
    us.balance.close(us.balance.dispute(open_one["id"])["id"], won=True)
    us.balance.bounce(us.balance.refund(open_one["id"], 100)["id"])
    us.balance.fail(us.balance.pay_out()["id"])
    definitions = json.loads(SCHEMA.read_text())["$defs"]
    names = {"customers": "Customer", "subscriptions": "Subscription", "subscription_items": "SubscriptionItem",
             "invoices": "Invoice", "credit_notes": "CreditNote", "prices": "Price", "products": "Product",
             "tax_rates": "TaxRate", "balance_transactions": "BalanceTransaction", "payouts": "Payout",
             "disputes": "Dispute", "refunds": "Refund"}  # fmt: skip
    for table, name in names.items():
        validator = jsonschema.Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": definitions})
        rows = stripe.get(f"/v1/{table}").json()["data"]
        assert rows, table
        for row in rows:
            problems = [f"{name}.{'.'.join(map(str, e.path))}: {e.message[:200]}" for e in validator.iter_errors(row)]
            assert problems == []


def test_an_event_sent_again_later_shows_what_it_showed_first(sandboxes: Sandboxes, inbox: Inbox) -> None:
    us = sandboxes.stripe["acct_us"]
    invoice = bill(sandboxes)
    sandboxes.tick()
    us.pay(invoice["id"], When(hold=True))
    us.send(us.events("invoice.finalized")[0]["id"])
    sandboxes.tick()
    assert inbox.received[-1][2] == inbox.received[-2][2]


def test_what_an_automatic_payout_is_made_up_of_is_listed(sandboxes: Sandboxes, stripe: httpx.Client) -> None:
    us = sandboxes.stripe["acct_us"]
    for _ in range(3):
        us.pay(bill(sandboxes)["id"])
    paid = us.balance.pay_out()
    asked = {"payout": paid["id"], "limit": "2"}
    first = stripe.get("/v1/balance_transactions", params=asked).json()
    rest = stripe.get("/v1/balance_transactions", params=asked | {"starting_after": first["data"][-1]["id"]}).json()
    rows = first["data"] + rest["data"]
    assert [row["type"] for row in rows] == ["payout", "charge", "charge", "charge"]
    assert sum(row["net"] for row in rows) == 0
    us.pay(bill(sandboxes)["id"])
    manual = us.balance.pay_out(automatic=False)
    refused = stripe.get("/v1/balance_transactions", params={"payout": manual["id"]})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "payout")
    with pytest.raises(ValueError, match="nothing to pay out"):
        us.balance.pay_out()


def test_a_payout_s_transactions_may_come_together_late(
    sandboxes: Sandboxes, stripe: httpx.Client, clock: StillClock
) -> None:
    us = sandboxes.stripe["acct_us"]
    us.pay(bill(sandboxes)["id"])
    us.balance.reconciles_after = 600
    path = f"/v1/payouts/{us.balance.pay_out()['id']}"
    assert stripe.get(path).json()["reconciliation_status"] == "in_progress"
    clock.advance(600)
    assert stripe.get(path).json()["reconciliation_status"] == "completed"


def test_an_invoice_is_found_by_the_payment_intent_that_paid_it(sandboxes: Sandboxes, stripe: httpx.Client) -> None:
    us = sandboxes.stripe["acct_us"]
    invoice = us.pay(bill(sandboxes)["id"])
    us.pay(bill(sandboxes)["id"])
    intent = us.balance.dispute(invoice["id"])["payment_intent"]
    asked = {"payment[type]": "payment_intent", "payment[payment_intent]": intent}
    [row] = stripe.get("/v1/invoice_payments", params=asked).json()["data"]
    assert (row["invoice"], row["status"]) == (invoice["id"], "paid")
