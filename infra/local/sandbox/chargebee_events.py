"""What happens on a Chargebee site: events, delivered by webhook with basic authentication, and listed on demand.

On the wire it is Chargebee: events as ``{"list": [{"event": …}]}`` with an opaque ``next_offset``, filters by
``occurred_at`` and ``event_type``. What happens is one of the captured events of ``events/chargebee``, with ids and
times of its own.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from infra.local.sandbox.system import Deliver, System
from infra.local.sandbox.webhooks import NOW, Courier, When
from infra.local.sandbox.wire import Json, Reply, Request, dumps, loads, parse_form

EVENTS = Path(__file__).resolve().parents[3] / "events" / "chargebee"
RETRIES = (120, 360, 1800, 3600, 18000, 86400, 172800)


class Events:
    """The events of one site; ``happened`` holds them, oldest first."""

    def __init__(self, site: System, deliver: Deliver, credential: str) -> None:
        self.site = site
        self.credential = credential
        self.courier = Courier(site.agenda, deliver, f"/hooks/chargebee/{site.account}", RETRIES)
        self.happened: list[Json] = []

    def occur(self, kind: str, when: When = NOW, **changes: Any) -> Json:
        """One of the captured events, now: its object with a new id unless ``changes`` says it. Returns the event."""
        with self.site.lock:
            event: Json = loads((EVENTS / f"{kind}.json").read_bytes())
            about: Json = next(value for value in event["content"].values() if isinstance(value, dict))
            ident = self.site.ids.next(about["id"][:6], 10)
            about |= {"id": ident, "resource_version": self.site.epoch() * 1000, **changes}
            event |= {"id": self.site.ids.next("ev_", 16), "occurred_at": self.site.epoch()}
            self.happened.append(event)
            self.courier.post(event["id"], dumps(event).encode(), self.sign, when)
            return event

    def sign(self, body: bytes) -> dict[str, str]:
        """Headers of a delivery: the endpoint's user and password."""
        user = base64.b64encode(self.credential.encode()).decode()
        return {"Content-Type": "application/json", "Authorization": f"Basic {user}"}

    def listed(self, request: Request) -> Reply:
        """One page of the list of events."""
        form = parse_form(request.raw_query)
        size, offset = int(form.get("limit", 10)), str(form.get("offset", ""))
        if not 1 <= size <= 100:
            return _refuse("limit : must be between 1 and 100")
        if offset and not offset.startswith("at-"):
            return _refuse("offset : invalid value")
        if not set(dict(form.get("sort_by", {})).values()) <= {"occurred_at"}:
            return _refuse("sort_by : invalid value")
        rows = [event for event in self.happened if _fits(event, form)]
        start = int(offset.removeprefix("at-") or 0)
        page: Json = {"list": [{"event": event} for event in rows[start : start + size]]}
        return Reply.json(200, page | ({"next_offset": f"at-{start + size}"} if len(rows) > start + size else {}))


def _fits(event: Json, form: Json) -> bool:
    bounds = dict(form.get("occurred_at", {}))
    types = json.loads(dict(form.get("event_type", {})).get("in", "[]"))
    inside = int(bounds.get("after", -1)) < event["occurred_at"] < int(bounds.get("before", 10**12))
    return inside and (not types or event["event_type"] in types)


def _refuse(message: str) -> Reply:
    return Reply.json(400, {
        "message": message, "type": "invalid_request", "api_error_code": "param_wrong_value", "http_status_code": 400,
    })  # fmt: skip
