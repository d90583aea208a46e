"""What follows of itself: the postings behind an acceptance, and the ticket behind a refusal.

Both are off where the route table has no row of their role. What is on is decided and pinned when a document arrives,
so that a booking asks no table. They are written in the same write as what they follow, and nothing of the books ever
waits for them: each has a lane of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from tieout import flows, systems
from tieout.core import keys, ledger
from tieout.core.clocks import EventInstant
from tieout.core.documents import Customer, Document, Ticket
from tieout.core.keys import Key
from tieout.core.problems import problem
from tieout.core.verdicts import NeedsHuman, Verdict
from tieout.core.writes import Item
from tieout.work import make, render

#: How soon support is expected to have seen a ticket, by the severity of what it is about.
PRIORITY: Final = {"critical": "high", "error": "normal", "warning": "low", "info": "low"}


def wanted(flow: flows.Flow, doc: Document) -> dict[str, Any]:
    """What a posting of ``doc`` carries of this: the targets that follow its acceptance, and who gets its ticket.

    Raises ``NeedsHuman('route_unable')`` for a route to a system that cannot do it: better now than at the booking.
    """
    then: dict[str, str] = {}
    for step in flow.then:
        if step.kind != doc.kind:
            continue
        target = render.route_if_any(step.role, doc.kind, doc)
        if target is None or (isinstance(doc, Customer) and doc.canonical_id.startswith(f"{target}:")):
            continue  # off; or the customer comes from that very account, which is not told what it told us
        if (doc.kind, step.action) not in systems.target(target.partition(":")[0]).actions:
            raise NeedsHuman("route_unable", target=target, action=step.action, kind=doc.kind)
        then[step.name] = target
    support = render.route_if_any(flow.support, Ticket.kind, doc) if flow.support else None
    return {**({"then": then} if then else {}), **({"support": support} if support else {})}


def behind_acceptance(item: Item, origin: make.Origin) -> Iterator[make.Made]:
    """The postings that follow ``item``, which is being accepted: same document, same generation."""
    if not item.get("then"):
        return
    flow, doc = flows.named(item["flow"]), make.unpack(item)
    for step in flow.then:
        if step.name in item["then"]:
            more = {"taxed": facts} if step.role == "tax" and (facts := taxed(doc)) else None
            yield make.make(
                flow, step, doc, item["then"][step.name], origin, generation=item["generation"], more=more, after=item
            )


def taxed(doc: Document) -> dict[str, Any]:
    """What a later credit needs of what was taxed: its tax point, and where it was supplied.

    It stays on the posting, because the document itself does not once the posting is final, and a credit is taxed at
    the day and place of its invoice.
    """
    point, place = getattr(doc, "tax_point", None), getattr(doc, "ship_to", None)
    return {"on": point.iso if point else None, "ship_to": place.model_dump(exclude_none=True) if place else None}


# --- tickets -----------------------------------------------------------------------------------------------------
def worth_a_ticket(item: Item, to: str) -> bool:
    """Support hears of a definite refusal, and then that finance has it after all."""
    if not item.get("support"):
        return False
    return to == ledger.REFUSED or (to == ledger.POSTED and bool(item.get("tickets")))


def ticket(
    item: Item, to: str, verdict: Verdict | None, said: str, link: Item | None, origin: make.Origin
) -> make.Made:
    """The posting of a ticket about ``item``: the first is created, what is told later is added to it as a note.

    ``said`` is the sentence for people, ``link`` the customer's cross-reference: where support's system knows the
    customer, the ticket is filed under it.
    """
    told, target = int(item.get("tickets", 0)), str(item["support"])
    entry = problem(verdict.code) if verdict else None
    name = item.get("number") or item["source_id"]
    about = Ticket(
        source=item["source"],
        account=item["account"],
        source_id=f"{item['kind']}.{item['source_id']}.{item['action']}.g{item['generation']}",
        entity=item["entity"],
        version=told + 1,
        event_instant=EventInstant(origin.now),
        number=None,
        customer_id=item.get("party"),
        subject=f"{item['kind'].replace('_', ' ').capitalize()} {name} is not in the books"[:255],
        body=said[:4000],
        state="open" if to == ledger.REFUSED else "solved",
        priority=PRIORITY.get(entry.severity, "normal") if entry else "normal",  # type: ignore[arg-type]
        category=verdict.code if verdict else None,
        opened_at=EventInstant(ledger.instant(item["opened"])),
        owner=entry.owner if entry else None,
        about_kind=item["kind"],
        about_id=item["source_id"],
    )
    step = flows.Step("ticket", to="support.ticket", action="update" if told else "create")
    flow = flows.Flow(
        item["flow"], flows.named(item["flow"]).on, reads="", makes=Ticket.kind, steps=(step,),
        owner=item["owner_team"], sla=flows.minutes(60), lane="ticket", in_place=True, priority=70,
    )  # fmt: skip
    first = keys.posting(Ticket.kind, make.identity(about), "create", step.name, version=1)
    known = link is not None and f"at:{target}" in link
    reads = [list(Key(link["pk"], link["sk"]))] if link is not None and known else []
    reads += [list(keys.posting_item(first))] if told else []
    return make.make(flow, step, about, target, origin, more={"reads": reads})


def count(item: Item) -> dict[str, int]:
    """What the posting itself remembers: how often support was told."""
    return {"tickets": int(item.get("tickets", 0)) + 1}
