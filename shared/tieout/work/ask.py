"""Ask: what people and scripts see of the books, as plain values. Reads the ledger, writes nothing, knows no page.

Lists come from the indexes (what is open, what became final on a day) and may be a moment behind; one thing looked at
by its key is read from its item, strongly. Money is only ever added within one currency, and the documents that tell
the CRM about other documents (kind *status*), like what follows an acceptance (its tax, its load), are left out of
every sum, because their money is not their own.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from tieout import flows, systems, tables
from tieout.core import keys, lanes, ledger
from tieout.core.documents import Status
from tieout.core.keys import Key
from tieout.core.money import Currency, Money
from tieout.core.problems import Problem, problem
from tieout.core.writes import Item
from tieout.work.ports import Ledger
from tieout.work.settle import offered
from tieout.work.views import (
    DAYS,
    MOST,
    MOST_DAYS,
    SHOWN_ORDER,
    AtTarget,
    BadQuestion,
    Board,
    Case,
    Cause,
    EventView,
    Filter,
    Found,
    LaneView,
    Line,
    LinkView,
    Listing,
    Moment,
    NotThere,
    Overview,
    PostingView,
    RunView,
    Sum,
)  # fmt: skip

#: Rows of the indexes that one list looks at. Beyond it a list says that it is not whole; it never stops in silence.
SCAN: Final = 20_000
#: States that only a person can end.
NEEDS_PERSON: Final = frozenset({ledger.CASE, ledger.REFUSED, ledger.AMBIGUOUS})
#: Steps whose postings follow an acceptance: the document is counted where it was accepted.
FOLLOWERS: Final = frozenset(step.name for flow in flows.FLOWS for step in flow.then)


# --- one row -----------------------------------------------------------------------------------------------------
def read_line(row: Item, now: datetime) -> Line:
    """The line of an item or of its index row; both carry what is needed."""
    what, state = str(row["what"]), str(row.get("state", ""))
    deadline = _at(row.get("late"))
    open_ = is_open(row)
    code = str(row.get("code", "")) if open_ or what == "event" else ""
    return Line(
        what=what,
        key=key_of(row),
        state=state,
        shown=shown(row),
        kind=str(row.get("kind", "")),
        name=name_of(row),
        updated=_at(row.get("updated")) or now,
        opened=_at(row.get("opened")) or now,
        entity=str(row.get("entity", "")),
        target=str(row.get("target", "")),
        money=money_of(row),
        code=code,
        sentence=problem(code).say(facts_of(row)) if code else "",
        owner=str(row.get("owner_team", "")),
        flow=str(row.get("flow", "")),
        source=str(row.get("source", "")),
        source_id=str(row.get("source_id") or row.get("find") or ""),
        remote=str(row.get("remote", "")),
        type=str(row.get("type", "")),
        deliveries=int(row.get("deliveries", 0)),
        deadline=deadline,
        late=bool(open_ and deadline and deadline < now),
        open=open_,
        case=is_case(row),
    )


def key_of(row: Item) -> str:
    """The name by which a row is asked for: posting key, ``source:account:event id``, or ``flow#identity/run``."""
    name = str(row["pk"])[2:]
    return f"{name}/{row['sk']}" if row["what"] == "run" else name


def name_of(row: Item) -> str:
    """How people call it: a document number where there is one, else the source's id."""
    if row["what"] == "event":
        return str(row["pk"]).rpartition(":")[2]
    return str(row.get("number") or row.get("source_id") or key_of(row))


def shown(row: Item) -> str:
    """What people are shown of a row's state."""
    state = str(row.get("state", ""))
    if row["what"] == "posting":
        return ledger.SHOWN.get(state, "pending")
    if row["what"] == "run":
        return "pending" if state == "NEW" else state.casefold()
    return "pending" if state == ledger.WAITING else state.casefold().replace("_", " ")


def is_open(row: Item) -> bool:
    """Whether a row is not finished; a finished posting that still owes a machine its answer is."""
    state = row.get("state")
    if row["what"] == "posting":
        return state not in ledger.TERMINAL
    if row["what"] == "run":
        return state not in ("DONE", "COMPENSATED")
    return state in (ledger.CASE, ledger.WAITING)


def is_case(row: Item) -> bool:
    """Whether a row waits for a person."""
    if not is_open(row):
        return False
    code = str(row.get("code", ""))
    return row.get("state") in NEEDS_PERSON or bool(code and problem(code).case)


def money_of(row: Item) -> Money | None:
    """The amount that stands for the row's document."""
    if not row.get("currency") or row.get("total") is None:
        return None
    return Money(int(row["total"]), Currency(str(row["currency"])))


def facts_of(row: Item) -> dict[str, str]:
    """What fills a problem's sentence."""
    given = {name: str(row[name]) for name in ("target", "entity", "kind", "source", "key") if row.get(name)}
    return given | {str(name): str(value) for name, value in (row.get("facts") or {}).items()}


def own_money(row: Line) -> Money | None:
    """The money that a line adds: none where it is told, taxed or loaded after the document that it is counted with."""
    step = row.key.split("/")[3:4] if row.what == "posting" else []
    return None if row.kind == Status.kind or FOLLOWERS.intersection(step) else row.money


def total_of(rows: Iterable[Line]) -> Sum:
    """Count, and money by currency; lines about other documents count without their money."""
    count, money = 0, dict[str, int]()
    for row in rows:
        count += 1
        if (own := own_money(row)) is not None:
            money[own.currency] = money.get(own.currency, 0) + own.minor
    return Sum(count, tuple(Money.of(minor, currency) for currency, minor in sorted(money.items())))


def _at(text: Any) -> datetime | None:
    return ledger.instant(str(text)) if text else None


# --- lists -------------------------------------------------------------------------------------------------------
def _rows(books: Ledger, now: datetime, days: int, *whats: str) -> tuple[list[Item], bool]:
    """Index rows of what is open and of what became final in the last ``days``, each once; whether that is all."""
    if not 1 <= days <= MOST_DAYS:
        raise BadQuestion(f"days must be from 1 to {MOST_DAYS}")
    found: dict[tuple[str, str], Item] = {}

    def all_rows() -> Iterator[Item]:
        yield from books.open()
        for back in range(days):
            yield from books.day((now.astimezone(UTC) - timedelta(days=back)).date().isoformat())

    for looked, row in enumerate(all_rows()):
        if looked >= SCAN:
            return list(found.values()), False
        if row.get("what") in whats:
            before = found.get((row["pk"], row["sk"]))
            if before is None or str(before.get("updated", "")) <= str(row.get("updated", "")):
                found[row["pk"], row["sk"]] = row
    return list(found.values()), True


def postings(books: Ledger, now: datetime, by: Filter) -> Listing:
    """Postings, newest change first. With a text: those that go by it, by whatever name."""
    if by.text.strip():
        lines = [line for line in search(books, by.text, now).lines if line.what == "posting"]
        return _page([line for line in lines if _fits(line, by)], by, whole=True)
    rows, whole = _rows(books, now, by.days, "posting")
    return _page([line for row in rows if _fits(line := read_line(row, now), by)], by, whole=whole)


def events(books: Ledger, now: datetime, by: Filter) -> Listing:
    """Events, newest first; ``state`` narrows by outcome, ``kind`` by event type, ``target`` by source."""
    if by.text.strip():
        found = [line for line in search(books, by.text, now).lines if line.what == "event"]
        whole = True
    else:
        rows, whole = _rows(books, now, by.days, "event")
        found = [read_line(row, now) for row in rows]
    fitting = [
        line
        for line in found
        if (
            not by.state
            or by.state.casefold() in (line.state.casefold(), line.shown)
            or (by.state == "open" and line.open)
        )
        and (not by.kind or by.kind == line.type)
        and (not by.target or by.target == line.source)
        and (not by.entity or by.entity == line.entity)
    ]
    return _page(fitting, by, whole=whole)


def runs(books: Ledger, now: datetime, by: Filter) -> Listing:
    """Runs of multi-step flows, newest change first."""
    rows, whole = _rows(books, now, by.days, "run")
    return _page([line for row in rows if _fits(line := read_line(row, now), by)], by, whole=whole)


def _fits(line: Line, by: Filter) -> bool:
    return (
        _in_state(line, by.state)
        and by.entity in ("", line.entity)
        and by.target in ("", line.target, line.target.partition(":")[0])
        and by.kind in ("", line.kind)
    )


def _in_state(line: Line, state: str) -> bool:
    wanted = state.casefold()
    return wanted in ("", line.state.casefold(), line.shown) or any(
        (wanted == "open" and line.open, wanted == "late" and line.late, wanted == "case" and line.case)
    )


def _place(line: Line) -> list[str]:
    return [ledger.stamp(line.updated), line.key]


def _page(lines: list[Line], by: Filter, *, whole: bool) -> Listing:
    if not 1 <= by.limit <= MOST:
        raise BadQuestion(f"limit must be from 1 to {MOST}")
    lines.sort(key=_place, reverse=True)
    if by.cursor:
        after = _read_cursor(by.cursor)
        lines = [line for line in lines if _place(line) < after]
    page = lines[: by.limit]
    more = _write_cursor(_place(page[-1])) if len(lines) > by.limit else ""
    return Listing(tuple(page), more, whole)


def _write_cursor(place: list[str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


def _read_cursor(cursor: str) -> list[str]:
    try:
        place = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except ValueError:
        place = None
    if not (isinstance(place, list) and len(place) == 2 and all(isinstance(one, str) for one in place)):
        raise BadQuestion("cursor is none that this API gave out")
    return place


# --- overview ----------------------------------------------------------------------------------------------------
def overview(books: Ledger, now: datetime, days: int = DAYS) -> Overview:
    """Counts and money by state and currency, what is late, and how each target stands."""
    rows, _ = _rows(books, now, days, "posting", "event", "run")
    lines = [read_line(row, now) for row in rows]
    by_what: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        by_what[line.what].append(line)
    found = by_what["posting"]
    late = sorted((line for line in lines if line.late), key=lambda line: (line.deadline or now, line.key))
    since = (now.astimezone(UTC) - timedelta(days=days - 1)).date()
    received = [line for line in by_what["event"] if line.opened.date() >= since]
    return Overview(
        at=now,
        since=since,
        states={state: total_of(line for line in found if line.shown == state) for state in SHOWN_ORDER},
        board=_board(found),
        targets=_targets(found),
        late=tuple(late[:10]),
        late_count=len(late),
        cases=total_of(line for line in lines if line.case),
        deliveries=sum(line.deliveries for line in received),
        events=_count(line.state for line in received),
        runs=_count(line.state for line in by_what["run"]),
        recent=tuple(sorted((one for one in found if one.kind != Status.kind), key=_place, reverse=True)[:12]),
    )


def _count(words: Iterable[str]) -> dict[str, int]:
    counted: dict[str, int] = defaultdict(int)
    for word in words:
        counted[word] += 1
    return dict(sorted(counted.items()))


def _board(found: Sequence[Line]) -> tuple[Board, ...]:
    groups: dict[tuple[str, str], list[Line]] = defaultdict(list)
    for line in found:
        own = own_money(line)
        groups[line.kind, str(own.currency) if own else ""].append(line)
    return tuple(
        Board(kind, currency, {state: total_of(one for one in lines if one.shown == state) for state in SHOWN_ORDER})
        for (kind, currency), lines in sorted(groups.items(), key=lambda group: (not group[0][1], group[0]))
    )


def _targets(found: Sequence[Line]) -> tuple[AtTarget, ...]:
    groups: dict[str, list[Line]] = defaultdict(list)
    for line in found:
        groups[line.target].append(line)
    return tuple(
        AtTarget(
            target,
            {state: sum(1 for one in lines if one.shown == state) for state in SHOWN_ORDER},
            sum(1 for one in lines if one.late),
            min((one.opened for one in lines if one.open), default=None),
        )
        for target, lines in sorted(groups.items())
    )


# --- cases -------------------------------------------------------------------------------------------------------
def cases(books: Ledger, now: datetime) -> tuple[Cause, ...]:
    """Open cases grouped by their code, the gravest and largest groups first; each read from its item."""
    wanted = [Key(row["pk"], row["sk"]) for row in books.open() if row.get("what") != "lane" and is_case(row)]
    items = books.read(wanted)
    groups: dict[str, list[Case]] = defaultdict(list)
    for item in items.values():
        if is_case(item):
            case = _case(item, now)
            groups[case.code].append(case)
    grave = {"critical": 0, "error": 1, "warning": 2, "info": 3}
    made = [_cause(code, members) for code, members in groups.items()]
    return tuple(sorted(made, key=lambda one: (grave[one.severity], -one.sum.count, one.code)))


def _case(item: Item, now: datetime) -> Case:
    line = read_line(item, now)
    entry = problem(line.code or "late")
    about = item.get("case") or {}
    opened = _at(about.get("opened")) or line.updated
    return Case(
        line, line.code or "late", line.sentence or entry.say(facts_of(item)), entry.cause, entry.remedy,
        str(about.get("owner") or entry.owner), entry.severity, entry.recovers, opened, now - opened,
        offered(item),
    )  # fmt: skip


def _cause(code: str, members: list[Case]) -> Cause:
    entry: Problem = problem(code)
    members.sort(key=lambda case: (case.opened, case.line.key))
    return Cause(
        code, entry.cause, entry.remedy, members[0].owner, entry.severity, entry.recovers,
        total_of(case.line for case in members), members[0].opened, tuple(members),
    )  # fmt: skip


# --- search ------------------------------------------------------------------------------------------------------
def search(books: Ledger, name: str, now: datetime) -> Found:
    """What goes by ``name``: any id of any system, a document number, our reference, a posting or event key."""
    name = name.strip()
    if not name or len(name) > 1000:
        raise BadQuestion("search for 1 to 1000 characters")
    wanted = dict.fromkeys([*_direct(name), *books.find(name)])
    items = [item for item in books.read(list(wanted)).values() if item]
    lines = [read_line(item, now) for item in items if item.get("what") in ("posting", "event", "run")]
    lines.sort(key=lambda line: (line.kind == Status.kind, line.what != "posting", line.opened, line.key))
    links = [_link(item) for item in items if item.get("what") == "link" and item.get("canonical")]
    return Found(name, tuple(lines), tuple(links))


def _direct(name: str) -> Iterator[Key]:
    """Items that the name itself spells: a posting, an event (its source and account may be left out), a run."""
    for word in dict.fromkeys((name, name.partition("#")[2] if name[:2] in ("P#", "E#", "F#") else name)):
        yield keys.posting_item(word)
        yield Key(f"E#{word}")
        before, _, run = word.rpartition("/")
        if before:
            yield Key(f"F#{before}", run)
    known = tables.load()
    accounts = {(route.system, route.account) for route in known.routes if route.system in systems.SOURCES}
    accounts |= {tuple(row.key.split(":", 1)) for row in known.tables["source_accounts"].rows}  # type: ignore[misc]
    for source, account in sorted(accounts):
        yield keys.event(source, account, name)
    yield keys.link_item("customer", name)


def _link(item: Item) -> LinkView:
    at = {name[3:]: str(value) for name, value in sorted(item.items()) if name.startswith("at:")}
    return LinkView(str(item["pk"]).split("#", 2)[2], str(item["canonical"]), at)


# --- one posting -------------------------------------------------------------------------------------------------
def posting(books: Ledger, key: str, now: datetime) -> PostingView:
    """One posting with all that belongs to it. Raises ``NotThere``."""
    family = books.family(keys.posting_item(key).pk)
    item = next((one for one in family if one["sk"] == "-"), None)
    if item is None:
        raise NotThere(f"no posting {key}")
    history, breaks = _history(family, item)
    lane = _lane(books, item)
    parent = next((str(pk)[2:] for pk, _ in item.get("reads", ()) if str(pk).startswith("P#")), "")
    named = [keys.posting_item(parent)] if parent else []
    named += [Key(str(item["event"]))] + ([Key(*item["run"])] if item.get("run") else [])
    near = books.read(named)
    event = near.get(Key(str(item["event"])))
    told = _by_name(books, f"{item['kind']}.{item['source_id']}", now) if item["kind"] != Status.kind else []
    related = [one for one in _by_name(books, str(item["source_id"]), now) if one.key != key]
    document = _document(item)
    return PostingView(
        line=read_line(item, now),
        facts=_facts(item, _POSTING_FACTS),
        status=status(item, lane),
        timeline=_timeline(item, history, breaks, event, told),
        chain_whole=not breaks,
        breaks=breaks,
        lane=lane,
        event=read_line(event, now) if event else None,
        run=read_line(run, now) if item.get("run") and (run := near.get(Key(*item["run"]))) else None,
        parent=read_line(above, now) if parent and (above := near.get(keys.posting_item(parent))) else None,
        told=told,
        related=[one for one in related if one.what == "posting" and one.key != parent],
        payload=_payload(item),
        document=document,
        document_date=_document_date(document),
    )


_POSTING_FACTS: Final = (
    "kind", "action", "step", "flow", "entity", "target", "source", "account", "source_id", "number", "party",
    "version", "generation", "ref", "remote", "remote_number", "posting_date", "lane", "priority", "owner_team",
    "mapping", "batch", "attempts", "sends", "epoch", "fingerprint", "region", "correlation",
)  # fmt: skip
_EVENT_FACTS: Final = (
    "source", "account", "event_id", "type", "entity", "flow", "delivery", "deliveries", "received", "fingerprint",
    "region",
)  # fmt: skip
_RUN_FACTS: Final = (
    "flow", "run", "execution", "entity", "source", "account", "source_id", "version", "owner_team", "region",
)  # fmt: skip


def _facts(item: Item, names: Sequence[str]) -> dict[str, Any]:
    return {name: item[name] for name in names if item.get(name) not in (None, "")}


def _by_name(books: Ledger, name: str, now: datetime) -> list[Line]:
    found = books.read(books.find(name))
    lines = [read_line(item, now) for item in found.values() if item.get("what") in ("posting", "event", "run")]
    return sorted(lines, key=lambda line: (line.opened, line.key))


def _document(item: Item) -> Any:
    return json.loads(zlib.decompress(item["doc"])) if item.get("doc") else None


def _document_date(document: Any) -> date | None:
    text = document.get("document_date") or document.get("close_date") if isinstance(document, dict) else None
    return date.fromisoformat(text) if isinstance(text, str) else None


def _payload(item: Item) -> Any:
    """What was sent or is about to be: as JSON where it is, else as text."""
    if not item.get("payload"):
        return None
    text = zlib.decompress(item["payload"]).decode("utf-8", "replace")
    try:
        return json.loads(text)
    except ValueError:
        return text


def _lane(books: Ledger, item: Item) -> LaneView | None:
    if not item.get("lane"):
        return None
    found = books.read([keys.lane_item(item["lane"])]).get(keys.lane_item(item["lane"])) or {}
    queue = [str(key) for key in found.get("queue", [])]
    place = queue.index(item["key"]) if item["key"] in queue else None
    behind = len(queue) - place - 1 if place is not None else 0
    ahead = tuple(queue[:place]) if place is not None else ()
    return LaneView(str(item["lane"]), lanes.head(found) or "", ahead, behind, tuple(found.get("aside", [])))


def _history(family: Sequence[Item], item: Item) -> tuple[list[Mapping[str, Any]], list[int]]:
    """All history lines, older segments first, and the numbers at which the chain does not hold."""
    older = [one for one in family if str(one["sk"]).startswith("H#")]
    lines = [line for one in sorted(older, key=lambda one: str(one["sk"])) for line in one["history"]]
    lines += item.get("history", [])
    return lines, ledger.chain_breaks(lines, str(item.get("tail", "")))


def _timeline(
    item: Item, history: Sequence[Mapping[str, Any]], breaks: Sequence[int], event: Item | None, told: Sequence[Line]
) -> tuple[Moment, ...]:
    moments = [
        Moment(
            at=ledger.instant(str(line["at"])),
            said=said_of(line, item, last=position == len(history)),
            state=str(line["to"]),
            before=str(line.get("from", "")),
            by=str(line.get("by", "")),
            note=line.get("note", {}),
            number=int(line["n"]),
            hash=str(line.get("hash", "")),
            broken=position in breaks,
        )
        for position, line in enumerate(history, start=1)
    ]
    if event is not None:
        arrived = ledger.instant(str(event.get("received") or event["opened"]))
        said = f"{str(event['source']).capitalize()} sent {event['type'] or 'an event'}"
        link = f"events/{key_of(event)}"
        moments.append(Moment(arrived, said, by=str(event["event_id"]), link=link, what="event"))
    for line in told:
        if line.kind == Status.kind:
            said = (
                f"The CRM was told ({line.target})" if line.shown == "accepted" else f"Status to the CRM: {line.shown}"
            )
            moments.append(Moment(line.updated, said, state=line.state, link=f"postings/{line.key}", what="told"))
    order = {"event": 0, "history": 1, "told": 2}
    return tuple(sorted(moments, key=lambda one: (one.at, order[one.what], one.number)))


def said_of(line: Mapping[str, Any], item: Item, *, last: bool) -> str:
    """One history line in words. Lines hold codes, so a sentence's facts are only known of the last one."""
    note, to = line.get("note", {}), str(line["to"])
    code = str(note.get("code", ""))
    target = str(item.get("target", ""))
    if code:
        entry = problem(code)
        return entry.say(facts_of(item)) if last and item.get("code") == code else f"{entry.cause} ({code})"
    where = f" as {note['remote']}" if note.get("remote") else ""
    words: dict[str, Callable[[], str]] = {
        ledger.NEW: lambda: _new_words(line, target),
        ledger.SENDING: lambda: f"Claimed and recorded; the call to {target} starts",
        ledger.DELIVERED: lambda: f"Delivered to {target}; its acknowledgement is awaited",
        ledger.POSTED: lambda: (
            f"{'Found there and adopted by' if note.get('found') else 'Accepted by'} {target}{where}"
        ),
        ledger.SUPERSEDED: lambda: "Not needed any more: a newer one took its place",
        ledger.COMPENSATED: lambda: "Taken back",
    }
    return words.get(to, lambda: to.replace("_", " ").capitalize())()


def _new_words(line: Mapping[str, Any], target: str) -> str:
    if not line.get("from"):
        return f"Made and pinned to {target}" if target else "Begun"
    match line.get("note", {}).get("found"):
        case "absent":
            return f"Proven absent at {target}: goes out again"
        case "partial":
            return f"Found in part at {target}: goes on there"
    return "Released: goes out again"


def status(item: Item, lane: LaneView | None = None) -> str:
    """Where it stands in one or two sentences: what happened, who has it, what next."""
    state, target = str(item.get("state", "")), str(item.get("target", ""))
    code = str(item.get("code", ""))
    if is_open(item) and code:
        entry = problem(code)
        person = f" {entry.owner} has it." if is_case(item) else ""
        return f"{entry.say(facts_of(item))}{person} Next: {entry.remedy}"
    where = item.get("remote_number") or item.get("remote")
    due = f" Looked at again by {str(item['due'])[:16].replace('T', ' ')} UTC." if item.get("due") else ""
    if item["what"] != "posting":
        return _other_status(item)
    if state == ledger.NEW and lane is not None and lane.ahead:
        return f"Waits its turn behind {len(lane.ahead)} of the same lane; order is kept.{due}"
    return {
        ledger.NEW: f"About to be sent to {target}.{due}",
        ledger.SENDING: f"Being sent to {target}.{due}",
        ledger.DELIVERED: f"With {target}, which answers later.{due}",
        ledger.IN_DOUBT: f"{target} may have it; it is looked for before anything is sent again.{due}",
        ledger.HELD: f"Held.{due}",
        ledger.POSTED: f"{target} has it{f' as {where}' if where else ''}. Nothing to do.",
        ledger.SUPERSEDED: "A newer one took its place. Nothing to do.",
        ledger.COMPENSATED: "It was taken back. Nothing to do.",
    }.get(state, state)


def _other_status(item: Item) -> str:
    state = str(item.get("state", ""))
    if item["what"] == "run":
        step = {"NEW": "About to start.", "RUNNING": "Under way.", "DONE": "All steps are done. Nothing to do."}
        return step.get(state, state)
    code = str(item.get("code", ""))
    return {
        ledger.MADE: "It was taken in, and made what is listed below.",
        ledger.DUPLICATE: "It told again what was known already. Nothing to do.",
        ledger.OLD_NEWS: "A newer state of the same object had arrived before. Nothing to do.",
        ledger.IGNORED: problem(code).say(facts_of(item)) if code else "It starts nothing here.",
        ledger.WAITING: "It waits for its source.",
    }.get(state, state)


# --- one event, one run ------------------------------------------------------------------------------------------
def event(books: Ledger, key: str, now: datetime) -> EventView:
    """One event (``source:account:event id``) with what it made. Raises ``NotThere``."""
    family = books.family(f"E#{key}")
    item = next((one for one in family if one["sk"] == "-"), None)
    if item is None:
        raise NotThere(f"no event {key}")
    made = [keys.posting_item(one) for one in item.get("postings", ())]
    found = books.read(made)
    run = next((one for one in books.family(str(item["run"]))), None) if item.get("run") else None
    return EventView(
        line=read_line(item, now),
        facts=_facts(item, _EVENT_FACTS),
        status=status(item),
        vault=str(item.get("vault", "")),
        received=_at(item.get("received")) or now,
        postings=[read_line(found[one], now) for one in made if one in found],
        run=read_line(run, now) if run else None,
        conflicts=[read_line(one, now) for one in family if one["sk"] != "-" and one.get("what") == "event"],
    )


def run(books: Ledger, key: str, now: datetime) -> RunView:
    """One run of a flow (``flow#identity/r0001``). Raises ``NotThere``."""
    before, _, number = key.rpartition("/")
    family = books.family(f"F#{before}") if before else []
    item = next((one for one in family if one["sk"] == number), None)
    if item is None:
        raise NotThere(f"no run {key}")
    lines: list[Mapping[str, Any]] = list(item.get("history", []))
    breaks = ledger.chain_breaks(lines, str(item.get("tail", "")))
    steps = [keys.posting_item(one) for one in dict.fromkeys(item.get("done", []))]
    found = books.read([*steps, Key(str(item["event"]))])
    from_event = found.get(Key(str(item["event"])))
    return RunView(
        line=read_line(item, now),
        facts=_facts(item, _RUN_FACTS),
        status=status(item),
        timeline=_timeline(item, lines, breaks, from_event, ()),
        chain_whole=not breaks,
        breaks=breaks,
        event=read_line(from_event, now) if from_event else None,
        postings=[read_line(found[one], now) for one in steps if one in found],
        document=_document(item),
    )


def known_kinds() -> tuple[str, ...]:
    """Kinds of documents that flows make, for a list's filter."""
    made = {flow.makes for flow in flows.FLOWS} | {
        step.kind for flow in flows.FLOWS for step in flow.steps if step.kind
    }
    return tuple(sorted(made | {Status.kind}))
