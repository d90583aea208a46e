"""The four systems against their sandboxes over real HTTP: mappings, requests, authentication, answers, looks."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from infra.local.sandbox import Sandboxes
from tieout import mappings, systems, tables
from tieout.aws.http import DropWire, HttpWire
from tieout.contract import Echo, Found, Read, Target, Wire, Work
from tieout.core import documents, exchange
from tieout.core.clocks import EventInstant
from tieout.core.documents import Document
from tieout.core.mapping import Origin
from tieout.core.rules import onboarding

EVENTS = Path(__file__).parents[3] / "events"
TODAY = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


class Files:
    """A file drop in memory, as the ERP sees it (by key) and as the product does (by name under its prefix)."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.files: dict[str, bytes] = {}
        #: When a file was written, where it was not at noon.
        self.written: dict[str, datetime] = {}

    def list(self, prefix: str) -> tuple[str, ...]:
        return tuple(key for key in self.files if key.startswith(prefix))

    def get(self, key: str) -> bytes:
        return self.files[key]

    def put(self, key: str, body: bytes) -> None:
        self.files[key] = body


class Ours:
    """The product's side of the same files."""

    def __init__(self, files: Files) -> None:
        self.held = files

    def put_once(self, name: str, body: bytes) -> bool:
        if self.held.prefix + name in self.held.files:
            return False
        self.held.files[self.held.prefix + name] = body
        return True

    def get(self, name: str) -> bytes | None:
        return self.held.files.get(self.held.prefix + name)

    def names(self, folder: str) -> list[tuple[str, datetime]]:
        return [
            (key.removeprefix(self.held.prefix), self.held.written.get(key, TODAY))
            for key in self.held.list(self.held.prefix + folder)
        ]


def read_event(name: str) -> Read:
    """The captured event of that name."""
    return systems.source(name.partition("/")[0]).read((EVENTS / f"{name}.json").read_bytes())[0]


def document_of(name: str, mapping: str) -> Document:
    """The document that the captured event makes."""
    found = read_event(name)
    known = tables.load()
    account = "00D_acme" if name.startswith("salesforce") else "acct_de" if "eur" in str(found.object) else "acct_us"
    source = name.partition("/")[0]
    entity = known.entity(found.entity) if found.entity else known.entity_of(source, account, found.occurred.date())
    origin = Origin(
        source, account, found.event_id, found.type, found.object_id, found.object_version or 0,
        EventInstant(found.occurred), entity.code, entity.zone,
    )  # fmt: skip
    doc = mappings.load(mapping, known.columns()).document(
        {"object": found.object, "origin": origin}, known.view(found.occurred.date(), entity=entity.code)
    )
    documents.prove_totals(doc)
    return doc


class Bench:
    """Sandboxes, their wires, and the shortest way from a document to a posting's work."""

    def __init__(self, sandboxes: Sandboxes) -> None:
        self.sandboxes = sandboxes
        self.clock = TODAY
        #: Which dialect the file target's account speaks.
        self.format = "csv"
        self.files = Files("legacy/acme/")
        sandboxes.drop = self.files

    def now(self) -> datetime:
        return self.clock

    def advance(self, seconds: int) -> None:
        self.clock += timedelta(seconds=seconds)
        self.sandboxes.tick()

    def wire(self, system: str, account: str = "acme") -> Wire:
        if systems.target(system).batches:
            return DropWire(account, Ours(self.files), {"format": self.format})
        secret = self.sandboxes.secrets()[f"{system}/{account}"]
        return HttpWire(systems.target(system), account, lambda: secret, self.now)

    def work(self, target: Target, action: str, doc: Document, scope: Mapping[str, Any], account: str = "acme") -> Work:
        declared = target.actions[doc.kind, action]
        once = declared.once
        key = f"{doc.kind}/{doc.source_id}/{action}/g0"
        ref = target.reference.of(key if once else f"{doc.kind}/{documents.party_of(doc) or doc.source_id}")
        known = tables.load()
        payload: dict[str, Any] = {}
        if declared.mapping:
            view = known.view(TODAY.date(), entity=doc.entity, target=target.name)
            values = {doc.kind: doc, "ref": ref, **scope}
            payload = mappings.load(declared.mapping, known.columns()).render(values, view)
        amount = documents.total(doc)
        return Work(
            key, doc.kind, action, ref, doc.entity, account, str(amount.currency) if amount else None,
            amount.minor if amount else None, target.build(doc.kind, action, ref, payload), self.now(), batch="b1",
        )  # fmt: skip

    def post(self, wire: Wire, target: Target, work: Work) -> Echo:
        """Send one work and expect that the target shows it."""
        echo = target.send(wire, [work])[0]
        assert echo is not None
        assert exchange.difference(target.actions[work.kind, work.action].echo, work, echo) == ""
        return echo

    def find(self, wire: Wire, target: Target, work: Work) -> Found:
        return target.find(wire, dataclasses.replace(work, since=self.clock - timedelta(minutes=5)))


@pytest.fixture
def bench() -> Iterator[Bench]:
    holder: list[Bench] = []
    with Sandboxes(lambda: holder[0].clock if holder else TODAY, seed=11) as sandboxes:
        holder.append(Bench(sandboxes))
        yield holder[0]


def deal() -> documents.Opportunity:
    """The captured deal."""
    found = document_of("salesforce/opportunity.closed_won", "salesforce.opportunity")
    assert isinstance(found, documents.Opportunity)
    onboarding.validate(found)
    return found


def buyer() -> documents.Customer:
    """The buyer of the captured deal."""
    return onboarding.customer_of(deal())


def status(version: int) -> documents.Status:
    """The state of the captured invoice, as the CRM is told it."""
    invoice = document_of("stripe/invoice.finalized", "stripe.invoice")
    return documents.Status(
        source="stripe", account="acct_us", source_id="invoice.in_1", entity="US01", version=version,
        event_instant=invoice.event_instant, key="invoice/stripe:acct_us:in_1/create/post/g0", about_kind="invoice",
        about_id="in_1", document_ref="INV00001", status="accepted", sentence="Invoice INV00001 is in NetSuite.",
        code=None, account_ref="001RM000cy2zDQJYA2", amount=None,
    )  # fmt: skip


@pytest.fixture
def customer() -> documents.Customer:
    """The buyer of the captured deal."""
    return buyer()
