"""The JSON API of checks: how each target account stood when it was last looked at, and the wish for another look."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tieout.aws.web.http import Answer, Refusal, Request, Route, route, to_json
from tieout.core.ledger import stamp
from tieout.work import change, checkup, credentials
from tieout.work.ports import Ledger

#: Who may have an account looked at again: it costs calls of the account's budget.
AGAIN: Final = frozenset({"operator", "approver", "admin"})


def routes(books: Ledger, log: Callable[..., None]) -> list[Route]:
    """The routes of checks."""
    api = _Checking(books, log)
    return [route("GET", "/v1/systems/checks", api.shown), route("POST", "/v1/systems/checks", api.again)]


class _Checking:
    def __init__(self, books: Ledger, log: Callable[..., None]) -> None:
        self._books = books
        self._log = log

    def shown(self, request: Request) -> Answer:
        return to_json(200, {"checks": checkup.shown(self._books, self._accounts())})

    def again(self, request: Request) -> Answer:
        if request.person is None or not AGAIN & set(request.person.roles):
            raise Refusal(403, "Forbidden", f"This is for {' or '.join(sorted(AGAIN))}.", "no_role")
        target = request.form.get("target", "")
        try:
            checkup.ask(self._books, target, self._accounts(), stamp(request.now))
        except checkup.NoSuchAccount:
            raise Refusal(404, "Not found", f"No route names {target or 'nothing'}.", "no_such_account") from None
        self._log("check_asked", target=target, by=request.person.subject)
        return to_json(200, {"checks": checkup.shown(self._books, [target])})

    def _accounts(self) -> list[str]:
        return credentials.accounts(change.served(self._books))
