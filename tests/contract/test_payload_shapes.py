"""What the vendors publish reads into documents, or stops with a declared code; what is new in it is only told.

Three kinds of objects: Stripe's official fixtures, objects made from the schemas of Stripe, Chargebee, Zuora and
HubSpot, and our stored ones with members that nobody has ever seen.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.envelopes import ACCOUNTS
from tests.contract.test_requests import CONTRACTS, load
from tieout import flows, mappings, systems
from tieout.cli.examples import Example, examples
from tieout.contract import Read
from tieout.core import documents
from tieout.core.drift import MOST, shape, unknown_paths
from tieout.core.problems import PROBLEMS
from tieout.core.verdicts import Verdict
from tieout.work import render

WHEN = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
SECOND = int(WHEN.timestamp())

with_contracts = pytest.mark.skipif(
    not CONTRACTS.is_dir(), reason=f"no vendor contracts at {CONTRACTS}: set CONTRACTS_DIR to run these tests"
)
slow = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def read_of(source: str, about: Mapping[str, Any], type_: str = "shape") -> Read:
    entity = None if source in ("stripe", "chargebee", "zuora") else "US01"
    return Read("evt_1", type_, str(about.get("id", "x")), about, WHEN, object_version=1, entity=entity)


def outcome(mapping: str, about: Mapping[str, Any]) -> str:
    """The kind of document that an object makes (and it adds up), or the code with which it stops."""
    source = mapping.partition(".")[0]
    try:
        doc = render.document(mapping, read_of(source, about), source, ACCOUNTS[source])
        documents.prove_totals(doc)
    except Verdict as verdict:
        return verdict.code
    return doc.kind


# --- Stripe's official fixtures -----------------------------------------------------------------------------------
#: Fixture → by which mappings it is read and what comes of it. They are API documentation: an invoice there has no
#: number and was never finalized, a customer has no name.
FIXTURES: Mapping[str, Mapping[str, str]] = {
    "invoice.created": {"stripe.invoice": "mapping_value_missing"},
    "invoice.finalized": {"stripe.invoice": "mapping_value_missing"},
    "invoice.voided": {"stripe.invoice": "mapping_value_missing"},
    "invoice.payment_failed": {"stripe.invoice": "mapping_value_missing"},
    "invoice.paid": {"stripe.invoice": "mapping_value_missing", "stripe.payment": "mapping_value_missing"},
    "credit_note.created": {"stripe.credit_note": "credit_note"},
    "customer.created": {"stripe.customer": "mapping_value_missing"},
    "customer.updated": {"stripe.customer": "mapping_value_missing"},
    "customer.subscription.created": {"stripe.subscription_state": "subscription"},
    "customer.subscription.deleted": {
        "stripe.subscription_state": "subscription",
        "stripe.subscription_status": "status",
    },
    # No document of ours is made of these: money moves with invoices, refunds and payouts; catalogues are tables.
    "charge.refunded": {},
    "payment_intent.succeeded": {},
    "price.created": {},
    "product.created": {},
}
#: The facts that the fixtures leave out, and that every such object has in life.
FACTS: Mapping[str, Mapping[str, Any]] = {
    "stripe.invoice": {"number": "X-1"},
    "stripe.payment": {"amount_paid": 1000, "status_transitions": {"paid_at": SECOND}},
    "stripe.customer": {"name": "Jenny Rosen"},
}


def fixture(type_: str) -> Mapping[str, Any]:
    return systems.source("stripe").read((CONTRACTS / f"stripe/samples/event.{type_}.json").read_bytes())[0].object


@with_contracts
def test_every_fixture_of_stripe_is_here() -> None:
    there = {path.stem.removeprefix("event.") for path in (CONTRACTS / "stripe/samples").glob("event.*.json")}
    assert there == set(FIXTURES)


@with_contracts
@pytest.mark.parametrize(
    ("type_", "mapping"), [(type_, mapping) for type_, read_by in FIXTURES.items() for mapping in read_by]
)
def test_a_fixture_of_stripe_is_read_or_stops_for_the_facts_it_lacks(type_: str, mapping: str) -> None:
    about = fixture(type_)
    assert outcome(mapping, about) == FIXTURES[type_][mapping]
    assert outcome(mapping, {**about, **FACTS.get(mapping, {})}) == mappings_kind(mapping)


@with_contracts
@pytest.mark.parametrize("type_", [type_ for type_, read_by in FIXTURES.items() if not read_by])
def test_a_fixture_that_is_no_document_starts_no_flow(type_: str) -> None:
    assert flows.match("stripe", type_) is None
    assert fixture(type_)["id"]


def mappings_kind(mapping: str) -> str:
    return str(render.compiled(mapping).kind)


# --- objects out of the vendors' schemas --------------------------------------------------------------------------
#: Mapping → file, where its definitions are, the definition.
# HubSpot gives every object of its CRM in one shape; the contract holds it once, under deals.
SCHEMAS: Mapping[str, tuple[str, str, str]] = {
    "stripe.invoice": ("stripe/resources.schema.json", "$defs", "Invoice"),
    "stripe.credit_note": ("stripe/resources.schema.json", "$defs", "CreditNote"),
    "stripe.customer": ("stripe/resources.schema.json", "$defs", "Customer"),
    "stripe.subscription_state": ("stripe/resources.schema.json", "$defs", "Subscription"),
    "stripe.subscription_status": ("stripe/resources.schema.json", "$defs", "Subscription"),
    "stripe.refund": ("stripe/resources.schema.json", "$defs", "Refund"),
    "stripe.payout": ("stripe/resources.schema.json", "$defs", "Payout"),
    "stripe.payout_failed": ("stripe/resources.schema.json", "$defs", "Payout"),
    "stripe.dispute": ("stripe/resources.schema.json", "$defs", "Dispute"),
    "stripe.dispute_reinstated": ("stripe/resources.schema.json", "$defs", "Dispute"),
    "stripe.dispute_lost": ("stripe/resources.schema.json", "$defs", "Dispute"),
    "stripe.refund_entry": ("stripe/resources.schema.json", "$defs", "Refund"),
    "stripe.refund_failed": ("stripe/resources.schema.json", "$defs", "Refund"),
    "chargebee.invoice": ("chargebee/resources.schema.json", "$defs", "Invoice"),
    "chargebee.credit_note": ("chargebee/resources.schema.json", "$defs", "CreditNote"),
    "chargebee.payment": ("chargebee/resources.schema.json", "$defs", "Transaction"),
    "chargebee.refund": ("chargebee/resources.schema.json", "$defs", "Transaction"),
    "chargebee.money_back": ("chargebee/resources.schema.json", "$defs", "Transaction"),
    "chargebee.customer": ("chargebee/resources.schema.json", "$defs", "Customer"),
    "zuora.invoice": ("zuora/openapi.subset.json", "components/schemas", "ExpandedInvoice"),
    "zuora.credit_memo": ("zuora/openapi.subset.json", "components/schemas", "ExpandedCreditMemo"),
    "zuora.account": ("zuora/openapi.subset.json", "components/schemas", "ExpandedAccount"),
    "zuora.payment": ("zuora/openapi.subset.json", "components/schemas", "ExpandedPayment"),
    "hubspot.deal": ("hubspot/openapi.subset.json", "components/schemas", "crm_deals.SimplePublicObject"),
    "hubspot.company": ("hubspot/openapi.subset.json", "components/schemas", "crm_deals.SimplePublicObject"),
}
DEEPEST = 3


@cache
def definitions(file: str, where: str) -> Mapping[str, Any]:
    found: Any = load(file)
    for step in where.split("/"):
        found = found[step]
    return dict(found)


class Maker:
    """Makes objects by a schema: every member that is a must, the others as they are drawn, nested a few deep."""

    def __init__(self, defs: Mapping[str, Any], chance: Random | None) -> None:
        self.defs = defs
        self.chances = chance

    def make(self, schema: Mapping[str, Any], depth: int = 0) -> Any:
        if "$ref" in schema:
            return self.make(self.defs[schema["$ref"].rpartition("/")[2]], depth)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return self.one_of(schema["enum"])
        if "allOf" in schema:
            parts = [self.make(part, depth) for part in schema["allOf"]]
            return {name: value for part in parts for name, value in part.items()}
        if schema.get("anyOf"):
            flat = [one for one in schema["anyOf"] if "$ref" not in one]
            return self.make(self.one_of(flat or schema["anyOf"]), depth)
        match schema.get("type"):
            case "object":
                return self.object(schema, depth)
            case "array":
                return [self.make(schema.get("items", {}), depth + 1)] if depth < DEEPEST and self.chance() else []
            case "boolean":
                return self.one_of([True, False])
            case "integer" | "number":
                return self.one_of([0, 1, 1000, SECOND])
            case "null":
                return None
        return self.text(schema)

    def object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        if depth > DEEPEST + 1:
            return {}
        must = set(schema.get("required", ()))
        members = schema.get("properties", {}).items()
        return {
            name: self.make(inner, depth + 1)
            for name, inner in members
            if name in must or (depth < DEEPEST and self.chance())
        }

    def text(self, schema: Mapping[str, Any]) -> str:
        days = {"date": "2026-11-20", "date-time": "2026-11-20T12:00:00.000Z"}
        return str(days.get(schema.get("format", "")) or self.one_of(["x", "usd", "EUR", "Posted", "1.5", "paid"]))

    def one_of(self, choices: Any) -> Any:
        return self.chances.choice(list(choices)) if self.chances else next(iter(choices))

    def chance(self) -> bool:
        return self.chances.random() < 0.5 if self.chances else True


def made(mapping: str, chance: Random | None = None) -> dict[str, Any]:
    file, where, name = SCHEMAS[mapping]
    defs = definitions(file, where)
    found: dict[str, Any] = Maker(defs, chance).make(defs[name])
    return found


def mistakes(mapping: str, about: Mapping[str, Any]) -> list[str]:
    file, where, name = SCHEMAS[mapping]
    root, _, inner = where.partition("/")
    defs = definitions(file, where)
    schema = {"$ref": f"#/{where}/{name}", root: {inner: defs} if inner else defs}
    return [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(about)]


@with_contracts
@pytest.mark.parametrize("mapping", SCHEMAS)
@slow
@given(seed=st.integers(0, 2**32))
def test_any_object_that_the_schema_allows_makes_a_document_or_stops_with_a_listed_code(
    mapping: str, seed: int
) -> None:
    assert outcome(mapping, made(mapping, Random(seed))) in {mappings_kind(mapping), *PROBLEMS}


MONEY_LINE = {"id": "li_1", "amount": 1000, "unit_amount": 500, "quantity": 2, "discount_amount": 0, "tax_amount": 190,
              "tax_rate": 19, "date_from": SECOND, "date_to": SECOND, "is_taxed": True, "description": "x",
              "entity_type": "adhoc"}  # fmt: skip
COMMON = {"customer_id": "c_1", "date": SECOND, "currency_code": "EUR", "id": "d_1", "deleted": False,
          "price_type": "tax_exclusive", "round_off_amount": 0, "line_items_next_offset": ""}  # fmt: skip
TAXED = {"line_items": [MONEY_LINE], "line_item_taxes": [], "taxes": [{"name": "VAT", "amount": 190}], "total": 1190}
ITEM = {"id": "i_1", "chargeName": "Plan", "quantity": 2, "taxAmount": 1.9, "unitPrice": 5}
STEPS: list[dict[str, Any]] = [
    {"id": f"txn_{number}", "object": "balance_transaction", "amount": amount, "fee": fee, "net": amount - fee,
     "currency": "usd", "created": SECOND + number, "available_on": SECOND, "balance_type": "payments",
     "description": None, "exchange_rate": None, "fee_details": [], "reporting_category": "dispute", "source": "du_1",
     "status": "available", "type": "adjustment"}
    for number, amount, fee in ((1, -500, 1500), (2, 500, 0))
]  # fmt: skip
PAID = [{"invoice": "in_1", "status": "paid"}]
#: The facts that must agree with each other in life, laid over an object that is whole by its schema.
AGREED: Mapping[str, Mapping[str, Any]] = {
    "chargebee.invoice": {**COMMON, **TAXED, "status": "paid", "tax": 190, "due_date": SECOND},
    "chargebee.credit_note": {**COMMON, **TAXED, "status": "refunded", "reference_invoice_id": "i_1"},
    "chargebee.payment": {**COMMON, "type": "payment", "status": "success", "amount": 1190, "amount_unused": 190,
                          "linked_invoices": [{"invoice_id": "i_1", "applied_amount": 1000, "applied_at": SECOND,
                                               "invoice_status": "paid"}]},
    "chargebee.money_back": {**COMMON, "type": "refund", "status": "success", "amount": 1190,
                             "refunded_txn_id": "txn_1"},
    "chargebee.customer": {"preferred_currency_code": "EUR", "billing_address": {"city": "Hamburg"}},
    "zuora.invoice": {"status": "Posted", "currency": "EUR", "amount": 11.9, "amountWithoutTax": 10, "taxAmount": 1.9,
                      "invoiceItems": [{**ITEM, "chargeAmount": 10}], "invoiceNumber": "I-1", "accountId": "a_1",
                      "invoiceDate": "2026-11-20", "dueDate": None, "account": None},
    "zuora.credit_memo": {"status": "Posted", "currency": "EUR", "totalAmount": 11.9, "totalAmountWithoutTax": 10,
                          "taxAmount": 1.9, "creditMemoItems": [{**ITEM, "amountWithoutTax": 10, "amount": 11.9}],
                          "memoNumber": "C-1", "accountId": "a_1", "memoDate": "2026-11-20", "invoiceId": "i_1"},
    "zuora.payment": {"status": "Processed", "currency": "EUR", "amount": 11.9, "unappliedAmount": 1.9,
                      "paymentApplications": [{"invoiceId": "i_1", "applyAmount": 10}], "paymentNumber": "P-1",
                      "accountId": "a_1", "effectiveDate": "2026-11-20"},
    "hubspot.company": {"properties": {"name": "Northwind Traders Inc"}},
    "stripe.refund": {"currency": "usd", "status": "succeeded", "amount": 500, "created": SECOND, "customer": "cus_1",
                      "payment_intent": "pi_1"},
    "stripe.payout": {"id": "po_1", "currency": "usd", "amount": 470, "automatic": True, "arrival_date": SECOND,
                      "balance_transactions": [
                          {"id": "txn_1", "amount": 500, "fee": 30, "net": 470, "currency": "usd",
                           "reporting_category": "charge", "source": "ch_1"}]},
    "stripe.payout_failed": {"id": "po_1", "currency": "usd", "amount": 470, "failure_code": "account_closed"},
    "stripe.dispute": {"id": "du_1", "balance_transactions": STEPS[:1], "invoice_payments": PAID},
    "stripe.dispute_reinstated": {"id": "du_1", "balance_transactions": STEPS},
    "stripe.dispute_lost": {"id": "du_1", "status": "lost", "balance_transactions": STEPS[:1]},
    "stripe.refund_entry": {"id": "re_1", "currency": "usd", "amount": 500, "created": SECOND,
                            "balance_transaction": "txn_1", "invoice_payments": PAID},
    "stripe.refund_failed": {"id": "re_1", "currency": "usd", "amount": 500, "failure_balance_transaction": "txn_2"},
}  # fmt: skip


def exact(about: Mapping[str, Any]) -> dict[str, Any]:
    """The object as our reader would give it: no float anywhere."""
    from tieout.core.parse import read_json

    return read_json(json.dumps(about).encode())


@with_contracts
@pytest.mark.parametrize("mapping", AGREED)
def test_an_object_whole_by_its_schema_whose_facts_agree_is_a_document(mapping: str) -> None:
    about = {**made(mapping), **AGREED[mapping]}
    assert mistakes(mapping, about) == []
    assert outcome(mapping, exact(about)) == mappings_kind(mapping)


@with_contracts
def test_a_deal_alone_stops_and_with_company_and_lines_laid_beside_it_is_an_opportunity() -> None:
    properties = {
        "dealname": "Big", "dealstage": "closedwon", "amount": "10.00", "closedate": "2026-11-20T00:00:00.000Z",
        "deal_currency_code": "USD", "selling_entity": "US01",
    }  # fmt: skip
    deal = {**made("hubspot.deal"), "properties": properties}
    assert mistakes("hubspot.deal", deal) == []
    assert outcome("hubspot.deal", deal) == "deal_incomplete"
    company = {**made("hubspot.company"), "properties": {"name": "Northwind Traders Inc"}}
    line = {"hs_sku": "PRO", "quantity": "1", "price": "10.00", "amount": "10.00"}
    beside = {"company": company, "lineItems": [{"id": "1", "properties": line}]}
    assert outcome("hubspot.deal", {**deal, **beside}) == "opportunity"


@with_contracts
@pytest.mark.parametrize("name", sorted(path.name for path in (CONTRACTS / "chargebee/samples").glob("event.*.json")))
def test_chargebees_samples_are_read(name: str) -> None:
    [read] = systems.source("chargebee").read(json.dumps(load(f"chargebee/samples/{name}")["body"]).encode())
    mapping = {"invoice": "chargebee.invoice", "customer": "chargebee.customer"}.get(str(read.object["object"]))
    assert read.unknown == ()
    if mapping:
        assert outcome(mapping, read.object) == mappings_kind(mapping)
    else:
        assert read.type in systems.source("chargebee").ignored


@with_contracts
def test_the_samples_of_hubspot_are_events_and_its_signature_vector_verifies() -> None:
    from tieout.contract import Delivery

    source, vector = systems.source("hubspot"), load("hubspot/samples/signature_vector.json")
    headers = {
        "host": "example.com",
        "x-hubspot-request-timestamp": vector["timestamp"],
        "x-hubspot-signature-v3": vector["X-HubSpot-Signature-v3"],
    }
    received = datetime.fromtimestamp(int(vector["timestamp"]) // 1000, UTC)
    body = vector["body"].encode()
    delivery = Delivery("hubspot", "33", "POST", "/hubspot/webhook", headers, body, received, "a=1")
    assert source.verify(delivery, ["old", vector["clientSecret"]])
    assert [read.type for read in source.read(body)] == ["deal.propertyChange.dealstage", "deal.creation"]
    batch = json.dumps(load("hubspot/samples/webhook_batch.json")["body"]).encode()
    assert [read.unknown for read in source.read(batch)] == [(), ()]


@with_contracts
def test_a_callout_of_another_template_than_ours_is_refused_with_a_reason() -> None:
    body = json.dumps(load("zuora/samples/callout.invoice_posted.json")["body"]).encode()
    with pytest.raises(Verdict, match="wrong_shape"):
        systems.source("zuora").read(body)
    assert outcome("zuora.invoice", load("zuora/samples/error.success_false.json")["body"]) == "wrong_shape"


# --- unknown members ----------------------------------------------------------------------------------------------
def stored() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every object that is stored for a mapping and makes a document."""
    for example in examples():
        source = example.mapping.partition(".")[0]
        if source in systems.SOURCES and render.compiled(example.mapping).kind and "makes" in (said := example.read()):
            yield example.name, _object(example, source, said)


def _object(example: Example, source: str, said: Mapping[str, Any]) -> Mapping[str, Any]:
    if "object" in said:
        return dict(said["object"])
    path = Path(__file__).parents[2] / "events" / said["event"]
    return systems.source(source).read(path.read_bytes())[0].object


STORED = dict(stored())
#: The type of the event that an example was captured with: some mappings read it.
TOLD_BY = {one.name: Path(said["event"]).stem for one in examples() if "event" in (said := one.read())}
NAMES = st.text(st.characters(exclude_characters=".[]", exclude_categories=["Cs"]), min_size=1, max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=2),
    max_leaves=5,
)


def places(value: Any, at: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object inside an object, with its path."""
    if isinstance(value, dict):
        yield at, value
        for name, inner in value.items():
            yield from places(inner, f"{at}.{name}" if at else name)
    elif isinstance(value, list):
        for inner in value:
            yield from places(inner, f"{at}[]")


def is_open(path: str, source: str) -> bool:
    return bool(set(re.split(r"\.|\[\]", path)) & systems.source(source).open)


@pytest.mark.parametrize("name", STORED)
@slow
@given(data=st.data())
def test_members_that_nobody_has_seen_change_no_document_and_are_told_by_their_paths(
    name: str, data: st.DataObject
) -> None:
    mapping = name.partition("/")[0]
    source = mapping.partition(".")[0]
    known = systems.shapes(source)[mapping]
    words = {word for path in known for word in re.split(r"\.|\[\]", path)}
    about = copy.deepcopy(dict(STORED[name]))
    told_by = TOLD_BY.get(name, "shape")
    plain = render.document(mapping, read_of(source, about, told_by), source, ACCOUNTS[source])
    assert unknown_paths(about, known) == ()

    new: set[str] = set()
    for at, place in list(places(about)):
        for extra, value in data.draw(st.dictionaries(NAMES, VALUES, max_size=2)).items():
            if extra not in words and extra not in place:
                place[extra] = value
                if not is_open(at, source):
                    new.add(f"{at}.{extra}" if at else extra)
    assert render.document(mapping, read_of(source, about, told_by), source, ACCOUNTS[source]) == plain
    told = unknown_paths(about, known)
    assert set(told) <= new
    assert len(told) == min(len(new), MOST)


@pytest.mark.parametrize("source", systems.SOURCES)
def test_each_mapping_of_a_source_has_its_shape_and_no_shape_is_left_over(source: str) -> None:
    reading = {name for name in mappings.names() if name.startswith(f"{source}.") and render.compiled(name).kind}
    assert set(systems.shapes(source)) == reading
    for name, about in STORED.items():
        if name.startswith(f"{source}."):
            seen = shape(about, systems.source(source).open)
            assert seen <= systems.shapes(source)[name.partition("/")[0]]
