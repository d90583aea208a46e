"""The pages under ``/desk``: rendered here without a build step, and usable by keyboard and in the dark."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tieout import systems, tables
from tieout.aws.web import api
from tieout.aws.web.http import Answer, Refusal, Request, Route, redirect, route
from tieout.core import ledger
from tieout.core.money import Money
from tieout.work import ask, tie
from tieout.work.views import DAYS, SHOWN_ORDER, Line, plain

HERE: Final = Path(__file__).parent
KINDS: Final = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8"}
MENU: Final = (
    ("Overview", "/desk"),
    ("Postings", "/desk/postings"),
    ("Events", "/desk/events"),
    ("Cases", "/desk/cases"),
    ("Runs", "/desk/runs"),
    ("Tie-out", "/desk/tie"),
)
DAY_CHOICES: Final = (1, 7, 31)
#: The largest raw event that a page shows; the rest is in the vault.
RAW_BYTES: Final = 64 * 1024
#: Facts that only somebody who looks for a fault wants to see at once.
FINE: Final = frozenset({
    "account", "action", "attempts", "correlation", "delivery", "epoch", "execution", "fingerprint", "flow",
    "generation", "lane", "mapping", "priority", "region", "run", "sends", "step", "version",
})  # fmt: skip
#: Facts whose names in the ledger are too short to be understood.
LABELS: Final = {
    "ref": "Our reference",
    "remote": "Target's id",
    "remote_number": "Target's number",
    "party": "Customer",
    "owner_team": "Owner",
    "event_id": "Event id",
}
_PLURAL: Final = {"posting": "postings", "event": "events", "run": "runs"}


def routes(books: api.Books) -> list[Route]:
    """The routes of the pages."""
    pages = _Pages(books)
    return [
        route("GET", "/desk/?", pages.overview),
        route("GET", "/desk/search", pages.search),
        route("GET", "/desk/postings", pages.postings),
        route("GET", "/desk/postings/(.+)", pages.posting),
        route("GET", "/desk/events", pages.events),
        route("GET", "/desk/events/(.+)", pages.event),
        route("GET", "/desk/cases", pages.cases),
        route("GET", "/desk/runs", pages.runs),
        route("GET", "/desk/runs/(.+)", pages.run),
        route("GET", "/desk/tie", pages.tie),
        route("GET", r"/desk/static/([\w.-]+)", static),
    ]


class _Pages:
    def __init__(self, books: api.Books) -> None:
        self._books = books

    def overview(self, request: Request) -> Answer:
        days = api.days_of(request)
        seen = ask.overview(self._books.ledger, request.now, days)
        return page("overview", request, seen=seen, days=days, states=SHOWN_ORDER)

    def search(self, request: Request) -> Answer:
        """One thing that goes by the name is opened at once; several are listed."""
        name = request.query.get("q", "").strip()
        if not name:
            return redirect("/desk/postings")
        found = ask.search(self._books.ledger, name, request.now)
        main = [line for line in found.lines if line.kind != "status"]
        if len(found.lines) == 1 or (len(main) == 1 and main[0].what == "posting"):
            return redirect(href((main or list(found.lines))[0]))
        return page("search", request, found=found, q=name)

    def postings(self, request: Request) -> Answer:
        by = api.narrowed(request)
        return page("postings", request, listing=ask.postings(self._books.ledger, request.now, by), by=by, **_choices())

    def events(self, request: Request) -> Answer:
        by = api.narrowed(request)
        outcomes = (ledger.MADE, ledger.IGNORED, ledger.DUPLICATE, ledger.OLD_NEWS, ledger.CASE, ledger.WAITING)
        listing = ask.events(self._books.ledger, request.now, by)
        return page("events", request, listing=listing, by=by, outcomes=outcomes, sources=systems.SOURCES)

    def runs(self, request: Request) -> Answer:
        by = api.narrowed(request)
        return page("runs", request, listing=ask.runs(self._books.ledger, request.now, by), by=by)

    def cases(self, request: Request) -> Answer:
        causes = ask.cases(self._books.ledger, request.now)
        total = ask.total_of(case.line for cause in causes for case in cause.cases)
        return page("cases", request, causes=causes, total=total)

    def tie(self, request: Request) -> Answer:
        days = api.days_of(request)
        seen = tie.tie(self._books.ledger, tie.last_days(request.now, days))
        currencies = sorted({str(one.currency) for row in (seen.received, *seen.rows) for one in row.money})
        return page("tie", request, seen=seen, days=days, currencies=currencies)

    def posting(self, request: Request) -> Answer:
        view = api.shown_posting(self._books, request)
        return page("posting", request, view=view, hidden=api.hides(request))

    def event(self, request: Request) -> Answer:
        view = ask.event(self._books.ledger, request.name, request.now)
        hidden = api.hides(request)
        content = None if hidden else api.raw(self._books, request, view.vault)
        return page("event", request, view=view, hidden=hidden, raw=readable(content))

    def run(self, request: Request) -> Answer:
        view = api.shown_run(self._books, request)
        return page("run", request, view=view, hidden=api.hides(request))


def _choices() -> dict[str, Any]:
    known = tables.load()
    targets = dict.fromkeys(route.target for route in known.routes)
    return {"kinds": ask.known_kinds(), "entities": sorted(known.entities), "targets": sorted(targets)}


def readable(content: bytes | None) -> str:
    """Raw bytes for a person: pretty where they are JSON, and cut where they are many."""
    if content is None:
        return ""
    try:
        text = json.dumps(json.loads(content), indent=2, ensure_ascii=False)
    except ValueError:
        text = content.decode("utf-8", "replace")
    return text if len(text) <= RAW_BYTES else f"{text[:RAW_BYTES]}\n… {len(text) - RAW_BYTES} characters more"


# --- rendering ---------------------------------------------------------------------------------------------------
def page(name: str, request: Request, *, status: int = 200, **values: Any) -> Answer:
    """One page. Where there is a session, the browser is sent to sign in again when it ends."""
    person = request.person
    template = jinja().get_template(f"{name}.html")
    text = template.render(request=request, person=person, now=request.now, menu=MENU, assets=assets(), **values)
    headers = {}
    if person is not None and person.until:
        left = max(int(person.until - request.now.timestamp()), 0) + 1
        headers["refresh"] = f"{left}; url=/auth/login?next={quote(_here(request), safe='')}"
    return Answer(status, text, headers=headers)


def _here(request: Request) -> str:
    return request.path + (f"?{urlencode(request.query)}" if request.query else "")


def error_page(refusal: Refusal, request: Request) -> Answer:
    """An error for a person. Outside of a session it stands alone, because styles are behind the session too."""
    return page("error", request, status=refusal.status, refusal=refusal)


@cache
def jinja() -> Environment:
    """The templates: everything is escaped, and a name that does not exist is an error, never an empty place."""
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    made.filters |= {
        "amount": amount, "moment": moment, "day": day, "ago": ago, "href": href, "link": link, "pretty": pretty,
        "words": words, "label": label, "notes": notes, "parted": parted, "short": short,
        "iso": ledger.stamp, "plain": plain,
    }  # fmt: skip
    made.globals |= {"days_choices": DAY_CHOICES, "days_default": DAYS, "with_query": with_query}
    return made


@cache
def assets() -> Mapping[str, str]:
    """Addresses of the style sheet and the script; they change with the content, so browsers may keep them."""
    found = {}
    for path in sorted((HERE / "static").iterdir()):
        mark = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
        found[path.name] = f"/desk/static/{path.stem}.{mark}{path.suffix}"
    return found


def static(request: Request) -> Answer:
    """The style sheet or the script, under the name of its present content only."""
    for name, address in assets().items():
        if address == f"/desk/static/{request.name}":
            content = (HERE / "static" / name).read_text(encoding="utf-8")
            keep = {"cache-control": "private, max-age=31536000, immutable"}
            return Answer(200, content, KINDS[name.rpartition(".")[2]], keep)
    raise Refusal(404, "Not found", "There is nothing at this address.")


def amount(money: Money) -> str:
    """An amount with all the decimals of its currency and a comma every three digits: ``-1,234.50``."""
    whole, dot, part = money.text.partition(".")
    return f"{int(whole):,}{dot}{part}" if whole.lstrip("-") != "0" else money.text


def moment(at: datetime) -> str:
    """Day and time of day, UTC."""
    return at.astimezone(UTC).strftime("%d %b %H:%M:%S")


def day(at: datetime) -> str:
    """A day, written out."""
    return at.strftime("%-d %B %Y")


def ago(span: timedelta) -> str:
    """A span in its two largest units: ``3 d 4 h``, ``1 h 59 min``, ``12 min``."""
    seconds = int(abs(span.total_seconds()))
    days, hours, minutes = seconds // 86_400, seconds // 3600 % 24, seconds // 60 % 60
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min" if minutes else f"{seconds} s"


def notes(note: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """What a history line notes, for people: money as money, and not what its sentence says already."""
    said = [
        (words(name), value) for name, value in note.items() if name not in ("event", "target", "currency", "total")
    ]
    if note.get("currency") and note.get("total") is not None:
        said.append(("Shown", str(Money.of(int(note["total"]), str(note["currency"])))))
    return said


def parted(facts: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Facts for everybody, and those for whoever looks for a fault."""
    fine = {name: value for name, value in facts.items() if name in FINE}
    return {name: value for name, value in facts.items() if name not in FINE}, fine


def href(line: Line) -> str:
    """The address of what a line is about; what has no page of its own stands among the cases."""
    return link(line.key, _PLURAL[line.what]) if line.what in _PLURAL else "/desk/cases"


def link(key: str, what: str = "postings") -> str:
    """The address of one thing by its key; ``what`` is the list it stands in."""
    return f"/desk/{what}/{quote(key, safe='')}"


def with_query(request: Request, **changes: Any) -> str:
    """The present address with some parameters changed; an empty one is left out."""
    said = {name: str(value) for name, value in {**request.query, **changes}.items() if value not in ("", None)}
    return request.path + (f"?{urlencode(said)}" if said else "")


def pretty(value: Any) -> str:
    """A value as indented JSON, or as the text that it is."""
    return value if isinstance(value, str) else json.dumps(plain(value), indent=2, ensure_ascii=False)


def words(name: str) -> str:
    """A name of ours for people: ``credit_note`` is «Credit note»."""
    text = name.replace("_", " ").replace("-", " ")
    return text[:1].upper() + text[1:]


def label(name: str) -> str:
    """What a fact is called for people."""
    return LABELS.get(name) or words(name)


def short(text: str, most: int = 12) -> str:
    """The beginning of a long hash or id."""
    return text if len(text) <= most else f"{text[:most]}…"
