"""The extract as a target: JSON lines on a file drop, with a manifest and control totals, written once.

``documents/ingest_date=2026-11-23/{batch}-{entity}.jsonl`` holds one document a line, and then
``manifests/ingest_date=2026-11-23/{batch}-{entity}.json`` names the file, its hash, its count and its totals by kind,
action and currency. A loader reads manifests only, and merges by source, account, kind, action, object and version: a
file whose manifest was never written is no part of the extract, and a document that is in two of them is loaded once.

Class S: the files are the search, and consistent. Amounts are decimals as text, with their currency beside them; lines
are JSON, which no spreadsheet runs.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from tieout.contract import Action, Budget, Echo, Finds, Found, Quiet, Reference, Wire, Work
from tieout.core.classify import Row
from tieout.core.money import Money
from tieout.core.parse import read_any, write_json
from tieout.core.verdicts import NeedsHuman, TryAgain, Uncertain, Verdict

FORMAT: Final = 1
#: What a line must say, beside what its kind has: by this it is known, added up and placed in time.
NEEDED: Final = ("source", "account", "object_id", "version", "currency", "amount", "event_time", "posting_period")


class Extract:
    """Writes batches of documents to one drop; holds nothing."""

    name = "extract"
    auth: Mapping[str, str] = {"scheme": "drop"}
    finds = Finds.SEARCHABLE
    quiet = Quiet(client_timeout=10, longest_processing=0, search_lag=0, clock_skew=5, period=90)
    reference = Reference("TIE-", 30)
    budget = Budget(concurrency=4)
    actions: Mapping[tuple[str, str], Action] = {
        ("invoice", "create"): Action("extract.invoice", once=False),
        ("invoice", "void"): Action("extract.invoice", once=False),
        ("credit_note", "create"): Action("extract.credit_note", once=False),
        ("credit_note", "void"): Action("extract.credit_note", once=False),
        ("payment", "create"): Action("extract.payment", once=False),
    }
    verdicts: Sequence[Row] = ()
    batches = True
    ack_due = 3600

    def build(self, kind: str, action: str, ref: str, payload: Mapping[str, Any]) -> bytes:
        """One line of a file, as it will be written and recorded."""
        missing = [name for name in NEEDED if payload.get(name) in (None, "")]
        if missing:
            raise NeedsHuman("mapping_value_missing", mapping=f"extract.{kind}", path=missing[0], field=missing[0])
        return write_json({"format": FORMAT, "ref": ref, "kind": kind, "action": action, **payload})

    def send(self, wire: Wire, work: Sequence[Work]) -> Sequence[Echo | None]:
        """A file and its manifest for each entity; what was written is what is there."""
        files: dict[str, list[Work]] = {}
        for one in work:
            files.setdefault(_stem(one), []).append(one)
        for number, (stem, lines) in enumerate(files.items()):
            try:
                _write(wire, stem, lines)
            except TryAgain as verdict:
                if number == 0:
                    raise
                # The files before it are written: none of their lines may be sent again unseen.
                raise Uncertain("target_lost", f"{stem}: {verdict}") from verdict
        return [_echo(one, read_any(one.payload)) for one in work]

    def find(self, wire: Wire, work: Work) -> Found:
        """Whether the line stands in a file that its manifest vouches for."""
        stem = _stem(work)
        manifest = wire.get(f"manifests/{stem}.json") if work.batch else None
        if manifest is None:
            return Found("absent", said="no manifest")
        content = wire.get(f"documents/{stem}.jsonl") or b""
        if _parsed(manifest).get("sha256") != hashlib.sha256(content).hexdigest():
            return Found("ambiguous", None, "target_echo_differs", "the manifest is of another file")
        ours = _parsed(work.payload)
        lines = [line for line in content.splitlines() if _same(_parsed(line), ours)]
        if not lines:
            return Found("absent", said="the file is whole, and it is not in it")
        echo = _echo(work, _parsed(lines[0]))
        if (echo.currency, echo.total) != (work.currency, work.total):
            said = f"{echo.total} {echo.currency} for {work.total} {work.currency}"
            return Found("ambiguous", echo, "target_echo_differs", said)
        return Found("complete", echo)

    def look(self, wire: Wire, kind: str, facts: Mapping[str, str]) -> Sequence[Echo]:
        """Nothing to look for: it holds what we wrote, and nothing of its own."""
        return []


def _same(line: Mapping[str, Any], ours: Mapping[str, Any]) -> bool:
    """Whether two lines are of one state of one document: our reference is the document's, whatever was done to it."""
    return all(line.get(name) == ours.get(name) for name in ("ref", "action", "version"))


def _stem(work: Work) -> str:
    """Partition and name of the file of a line: a file is one batch of one entity, on the day that it was claimed."""
    day = (work.since or work.now).date().isoformat()
    return f"ingest_date={day}/{work.batch}-{work.entity}"


def _write(wire: Wire, stem: str, work: Sequence[Work]) -> None:
    """The file, and only then its manifest; either is written once, and found again as it is."""
    content = b"".join(one.payload + b"\n" for one in work)
    name = f"documents/{stem}.jsonl"
    _put(wire, name, content)
    manifest = {
        "format": FORMAT,
        "file": name,
        "sha256": hashlib.sha256(content).hexdigest(),
        "records": len(work),
        "entity": work[0].entity,
        "control": _control([read_any(one.payload) for one in work]),
    }
    try:
        _put(wire, f"manifests/{stem}.json", write_json(manifest))
    except Verdict as lost:
        raise Uncertain("target_lost", f"{stem}: {lost}") from lost


def _put(wire: Wire, name: str, body: bytes) -> None:
    if not wire.put_once(name, body) and wire.get(name) != body:
        raise Uncertain("target_conflict", f"{name} is there with other content")


def _control(lines: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Count and exact sum of each kind, action and currency: what a loader adds up again."""
    counts: dict[str, int] = defaultdict(int)
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for line in lines:
        name = f"{line['kind']}:{line['action']}:{line['currency']}"
        counts[name] += 1
        sums[name] += Decimal(line["amount"])
    return {name: {"count": counts[name], "amount": format(sums[name], "f")} for name in sorted(counts)}


def _parsed(text: bytes) -> Mapping[str, Any]:
    try:
        found = read_any(text)
    except Verdict:
        return {}
    return found if isinstance(found, Mapping) else {}


def _echo(work: Work, line: Mapping[str, Any]) -> Echo:
    try:
        total = Money.from_decimal(Decimal(str(line["amount"])), str(line["currency"])).minor
    except (NeedsHuman, ArithmeticError, KeyError):
        total = None
    return Echo(f"{_stem(work)}#{work.ref}", line.get("ref"), None, line.get("currency"), total)


TARGET = Extract()
