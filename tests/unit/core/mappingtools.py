"""Small tools of the mapping tests: a mapping from YAML text, a view of literal tables, a sample invoice."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import yaml

from tieout.core.clocks import DocumentDate, EventInstant, PostingDate, TaxPoint
from tieout.core.documents import Invoice, Line
from tieout.core.lookup import Row, Table, View
from tieout.core.mapping import CompiledMapping, Origin, compile_mapping
from tieout.core.money import Currency, Money
from tieout.core.nodes import Check, GovernanceError, Node, from_yaml
from tieout.core.rules import RULES

DAY = date(2026, 1, 31)
USD = Currency("USD")
TABLES = {
    "items": Table("items", [Row("prod_pro", {"value": "101", "unit": "EA"})], owner="x", version="1.a",
                   columns=("value", "unit")),
    "tax_codes": Table("tax_codes", [
        Row("NY", {"value": "7"}, last=date(2025, 12, 31)),
        Row("NY", {"value": "9"}, first=date(2026, 1, 1)),
        Row("CA", {"value": "8"}, entity="US01", target="netsuite"),
    ], owner="x", version="2.b"),
}  # fmt: skip
COLUMNS = {name: table.columns for name, table in TABLES.items()}
ORIGIN = Origin("stripe", "acct_us", "evt_1", "invoice.finalized", "in_1", 3, EventInstant.from_epoch(1769916600),
                "US01", "America/New_York")  # fmt: skip


def node(text: str) -> Node:
    check = Check("toy.yaml")
    found = from_yaml(yaml.compose(text, Loader=yaml.SafeLoader), check)
    check.finish()
    return found


def compiled(text: str, head: str = "version: 1\nowner: finance-ops\nmakes: toy.order\n") -> CompiledMapping:
    """A mapping from its ``fields:`` (and more), under a plain header."""
    return compile_mapping("toy", node(head + text), file="toy.yaml", tables=COLUMNS, rules=RULES)


def mistakes(text: str, head: str = "version: 1\nowner: finance-ops\nmakes: toy.order\n") -> list[str]:
    """What is wrong with a mapping: line and message of each mistake."""
    try:
        compiled(text, head)
    except GovernanceError as error:
        return [f"{mistake.line}: {mistake.message}" for mistake in error.mistakes]
    return []


def view(given: Mapping[str, Mapping[str, Any]] | None = None) -> View:
    return View(TABLES, on=DAY, entity="US01", target="netsuite", given=given)


def invoice(**change: Any) -> Invoice:
    net, tax = Money(30000, USD), Money(2663, USD)
    lines = [
        Line(line_id=f"l{n}", product_id="prod_pro", description="Pro", quantity=Decimal("1.50"), net=Money(10000, USD),
             tax_code="NY")
        for n in range(3)
    ]  # fmt: skip
    fields: dict[str, Any] = {
        "source": "stripe", "account": "acct_us", "source_id": "in_1", "entity": "US01", "version": 3,
        "event_instant": ORIGIN.event_instant, "document_date": DocumentDate(DAY), "tax_point": TaxPoint(DAY),
        "posting_date": PostingDate(DAY), "currency": USD, "number": "A-1", "customer_id": "cus_1",
        "lines": tuple(lines), "net": net, "tax": tax, "gross": net + tax,
    }  # fmt: skip
    return Invoice(**fields | change)
