"""The desk behind one handler: who may come in, then pages, JSON API or login.

Default deny, twice: API Gateway lets nothing through to ``/v1`` without a JWT and to ``/desk`` without a session, and
here a request without the proof of its own door (claims for ``/v1``, the authorizer's context for ``/desk``) is
refused again, as is everybody without a role of ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, Final, Protocol, cast

from tieout.aws import clock
from tieout.aws.web import api, pages
from tieout.aws.web.door import Here
from tieout.aws.web.http import Answer, Refusal, Request, Route, dispatch, problem_json, read, route
from tieout.aws.web.session import (
    LIFETIME,
    ROLES_CLAIM,
    SESSION,
    KeyMissing,
    Person,
    Sealer,
    cookie,
    roles_of,
    same_token,
)  # fmt: skip
from tieout.aws.wiring import log
from tieout.core.verdicts import Verdict
from tieout.work.ports import Unavailable

SAFE: Final = frozenset({"GET", "HEAD"})
#: How the browser says that a request was made by a page of ours, or by nobody's page.
OWN_SITE: Final = frozenset({"same-origin", "none", ""})


class Desk:
    """The desk of one environment."""

    def __init__(self, here: Here) -> None:
        self._here = here
        self._books = api.Books(here.ledger, here.vault, log)
        self._pages = pages.routes(self._books)
        self._api = api.routes(self._books)
        self._login: list[Route] = [
            route("GET", "/auth/login", self._to_login),
            route("GET", "/auth/callback", self._back),
            route("POST", "/auth/logout", self._logout),
        ]

    # --- one request
    def answer(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to an HTTP API event; whatever goes wrong is answered in words, and logged by its class."""
        request = read(event, clock.now(), self._here.settings.desk.get("url", ""))
        request = replace(request, person=_who(request, event["requestContext"].get("authorizer") or {}))
        try:
            found = self._doors(request)
        except Refusal as refusal:
            found = _refused(refusal, request)
        except (Unavailable, Verdict, KeyMissing) as error:
            log("desk_unavailable", error=type(error).__name__, path=request.path[:300])
            said = "Something behind the desk does not answer. Please try again soon."
            found = _refused(Refusal(503, "Not available", said), request)
        return found.event()

    def _doors(self, request: Request) -> Answer:
        if request.path.startswith("/auth/"):
            return dispatch(self._login, request)
        person, by_api = request.person, _is_api(request)
        if person is None:
            raise Refusal(401, "Not signed in", "Sign in first.", "not_signed_in")
        if not person.may_see:
            raise Refusal(403, "No role", f"A role is needed: the {ROLES_CLAIM} claim names none.", "no_role")
        if request.method not in SAFE and not by_api:
            check_csrf(request, person)
        return dispatch(self._api if by_api else self._pages, request)

    # --- signing in and out
    @cached_property
    def _provider(self) -> object:
        said = self._here.settings.desk
        return _oidc().Provider(said["oidc_issuer"], said["oidc_client_id"], self._here.secrets.get("desk", "oidc"))

    def _sealer(self) -> Sealer:
        return Sealer(self._here.secrets.get("desk", "session"))

    def _to_login(self, request: Request) -> Answer:
        return _oidc().login(request, self._provider, self._sealer())

    def _back(self, request: Request) -> Answer:
        return _oidc().callback(request, self._provider, self._sealer())

    def _logout(self, request: Request) -> Answer:
        person = self._sealer().person(request.cookies, request.now)
        check_site(request)
        said = pages.page("out", request)
        if person is None:
            # Not a word about cookies: another site's form comes without ours, and its answer must not end a session.
            return said
        check_csrf(request, person)
        return replace(said, cookies=[cookie(SESSION, "", request.origin, LIFETIME)])


class _Login(Protocol):
    """The module of the login, as it is used here."""

    def Provider(self, issuer: str, client_id: str, secret: Mapping[str, Any] | None) -> object: ...
    def login(self, request: Request, provider: object, sealer: Sealer) -> Answer: ...
    def callback(self, request: Request, provider: object, sealer: Sealer) -> Answer: ...


def _oidc() -> _Login:
    """The login, imported where it is used: Authlib is a third of a cold start, and most requests do not need it."""
    from tieout.aws.web import oidc

    return cast("_Login", oidc)


def check_site(request: Request) -> None:
    """Refuse an unsafe request of which the browser says that another site's page made it."""
    if request.headers.get("sec-fetch-site", "") not in OWN_SITE:
        raise Refusal(403, "Forbidden", "The request came from another site.", "cross_site")


def check_csrf(request: Request, person: Person) -> None:
    """Refuse an unsafe request that no page of ours made: foreign site, or not the session's own token."""
    check_site(request)
    given = request.form.get("csrf", "") or request.headers.get("x-csrf-token", "")
    if not same_token(given, person):
        raise Refusal(403, "Forbidden", "The form is too old or not ours. Reload the page and try again.", "csrf")


def _refused(refusal: Refusal, request: Request) -> Answer:
    if _is_api(request):
        return problem_json(refusal, request.path)
    return pages.error_page(refusal, request)


def _is_api(request: Request) -> bool:
    return request.path.startswith("/v1/")


def _who(request: Request, proof: Mapping[str, Any]) -> Person | None:
    """Who is asking, by the proof that belongs to this door; the proof of the other one says nothing here."""
    if request.path.startswith("/auth/"):
        return None
    return _by_claims(proof) if _is_api(request) else _by_session(proof)


def _by_claims(proof: Mapping[str, Any]) -> Person | None:
    claims = (proof.get("jwt") or {}).get("claims")
    if not claims or not claims.get("sub"):
        return None
    return Person(str(claims["sub"]), str(claims.get("name") or claims["sub"]), roles_of(claims.get(ROLES_CLAIM)))


def _by_session(proof: Mapping[str, Any]) -> Person | None:
    context = proof.get("lambda") or {}
    return Person.of(context) if context.get("subject") else None


_desks: dict[int, Desk] = {}


def desk(here: Here) -> Desk:
    """The desk of this environment, built once."""
    if id(here) not in _desks or _desks[id(here)]._here is not here:
        _desks[id(here)] = Desk(here)
    return _desks[id(here)]
