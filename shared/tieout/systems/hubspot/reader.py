"""HubSpot, asked: a company, or a deal with the history of its stage, its company and its line items, laid beside it.

A deal's version is the moment of its last change of stage, out of the history, and not of its last change of anything:
two events about one change, and whatever is edited later, are the same win. Associations come with the deal; a company
that was merged is shown under its survivor's id, which names the old one in ``hs_merged_object_ids``. A company's
version is likewise the last change of anything that finance sees of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import quote

from tieout.contract import Quiet, Read, Wire
from tieout.core.classify import Answer
from tieout.core.clocks import EventInstant
from tieout.core.exchange import JSON, judge, member, read_answer
from tieout.core.parse import write_json
from tieout.core.verdicts import Ignore, NeedsHuman, TryAgain, Verdict
from tieout.systems.hubspot.journal import KEEPER as KEEPER
from tieout.systems.hubspot.journal import LISTER as LISTER
from tieout.systems.hubspot.journal import VERDICTS
from tieout.systems.hubspot.source import SEEN
from tieout.systems.hubspot.target import CRM, TARGET, error_text

DEAL: Final = (
    "dealname", "dealstage", "pipeline", "amount", "closedate", "deal_currency_code", "hs_is_closed_won",
    "hubspot_owner_id", "selling_entity", "payment_terms",
)  # fmt: skip
COMPANY: Final = (
    "name", "phone", "address", "address2", "city", "state", "zip", "hs_country_code", "payment_terms", "domain",
    "billing_email", "hs_merged_object_ids",
)  # fmt: skip
#: What the change of a company asks for beside: finance's mark, and who sells to it.
MARKS: Final = ("selling_entity", "finance_customer")
LINE: Final = ("hs_sku", "hs_product_id", "name", "quantity", "price", "amount", "recurringbillingfrequency")
#: Lines that one call reads.
LINES_MOST: Final = 100


class HubSpot:
    """Asks one HubSpot portal; holds nothing."""

    name = "hubspot"
    auth = TARGET.auth
    quiet = Quiet(client_timeout=10, longest_processing=0, search_lag=0, clock_skew=2, period=0)
    budget = TARGET.budget
    verdicts = VERDICTS

    def again(self, wire: Wire, read: Read) -> Read:
        """The object whole: a company, or a won deal."""
        return self._customer(wire, read) if read.type == "company.changed" else self._deal(wire, read)

    def _customer(self, wire: Wire, read: Read) -> Read:
        """The company. Whether it is finance's is for the books to say, unless it is marked as such."""
        names = ",".join(sorted(SEEN))
        query = f"properties={','.join((*COMPANY, *MARKS))}&propertiesWithHistory={names}"
        company = self._object(wire, f"{CRM}/companies/{quote(read.object_id, safe='')}?{query}", read.object_id)
        version = _changed(company, SEEN)
        if read.object.get("propertyName"):  # of a company that is new, nothing may have been changed yet
            self._not_behind(version, read)
        whole = {name: value for name, value in company.items() if name != "propertiesWithHistory"}
        return replace(
            read, object=whole, object_version=version or read.object_version, thin=False,
            entity=member(company, "properties", "selling_entity") or None,
            claimed=member(company, "properties", "finance_customer") == "true",
        )  # fmt: skip

    def _not_behind(self, version: int | None, read: Read) -> None:
        skew = self.quiet.clock_skew * 1000
        if version is not None and read.object_version is not None and version + skew < read.object_version:
            raise TryAgain("source_behind", f"changed at {version}, the event tells of {read.object_version}")

    def _deal(self, wire: Wire, read: Read) -> Read:
        """The won deal with company and lines; any other deal is none of our business, and needs no more calls."""
        query = f"properties={','.join(DEAL)}&propertiesWithHistory=dealstage&associations=companies,line_items"
        deal = self._object(wire, f"{CRM}/deals/{quote(read.object_id, safe='')}?{query}", read.object_id)
        version = _changed(deal, ("dealstage",))
        self._not_behind(version, read)
        properties = member(deal, "properties")
        if member(properties, "hs_is_closed_won") != "true" and member(properties, "dealstage") != "closedwon":
            raise Ignore("not_for_us", "not won", reason="the deal is not won")
        entity = member(properties, "selling_entity")
        if not isinstance(entity, str) or not entity:
            raise NeedsHuman("deal_incomplete", "no selling_entity", what="its selling entity (`selling_entity`)")
        company = self._company(wire, deal)
        whole = {**deal, **({"company": company} if company else {}), "lineItems": self._lines(wire, deal)}
        return replace(read, object=whole, object_version=version or read.object_version, entity=entity, thin=False)

    def _company(self, wire: Wire, deal: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The deal's company: its primary one, where it has several."""
        found = _associated(deal, "companies")
        if not found:
            return None
        first = next((one for one in found if one.get("type") == "deal_to_company"), found[0])
        ident = str(first.get("id"))
        return self._object(wire, f"{CRM}/companies/{quote(ident, safe='')}?properties={','.join(COMPANY)}", ident)

    def _lines(self, wire: Wire, deal: Mapping[str, Any]) -> list[Any]:
        """The deal's line items in the order in which it names them; one that is not shown stops the deal."""
        wanted = list(dict.fromkeys(str(one.get("id")) for one in _associated(deal, "line_items")))
        rows: dict[str, Any] = {}
        for start in range(0, len(wanted), LINES_MOST):
            inputs = [{"id": one} for one in wanted[start : start + LINES_MOST]]
            body = write_json({"inputs": inputs, "properties": list(LINE), "propertiesWithHistory": []})
            answer = wire.call("POST", f"{CRM}/line_items/batch/read", headers={"Content-Type": JSON}, body=body)
            shown = self._judged(answer)
            rows |= {str(member(row, "id")): row for row in member(shown, "results") or []}
        if set(wanted) - set(rows):
            raise TryAgain("source_behind", f"{len(set(wanted) - set(rows))} line items are not shown")
        return [rows[one] for one in wanted]

    def _object(self, wire: Wire, path: str, ident: str) -> Mapping[str, Any]:
        shown = self._judged(wire.call("GET", path))
        if not isinstance(shown, Mapping) or not isinstance(shown.get("properties"), Mapping):
            raise NeedsHuman("source_unreadable", "no object", said="no object with properties")
        merged = str(member(shown, "properties", "hs_merged_object_ids") or "").split(";")
        if shown.get("id") != ident and ident not in merged:
            raise NeedsHuman("source_unreadable", "another id", said=f"an object with the id {shown.get('id')}")
        if shown.get("archived") is True:
            raise NeedsHuman("source_gone", "archived")
        return shown

    def _judged(self, answer: Answer) -> Any:
        judge(self.verdicts, answer, error_text(answer))
        return read_answer(answer)


def _associated(deal: Mapping[str, Any], kind: str) -> list[Mapping[str, Any]]:
    """What is associated, all of it: an answer that shows only the first of many is not read as the whole."""
    # HubSpot spells the key of a kind with a blank here and with an underscore there.
    found = member(deal, "associations", kind) or member(deal, "associations", kind.replace("_", " "))
    if member(found, "paging", "next"):
        raise NeedsHuman("source_unreadable", f"paged {kind}", said=f"only a part of its {kind}")
    return [one for one in member(found, "results") or [] if isinstance(one, Mapping) and one.get("id")]


def _changed(shown: Mapping[str, Any], names: Iterable[str]) -> int | None:
    """When one of these properties changed last, in milliseconds; ``None`` where the history does not say."""
    moments = []
    for one in (one for name in names for one in member(shown, "propertiesWithHistory", name) or []):
        try:
            moments.append(int(EventInstant.parse(str(member(one, "timestamp"))).value.timestamp() * 1000))
        except Verdict:
            return None
    return max(moments, default=None)


READER = HubSpot()
