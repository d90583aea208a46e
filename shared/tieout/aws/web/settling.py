"""The JSON API of operator actions: what one person asks for, and what a second agrees to.

Who is asking is who the door says, never what the request says.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any, Final

from tieout.aws.web.http import Answer, Refusal, Request, Route, route, to_json
from tieout.core.writes import Item
from tieout.work import restart, settle
from tieout.work.ports import Ledger

#: Who may act on postings, and who may agree where a second person must.
ACT: Final = frozenset({"operator", "approver"})
AGREE: Final = frozenset({"approver"})


def routes(books: Ledger, log: Callable[..., None]) -> list[Route]:
    """The routes of operator actions."""
    api = _Settling(books, log)
    return [
        route("POST", "/v1/settle/ask", api.ask),
        route("POST", "/v1/settle/agree", api.agree),
        route("POST", "/v1/settle/decline", api.decline),
        route("POST", "/v1/settle/restart", api.restart),
    ]


class _Settling:
    def __init__(self, books: Ledger, log: Callable[..., None]) -> None:
        self._books = books
        self._log = log

    def ask(self, request: Request) -> Answer:
        form, by = request.form, _who(request, ACT)
        wish = settle.Wish(form.get("posting", ""), form.get("action", ""), form.get("why", ""), form.get("seen", ""))
        return self._done(lambda token: settle.settle(self._books, wish, by, request.now, token), by)

    def agree(self, request: Request) -> Answer:
        form, by = request.form, _who(request, AGREE)
        posting, seen = form.get("posting", ""), form.get("seen", "")
        return self._done(lambda token: settle.agree(self._books, posting, by, request.now, token, seen), by)

    def decline(self, request: Request) -> Answer:
        form, by = request.form, _who(request, ACT)
        posting, why = form.get("posting", ""), form.get("why", "")
        return self._done(lambda token: settle.decline(self._books, posting, by, why, request.now, token), by)

    def restart(self, request: Request) -> Answer:
        form, by = request.form, _who(request, ACT)
        run, why = form.get("run", ""), form.get("why", "")
        return self._done(lambda token: restart.restart(self._books, run, why, by, request.now, token), by)

    def _done(self, act: Callable[[str], Item], by: str) -> Answer:
        try:
            item = act(secrets.token_hex(12))
        except settle.NotAllowed as refused:
            raise Refusal(403, "Not by you", f"{str(refused).capitalize()}.", "asker_agrees") from None
        except settle.Moved as moved:
            raise Refusal(409, "Not any more", f"{str(moved)[:1].upper()}{str(moved)[1:]}.", "moved") from None
        last = item["history"][-1]
        self._log("settled", what=_name(item), by=by, to=item["state"], line=last["n"])
        return to_json(200, told(item))


def told(item: Item) -> dict[str, Any]:
    """A posting (or new run) after an action: state, the line that was written, what is asked, what may be done."""
    return {
        item["what"]: _name(item), "state": item["state"], "seen": item["tail"], "line": item["history"][-1],
        "wish": item.get("wish"), "actions": list(settle.offered(item)),
    }  # fmt: skip


def _name(item: Item) -> str:
    return str(item["key"]) if item["what"] == "posting" else f"{item['pk'].removeprefix('F#')}/{item['sk']}"


def _who(request: Request, roles: frozenset[str]) -> str:
    if request.person is None or not roles & set(request.person.roles):
        raise Refusal(403, "Forbidden", f"This is for {' or '.join(sorted(roles))}.", "no_role")
    return request.person.subject
