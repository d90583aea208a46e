"""Which customers are finance's: those the books know or expect, and those that their source claims for it.

A CRM holds mostly people who never buy. A change of one that is no customer is none of finance's business, and is
ignored with that reason. Known is who has a link in the ledger: onboarding writes it when it has made the customer
somewhere, and the win of a deal writes that it is expected, in the same transaction that takes the deal in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from tieout.contract import Read
from tieout.core import keys
from tieout.core.documents import Customer, Document, Opportunity
from tieout.core.keys import Key
from tieout.core.verdicts import Ignore, NeedsHuman
from tieout.core.writes import Change
from tieout.work.ports import Ports

#: How a link names an entity that sells to its customer.
SOLD_BY: Final = "of:"


@dataclass(frozen=True)
class Party:
    """A customer that was let in: where its link is, and what it says; ``None`` where only its source claims it."""

    key: Key
    canonical: str
    link: Mapping[str, Any] | None

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

    def of(self, doc: Document) -> Document:
        """``doc`` under the identity that the books know the customer by."""
        return doc.model_copy(update={"canonical_id": self.canonical}) if isinstance(doc, Customer) else doc

    def reads(self) -> list[list[str]]:
        """What its posting waits for: the link at its target, where the customer is on its way there."""
        return [list(self.key)] if self.link else []


def admitted(ports: Ports, source: str, account: str, read: Read) -> Party:
    """The customer that ``read`` is about. Raises ``Ignore('not_for_us')`` for one that is not finance's."""
    who = keys.object_id(source, account, read.object_id)
    key = keys.link_item("customer", who)
    link = ports.ledger.read([key]).get(key)
    if link is None and not read.claimed:
        raise Ignore("not_for_us", "no customer", reason="it is no customer in the books, and not marked for finance")
    return Party(key, str((link or {}).get("canonical") or who), link)


def expected(doc: Document, event: str) -> Change | None:
    """That the customer of a won deal is on its way into the books, and who sells to it."""
    if not isinstance(doc, Opportunity):
        return None
    key = keys.link_item("customer", doc.customer.canonical_id)
    return Change(key, set={"what": "link", f"{SOLD_BY}{doc.entity}": event}, upsert=True)
