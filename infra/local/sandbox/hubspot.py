"""HubSpot, one portal: deals, companies, line items and the customer's own object, signed webhooks of many events.

On the wire it is HubSpot: a static bearer token, properties that are text and nothing else, an upsert by a unique
property, 207 for a batch that is half done, errors with ``category`` and ``correlationId``, a 429 that names its
policy, associations with a deal, a history of a property, a search that lags behind (``SEARCH_LAG``), merged companies
that answer under their survivor's id. Webhooks go out in the v3 signature, several events in one body.

Simplifications: every property of ours exists; an unknown object type is 404; nothing is restored.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import uuid
from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from infra.local.sandbox.agenda import Agenda, Clock
from infra.local.sandbox.books import Entry, to_minor
from infra.local.sandbox.system import Deliver, Ground, System
from infra.local.sandbox.webhooks import NOW, Courier, When
from infra.local.sandbox.wire import Json, Reply, Request, dumps

HOST = "hooks.acme.example"
RETRIES = (60, 300, 900, 3600, 10800)
SEARCH_LAG = 10
JOURNAL_KEPT = timedelta(days=3)
OBJECTS = ("deals", "companies", "line_items", "p_tieout_status")
UNIQUE = {"p_tieout_status": "tieout_key"}
API = ["crm", "v3", "objects"]
SCOPES = ("crm.objects.companies.read", "crm.objects.custom.read", "crm.objects.custom.write",
          "crm.objects.deals.read", "crm.objects.deals.write", "crm.objects.line_items.read",
          "crm.schemas.custom.read")  # fmt: skip


class Refused(Exception):
    """An error answer: status, category and sentence."""

    def __init__(self, status: int, category: str, message: str) -> None:
        super().__init__(message)
        self.status, self.category, self.message = status, category, message

    def body(self) -> Json:
        """As JSON."""
        return {"status": "error", "message": self.message, "category": self.category,
                "correlationId": "c033cdaa-2c40-4a64-ae48-b4cec88dad24"}  # fmt: skip


class HubSpot(System):
    """One portal; ``rows`` holds each kind of object by id."""

    name = "hubspot"
    does = frozenset({"merged_customer", "search_lag"})

    def __init__(self, account: str, clock: Clock, agenda: Agenda, seed: int, deliver: Deliver) -> None:
        super().__init__(account, clock, agenda, seed)
        self.token = "pat-na1-" + self.ids.code("token", 36)
        self.client_secret = self.ids.code("client secret", 36)
        self.courier = Courier(agenda, deliver, f"/hooks/hubspot/{account}", RETRIES)
        self.rows: dict[str, dict[str, Json]] = {name: {} for name in OBJECTS}
        self.merged: dict[str, str] = {}
        self.client_id = self.ids.code("client id", 36)
        #: The journal: entries of one file each, oldest first, and tokens that may read it.
        self.journal: list[Json] = []
        self._tokens: dict[str, set[str]] = {}
        #: What the app was granted of the journal, and the subscriptions that it has there.
        self.granted = {f"developer.webhooks_journal.{one}" for one in ("read", "subscriptions.read",
                                                                        "subscriptions.write")}  # fmt: skip
        self.subscriptions: list[Json] = []
        self._next = 19_248_310_000
        #: Calls of the day: allowed, and made.
        self.allowance, self.calls = 250_000, 0
        self.scopes = set(SCOPES)
        self.properties = {
            f"tieout_{name}": "string"
            for name in ("key", "account", "document", "status", "sentence", "version", "updated_at")
        }

    def secret(self) -> Json:
        """What the product's secret store holds for this portal."""
        return {"base_url": self.base_url, "access_token": self.token, "client_secrets": [self.client_secret],
                "client_id": self.client_id, "client_secret": self.client_secret,
                "settings": {"journal": "on"}}  # fmt: skip

    # --- the door ----------------------------------------------------------------------------------------------

    def authorise(self, request: Request) -> Reply | None:
        """The private app's token; for the journal one of its own, and for its files none."""
        if request.segments[:2] == ["oauth", "2026-03"] or request.segments[:1] == ["files"]:
            return None
        if request.segments[:1] == ["webhooks-journal"]:
            scopes = self._tokens.get(request.headers.get("authorization", "").removeprefix("Bearer "), set())
            right = "subscriptions." if request.segments[1:2] == ["subscriptions"] else ""
            if f"developer.webhooks_journal.{right}{'write' if request.method == 'POST' else 'read'}" in scopes:
                return None
            text = "This app hasn't been granted all required scopes to make this call."
            return Reply.json(403, Refused(403, "MISSING_SCOPES", text).body())
        if request.headers.get("authorization") == f"Bearer {self.token}":
            return None
        return Reply.json(401, Refused(401, "INVALID_AUTHENTICATION", "Authentication credentials not found.").body())

    def forget_tokens(self) -> Reply | None:
        """A token that was rotated is refused once."""
        return Reply.json(401, Refused(401, "EXPIRED_AUTHENTICATION", "The token expired.").body())

    def misbehave(self, kind: str, args: Json) -> Reply:
        """HubSpot's words."""
        if kind == "ok_with_errors":
            problem = {"status": "error", "category": "VALIDATION_ERROR", "message": "Property values were not valid",
                       "context": {}, "links": {}, "errors": []}  # fmt: skip
            return Reply.json(207, {"status": "COMPLETE", "results": [], "numErrors": 1, "errors": [problem],
                                    "startedAt": self._stamp(), "completedAt": self._stamp()})  # fmt: skip
        if kind == "closed_period":
            return Reply.json(400, Refused(400, "VALIDATION_ERROR", "The record is locked.").body())
        policy = "DAILY" if args.get("daily") else "TEN_SECONDLY_ROLLING"
        return Reply.json(429, {"status": "error", "errorType": "RATE_LIMIT", "policyName": policy,
                                "message": f"You have reached your {policy.lower()} limit."})  # fmt: skip

    def customer_of(self, request: Request) -> str:
        """The company that is read by its id."""
        parts = request.segments
        company = request.method == "GET" and parts[:-1] == ["crm", "v3", "objects", "companies"]
        row = self.rows["companies"].get(parts[-1]) if company else None
        return str(row["id"]) if row and not row["archived"] else ""

    def searches(self, request: Request) -> bool:
        """A search among the objects of a kind."""
        return request.path.endswith("/search")

    def set_aside(self, kind: str, customer: str) -> None:
        """Merge a company into another that is like it, for good."""
        with self.lock:
            own = self.rows["companies"][customer]["properties"]
            self.merge(self.add("companies", {k: v for k, v in own.items() if k != "hs_object_id"})["id"], customer)

    def act(self, request: Request) -> Reply:
        """Route one authorised call; every answer of the CRM tells what is left of the day and of ten seconds."""
        self.calls += 1
        day, burst = max(0, self.allowance - self.calls), 190
        told = {"Daily": self.allowance, "Daily-Remaining": day, "Max": burst, "Remaining": burst - 1,
                "Interval-Milliseconds": 10_000}  # fmt: skip
        headers = [(f"X-HubSpot-RateLimit-{name}", str(value)) for name, value in told.items()]
        return self._act(request).with_headers(*(headers if request.segments[:1] == ["crm"] else []))

    def _act(self, request: Request) -> Reply:
        try:
            parts = request.segments
            if parts == ["oauth", "2026-03", "token"]:
                return self._token(request)
            if parts[:3] == ["webhooks-journal", "journal-local", "2026-03"]:
                return self._entry(parts[3:], request)
            if parts == ["webhooks-journal", "subscriptions", "2026-03"]:
                return self._subscription(request)
            if parts[:1] == ["files"]:
                return self._file(parts[1:], request)
            if parts == ["oauth", "v2", "private-apps", "get", "access-token-info"]:
                return self._token_info(request)
            if parts[:3] == ["crm", "v3", "properties"] and len(parts) == 4 and request.method == "GET":
                return self._properties(parts[3])
            if parts[:3] != API or len(parts) < 4 or parts[3] not in OBJECTS:
                raise Refused(404, "OBJECT_NOT_FOUND", "Unable to infer object type")
            kind, rest = parts[3], parts[4:]
            if rest == ["batch", "upsert"] and request.method == "POST":
                return self._upsert(kind, request)
            if rest == ["batch", "read"] and request.method == "POST":
                return self._read_many(kind, request)
            if rest == ["search"] and request.method == "POST":
                return self._search(kind, request)
            if not rest and request.method == "GET":
                rows = [self._shown(row, []) for row in self.rows[kind].values() if not row["archived"]]
                return Reply.json(200, {"results": rows[: int(request.query.get("limit", 10))]})
            if len(rest) == 1 and request.method in ("GET", "PATCH"):
                return self._one(kind, rest[0], request)
            raise Refused(405, "METHOD_NOT_ALLOWED", request.method)
        except Refused as refused:
            return Reply.json(refused.status, refused.body())
        except (ValueError, KeyError, TypeError) as error:
            return Reply.json(400, Refused(400, "VALIDATION_ERROR", f"Invalid input JSON: {error}").body())

    def _token_info(self, request: Request) -> Reply:
        """What a private app's token is, for whoever shows it."""
        if request.json().get("tokenKey") != self.token:
            raise Refused(404, "OBJECT_NOT_FOUND", "no such token")
        return Reply.json(200, {"userId": 101, "hubId": int(self.account), "appId": 303, "scopes": sorted(self.scopes)})

    def _properties(self, kind: str) -> Reply:
        """The properties that the customer added, as the portal describes them."""
        if kind not in OBJECTS:
            raise Refused(404, "OBJECT_NOT_FOUND", "Unable to infer object type")
        rows = [
            {"name": name, "label": name, "type": type_, "fieldType": "text", "groupName": "tieout", "options": [],
             "description": "", "hasUniqueValue": UNIQUE.get(kind) == name,
             "modificationMetadata": {"readOnlyValue": False, "readOnlyDefinition": False, "archivable": True}}
            for name, type_ in self.properties.items()
        ]  # fmt: skip
        return Reply.json(200, {"results": rows})

    # --- the journal -------------------------------------------------------------------------------------------

    def _token(self, request: Request) -> Reply:
        form = request.form()
        if (form.get("client_id"), form.get("client_secret")) != (self.client_id, self.client_secret):
            raise Refused(401, "BAD_CLIENT_SECRET", "missing or invalid client secret")
        scopes = set(str(form.get("scope", "")).split())
        if form.get("grant_type") != "client_credentials" or not scopes or scopes - self.granted:
            raise Refused(400, "BAD_GRANT_TYPE", "missing or unknown grant type or scope")
        token = self.ids.next("cc", 60)
        self._tokens[token] = scopes
        return Reply.json(200, {"access_token": token, "token_type": "bearer", "expires_in": 1800})

    def _subscription(self, request: Request) -> Reply:
        """The app's subscriptions, or one made or changed: there is one for a kind of object in a portal."""
        if request.method == "GET":
            return Reply.json(200, {"results": self.subscriptions})
        sent = request.json()
        if sent["subscriptionType"] != "OBJECT" or not set(sent["actions"]) <= {"CREATE", "UPDATE", "DELETE", "MERGE"}:
            raise Refused(400, "VALIDATION_ERROR", "unknown subscription type or action")
        same = [
            one for one in self.subscriptions
            if (one["portalId"], one["objectTypeId"]) == (sent["portalId"], sent["objectTypeId"])
        ]  # fmt: skip
        row = same[0] if same else {"id": len(self.subscriptions) + 1, "appId": 303, "createdAt": self._stamp()}
        row |= {**sent, "updatedAt": self._stamp()}
        if not same:
            self.subscriptions.append(row)
        return Reply.json(200, row)

    def _kept(self) -> list[Json]:
        """What the journal still shows: three days of it."""
        return [one for one in self.journal if one["at"] > self.now() - JOURNAL_KEPT]

    def _entry(self, rest: list[str], request: Request) -> Reply:
        if request.query.get("installPortalId") != self.account:
            raise Refused(403, "MISSING_SCOPES", "the app is not installed there")
        kept = self._kept()
        if rest == ["earliest"]:
            found = kept[:1]
        elif len(rest) == 3 and (rest[0], rest[2]) == ("offset", "next"):
            places = [number for number, one in enumerate(kept) if one["offset"] == rest[1]]
            if not places:
                raise Refused(404, "OBJECT_NOT_FOUND", "the offset has expired or does not exist")
            found = kept[places[0] + 1 :][:1]
        else:
            raise Refused(404, "OBJECT_NOT_FOUND", "no such part of the journal")
        if not found:
            return Reply(204)
        offset, expires = found[0]["offset"], self.now() + timedelta(minutes=5)
        address = f"{self.base_url}/files/{offset}?signature={self.ids.code(offset, 32)}"
        return Reply.json(200, {"url": address, "expiresAt": expires.isoformat(), "currentOffset": offset})

    def _file(self, rest: list[str], request: Request) -> Reply:
        found = [one for one in self.journal if rest == [one["offset"]]]
        if not found or request.query.get("signature") != self.ids.code(found[0]["offset"], 32):
            return Reply(403, b"<Error><Code>AccessDenied</Code></Error>", (("Content-Type", "application/xml"),))
        if "authorization" in request.headers:
            return Reply(400, b"<Error><Code>InvalidArgument</Code></Error>", (("Content-Type", "application/xml"),))
        return Reply.json(200, {
            "offset": found[0]["offset"], "journalEvents": found[0]["events"], "publishedAt": found[0]["published"],
        })  # fmt: skip

    def _publish(self, row: Json, names: Sequence[str], kind: str) -> None:
        """An entry of the journal about a change, whatever becomes of its webhook."""
        event = {
            "type": "crmObject", "portalId": int(self.account), "occurredAt": self._stamp(), "action": "UPDATE",
            "objectTypeId": {"deal": "0-3", "company": "0-2"}[kind], "objectId": int(row["id"]),
            "propertyChanges": {name: row["properties"].get(name) for name in names},
        }  # fmt: skip
        offset = str(uuid.UUID(hashlib.sha256(self.ids.next("offset", 12).encode()).hexdigest()[:32]))
        self.journal.append({"offset": offset, "at": self.now(), "published": self._stamp(), "events": [event]})

    # --- objects -----------------------------------------------------------------------------------------------

    def _one(self, kind: str, ident: str, request: Request) -> Reply:
        row = self._find(kind, request.query.get("idProperty", ""), ident)
        if request.method == "PATCH":
            self._write(row, request.json()["properties"])
        names = [name for name in request.query.get("properties", "").split(",") if name]
        shown = self._shown(row, names or list(row["properties"]))
        history = request.query.get("propertiesWithHistory", "")
        if history:
            shown["propertiesWithHistory"] = {name: row["history"].get(name, []) for name in history.split(",")}
        linked = [one for one in request.query.get("associations", "").split(",") if row["associations"].get(one)]
        if linked:
            shown["associations"] = {one: {"results": row["associations"][one]} for one in linked}
        return Reply.json(200, shown)

    def _find(self, kind: str, by: str, ident: str) -> Json:
        ident = self.merged.get(ident, ident)
        for row in self.rows[kind].values():
            if (row["properties"].get(by) if by else row["id"]) == ident and not row["archived"]:
                return row
        raise Refused(404, "OBJECT_NOT_FOUND", f"resource not found: {ident}")

    def _shown(self, row: Json, names: Sequence[str]) -> Json:
        properties = {name: row["properties"].get(name) for name in (*names, "hs_object_id")}
        return {"id": row["id"], "properties": properties, "createdAt": row["createdAt"],
                "updatedAt": row["updatedAt"], "archived": row["archived"]}  # fmt: skip

    def _write(self, row: Json, properties: Mapping[str, Any]) -> None:
        for name, value in properties.items():
            if value is not None and not isinstance(value, str):
                raise Refused(400, "VALIDATION_ERROR", f"Property {name} must be a string")
            if row["properties"].get(name) != value:
                row["properties"][name] = value
                change = {"value": value, "timestamp": self._stamp(), "sourceType": "INTEGRATION"}
                row["history"].setdefault(name, []).insert(0, change)
                row["updatedAt"] = self._stamp()
                row["indexed"] = self.now() + timedelta(seconds=SEARCH_LAG)

    def _upsert(self, kind: str, request: Request) -> Reply:
        results: list[Json] = []
        errors: list[Json] = []
        for one in request.json()["inputs"]:
            by = one.get("idProperty", "")
            try:
                if UNIQUE.get(kind) != by:
                    raise Refused(400, "VALIDATION_ERROR", f"Property {by!r} is not unique")
                try:
                    row, new = self._find(kind, by, str(one["id"])), False
                except Refused:
                    row, new = self.add(kind, {by: str(one["id"])}), True
                self._write(row, one["properties"])
                results.append({**self._shown(row, list(row["properties"])), "new": new})
            except Refused as refused:
                errors.append({**refused.body(), "context": {}, "links": {}, "errors": []})
        times = {"startedAt": self._stamp(), "completedAt": self._stamp(), "status": "COMPLETE"}
        failed = {"numErrors": len(errors), "errors": errors} if errors else {}
        return Reply.json(207 if errors else 200, {"results": results, **times, **failed})

    def _read_many(self, kind: str, request: Request) -> Reply:
        asked = request.json()
        if len(asked["inputs"]) > 100:
            raise Refused(400, "VALIDATION_ERROR", "at most 100 inputs")
        found = [self.rows[kind].get(str(one["id"])) for one in asked["inputs"]]
        results = [self._shown(row, asked["properties"]) for row in found if row and not row["archived"]]
        missing = len(found) - len(results)
        problem = {**Refused(404, "OBJECT_NOT_FOUND", "Could not get some objects").body(),
                   "context": {}, "links": {}, "errors": []}  # fmt: skip
        times = {"startedAt": self._stamp(), "completedAt": self._stamp(), "status": "COMPLETE"}
        more = {"numErrors": missing, "errors": [problem]} if missing else {}
        return Reply.json(207 if missing else 200, {"results": results, **times, **more})

    def _search(self, kind: str, request: Request) -> Reply:
        """What the index knows: a change is in it only ``SEARCH_LAG`` seconds of world time later."""
        wanted = [one for group in request.json().get("filterGroups", []) for one in group["filters"]]
        rows = [
            row for row in self.rows[kind].values()
            if row["indexed"] + timedelta(seconds=request.lag) <= self.now() and not row["archived"]
            and all(row["properties"].get(one["propertyName"]) == one["value"] for one in wanted)
        ]  # fmt: skip
        return Reply.json(200, {"total": len(rows), "results": [self._shown(row, ()) for row in rows[:100]]})

    # --- what people do in the portal --------------------------------------------------------------------------

    def add(self, kind: str, properties: Mapping[str, str | None], **associations: Sequence[Json]) -> Json:
        """A new object."""
        with self.lock:
            self._next += 1
            ident = str(self._next)
            row: Json = {
                "id": ident, "properties": {"hs_object_id": ident}, "history": {}, "archived": False,
                "createdAt": self._stamp(), "updatedAt": self._stamp(), "associations": dict(associations),
                "indexed": self.now() + timedelta(seconds=SEARCH_LAG),
            }  # fmt: skip
            self.rows[kind][ident] = row
            self._write(row, properties)
            return row

    def add_deal(self, entity: str = "US01", currency: str = "USD", **changes: str | None) -> Json:
        """An open deal with a company and two line items; ``changes`` are properties of the deal."""
        company = self.add("companies", {
            "name": "Northwind Traders Inc", "phone": "+1 212 555 0100", "address": "1 Liberty St", "city": "New York",
            "state": "NY", "zip": "10006", "hs_country_code": "US", "payment_terms": "NET30",
            "billing_email": "ap@northwind.example",
        })  # fmt: skip
        lines = [
            self.add("line_items", {"hs_sku": "PRO", "name": "Pro plan", "quantity": "100", "price": "110.00",
                                    "amount": "11000.00", "recurringbillingfrequency": "monthly"}),
            self.add("line_items", {"hs_sku": "SEAT", "name": "Seats", "quantity": "10", "price": "100.00",
                                    "amount": "1000.00", "recurringbillingfrequency": "monthly"}),
        ]  # fmt: skip
        return self.add("deals", {
            "dealname": "Northwind - Enterprise", "dealstage": "contractsent", "pipeline": "default",
            "amount": "12000.00", "closedate": self.now().strftime("%Y-%m-%dT00:00:00.000Z"),
            "deal_currency_code": currency, "hs_is_closed_won": "false", "selling_entity": entity,
            "payment_terms": "NET30", **changes,
        }, companies=[{"id": company["id"], "type": "deal_to_company"}],
           line_items=[{"id": line["id"], "type": "deal_to_line_item"} for line in lines])  # fmt: skip

    def win(self, deal: Json, when: When = NOW) -> str:
        """Win a deal; returns the id of the body that tells of it."""
        with self.lock:
            self._write(deal, {"dealstage": "closedwon", "hs_is_closed_won": "true"})
            return self.tell(deal, ("dealstage", "hs_is_closed_won"), when)

    def change_company(self, company: str, when: When = NOW, **properties: str | None) -> str:
        """Somebody edits a company; returns the id of the body that tells of it."""
        with self.lock:
            row = self.rows["companies"][company]
            self._write(row, properties)
            return self.tell(row, list(properties), when, "company")

    def tell(self, deal: Json, names: Sequence[str], when: When = NOW, kind: str = "deal") -> str:
        """One body with an event for each of these properties."""
        at = int(self.now().timestamp() * 1000)
        self._publish(deal, names, kind)
        body = dumps([
            {"eventId": int(self.ids.code(f"{deal['id']}/{name}/{at}", 8), 36) % 10**10, "subscriptionId": 25 + number,
             "portalId": int(self.account), "appId": 1160452, "occurredAt": at, "attemptNumber": 0,
             "subscriptionType": f"{kind}.propertyChange", "objectId": int(deal["id"]), "propertyName": name,
             "propertyValue": deal["properties"].get(name), "changeSource": "CRM", "sourceId": "userId:910901"}
            for number, name in enumerate(names)
        ])  # fmt: skip
        ident = self.ids.next("body", 12)
        self.courier.post(ident, body.encode(), self.sign, when)
        return ident

    def merge(self, into: str, other: str) -> None:
        """A company becomes part of another; its id goes on to answer as the survivor."""
        with self.lock:
            kept, gone = self.rows["companies"][into], self.rows["companies"][other]
            gone["archived"] = True
            self.merged[other] = into
            self._write(kept, {"hs_merged_object_ids": other})

    def sign(self, body: bytes) -> dict[str, str]:
        """The headers of a delivery that is made now."""
        stamp = str(int(self.now().timestamp()) * 1000)
        signed = f"POSThttps://{HOST}/hooks/hubspot/{self.account}".encode() + body + stamp.encode()
        mark = hmac.new(self.client_secret.encode(), signed, hashlib.sha256).digest()
        return {"Content-Type": "application/json", "Host": HOST, "X-HubSpot-Request-Timestamp": stamp,
                "X-HubSpot-Signature-v3": base64.b64encode(mark).decode()}  # fmt: skip

    def _stamp(self) -> str:
        now = self.now()
        return now.strftime("%Y-%m-%dT%H:%M:%S.") + f"{now.microsecond // 1000:03d}Z"

    # --- the book ----------------------------------------------------------------------------------------------

    def book(self) -> list[Entry]:
        """Statuses by our key, those of deals among them; and the deals."""
        with self.lock:
            own = [*self.rows["p_tieout_status"].values(), *self.rows["deals"].values()]
            told = [
                Entry(self.name, self.account, str(row["properties"]["tieout_key"]), "status", row["id"], "", 0, "",
                      str(row["properties"].get("tieout_status") or ""),
                      str(row["properties"].get("tieout_document") or ""))
                for row in own if row["properties"].get("tieout_key")
            ]  # fmt: skip
            return told + [
                Entry(self.name, self.account, row["id"], "opportunity", row["id"],
                      str(row["properties"]["deal_currency_code"]), self._total(row["properties"]),
                      str(row["properties"]["selling_entity"]), str(row["properties"]["dealstage"]))
                for row in self.rows["deals"].values()
            ]  # fmt: skip

    def _total(self, properties: Mapping[str, Any]) -> int:
        return to_minor(Decimal(properties["amount"]), properties["deal_currency_code"])


def stand(ground: Ground) -> HubSpot:
    """The sandbox of this system, found by the server."""
    return HubSpot("24881733", ground.clock, ground.agenda, ground.seed, ground.send)
