"""The checker: reads the targets' books, the inbound log and the history chains, and shares no code with the product.

What the product says of itself (states, history lines) is only ever compared with what the books and the log say.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

from tests.simulation import (
    blind,
    budgets,
    doors,
    explained,
    governed,
    pauses,
    people,
    sinks,
    takebacks,
    tokens,
)  # fmt: skip
from tests.simulation.events import Event
from tests.simulation.targets import Effect
from tests.simulation.world import World

Item = Mapping[str, Any]
TARGETS = {"acct_us": "netsuite:acme", "acct_de": "legacy:acme"}
FINAL = ("POSTED", "SUPERSEDED", "COMPENSATED")
#: Fates after which a request certainly did not reach the book.
NOT_SENT = frozenset({"unreachable", "busy", "expired", "refused"})


def check(world: World) -> list[str]:
    """Every violation of every invariant, as sentences."""
    return [
        *_books(world), *_agreement(world), *_order(world), *_chains(world), *_evidence(world), *_fencing(world),
        *_waiting(world), *_events(world), *_runs(world), *_told(world), *budgets.broken(world),
        *pauses.broken(world), *blind.broken(world), *people.broken(world), *governed.broken(world),
        *explained.broken(world), *doors.broken(world), *sinks.broken(world), *tokens.broken(world),
        *takebacks.broken(world),
    ]  # fmt: skip


def unrest(world: World) -> str:
    """What keeps the world from resting."""
    open_ = [f"{item['key']}={item['state']}" for item in world.postings() if item["state"] not in FINAL]
    owed = [item["key"] for item in world.postings() if item["state"] in FINAL and "task_token" in item]
    queues = [queue.name for queue in world.queues if not queue.quiet]
    runs = [f"{item['pk']}={item['state']}" for item in world.runs()]
    events = world.waiting_events()
    return f"open {open_[:4]} owed {owed} queues {queues} runs {runs} live {world.hub.live} events {events}"


def state(world: World) -> dict[str, str]:
    """What a replay must not change."""
    # The CRM is left out: it is told of time as well (a parent that is late), whoever replays.
    books = {name: book for name, book in world.books.items() if name != "salesforce:acme"}
    found = {f"book {name}": str(sum(one.live for one in book.effects)) for name, book in books.items()}
    found |= {
        item["key"]: "waiting" if item["state"] in ("NEW", "HELD") else item["state"] for item in world.postings()
    }
    # What may not be worked on here is refused when it is asked, which a replay may bring about.
    found |= {key: "closed" for key in governed.fenced(world) if found[key] in ("waiting", "REFUSED", "SUPERSEDED")}
    # A void of what ended unsent ends with it, whoever asks first: what stands behind a refusal waits until then.
    found |= {key: "waiting" for key in takebacks.withdrawn(world) if "/void/" in key}
    return found


def _live(world: World) -> list[Effect]:
    return [one for name, book in world.books.items() for one in book.effects if one.live]


# --- the books against the inbound log ---------------------------------------------------------------------------
def _expected(world: World) -> dict[tuple[str, str, str, str], tuple[str, int]]:
    """What the log says must be in the books: (target, kind, action, identity) and its currency and total."""
    found: dict[tuple[str, str, str, str], tuple[str, int]] = {}
    for _, event in world.inbound:
        if event.source == "stripe":
            key = (TARGETS[event.account], event.kind, event.action, event.about)
            found[key] = (event.currency, event.total)
    return found


def _excused(world: World) -> set[str]:
    """Identities that a target refused, and what waits for them: lane by lane, from the targets' own logs."""
    refused = [key for book in world.books.values() for key in (*book.refused, *book.garbled)]
    refused += [*people.cancelled(world), *governed.waiting(world), *governed.fenced(world)]
    refused += takebacks.excused(world)
    lanes = {event.lane for _, event in world.inbound for key in refused if event.object in key}
    excused = {event.about for _, event in world.inbound if event.lane in lanes}
    there = {(event.lane, event.kind, event.action) for _, event in world.inbound}
    # Without its invoice in the log nothing of a lane can be booked.
    orphans = {lane for lane, _, _ in there if (lane, "invoice", "create") not in there}
    orphans |= {event.lane for event in buried(world)}
    orphans |= {event.lane for _, event in world.inbound for key in blind.unsure(world) if event.object in key}
    return excused | {event.about for _, event in world.inbound if event.lane in orphans}


def _too_late(world: World, item: Item) -> bool:
    """Whether a posting ended that a look had proven absent, where requests land far beyond the quiet period."""
    notes = [line.get("note", {}) for line in world.lines(item)]
    ended = notes[-1].get("action") == "cancel" or notes[-1].get("code") == "parent_gone"
    return world.setting.hostile and ended and any(note.get("found") == "absent" for note in notes)


def buried(world: World) -> list[Event]:
    """Events without an item whose delivery is a dead letter's case: owned, due, its bytes in the vault.

    Only a fault in the function that empties the dead-letter queues may lead there.
    """
    found = []
    if not any(label.startswith("dead.") for label, _ in world.hub.struck):
        return []
    known = {key.pk for key in world.table.items}
    cases = {key.pk: item for key, item in world.table.items.items() if item.get("code") == "dead_letter"}
    for _, event in world.inbound:
        delivery = event.envelope()["delivery"]
        case = cases.get(f"E#{event.source}:{event.account}:delivery.{delivery}")
        if case and _event_key(event) not in known:
            whole = case["state"] == "CASE" and case.get("case", {}).get("owner") and case.get("due_shard")
            if whole and delivery.encode() in world.kept.get(case["vault"], b""):
                found.append(event)
    return found


def _event_key(event: Event) -> str:
    body = json.loads(event.body)
    return f"E#{event.source}:{event.account}:{body.get('id') or body.get('event_id')}"


def _books(world: World) -> list[str]:
    expected, excused = _expected(world), _excused(world)
    garbled = any(book.garbled for book in world.books.values())
    found: list[str] = []
    booked: Counter[tuple[str, str, str, str]] = Counter()
    sums: Counter[str] = Counter()
    for one in _live(world):
        if one.kind not in ("invoice", "payment", "credit_note"):
            continue
        key = (one.target, one.kind, one.action, one.about)
        booked[key] += 1
        if key not in expected:
            found.append(f"I2 {key} is in the book and was never received")
        elif expected[key] != (one.currency, one.total) and not garbled:
            found.append(f"I5 {key} is booked with {one.currency} {one.total}, received with {expected[key]}")
        sums[one.currency] += one.total or 0
    for key, count in booked.items():
        if count > 1:
            found.append(f"I2 {key} is {count} times in the book")
    missing = [key for key in expected if not booked[key]]
    found += [f"I1 {key} was received and is in no book" for key in missing if key[3] not in excused]
    wanted: Counter[str] = Counter()
    for key, (currency, total) in expected.items():
        if booked[key]:
            wanted[currency] += total
    if wanted != +sums and not garbled:
        found.append(f"I5 the books add up to {dict(sums)}, the log to {dict(wanted)}")
    for book in world.books.values():
        found += [f"I5 {ref} was sent to {book.name} with two contents" for ref in book.changed]
    return found


def _agreement(world: World) -> list[str]:
    """I3: POSTED if and only if the book has it, with the same reference, amount and currency."""
    found: list[str] = []
    by_ref: dict[tuple[str, str, str], list[Effect]] = {}
    for one in _live(world):
        by_ref.setdefault((one.target, one.ref, one.kind), []).append(one)
    claimed: set[tuple[str, str, str]] = set()
    for item in world.postings():
        if item["kind"] not in ("invoice", "payment", "credit_note"):
            continue
        key = (item["target"], item["ref"], item["kind"])
        rows = by_ref.get(key, [])
        claimed.add(key)
        if item["state"] == "POSTED":
            if len(rows) != 1:
                found.append(f"I3 {item['key']} is POSTED and {len(rows)} times in the book")
            elif (rows[0].currency, rows[0].total) != (item.get("currency"), item.get("total")):
                found.append(f"I3 {item['key']} differs: {rows[0].currency} {rows[0].total}")
            elif item.get("remote") != rows[0].remote:
                found.append(f"I3 {item['key']} names {item.get('remote')}, the book {rows[0].remote}")
        elif rows and not (
            item["state"] == "AMBIGUOUS"
            and (item["key"] in world.books[item["target"]].garbled or item["key"] in blind.unsure(world))
        ) and not _too_late(world, item):  # fmt: skip
            found.append(f"I3 {item['key']} is {item['state']} and in the book")
    for key in by_ref:
        if key[2] in ("invoice", "payment", "credit_note") and key not in claimed:
            found.append(f"I3 the book has {key}, the ledger does not")
    return found


# --- order -------------------------------------------------------------------------------------------------------
def _order(world: World) -> list[str]:
    found: list[str] = []
    first: dict[tuple[str, str], float] = {}
    for book in world.books.values():
        for one in book.effects:
            key = (one.ref, one.kind)
            first[key] = min(first.get(key, one.at), one.at)
    ended = people.cancelled(world) | takebacks.withdrawn(world)  # what ended unsent has no place any more
    by_key = {item["key"]: item for item in world.postings() if item["key"] not in ended}
    for lane, joined in world.table.joined.items():
        if "status:" in lane or "customer:" in lane:
            continue
        rows = [by_key[key] for key in joined if key in by_key]
        at = {item["key"]: first.get((item["ref"], item["kind"])) for item in rows}
        # An invoice is logically first in its lane: what waits for it stands aside.
        rows.sort(key=lambda item: not (item["kind"] == "invoice" and item["action"] == "create"))
        for before, after in pairwise(rows):
            early, late = at[before["key"]], at[after["key"]]
            if late is not None and (early is None or late < early):
                found.append(f"I4 {after['key']} took effect before {before['key']}")
    if not world.setting.hostile:
        found += _in_place(world)
    return found


def _in_place(world: World) -> list[str]:
    """The CRM never shows an older state after a newer one."""
    newest: dict[str, int] = {}
    found = []
    for one in world.books["salesforce:acme"].effects:
        if one.version < newest.get(one.ref, 0):
            found.append(f"I4 the CRM went back from {newest[one.ref]} to {one.version}")
        newest[one.ref] = max(newest.get(one.ref, 0), one.version)
    return found


# --- the history chains ------------------------------------------------------------------------------------------
def _chains(world: World) -> list[str]:
    found = []
    for item in [*world.postings(), *world.runs()]:
        before, state = "", ""
        for number, line in enumerate(world.lines(item), start=1):
            bare = {name: value for name, value in line.items() if name != "hash"}
            said = hashlib.sha256(json.dumps(bare, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
            if said != line["hash"] or line["prev"] != before or line["n"] != number or line["from"] != state:
                found.append(f"I15 {item['pk']} line {number} does not hold")
                break
            before, state = line["hash"], line["to"]
        if (before, state) != (item["tail"], item["state"]):
            found.append(f"I15 {item['pk']} ends at {state}, its item says {item['state']}")
    return found


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def _evidence(world: World) -> list[str]:
    """I6: nothing leaves SENDING or IN_DOUBT without evidence, and the evidence was true."""
    found = []
    for item in world.postings():
        calls = [(who, fate) for who, ref, fate in world.books[item["target"]].calls if ref == item["ref"]]
        claimer = ""
        for line in world.lines(item):
            if line["to"] == "SENDING":
                claimer = line["by"].partition(".")[0]
            elif line["from"] == "IN_DOUBT" and line["to"] in ("NEW", "POSTED"):
                want = {"NEW": "absent", "POSTED": "adopted"}[line["to"]]
                if line.get("note", {}).get("found") != want:
                    found.append(f"I6 {item['key']} went from IN_DOUBT to {line['to']} without evidence")
            elif line["from"] == "SENDING" and line["to"] in ("NEW", "HELD"):
                made = [fate for who, fate in calls if who == claimer]
                if any(fate not in NOT_SENT for fate in made):
                    found.append(f"I6 {item['key']} went back to {line['to']} after {made}")
    return found


def _fencing(world: World) -> list[str]:
    """I7: what a claim's owner did not write himself was written after his lease, and only to doubt it."""
    found = []
    found += [f"I7 {what}" for what in world.table.mangled]
    margin = 0.0 if world.setting.hostile else 60.0
    for item in world.postings():
        owner, since = "", 0.0
        for line in world.lines(item):
            at = _seconds(line["at"])
            if line["to"] == "SENDING":
                owner, since = line["by"], at
            elif (
                line["from"] == "SENDING"
                and line["by"] != owner
                and (line["to"] != "IN_DOUBT" or at < since + margin - 2 * world.setting.skew)
            ):
                found.append(f"I7 {item['key']}: {line['by']} wrote {line['to']} over {owner}'s claim")
    return found


# --- what waits --------------------------------------------------------------------------------------------------
def _waiting(world: World) -> list[str]:
    """Whatever is not final is due, and a case has an owner; what is final is not due any more."""
    found = []
    closed = governed.fenced(world) | takebacks.gone(world)
    for item in world.postings():
        if item["state"] not in FINAL and not (item.get("due") and item.get("due_shard")):
            found.append(f"I1 {item['key']} waits in {item['state']} and is never due")
        if item["state"] in ("REFUSED", "AMBIGUOUS") and not item.get("case", {}).get("owner"):
            found.append(f"I1 {item['key']} is {item['state']} and nobody's case")
        if item["state"] in FINAL and item.get("due"):
            found.append(f"I3 {item['key']} is {item['state']} and still due")
        garbled = world.books[item["target"]].garbled
        if item["state"] == "AMBIGUOUS" and item["key"] not in garbled and item["key"] not in blind.unsure(world):
            found.append(f"I1 {item['key']} is AMBIGUOUS though its target lied to nobody for good")
        if item["state"] == "REFUSED" and item["key"] not in world.books[item["target"]].refused | closed:
            found.append(f"I1 {item['key']} is REFUSED ({item.get('code')}) and its target never refused it")
    for key, item in world.table.items.items():
        if key.pk.startswith("L#") and len(item.get("queue", [])) + len(item.get("aside", [])) != item["waiting"]:
            found.append(f"I4 {key.pk} counts {item['waiting']} waiting")
        if key.pk.startswith("B#") and item.get("leases"):
            found += _leases(world, key.pk, item["leases"])
    return found


def _leases(world: World, name: str, leases: Mapping[str, str]) -> list[str]:
    now = world.hub.moment().timestamp()
    limit = 80 + 2 * world.setting.skew
    return [
        f"I12 {name}: {who} holds a slot for ever" for who, until in leases.items() if _seconds(until) > now + limit
    ]


def _events(world: World) -> list[str]:
    """Every received event has an item with one outcome."""
    found = []
    lost = buried(world)
    for _, event in world.inbound:
        if event in lost:
            continue
        pk = _event_key(event)
        items = [item for key, item in world.table.items.items() if key.pk == pk]
        if not items:
            found.append(f"I1 {pk} was received and has no item")
        elif len(items) > 1 or items[0]["state"] not in ("MADE", "DUPLICATE"):
            found.append(f"I1 {pk} is {[item['state'] for item in items]}")
    return found


def _runs(world: World) -> list[str]:
    """I11: an onboarding is whole, or taken back, or a case; and whatever happened, each object exists once."""
    found = []
    live: dict[tuple[str, str], list[Effect]] = {}
    for name in ("stripe:acct_us", "netsuite:acme"):
        for one in world.books[name].effects:
            if one.live and one.kind in ("customer", "subscription"):
                live.setdefault((one.ref, one.kind), []).append(one)
    found += [f"I2 {key} lives {len(rows)} times" for key, rows in live.items() if len(rows) > 1]
    lost = {event.object for event in buried(world)}
    deals = {event.object for _, event in world.inbound if event.source == "salesforce"} - lost
    for deal in sorted(deals):
        every = [item for item in world.runs() if item["source_id"] == deal]
        runs = [item for item in every if "next_run" not in item]
        if len(runs) != 1 or {item["state"] for item in every if "next_run" in item} - {"COMPENSATED"}:
            found.append(f"I1 deal {deal} has {len(runs)} runs that nothing took the place of, of {len(every)}")
        elif all(run["state"] in ("DONE", "COMPENSATED") for run in world.runs()) and len(live) != 3 * len(deals):
            found.append(f"I11 deal {deal} is DONE with {sorted(kind for _, kind in live)} alive")
        elif runs[0]["state"] != "DONE":
            # A step that failed more often than its machine repeats it is a case; without a fault there is none.
            struck = any(label.startswith("step.") for label, _ in world.hub.struck)
            refused = {key for book in world.books.values() for key in book.refused}
            if refused & set(runs[0]["done"]):
                found += _taken_back(world, runs[0], live)
                struck = True
            if not struck or not runs[0].get("case", {}).get("owner"):
                found.append(f"I11 deal {deal} ended as {runs[0]['state']} {runs[0].get('facts')}")
    return found


def _taken_back(world: World, run: Item, live: Mapping[tuple[str, str], list[Effect]]) -> list[str]:
    """A refused onboarding leaves nothing behind, or says that it could not be taken back."""
    refs = {item["ref"] for item in world.postings() if item["key"] in run["done"]}
    left = sorted(kind for ref, kind in live if ref in refs)
    if left and run.get("code") != "undo_failed":
        return [f"I11 deal {run['source_id']} was refused, and {left} live on under {run.get('code')}"]
    return []


def _told(world: World) -> list[str]:
    """Of every accepted document the CRM says so; and, as deployed, says it last (seed 5167 is why not hostile)."""
    accepted = {
        (item["kind"], item["source_id"]) for item in world.postings() if item["state"] == "POSTED" and "tell" in item
    }
    unsure = {(item["kind"], item["source_id"]) for item in world.postings() if item["state"] != "POSTED"}
    last = not world.setting.hostile
    effects = world.books["salesforce:acme"].effects
    shown = {one.ref for one in effects if (one.live or not last) and b'"accepted"' in one.payload}
    unsaid = {key for key in people.cancelled(world) if key.startswith("status/")}
    if len(shown) + len(unsaid) < len(accepted - unsure):
        return [f"I3 the CRM shows {len(shown)} documents as accepted, {len(accepted - unsure)} are"]
    return _told_last(world, effects) if last else []


def _told_last(world: World, effects: Sequence[Effect]) -> list[str]:
    """What a status posting claims to have told, the CRM shows, or something newer."""
    newest: dict[str, int] = {}
    for item in world.postings():
        if item["kind"] == "status" and item["target"] == "salesforce:acme" and item["state"] == "POSTED":
            newest[item["ref"]] = max(newest.get(item["ref"], 0), int(item["version"]))
    shown = {one.ref: one.version for one in effects if one.live}
    return [
        f"I8 the CRM shows version {shown.get(ref, 'none')} of {ref}, and {version} is booked as told"
        for ref, version in sorted(newest.items()) if shown.get(ref, 0) < version
    ]  # fmt: skip


__all__ = ["Sequence", "check", "state", "unrest"]
