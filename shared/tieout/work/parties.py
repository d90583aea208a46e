"""Which customers are finance's, and whose word holds for which of their fields.

A CRM holds mostly people who never buy. A change of one that is no customer is none of finance's business, and is
ignored with that reason. Known is who has a link in the ledger: onboarding writes it when it has made the customer
somewhere, and the win of a deal writes that it is expected, in the same transaction that takes the deal in. Known is
also whom this very source has brought: its creation was taken in before.

Several systems keep one customer. The table of ownership names the system of record of a field (decision 0021).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from tieout import flows
from tieout.contract import Read
from tieout.core import keys
from tieout.core.documents import Customer, Document, Opportunity
from tieout.core.lookup import VALUE
from tieout.core.verdicts import Ignore, NeedsHuman
from tieout.core.writes import Change
from tieout.tables import Tables
from tieout.work.ports import Ports

#: How a link names an entity that sells to its customer, and what the system of record of a field said last.
SOLD_BY: Final = "of:"
SAID: Final = "said:"
#: The lane of changes of customers that somebody else has brought: those wait until the books know them.
LANE: Final = "account"


@dataclass(frozen=True)
class Party:
    """A customer that was let in: as its source names it, and what its link says; ``None`` where it has none.

    ``canonical`` is its identity in the books, as far as they say one. ``brings`` says that its source brings customers
    to the books: those are this one's own that they know by no other name.
    """

    who: str
    link: Mapping[str, Any] | None
    canonical: str = ""
    brings: bool = False

    @property
    def born(self) -> bool:
        """Whether who tells of it has brought it to the books as well."""
        return self.brings and self.canonical == self.who

    def about(self, doc: Document) -> Party:
        """The same, of whom ``doc`` tells: under the name it gives where the books say none."""
        return self if self.canonical or not isinstance(doc, Customer) else replace(self, canonical=doc.canonical_id)

    def named(self, read: Read) -> Read:
        """``read`` with its selling entity, where it names none and the books know the one that sells to it.

        Raises ``NeedsHuman('customer_incomplete')`` where several do: which of their ERPs is meant is not guessed.
        """
        sellers = sorted(name.removeprefix(SOLD_BY) for name in self.link or {} if name.startswith(SOLD_BY))
        if read.entity or not sellers:
            return read
        if len(sellers) > 1:
            what = f"its selling entity: {' and '.join(sellers)} sell to it"
            raise NeedsHuman("customer_incomplete", "several entities", what=what)
        return replace(read, entity=sellers[0])

    def of(self, doc: Document, known: Tables) -> Document:
        """``doc`` under the identity that the books know the customer by, without what is another system's to say."""
        if not isinstance(doc, Customer):
            return doc
        return _without_others_words(doc.model_copy(update={"canonical_id": self.canonical}), self, known)

    def said(self, doc: Document, known: Tables) -> Change | None:
        """What a source says of the fields that are its own to say, for whoever says something else of them later."""
        words = dict(_own_words(doc, doc, known)) if isinstance(doc, Customer) and self.link else {}
        link = keys.link_item("customer", self.canonical)
        return Change(link, set={"what": "link", **words}, upsert=True) if words else None

    def queue(self, flow: flows.Flow) -> flows.Flow:
        """``flow`` with the lane of this customer's changes: whom its source has brought, behind its creation."""
        return flow if self.born else replace(flow, lane=LANE)

    def reads(self) -> list[list[str]]:
        """What its posting waits for: the link at its target, where the customer is on its way there."""
        return [list(keys.link_item("customer", self.canonical))] if self.link and not self.born else []


def told_of(ports: Ports, flow: flows.Flow, account: str, read: Read) -> Party | None:
    """The customer that ``read`` is about, where the flow keeps a customer in step; ``None`` for any other flow.

    Raises ``Ignore('not_for_us')`` for one that is not finance's, where the flow is for those only.
    """
    if flow.makes != Customer.kind or flow.steps[0].action != "upsert":
        return None
    source = flow.on.source
    who = keys.object_id(source, account, read.object_id)
    key, creation = keys.link_item("customer", who), keys.guard_item(Customer.kind, who)
    found = ports.ledger.read([key, creation])
    link, brings = found.get(key), _brings_customers(source)
    if flow.known and link is None and not read.claimed and not (brings and found.get(creation)):
        raise Ignore("not_for_us", "no customer", reason="it is no customer in the books, and not marked for finance")
    canonical = str((link or {}).get("canonical", ""))
    if canonical not in ("", who):
        first = keys.link_item("customer", canonical)
        link = {**(link or {}), **(ports.ledger.read([first]).get(first) or {})}
    return Party(who, link, canonical, brings)


def _brings_customers(source: str) -> bool:
    """Whether customers come into the books from a source, by a flow that asks nobody whether they are known."""
    return any(flow.on.source == source and flow.makes == Customer.kind and not flow.known for flow in flows.FLOWS)


def expected(doc: Document, event: str, known: Tables) -> Change | None:
    """That the customer of a won deal is on its way into the books, who sells to it, and what the CRM says of it."""
    if not isinstance(doc, Opportunity):
        return None
    values = {"what": "link", f"{SOLD_BY}{doc.entity}": event, **dict(_own_words(doc.customer, doc, known))}
    return Change(keys.link_item("customer", doc.customer.canonical_id), set=values, upsert=True)


# --- whose word holds --------------------------------------------------------------------------------------------
def _owned(doc: Document, known: Tables) -> Iterator[tuple[str, str, str]]:
    """Fields of a customer that have a system of record: name, system, and what becomes of another's word.

    As of the day and for the entity of ``doc``, which tells of it.
    """
    view = known.view(doc.event_instant.value.date(), entity=doc.entity)
    table = known.tables.get("ownership")
    paths = {str(row.key) for row in table.rows} if table else set()
    for name in sorted(Customer.model_fields):
        path = f"{Customer.kind}.{name}"
        if path in paths and (owner := view.value("ownership", path, VALUE)):
            yield name, str(owner), str(view.value("ownership", path, "other"))


def _own_words(customer: Customer, doc: Document, known: Tables) -> Iterator[tuple[str, str]]:
    for name, owner, _ in _owned(doc, known):
        if owner == doc.source and (word := _word(customer, name)):
            yield f"{SAID}{name}", word


def _word(doc: Customer, name: str) -> str:
    """A field's value as a digest, so that the link holds nobody's name; empty where the document says nothing."""
    if not getattr(doc, name):
        return ""
    shown = doc.model_dump(mode="json", include={name})
    return keys.digest(json.dumps(shown, sort_keys=True, ensure_ascii=True)).hex()[:16]


def _without_others_words(doc: Customer, party: Party, known: Tables) -> Customer:
    """``doc`` without the fields that are for another system to say which keeps this customer too.

    Raises ``NeedsHuman('not_its_owner')`` where the table wants a person, and that system is known to say otherwise.
    """
    link = party.link or {}
    dropped: dict[str, Any] = {}
    for name, owner, other in _owned(doc, known):
        keeps = party.canonical.startswith(f"{owner}:") or any(one.startswith(f"at:{owner}:") for one in link)
        if owner == doc.source or not keeps or not (word := _word(doc, name)):
            continue
        if other == "ignored":
            dropped[name] = Customer.model_fields[name].get_default(call_default_factory=True)
        elif other == "case" and link.get(f"{SAID}{name}", word) != word:
            raise NeedsHuman("not_its_owner", name, kind=f"customer's {name}", owner=owner, source=doc.source)
    return doc.model_copy(update=dropped) if dropped else doc
