"""People at the deployed API: a token for the JSON API, and the desk's real login at a provider on the loopback."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from infra.acceptance import second
from infra.acceptance.stage import Deployed
from infra.local.api import Api
from infra.local.clock import WorldClock
from infra.local.functions import Outcome
from infra.local.oidc import PREFIX, Provider
from infra.local.server import Quiet

_WHO: Final = "vera"
#: Seconds after which every function has read a changed table.
_UNTIL_SEEN: Final = 600


class Desk:
    """The provider that the stack is told to trust, and what people ask with its tokens."""

    def __init__(self, clock: WorldClock, address: str, own: str) -> None:
        self.clock = clock
        self.api = Api(clock, lambda arn, event: Outcome(None))
        self.provider = Provider(self, address)
        self.provider.issuer = f"{own}{PREFIX}"

    def parameters(self, address: str) -> dict[str, str]:
        """What the template is told of the provider."""
        return {
            "OidcIssuer": self.provider.issuer,
            "OidcAudience": "tieout",
            "OidcClientId": "tieout-desk",
            "DeskUrl": address,
        }

    def problems(self, stage: Deployed, cases: int) -> list[str]:
        """What people do not get from the deployed API, or get and must not; ``cases`` are open."""
        stage.put_secret("desk/session", {"key": secrets.token_urlsafe(48)})
        wrong = []

        def expect(what: str, answer: httpx.Response, status: int) -> httpx.Response:
            if answer.status_code != status:
                wrong.append(f"{what}: {answer.status_code} instead of {status}")
            return answer

        ours = self._bearer(_WHO, "viewer")
        foreign = self._bearer(_WHO, "viewer", "https://elsewhere.invalid")
        expect("JSON API without a token", stage.get("/v1/cases"), 401)
        expect("JSON API with a token of another issuer", stage.get("/v1/cases", foreign), 401)
        told = expect("JSON API with a token", stage.get("/v1/cases", ours), 200)
        if told.status_code == 200:
            shown = sum(len(cause["cases"]) for cause in told.json()["causes"])
            if shown != cases:
                wrong.append(f"the JSON API shows {shown} open cases, and the ledger has {cases}")
        expect("desk without a session", stage.get("/desk"), 401)
        expect("desk with a session of nobody", stage.get("/desk", {"cookie": "__Host-tieout=x"}), 403)
        login = expect("login", stage.get("/auth/login"), 303)
        if login.status_code == 303:
            wrong += self._sign_in(stage, login, expect)
        return wrong

    def settle(self, stage: Deployed) -> list[str]:
        """Two people give the French tax of the story its row, and the invoice that waited for it goes on."""
        wish = {
            "table": "tax_codes", "key": "FR-VAT-20", "entity": "DE01", "target": "legacy", "column.value": "V20",
            "from": self.clock.now().date().replace(day=1).isoformat(), "why": "the French tax has a code now",
        }  # fmt: skip
        proposed = stage.post("/v1/tables/changes", wish, self._bearer("anna", "operator"))
        if proposed.status_code != 200:
            return [f"the proposal of a row: {proposed.status_code} {proposed.text[:200]}"]
        change = proposed.json()["change"]
        approved = stage.post(f"/v1/tables/changes/{change}/approve", {}, self._bearer("ben", "approver"))
        if approved.status_code != 200:
            return [f"the approval of a row: {approved.status_code} {approved.text[:200]}"]
        self.clock.advance(_UNTIL_SEEN)
        return []

    def _bearer(self, who: str, role: str, issuer: str = "") -> dict[str, str]:
        token = self.api.token(who, (role,), iss=issuer or self.provider.issuer)
        return {"authorization": f"Bearer {token}"}

    def _sign_in(self, stage: Deployed, login: httpx.Response, expect: Any) -> list[str]:
        asked = urlsplit(login.headers["location"])
        consent = self.provider.answer("GET", f"{asked.path}?{asked.query}&login_hint={_WHO}", b"")
        if consent is None or consent.status != 302:
            return [f"the provider refuses what the desk asked: {login.headers['location']}"]
        back = urlsplit(consent.headers["location"])
        carried = {"cookie": _cookies(login)}
        arrived = expect("callback", stage.get(f"{back.path}?{back.query}", carried), 303)
        page = expect("desk with a session", stage.get("/desk", {"cookie": _cookies(arrived)}), 200)
        return [] if "<html" in page.text else ["the desk's first page is no page"]


def _cookies(answer: httpx.Response) -> str:
    return "; ".join(one.partition(";")[0] for one in answer.headers.get_list("set-cookie"))


@contextmanager
def desk(clock: WorldClock, work: Path, address: str) -> Iterator[Desk]:
    """The provider answers over TLS, with the engine's certificate, while this is open."""

    @Request.application
    def application(request: Request) -> Response:
        answer = made.provider.answer(request.method, request.full_path, request.get_data())
        if answer is None:
            return Response(status=404)
        return Response(answer.body, answer.status, answer.headers)

    pair = (str(second.certificate(work)), str(second.private_key(work)))
    server = make_server("127.0.0.1", 0, application, threaded=True, ssl_context=pair, request_handler=Quiet)
    made = Desk(clock, address, f"https://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="provider", daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
