"""The door of the pages: the authorizer's answer for one request. Kept apart, so that it loads nothing of the desk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from tieout.aws import clock
from tieout.aws.settings import Settings
from tieout.aws.web.session import KeyMissing, Sealer
from tieout.aws.wiring import log
from tieout.work.ports import Ledger, Secrets, Unavailable, Vault


class Here(Protocol):
    """What the desk needs of its environment; ``wiring.Environment`` is one."""

    @property
    def settings(self) -> Settings:
        """What the function was deployed with."""

    @property
    def secrets(self) -> Secrets:
        """Session key and client secret."""

    @property
    def ledger(self) -> Ledger:
        """The books; not touched by the authorizer."""

    @property
    def vault(self) -> Vault:
        """Raw events; not touched by the authorizer."""


def authorize(event: Mapping[str, Any], here: Here) -> dict[str, Any]:
    """The authorizer's simple answer: yes only for a genuine session that still holds and has a role. Never raises."""
    denied: dict[str, Any] = {"isAuthorized": False, "context": {}}
    try:
        pairs = (str(one).partition("=") for one in event.get("cookies") or ())
        cookies = {name.strip(): value.strip() for name, _, value in pairs}
        person = Sealer(here.secrets.get("desk", "session")).person(cookies, clock.now())
    except (KeyMissing, Unavailable, ValueError, TypeError) as error:
        log("authorizer_denied", error=type(error).__name__)
        return denied
    if person is None or not person.may_see:
        return denied
    return {"isAuthorized": True, "context": person.context()}
