"""Documents at the edges: the usual examples of the mappings in another currency or at other dates, on their way.

The way is the product's: the document, the mapping with the governed tables and an installation's rows, the request.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.integration.systems.law import Rig
from tieout import mappings, tables
from tieout.cli.examples import Example, run
from tieout.contract import Work
from tieout.core import documents

#: An installation's own ids of the currencies that its sandbox knows, where the mapping looks them up.
CURRENCIES: Mapping[str, Mapping[str, str]] = {
    "odoo": {"JPY": "4"}, "businesscentral": {"JPY": "JPY", "KWD": "KWD"},
}  # fmt: skip
#: How a target makes a customer.
MADE = (("customer", "upsert"), ("customer", "create"))
#: Kinds with money that hang on an invoice.
APPLIED = ("credit_note", "payment")


class Stopped(Exception):
    """A mapping that stops: the document never reaches the target. ``code`` says why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True)
class Edge:
    """What is changed of every document: its currency, and members that it has (its dates)."""

    rig: Rig
    currency: str = ""
    change: Mapping[str, Any] | None = None

    def work(self, kind: str, action: str = "create", mark: str = "", **scope: Any) -> Work:
        """One posting as the product would render it. Raises `Stopped`."""
        target, name = self.rig.target, self.rig.target.actions[kind, action].mapping or ""
        said = Example(name, mappings.HOME / name / "examples" / "usual.json").read()
        given = json.dumps(said["document"]).replace('"USD"', f'"{self.currency or "USD"}"')
        document = json.loads(given)
        document |= {name: value for name, value in (self.change or {}).items() if name in document}
        known = CURRENCIES.get(target.name, {})
        own, rows = said.get("scope", {}), said.get("tables", {})
        said = {
            **said, "document": document,
            "scope": {**own, **{name: {**own.get(name, {}), **facts} for name, facts in scope.items()}},
            "tables": rows if self.currency not in known else {
                **rows, "currencies": {**rows.get("currencies", {}), **known},
            },
        }  # fmt: skip
        governed = tables.load()
        made = run(said, mappings.load(name, governed.columns()), governed)
        if made.stops_with:
            raise Stopped(made.stops_with)
        values = {key: value for key, value in document.items() if key != "kind"}
        total = documents.total(documents.load(document["kind"], json.dumps(values).encode()))
        ref = target.reference.of(f"{kind}{mark}{self.currency}")
        echo = target.actions[kind, action].echo
        assert made.makes is not None
        return Work(
            f"{kind}/{ref}", kind, action, ref, str(document["entity"]), self.rig.account,
            str(total.currency) if total and "currency" in echo else None,
            total.minor if total and "total" in echo else None,
            target.build(kind, action, ref, made.makes), self.rig.bench.now(),
        )  # fmt: skip

    def ready(self, kind: str) -> Work:
        """A posting of that kind with what it hangs on posted first."""
        scope: dict[str, Any] = {}
        customer = next((done for done in self.rig.target.actions if done in MADE), None)
        if customer and kind != "journal_entry":
            scope["customer"] = self.facts(*customer)
        if kind in APPLIED and ("invoice", "create") in self.rig.target.actions:
            scope["parent"] = {**self.facts("invoice", "create", **scope), "number": "NW-0001", "applied": False}
        return self.work(kind, **scope)

    def facts(self, kind: str, action: str, **scope: Any) -> dict[str, Any]:
        """What a mapping is told of something that was posted."""
        work = self.work(kind, action, "before", **scope)
        return {"canonical": "stripe:acct_us:cus_1", "ref": work.ref, "remote": self.rig.post(work).remote,
                "source_id": "in_1"}  # fmt: skip
