"""Subscriptions of Business Central: the handshake, three days of life, thin notifications, and a short temper.

A notification is tried again for 36 hours where the answer is 408, 429 or 5xx, or none came; any other answer but a 2xx
deletes the subscription. Simplification: each change is told at once and alone, not gathered for thirty seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from urllib.parse import quote, urlsplit

import httpx

from infra.local.sandbox.agenda import Agenda, Clock
from infra.local.sandbox.system import Deliver, Ids
from infra.local.sandbox.wire import Json, dumps

LIFE = timedelta(days=3)
TRIED_FOR = timedelta(hours=36)
AGAIN = 300

#: Posts to a URL; status and body of the answer, 0 where none came.
Shake = Callable[[str], tuple[int, str]]


def over_http(url: str) -> tuple[int, str]:
    """The handshake as it is: a POST without a body."""
    try:
        answer = httpx.post(url, timeout=5)
    except httpx.HTTPError:
        return 0, ""
    return answer.status_code, answer.text


class Subscriptions:
    """Who is told of what; ``shake`` can be replaced by a test that has no server."""

    def __init__(self, clock: Clock, agenda: Agenda, ids: Ids, send: Deliver) -> None:
        self.clock, self._agenda, self._ids, self._send = clock, agenda, ids, send
        self.rows: dict[str, Json] = {}
        self.shake: Shake = over_http
        #: Status of each delivery that was tried, oldest first.
        self.answers: list[int] = []

    def live(self) -> list[Json]:
        """Those that have not run out."""
        return [row for row in self.rows.values() if row["until"] > self.clock()]

    def put(self, sent: Json, ident: str | None = None) -> Json | None:
        """Make or renew one; ``None`` where the address does not give the token back."""
        token = self._ids.next("token", 32)
        if self.shake(f"{sent['notificationUrl']}?validationToken={quote(token)}") != (200, token):
            return None
        name = ident or self._ids.next("sub", 29)
        rev = self.rows.get(name, {"rev": 0})["rev"] + 1
        until = self.clock() + LIFE
        self.rows[name] = {**sent, "subscriptionId": name, "until": until, "rev": rev}
        return self.shown(self.rows[name])

    @staticmethod
    def shown(row: Json) -> Json:
        """As it goes over the wire."""
        shown = {name: value for name, value in row.items() if name not in ("until", "rev")}
        return {"@odata.etag": f'W/"{row["rev"]}"', **shown, "expirationDateTime": f"{row['until']:%Y-%m-%dT%H:%M:%SZ}"}

    def tell(self, company: str, entities: str, ident: str, change: str, at: str) -> None:
        """One change, to everybody who asked for it."""
        for row in self.live():
            if row["resource"].rpartition("/")[2] == entities:
                event = {
                    "subscriptionId": row["subscriptionId"], "clientState": row.get("clientState", ""),
                    "expirationDateTime": f"{row['until']:%Y-%m-%dT%H:%M:%SZ}",
                    "resource": f"api/v2.0/companies({company})/{entities}({ident})", "changeType": change,
                    "lastModifiedDateTime": at,
                }  # fmt: skip
                self._try(row["subscriptionId"], dumps({"value": [event]}).encode(), self.clock())

    def _try(self, name: str, body: bytes, since: datetime) -> None:
        row = self.rows.get(name)
        if row is None:
            return
        status = self._send(urlsplit(row["notificationUrl"]).path, {"content-type": "application/json"}, body)
        self.answers.append(status)
        if status in (0, 408, 429) or status >= 500:
            if self.clock() + timedelta(seconds=AGAIN) <= since + TRIED_FOR:
                self._agenda.after(AGAIN, lambda: self._try(name, body, since))
        elif not 200 <= status < 300:
            del self.rows[name]
