"""Poll: ask each source for what it may have told in vain, and send what is not known on its ordinary way.

A span of time is listed page by page; what its pages hold and the ledger does not goes on the inbox, as a delivery
would. Where we are is written down behind each page (``C#system:account``), never before it: a page that fails, or a
death between a page and that write, only means that the page is listed again, and what was sent twice is a duplicate.
The next span begins a little before the end of the last, because clocks differ and lists lag.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from tieout import flows, systems
from tieout.contract import Delivery, Lister, Page, Poll, Span
from tieout.core import keys, ledger
from tieout.core.keys import Key
from tieout.core.ledger import stamp
from tieout.core.verdicts import NeedsHuman, Verdict
from tieout.core.windows import Job, Run
from tieout.core.writes import Change, Item
from tieout.work import windows
from tieout.work.asking import Asking
from tieout.work.commit import View
from tieout.work.ports import Ports
from tieout.work.post import RECORD_MARGIN
from tieout.work.receive import envelope

if TYPE_CHECKING:  # whoever calls has them loaded, or not yet
    from tieout.tables import Tables

#: How the inbox message of a listed event says where it comes from.
VIA: Final = "poll"
#: No account is begun with less than this many seconds left.
MARGIN: Final = 15.0


def accounts(tables: Tables) -> list[str]:
    """Every account (``system:account``) that can be asked what it told: of the source accounts and of the routes."""
    named = [str(row.key) for row in tables.tables["source_accounts"].rows]
    named += [route.target for route in tables.routes]
    return [one for one in dict.fromkeys(named) if one.partition(":")[0] in systems.LISTERS]


def job(target: str, how: Poll) -> Job:
    """The scheduled job of one account."""
    means = f"what {target} told in vain is not asked for"
    return Job(f"poll {target}", every=how.every, means=means, patience=max(how.every * 2, timedelta(minutes=30)))


def poll(ports: Ports, tables: Tables) -> Counter[str]:
    """Ask every account whose turn it is; counts by what was done. One that cannot be asked holds up no other."""
    done: Counter[str] = Counter()
    for target in accounts(tables):
        if ports.remaining() < MARGIN:
            done["left for the next run"] += 1
            continue
        lister = systems.lister(target.partition(":")[0])
        try:
            done.update(windows.run(job(target, lister.poll), ports, partial(listing, lister, target, ports)))
        except Verdict as verdict:
            ports.log("poll_obstacle", target=target, code=verdict.code)
            done["could not ask"] += 1
        except Exception as error:
            ports.log("poll_failed", target=target, error=type(error).__name__)
            done["failed"] += 1
    return done


def listing(lister: Lister, target: str, ports: Ports, run: Run) -> Mapping[str, int]:
    """List what is due of one account, from where the last run stopped. Raises what stood in the way."""
    source, _, account = target.partition(":")
    key = keys.cursor_item(target)
    view: View = {key: None, keys.budget_item(target): None}
    view.update(ports.ledger.read(list(view)))
    item = view[key] or {}
    span, page = _where(item, lister, source, ports)
    if span.since >= span.until:
        _save(ports, key, item, span, "")
        return {} if item else {"asked for the first time": 1}
    counts: Counter[str] = Counter()
    asking = Asking(ports, view, target)
    wire = asking.begin(lister, account)
    try:
        while True:
            got = _page(lister, asking, wire, span, page, item)
            counts.update(_send(got, source, account, ports))
            page = got.next
            item = _save(ports, key, item, span, page, place=got.place)
            if not page or ports.remaining() < lister.quiet.client_timeout + 2 * RECORD_MARGIN:
                return counts
    finally:
        asking.end()


def _where(item: Item, lister: Lister, source: str, ports: Ports) -> tuple[Span, str]:
    """The span and page to go on with; an empty span for an account that was never asked: its past is not ours."""
    how, now = lister.poll, ports.now()
    types = sorted({flow.on.type for flow in flows.FLOWS if flow.on.source == source})
    place = str(item.get("place", ""))
    if item.get("page"):
        return Span(ledger.instant(item["since"]), ledger.instant(item["to"]), types, place), str(item["page"])
    until = _whole(now - how.settle)
    if not item.get("until"):
        return Span(until, until, types), ""
    since, reach = ledger.instant(item["until"]) - how.overlap, _whole(now - how.reach)
    if since < reach:
        ports.log("poll_beyond_reach", source=source, since=stamp(since), reach=stamp(reach))
    since = max(since, reach, ledger.instant(item["begun"]))
    return Span(since, max(until, since), types, place), ""


def _whole(at: datetime) -> datetime:
    """Whole seconds: no vendor lists by less."""
    return at.replace(microsecond=0)


def _page(lister: Lister, asking: Asking, wire: Any, span: Span, page: str, item: Item) -> Page:
    try:
        got = lister.listed(wire, span, page)
    except Verdict as verdict:
        asking.heard(verdict)
        if page and isinstance(verdict, NeedsHuman):
            # A place in a list that the source knows no more: the span is listed again from its beginning.
            _save(asking.ports, keys.cursor_item(asking.target), item, span, "", finished=False)
        raise
    asking.heard(None)
    return got


def _send(page: Page, source: str, account: str, ports: Ports) -> Counter[str]:
    """Put what the ledger does not know on the inbox; one read of the ledger a page."""
    named = [(body, _events(source, account, body)) for body in page.bodies]
    wanted = {key for _, events in named for key, _, _ in events}
    wanted |= {guard for _, events in named for _, guard, _ in events if guard}
    known = ports.ledger.read(wanted)
    counts: Counter[str] = Counter()
    for body, events in named:
        if events and all(_known(known, *event) for event in events):
            counts["known"] += 1
            continue
        delivery = Delivery(source, account, "GET", "", {}, body, ports.now())
        ports.queues.receive_into_inbox({**envelope(delivery, ports.vault.put), "via": VIA})
        for key, _, _ in events:
            ports.log("event_recovered", event=key.pk)
        counts["recovered"] += 1
    return counts


def _events(source: str, account: str, body: bytes) -> list[tuple[Key, Key | None, int]]:
    """The events of a listed body, each with its object's old-news guard and version. One that cannot be read is known
    by its bytes: intake makes it a case under that name."""
    try:
        reads = systems.source(source).read(body)
    except Verdict:
        unread = ledger.unread(keys.delivery_id(source, account, body))
        return [(keys.event(source, account, unread), None, 0)]
    found = []
    for read in reads:
        flow = flows.match(source, read.type)
        who = keys.object_id(source, account, read.object_id)
        guard = keys.guard_item(flow.makes, who) if flow is not None and flow.in_place else None
        found.append((keys.event(source, account, read.event_id), guard, read.object_version or 0))
    return found


def _known(known: Mapping[Key, Item], event: Key, guard: Key | None, version: int) -> bool:
    """Whether an event is in the ledger, or this state of its object or a newer one came by another."""
    seen = known.get(guard) if guard else None
    return event in known or (seen is not None and int(seen["version"]) >= version)


def _save(ports: Ports, key: Key, item: Item, span: Span, page: str, *, finished: bool = True, place: str = "") -> Item:
    """Write down where we are: at a page of the span, or at its end. Raises ``Refused`` for who is not the last."""
    at = {"since": stamp(span.since), "to": stamp(span.until), "page": page}
    done = {"until": stamp(span.until)} if finished and not page else {}
    done |= {"place": place} if place else {}
    begun = {} if item else {"begun": stamp(span.since)}
    values = {"what": "cursor", "v": ledger.SCHEMA, "updated": stamp(ports.now()), **at, **done, **begun}
    ports.ledger.write([Change(key, set=values, add={"rev": 1}, when={"rev": item.get("rev")}, upsert=True)])
    return {**item, **values, "rev": int(item.get("rev", 0)) + 1}
