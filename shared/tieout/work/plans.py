"""The planner asked about real postings: what is done when a source takes back or changes what we have.

A void that finds its document unsent ends together with it, in one write that is conditional on both: whoever claims
the document meanwhile wins, and the void then keeps its place behind it. Not where the document was ever in doubt, or
where anything else waits in its lane: then it is posted first, and taken back after.
"""

from __future__ import annotations

from datetime import date

from tieout import systems
from tieout.core import keys, lanes, ledger, planner
from tieout.core.clocks import PostingDate
from tieout.core.keys import Key
from tieout.core.money import Currency, Money
from tieout.core.planner import At, Does, Period, Says, Situation, Takes
from tieout.core.verdicts import NotYet
from tieout.core.writes import Item
from tieout.work import render
from tieout.work.book import Outcome, book
from tieout.work.commit import View
from tieout.work.ports import Ports, Send


def plan(ports: Ports, says: Says, posting: Item) -> planner.Row:
    """What is done about ``posting`` when its source says that of it."""
    target = systems.target(posting["target"].partition(":")[0])
    offered = target.actions.get((posting["kind"], "void"))
    takes = Takes.NOT if offered is None else Takes.DATED if offered.dated else Takes.IN_PLACE
    return planner.plan(Situation(says, planner.at(posting), _period(ports, posting), takes))


def _period(ports: Ports, posting: Item) -> Period:
    """Whether the period of a posting's date takes anything; one that no calendar reaches does not."""
    calendar = render.tables_now(ports).calendars.get(posting["entity"])
    if calendar is None or not posting.get("posting_date"):
        return Period.CLOSED
    try:
        period = calendar.period_of(PostingDate(date.fromisoformat(posting["posting_date"])))
    except NotYet:
        return Period.CLOSED
    return Period.OPEN if period.is_open else Period.CLOSED


def conflict(ports: Ports, posting: Item, now: Money | None) -> dict[str, str]:
    """What a case about other content under the same key says: both amounts, the plan, and what the books change by."""
    row = plan(ports, Says.CHANGED, posting)
    facts = {"key": str(posting["key"]), "plan": str(row.does), "why": row.why}
    if now is None or posting.get("currency") != str(now.currency) or "total" not in posting:
        return facts | {"was": _said(posting), "now": now.text if now else "no amount"}
    change = Money(row.effect(posting["total"], now.minor), now.currency)
    return facts | {"was": _said(posting), "now": f"{now.text} {now.currency}", "effect": change.text}


def _said(posting: Item) -> str:
    if "total" not in posting:
        return "no amount"
    amount = Money(posting["total"], Currency(posting["currency"]))
    return f"{amount.text} {amount.currency}"


def above(view: View, posting: Item) -> Item | None:
    """The document that a void takes back, where the view has it; ``None`` for a posting that takes nothing back."""
    if posting["action"] != "void" or "after" in posting:
        return None  # what follows an acceptance follows the acceptance of a void too: finance has decided
    key = next((Key(*one) for one in posting.get("reads", ()) if one[0].startswith("P#")), None)
    return view.get(key) if key else None


def of_void(ports: Ports, view: View, posting: Item) -> planner.Row | None:
    """What the planner says about a void whose document is at the target, or gone; ``None`` before that is known."""
    document = above(view, posting)
    if document is None or planner.at(document) not in (At.POSTED, At.APPLIED, At.GONE):
        return None
    return plan(ports, Says.VOIDED, document)


def withdraw(ports: Ports, view: View, posting: Item) -> list[Send] | None:
    """End a void unsent, with its document, where that is the plan; what is to be sent then, ``None`` where it goes on.

    Raises ``Fenced`` where either moves on meanwhile. ``view`` must hold the void's document and lane.
    """
    document = above(view, posting)
    if document is None or ledger.newer(document) or posting["state"] not in (ledger.NEW, ledger.HELD):
        return None
    row = plan(ports, Says.VOIDED, document)
    note = {"plan": str(row.does)}
    if row.does is Does.NOTHING:
        if _behind(view, posting):
            return None  # else it would end now or when its turn comes, by who happens to look at it
        return book(ports, view, posting, Outcome(ledger.SUPERSEDED, remove=("aside",), note=note))
    if row.does is not Does.WITHDRAW or not _may(view, posting, document):
        return None
    both = Outcome(ledger.SUPERSEDED, remove=("aside",), note=note, also=(document,))
    return book(ports, view, posting, both)


def _behind(view: View, posting: Item) -> bool:
    lane = view.get(keys.lane_item(posting.get("lane", "")))
    return lanes.head(lane) != posting["key"] and posting["key"] in (lane or {}).get("queue", ())


def _may(view: View, posting: Item, document: Item) -> bool:
    """Whether nothing else hangs on the document, and no write of it was ever left without an answer.

    A write that was in doubt was looked for and not found, which is proof enough to send again under the same
    reference, and is not taken for proof that nothing will ever be there.
    """
    if "run" in document or document.get("segments"):
        return False
    if any(line["to"] == ledger.IN_DOUBT for line in document.get("history", ())):
        return False
    lane = view.get(keys.lane_item(posting.get("lane", ""))) or {}
    return {*lane.get("queue", ()), *lane.get("aside", ())} == {posting["key"], document["key"]}
