"""The JSON API under ``/v1``: the same answers as the pages, errors as problem+json.

What an answer holds is a dataclass of ``tieout.work.views``; fields are added to it, never renamed within a version.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from tieout.aws.web import checking, governed, settling
from tieout.aws.web.http import Answer, Refusal, Request, Route, route, to_json
from tieout.work import ask, burn, tie
from tieout.work import raw as vault_raw
from tieout.work.change import Served
from tieout.work.ports import Ledger, Vault
from tieout.work.views import DAYS, LIMIT, MOST_DAYS, BadQuestion, Filter, PostingView, RunView, plain

_NARROW: Final = frozenset({"state", "entity", "target", "kind", "q", "days", "limit", "cursor"})


@dataclass(frozen=True)
class Books:
    """What pages and API read: the ledger, the vault, and a log for who was shown a payload."""

    ledger: Ledger
    vault: Vault
    log: Callable[..., None]


def routes(books: Books) -> list[Route]:
    """The routes of version 1."""
    api = _Api(books)
    return [
        route("GET", "/v1/overview", api.overview),
        route("GET", "/v1/search", api.search),
        route("GET", "/v1/postings", api.postings),
        route("GET", "/v1/postings/(.+)", api.posting),
        route("GET", "/v1/events", api.events),
        route("GET", "/v1/events/(.+)", api.event),
        route("GET", "/v1/runs", api.runs),
        route("GET", "/v1/runs/(.+)", api.run),
        route("GET", "/v1/cases", api.cases),
        route("GET", "/v1/tie", api.tie),
        route("GET", "/v1/capacity", api.capacity),
        *governed.routes(books.ledger, books.log),
        *settling.routes(books.ledger, books.log),
        *checking.routes(books.ledger, books.log),
    ]


class _Api:
    def __init__(self, books: Books) -> None:
        self._books = books

    def overview(self, request: Request) -> Answer:
        only(request, {"days"})
        return to_json(200, plain(ask.overview(self._books.ledger, request.now, whole(request, "days", DAYS))))

    def search(self, request: Request) -> Answer:
        only(request, {"q"})
        return to_json(200, plain(ask.search(self._books.ledger, request.query.get("q", ""), request.now)))

    def postings(self, request: Request) -> Answer:
        return to_json(200, plain(ask.postings(self._books.ledger, request.now, narrowed(request))))

    def events(self, request: Request) -> Answer:
        return to_json(200, plain(ask.events(self._books.ledger, request.now, narrowed(request))))

    def runs(self, request: Request) -> Answer:
        return to_json(200, plain(ask.runs(self._books.ledger, request.now, narrowed(request))))

    def cases(self, request: Request) -> Answer:
        only(request, set())
        return to_json(200, {"causes": plain(ask.cases(self._books.ledger, request.now))})

    def capacity(self, request: Request) -> Answer:
        only(request, {"target"})
        found = burn.forecasts(self._books.ledger, Served(self._books.ledger, lambda: request.now)(), request.now,
                               request.query.get("target", ""))  # fmt: skip
        return to_json(200, {"targets": [burn.plain(one) for one in found]})

    def tie(self, request: Request) -> Answer:
        only(request, {"days"})
        days = tie.last_days(request.now, days_of(request))
        return to_json(200, plain(tie.tie(self._books.ledger, days)))

    def posting(self, request: Request) -> Answer:
        only(request, set())
        view = shown_posting(self._books, request)
        return to_json(200, {**plain(view), "payload_hidden": hides(request)})

    def event(self, request: Request) -> Answer:
        only(request, {"raw"})
        view = plain(ask.event(self._books.ledger, request.name, request.now))
        if request.query.get("raw"):
            view["raw"] = plain(raw(self._books, request, view["vault"]))
        return to_json(200, view)

    def run(self, request: Request) -> Answer:
        only(request, set())
        view = shown_run(self._books, request)
        return to_json(200, {**plain(view), "payload_hidden": hides(request)})


# --- what pages and API share ------------------------------------------------------------------------------------
def hides(request: Request) -> bool:
    """Whether documents and payloads are kept from this person."""
    return request.person is None or not request.person.may_see_payload


def shown_posting(books: Books, request: Request) -> PostingView:
    """A posting as this person may see it; that somebody was shown a payload is logged, the payload is not."""
    view = ask.posting(books.ledger, request.name, request.now)
    if hides(request):
        return replace(view, payload=None, document=None)
    _noted(books, request, view.payload is not None or view.document is not None)
    return view


def shown_run(books: Books, request: Request) -> RunView:
    """A run as this person may see it."""
    view = ask.run(books.ledger, request.name, request.now)
    if hides(request):
        return replace(view, document=None)
    _noted(books, request, view.document is not None)
    return view


def raw(books: Books, request: Request, pointer: str) -> bytes | None:
    """The raw bytes of an event, ``None`` where there are none. Raises ``Refusal`` where this person may not see."""
    if hides(request):
        raise Refusal(403, "Forbidden", "Raw events are shown to operators, approvers and auditors.")
    if not pointer:
        return None
    _noted(books, request, True)
    return vault_raw.raw(books.vault, pointer)


def _noted(books: Books, request: Request, shown: bool) -> None:
    if shown and request.person is not None:
        books.log("payload_shown", to=request.person.subject, path=request.path[:300])


def only(request: Request, known: set[str]) -> None:
    """Refuse parameters that mean nothing here: a misspelt filter must not look like an answer."""
    strange = sorted(set(request.query) - known)
    if strange:
        raise BadQuestion(f"unknown parameter {', '.join(strange)}; known are {', '.join(sorted(known)) or 'none'}")


def whole(request: Request, name: str, default: int) -> int:
    """A whole number among the parameters."""
    text = request.query.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 6):
        raise BadQuestion(f"{name} must be a whole number")
    return int(text)


def days_of(request: Request) -> int:
    """How many days back, bounded."""
    days = whole(request, "days", DAYS)
    if not 1 <= days <= MOST_DAYS:
        raise BadQuestion(f"days must be from 1 to {MOST_DAYS}")
    return days


def narrowed(request: Request) -> Filter:
    """The filter that the parameters spell."""
    only(request, set(_NARROW))
    said: Mapping[str, Any] = request.query
    return Filter(
        said.get("state", ""), said.get("entity", ""), said.get("target", ""), said.get("kind", ""), said.get("q", ""),
        whole(request, "days", DAYS), whole(request, "limit", LIMIT), said.get("cursor", ""),
    )  # fmt: skip
