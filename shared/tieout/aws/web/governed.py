"""The JSON API of the governed tables: what is served, and changes that one person proposes and a second approves.

Who is asking is who the door says, never what the request says: the proposer of a change is never its approver.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any, Final

from tieout.aws.web.http import Answer, Refusal, Request, Route, route, to_json
from tieout.work import change
from tieout.work.ports import Ledger
from tieout.work.views import BadQuestion, NotThere

#: Who may propose a change, and who may decide on one.
PROPOSE: Final = frozenset({"operator", "approver", "admin"})
APPROVE: Final = frozenset({"approver"})
_NARROW: Final = frozenset({"key", "on", "entity", "target"})


def routes(books: Ledger, log: Callable[..., None]) -> list[Route]:
    """The routes of tables and their changes."""
    api = _Tables(books, log)
    return [
        route("GET", "/v1/tables", api.tables),
        route("GET", "/v1/tables/changes", api.changes),
        route("POST", "/v1/tables/changes", api.propose),
        route("POST", "/v1/tables/changes/([^/]+)/approve", api.approve),
        route("POST", "/v1/tables/changes/([^/]+)/refuse", api.refuse),
        route("GET", "/v1/tables/([^/]+)", api.table),
    ]


class _Tables:
    def __init__(self, books: Ledger, log: Callable[..., None]) -> None:
        self._books = books
        self._log = log

    def tables(self, request: Request) -> Answer:
        _only(request, frozenset())
        known = change.served(self._books)
        found = [change.summary(one) for _, one in sorted(known.tables.items())]
        return to_json(200, {"version": known.version, "tables": found})

    def table(self, request: Request) -> Answer:
        _only(request, _NARROW)
        known = change.served(self._books)
        if request.name not in known.tables:
            raise NotThere(f"no table {request.name[:80]}")
        said = dict(request.query)
        on = _day(said.pop("on"), "on") if said.get("on") else None
        return to_json(200, change.shown(known.tables[request.name], on=on, **said))

    def changes(self, request: Request) -> Answer:
        _only(request, frozenset({"table"}))
        found = change.changes(self._books, request.query.get("table", ""))
        return to_json(200, {"changes": change.plain(found)})

    def propose(self, request: Request) -> Answer:
        form = request.form
        wish = change.Wish(
            table=form.get("table", ""),
            key=form.get("key", ""),
            cells={name[7:]: value for name, value in form.items() if name.startswith("column.")},
            first=_day(form.get("from", ""), "from"),
            last=_day(form["until"], "until") if form.get("until") else None,
            entity=form.get("entity") or None,
            target=form.get("target") or None,
            why=form.get("why", "")[:500],
        )
        by = _who(request, PROPOSE)
        return self._done("table_change_proposed", change.propose(self._books, wish, by, request.now), by)

    def approve(self, request: Request) -> Answer:
        by = _who(request, APPROVE)
        try:
            return self._done("table_change_approved", change.approve(self._books, request.name, by, request.now), by)
        except change.NotAllowed as refused:
            raise Refusal(403, "Not by you", f"{str(refused).capitalize()}.", "proposer_approves") from None
        except change.Moved as moved:
            raise Refusal(409, "Not any more", f"{str(moved).capitalize()}.", "moved") from None

    def refuse(self, request: Request) -> Answer:
        by = _who(request, PROPOSE)
        why = request.form.get("why", "")
        try:
            return self._done(
                "table_change_refused", change.refuse(self._books, request.name, by, why, request.now), by
            )
        except change.Moved as moved:
            raise Refusal(409, "Not any more", f"{str(moved).capitalize()}.", "moved") from None

    def _done(self, what: str, item: dict[str, Any], by: str) -> Answer:
        self._log(what, change=item["change"], by=by)
        return to_json(200, change.plain([item])[0])


def _who(request: Request, roles: frozenset[str]) -> str:
    if request.person is None or not roles & set(request.person.roles):
        raise Refusal(403, "Forbidden", f"This is for {' or '.join(sorted(roles))}.", "no_role")
    return request.person.subject


def _only(request: Request, known: frozenset[str]) -> None:
    if strange := sorted(set(request.query) - known):
        raise BadQuestion(f"unknown parameter {', '.join(strange)}; known are {', '.join(sorted(known)) or 'none'}")


def _day(text: str, name: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise BadQuestion(f"{name} must be a day, YYYY-MM-DD") from None
