"""The governed tables of one installation: the release's, with the rows by which two entities keep books in Tryton.

Tryton's ids differ from one database to the next, so a company that uses it has rows of its own. Here they are written
as such a company would: a folder of tables, loaded and checked like any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tieout import tables

#: Our entity, its company, currency, zone and country, its Stripe account and that account's tax rate.
ENTITIES = {
    "US01": ("Acme Inc", "USD", "America/New_York", "US", "acct_us", "txr_us_ny_8875"),
    "UK01": ("Acme Ltd", "GBP", "Europe/London", "GB", "acct_uk", "txr_uk_vat_20"),
}


def account_of(entity: str) -> str:
    """The Tryton account (one company of the database) that takes an entity's documents."""
    return entity.lower()


def write_tables(home: Path, companies: Mapping[str, Any], year: int) -> Path:
    """Write the tables of an installation to ``home``. January of ``year`` is closed in them and not filed yet."""
    for path in tables.HOME.glob("*.yaml"):
        table = yaml.safe_load(path.read_text("utf-8"))
        rows: list[dict[str, Any]] = table["rows"]
        table["rows"] = _changed(path.stem, [row for row in rows if row.get("target") != "tryton"], companies, year)
        (home / path.name).write_text(yaml.safe_dump(table, sort_keys=False, allow_unicode=True), "utf-8")
    return home


def _changed(table: str, rows: list[dict[str, Any]], companies: Mapping[str, Any], year: int) -> list[dict[str, Any]]:
    """The rows of a table with those of the two entities."""
    if table == "calendars" or table == "routes":
        rows = [row for row in rows if row.get("entity") not in ENTITIES or row.get("role", "erp") != "erp"]
    for entity, (name, currency, zone, country, stripe, tax_rate) in ENTITIES.items():
        ids, mine = companies[entity], {"entity": entity, "target": "tryton"}
        match table:
            case "entities" if entity == "UK01":
                rows.append({"key": entity, "company": name, "currency": currency, "zone": zone, "country": country})
            case "residency" if entity == "UK01":
                rows.append({"key": entity, "value": "uk", "fenced": False})
            case "source_accounts" if entity == "UK01":
                rows.append({"key": f"stripe:{stripe}", "value": entity})
            case "calendars":
                states = [{"from": f"{year}-01-01", "state": "closed"}, {"from": f"{year}-02-01", "state": "open"},
                          {"from": f"{year}-01-01", "state": "open", "ledger": "tax"}]  # fmt: skip
                rows.append({"entity": entity, "first": f"{year}-01-01", "last": f"{year + 2}-12-31", "states": states})
            case "routes":
                rows.append({"role": "erp", "entity": entity, "to": f"tryton:{account_of(entity)}"})
            case "accounts":
                for key, column in (("receivables", "receivable"), ("bank", "cash"), ("tax_payable", "tax")):
                    rows.append({"key": key, **mine, "value": str(ids[column])})
            case "items":
                for key in ("prod_pro", "prod_setup", "credit"):
                    rows.append({"key": key, **mine, "value": str(ids["revenue"])})
            case "tax_codes":
                for key, tax in ((tax_rate, "sales"), ("none", "exempt")):
                    rows.append({"key": key, **mine, "value": str(ids["taxes"][tax])})
            case "companies":
                rows.append({"key": entity, "target": "tryton", "value": str(ids["company"])})
            case "currencies":
                rows.append({"key": currency, "target": "tryton", "value": str(ids["currency"])})
            case "journals" if entity == "UK01":  # journals are not a company's
                for kind, journal in (("invoice", "revenue"), ("credit_note", "revenue"), ("payment", "cash")):
                    rows.append({"key": kind, "target": "tryton", "value": str(ids[f"{journal}_journal"])})
    return rows
