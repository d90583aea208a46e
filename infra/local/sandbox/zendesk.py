"""Zendesk, one account: tickets and organizations over the Support API, and the webhook that tells of a ticket.

On the wire it is Zendesk: basic auth as ``email/token:key``, an idempotency key on new tickets that answers again what
it answered for two hours and refuses other parameters, external ids that are searched for, organizations created or
updated by external id under names that are unique, a closed ticket that takes no change, refusals in two shapes, event
webhooks signed over timestamp and body.

Simplifications: lists have one page; comments are kept with their ticket and are not listed; no users, triggers or
custom statuses; a field of an organization need not be defined before it is written; a write is seen at once
unless ``search_lag`` is ordered.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import datetime, timedelta
from typing import Any

from infra.local.sandbox.agenda import Agenda, Clock
from infra.local.sandbox.books import Entry
from infra.local.sandbox.system import Deliver, Ground, System
from infra.local.sandbox.webhooks import NOW, Courier, When
from infra.local.sandbox.wire import Json, Reply, Request, dumps

API = ["api", "v2"]
#: Seconds of world time between attempts of a webhook; Zendesk's own waits are not published.
RETRIES = (60, 120, 240)
REMEMBERED = timedelta(hours=2)
STATUSES = frozenset({"new", "open", "pending", "hold", "solved", "closed"})
#: What may be written of a ticket, and of an organization.
TICKET = frozenset({"subject", "comment", "priority", "type", "status", "organization_id", "external_id", "tags",
                    "safe_update", "updated_stamp"})  # fmt: skip
ORGANIZATION = frozenset({"name", "external_id", "organization_fields", "details", "notes", "tags"})


class Zendesk(System):
    """One account; ``tickets`` and ``organizations`` by id."""

    name = "zendesk"
    does = frozenset({"search_lag"})

    def __init__(self, account: str, clock: Clock, agenda: Agenda, seed: int, deliver: Deliver) -> None:
        super().__init__(account, clock, agenda, seed)
        self.email = "tieout@acme.example"
        self.api_token = self.ids.code("api token", 40)
        self.webhook_secret = base64.b64encode(self.ids.code("webhook", 24).encode()).decode()
        self.courier = Courier(agenda, deliver, f"/hooks/zendesk/{account}", RETRIES)
        self.tickets: dict[int, Json] = {}
        self.organizations: dict[int, Json] = {}
        self._answered: dict[str, tuple[datetime, bytes, Reply]] = {}
        self._next = 5000
        #: Calls a minute of the plan, and those of this one.
        self.allowance = 700
        self._minute = (0, 0)

    def secret(self) -> Json:
        """What the product's secret store holds for this account."""
        return {
            "base_url": self.base_url, "email": self.email, "api_token": self.api_token,
            "webhook_secrets": [self.webhook_secret],
        }  # fmt: skip

    def sign(self, body: bytes) -> dict[str, str]:
        """The headers of a webhook call that is made now."""
        stamp = self.now().strftime("%Y-%m-%dT%H:%M:%SZ")
        mark = hmac.new(self.webhook_secret.encode(), stamp.encode() + body, hashlib.sha256).digest()
        return {
            "Content-Type": "application/json",
            "X-Zendesk-Webhook-Signature": base64.b64encode(mark).decode(),
            "X-Zendesk-Webhook-Signature-Timestamp": stamp,
            "X-Zendesk-Webhook-Invocation-Id": self.ids.next("invocation", 26),
        }  # fmt: skip

    # --- the door ----------------------------------------------------------------------------------------------

    def authorise(self, request: Request) -> Reply | None:
        """``email/token`` as user, the API token as password."""
        wanted = base64.b64encode(f"{self.email}/token:{self.api_token}".encode()).decode()
        if request.headers.get("authorization") == f"Basic {wanted}":
            return None
        return Reply.json(401, {"error": "Couldn't authenticate you"})

    def forget_tokens(self) -> Reply | None:
        """There are no tokens that end; what Zendesk would say of a revoked one."""
        return Reply.json(401, {"error": "Couldn't authenticate you"})

    def misbehave(self, kind: str, args: Json) -> Reply:
        """Zendesk's words."""
        if kind == "closed_period":
            return _invalid("status", "Status: closed prevents ticket update")
        if kind == "ok_with_errors":
            return Reply.json(200, {"errors": [{"code": "DatabaseError", "title": "The change was not made"}]})
        return Reply.json(
            429, {"error": "APIRateLimitExceeded", "description": "Number of allowed API requests exceeded"}
        )

    def searches(self, request: Request) -> bool:
        """A list under a condition."""
        return request.method == "GET" and bool({"external_id", "name"} & set(request.query))

    def act(self, request: Request) -> Reply:
        """Route one authorised call; every answer tells what is left of the minute."""
        minute = int(self.now().timestamp()) // 60
        self._minute = (minute, self._minute[1] + 1 if self._minute[0] == minute else 1)
        left = max(0, self.allowance - self._minute[1])
        told = (("X-Rate-Limit", str(self.allowance)), ("X-Rate-Limit-Remaining", str(left)))
        return self._act(request).with_headers(*told)

    def _act(self, request: Request) -> Reply:
        parts = request.segments
        if parts[:2] != API:
            return _nothing()
        match request.method, parts[2:]:
            case "GET", ["tickets"]:
                return self._search(request, "tickets", self.tickets)
            case "GET", ["organizations", "search"]:
                return self._search(request, "organizations", self.organizations)
            case "GET", ["tickets", ident]:
                row = self.tickets.get(_number(ident))
                return Reply.json(200, {"ticket": _shown(row)}) if row else _nothing()
            case "POST", ["tickets"]:
                return self._once(request)
            case "PUT", ["tickets", ident]:
                return self._update(_number(ident), request)
            case "POST", ["organizations", "create_or_update"]:
                return self._organization(request)
        return _nothing()

    def _search(self, request: Request, listed: str, rows: dict[int, Json]) -> Reply:
        wanted = {name: value for name, value in request.query.items() if name in ("external_id", "name")}
        seen = [row for row in rows.values() if self.indexed(str(row["id"]), request)]
        found = [_shown(row) for row in seen if all(_same(row.get(k), v) for k, v in wanted.items())]
        return Reply.json(200, {listed: found, "count": len(found), "next_page": None, "previous_page": None})

    # --- writing -----------------------------------------------------------------------------------------------

    def _once(self, request: Request) -> Reply:
        """A new ticket; a key that was used answers again, or refuses other parameters."""
        key = request.headers.get("idempotency-key", "")
        at, body, said = self._answered.get(key, (self.now(), b"", Reply(500)))
        if key in self._answered and self.now() - at < REMEMBERED:
            if body != request.body:
                text = "This idempotency key was used with other parameters"
                return Reply.json(400, {"error": "IdempotentRequestError", "description": text})
            return said.with_headers(("x-idempotency-lookup", "hit"))
        sent = _sent(request, "ticket", TICKET)
        if isinstance(sent, Reply):
            return sent
        if not sent.get("comment", {}).get("body"):
            return _invalid("base", "Description: cannot be blank")
        if sent.get("organization_id") is not None and sent["organization_id"] not in self.organizations:
            return _invalid("organization", "Organization: is invalid")
        row = self._made({"status": "new", **sent})
        self.tickets[row["id"]] = row
        reply = Reply.json(
            201, {"ticket": _shown(row)}, ("Location", f"{self.base_url}/api/v2/tickets/{row['id']}.json")
        )
        if key:
            self._answered[key] = (self.now(), request.body, reply)
        return reply.with_headers(("x-idempotency-lookup", "miss")) if key else reply

    def _update(self, ident: int, request: Request) -> Reply:
        row = self.tickets.get(ident)
        if row is None:
            return _nothing()
        sent = _sent(request, "ticket", TICKET)
        if isinstance(sent, Reply):
            return sent
        if row["status"] == "closed":
            return _invalid("status", "Status: closed prevents ticket update")
        if sent.pop("safe_update", False) and sent.pop("updated_stamp", "") != row["updated_at"]:
            return Reply.json(409, {"error": "UpdateConflict", "description": "Safe update prevented ticket update"})
        row.update(sent, updated_at=self._stamp())
        return Reply.json(200, {"ticket": _shown(row), "audit": {"ticket_id": ident, "events": []}})

    def _organization(self, request: Request) -> Reply:
        sent = _sent(request, "organization", ORGANIZATION)
        if isinstance(sent, Reply):
            return sent
        rows = self.organizations.values()
        there = next((row for row in rows if row.get("external_id") == sent.get("external_id")), None)
        if any(row["name"].casefold() == str(sent.get("name", "")).casefold() and row is not there for row in rows):
            return _invalid("name", f"Name: {sent.get('name')} has already been taken")
        status = 200
        if there is None:
            there, status = self._made({}), 201
            self.organizations[there["id"]] = there
        fields = {**there.get("organization_fields", {}), **sent.get("organization_fields", {})}
        there.update(sent, organization_fields=fields, updated_at=self._stamp())
        return Reply.json(status, {"organization": _shown(there)})

    def _made(self, fields: Json) -> Json:
        self._next += 1
        self.born[str(self._next)] = self.now()
        return {"id": self._next, **fields, "created_at": self._stamp(), "updated_at": self._stamp()}

    def _stamp(self) -> str:
        return self.now().strftime("%Y-%m-%dT%H:%M:%SZ")

    # --- what people do there ----------------------------------------------------------------------------------

    def open_ticket(self, subject: str, organization: int | None = None) -> int:
        """A customer writes; the ticket's id."""
        row = self._made({"status": "new", "subject": subject, "comment": {"body": subject}, "priority": None})
        self.tickets[row["id"]] = {**row, "external_id": None, "organization_id": organization}
        return int(row["id"])

    def set_status(self, ident: int, status: str, when: When = NOW) -> Json:
        """An agent moves a ticket on, and the webhook tells of it."""
        row = self.tickets[ident]
        before, row["status"], row["updated_at"] = row["status"], status, self._stamp()
        event = {
            "account_id": 22129848, "id": self.ids.next("event-", 26), "subject": f"zen:ticket:{ident}",
            "time": self.now().strftime("%Y-%m-%dT%H:%M:%S.%f") + "000Z", "zendesk_event_version": "2022-11-06",
            "type": "zen:event-type:ticket.status_changed",
            "event": {"current": status.upper(), "previous": before.upper()},
            "detail": {
                "id": str(ident), "external_id": row.get("external_id"), "subject": row["subject"],
                "description": row["comment"]["body"], "status": status.upper(),
                "priority": str(row["priority"]).upper() if row.get("priority") else None,
                "organization_id": str(row["organization_id"]) if row.get("organization_id") else None,
                "assignee_id": None, "created_at": row["created_at"], "updated_at": row["updated_at"],
            },
        }  # fmt: skip
        self.courier.post(str(event["id"]), dumps(event).encode(), self.sign, when)
        return event

    def book(self) -> list[Entry]:
        """Tickets and organizations with what they show."""
        tickets = [self._entry("ticket", row, str(row["status"])) for row in self.tickets.values()]
        shown = [
            self._entry("customer", row, str(row["organization_fields"].get("finance_status", "")))
            for row in self.organizations.values()
        ]
        return [*tickets, *shown]

    def _entry(self, kind: str, row: Json, status: str) -> Entry:
        ref = str(row.get("external_id") or "")
        return Entry(self.name, self.account, ref, kind, str(row["id"]), "", 0, "", status)


def _same(held: Any, wanted: str) -> bool:
    return str(held).casefold() == wanted.casefold()


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else -1


def _shown(row: Json) -> Json:
    return {name: value for name, value in row.items() if name != "comment"}


def _sent(request: Request, noun: str, known: frozenset[str]) -> Any:
    """The object in a body, or the refusal of a body that holds none."""
    try:
        sent = request.json()[noun]
    except (ValueError, KeyError, TypeError):
        sent = None
    if not isinstance(sent, dict):
        return Reply.json(422, {"error": "Unprocessable Entity", "message": f"a {noun} is missing"})
    if strange := set(sent) - known:
        return Reply.json(
            422, {"error": "Unprocessable Entity", "message": f"unknown here: {', '.join(sorted(strange))}"}
        )
    if str(sent.get("status", "new")) not in STATUSES:
        return _invalid("status", "Status: is not properly formatted")
    return sent


def _invalid(field: str, text: str) -> Reply:
    details = {field: [{"description": text, "error": "InvalidValue"}]}
    return Reply.json(422, {"error": "RecordInvalid", "description": "Record validation errors", "details": details})


def _nothing() -> Reply:
    return Reply.json(404, {"error": "RecordNotFound", "description": "Not found"})


def stand(ground: Ground) -> Zendesk:
    """The sandbox of this system, found by the server."""
    return Zendesk("acme", ground.clock, ground.agenda, ground.seed, ground.send)
