"""Tokens that end in the middle of things: the real credentials, token store and retry on 401, over a simulated vendor.

A history's ERP may ask for an access token. Each invocation is a process of its own: it signs with the product's own
`Token` or `Rotating` (renewed by one process at a time through the product's own lease and secret), and its transport
is the product's own `HttpWire` with only the network taken out. The vendor here lets tokens die by time and at any call
(fault ``expired``), takes a refresh token once, and forgives its use a second time for as long as Xero does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

from botocore.exceptions import ClientError

from tests.simulation.hub import Fate, Hub, Worker
from tests.simulation.model import CALLS, DEATHS, LedgerPort
from tieout.aws.http import HttpWire
from tieout.aws.tokens import SecretTokens
from tieout.core.classify import Answer
from tieout.core.verdicts import TryAgain, Uncertain

if TYPE_CHECKING:
    from tests.simulation.world import World

ASKS: Final = (*DEATHS, "unreachable", "lost_answer", "down")
#: What may befall each call, by role; a step of a flow asks for its token in peace.
BOUNDARIES: Final[Mapping[str, tuple[str, ...]]] = {
    "post.secrets.get": ("crash_before", "stall_after", "throttled"),
    "post.secrets.put": CALLS,
    "post.wire.token": ASKS,
    "probe.secrets.get": ("throttled",),
    "probe.secrets.put": ("crash_after", "throttled"),
    "probe.wire.token": ("crash_after", "lost_answer"),
}
#: Xero lets a refresh token be used again for thirty minutes after its first use (developer.xero.com/faq/oauth2).
GRACE: Final = 1800.0
AUTH: Final[Mapping[str, Mapping[str, str]]] = {
    "fetched": {"scheme": "oauth2_client_credentials", "token_path": "/token"},
    "rotating": {"scheme": "oauth2_refresh", "token_path": "/token"},
}
SECRET: Final = {
    "base_url": "https://erp.example", "client_id": "c", "client_secret": "tok_access_never",
    "refresh_token": "tok_refresh_0",
}  # fmt: skip


def kinds(worker: Worker, call: str) -> tuple[str, ...]:
    """The faults that a call may meet."""
    return BOUNDARIES.get(f"{worker.role}.{call}", ())


@dataclass
class Vendor:
    """The token endpoint of one account, and what it knows of its tokens."""

    hub: Hub
    life: float
    #: Access tokens that it takes, and until when.
    good: dict[str, float] = field(default_factory=dict)
    #: Refresh tokens that it takes, and until when.
    refresh: dict[str, float] = field(default_factory=lambda: {"tok_refresh_0": float("inf")})
    count: int = 0
    #: Who used each refresh token, in order.
    uses: dict[str, list[str]] = field(default_factory=dict)
    refused: int = 0
    #: Refresh tokens that came after their grace: nothing renews after that without a person.
    lost: list[str] = field(default_factory=list)

    def token(self, form: Mapping[str, str], who: str) -> tuple[int, dict[str, Any]]:
        """A new token, or the refusal of a refresh token that is spent."""
        given = form.get("refresh_token")
        if given is not None:
            self.uses.setdefault(given, []).append(who)
            if self.refresh.get(given, 0.0) < self.hub.now:
                self.lost.append(given)
                return 400, {"error": "invalid_grant"}
            self.refresh[given] = min(self.refresh[given], self.hub.now + GRACE)
        self.count += 1
        access = f"tok_access_{self.count}"
        self.good[access] = self.hub.now + self.life
        said: dict[str, Any] = {"access_token": access, "expires_in": int(self.life), "token_type": "Bearer"}
        if given is not None:
            said["refresh_token"] = f"tok_refresh_{self.count}"
            self.refresh[said["refresh_token"]] = float("inf")
        return 200, said

    def takes(self, headers: Mapping[str, str]) -> bool:
        """Whether a request with these headers is let in."""
        value = headers.get("Authorization", "").removeprefix("Bearer ")
        inside = self.good.get(value, -1.0) >= self.hub.now
        self.refused += not inside
        return inside

    def expire(self) -> None:
        """Every token that is out ends now, whatever was said of its life."""
        self.good.clear()


class _Client:
    """Secrets Manager for one secret, as the token store calls it."""

    def __init__(self, world: World, worker: Worker) -> None:
        self.world, self.worker = world, worker

    def _cross(self, name: str, kinds: tuple[str, ...], does: Callable[[], Any]) -> Any:
        def whole(fate: Fate) -> Any:
            if fate.fault == "throttled":
                raise ClientError({"Error": {"Code": "ThrottlingException"}}, name)
            answer = does()
            if fate.fault == "lost":
                raise ClientError({"Error": {"Code": "InternalServiceError"}}, name)
            return answer

        return self.world.hub.cross(self.worker, f"secrets.{name}", kinds, whole)

    def get_secret_value(self, **_: str) -> Any:
        """The pair as it is stored."""

        def does() -> Any:
            if self.world.pair is None:
                raise ClientError({"Error": {"Code": "ResourceNotFoundException"}}, "get")
            return {"SecretString": self.world.pair}

        return self._cross("get", kinds(self.worker, "secrets.get"), does)

    def put_secret_value(self, *, SecretId: str, SecretString: str) -> None:
        """Keep a pair."""

        def does() -> None:
            self.world.pair = SecretString

        self._cross("put", kinds(self.worker, "secrets.put"), does)


class SignedWire(HttpWire):
    """The product's transport of one process, whose network is the simulation's."""

    def __init__(self, world: World, worker: Worker, target: Any, account: str) -> None:
        self.world, self.worker, self.patience = world, worker, target.quiet.client_timeout
        ports: Any = LedgerPort(world.table, worker)
        moment = lambda: world.hub.moment(worker.skew)  # noqa: E731
        store = SecretTokens(_Client(world, worker), "erp", f"{target.name}:{account}", ports, worker.name, moment)
        super().__init__(target, account, lambda: SECRET, moment, tokens=store)
        self.pending: Callable[[Mapping[str, str]], Answer] | None = None

    def signed(self, does: Callable[[Mapping[str, str]], Answer]) -> Answer:
        """Send what ``does`` sends, with a token, and once more with a newer one where the first is not taken."""
        self.pending = does
        return self.call("POST", "/records")

    def takes(self, headers: Mapping[str, str]) -> bool:
        """Whether the account lets a request with these headers in."""
        assert self.world.vendor is not None
        return self.world.vendor.takes(headers)

    def expire(self) -> None:
        """Every token that is out ends now."""
        assert self.world.vendor is not None
        self.world.vendor.expire()

    def _once(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        if not url.endswith("/token"):
            assert self.pending is not None
            return self.pending(headers)
        vendor = self.world.vendor
        assert vendor is not None

        def does(fate: Fate) -> Answer:
            if fate.fault == "unreachable":
                raise TryAgain("target_unreachable", "no byte left us")
            if fate.fault == "down":
                return Answer(503)
            status, said = vendor.token(dict(parse_qsl((body or b"").decode())), self.worker.name)
            if fate.fault == "lost_answer":
                self.world.hub.sleep(self.worker, self.patience)
                raise Uncertain("target_lost", "timed out")
            return Answer(status, {}, json.dumps(said).encode())

        return self.world.hub.cross(self.worker, "wire.token", kinds(self.worker, "wire.token"), does)


# --- what must hold of it ----------------------------------------------------------------------------------------
def broken(world: World) -> list[str]:
    """D19: nobody uses a refresh token that another has used, but after him whom something befell; none dies unused."""
    vendor = world.vendor
    if vendor is None or world.setting.hostile:
        return []
    struck = {who for _, who, what, fault in world.hub.trace if fault or what in ("crash", "timeout", "end error")}
    found = [f"D19 {token} came after its grace, and no process can renew any more" for token in vendor.lost]
    for token, users in vendor.uses.items():
        wasted = [who for who in users[:-1] if who not in struck]
        found += [f"D19 {token} was used by {users[-1]} again, though nothing befell {who}" for who in wasted]
    return found
