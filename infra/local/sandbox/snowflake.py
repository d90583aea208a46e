"""Snowflake, one account: the SQL API over one table of documents.

On the wire it is Snowflake: a token signed by a key pair whose public half it holds, statements under a request id that
are not run a second time, 202 with a handle while one runs, 422 for one that failed, everything in an answer as text,
rows that a ``MERGE`` inserts once. It runs the two statements that the product sends and no other SQL, and it takes
them apart by their own words, so that a statement with a value in its text is refused.

Simplifications: one table, no other users; a handle is never forgotten; a time-out of a statement is not played.
"""

from __future__ import annotations

import base64
import hashlib
import re
import uuid
from decimal import Decimal
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from infra.local.sandbox.agenda import Agenda, Clock
from infra.local.sandbox.books import Entry, to_minor
from infra.local.sandbox.system import Ground, System
from infra.local.sandbox.wire import Json, Reply, Request

API = ["api", "v2", "statements"]
TABLE = "TIEOUT_DOCUMENTS"
MERGE = re.compile(
    rf"MERGE INTO {TABLE} t USING \(SELECT (?P<binds>.+)\) s ON (?P<on>.+) "
    r"WHEN NOT MATCHED THEN INSERT \((?P<columns>.+), LOADED_AT\) VALUES \(.+, SYSDATE\(\)\)"
)
SELECT = re.compile(
    rf"SELECT (?P<columns>[A-Z_, ]+) FROM {TABLE} WHERE REF = \? AND ACTION = \? AND VERSION = TO_NUMBER\(\?\)"
)
BIND = re.compile(r"(?:(TO_[A-Z_]+|PARSE_JSON)\(\?(?:, 38, 9)?\)|\?) AS ([A-Z_]+)")
KEY = ("SOURCE", "ACCOUNT", "KIND", "ACTION", "OBJECT_ID", "VERSION")
PLACES = Decimal(1).scaleb(-9)


class Failed(Exception):
    """A statement that Snowflake will not run, or that fails."""

    def __init__(self, code: str, state: str, text: str) -> None:
        super().__init__(text)
        self.code, self.state = code, state


class Snowflake(System):
    """One account. A statement takes ``runs`` seconds of world time; ``broken`` makes each fail with that sentence."""

    name = "snowflake"

    def __init__(self, account: str, clock: Clock, agenda: Agenda, seed: int) -> None:
        super().__init__(account, clock, agenda, seed)
        self.user = "SVC_LOADER"
        self.identifier = "acmeorg-acme.eu-central-1"
        key = _key()
        self.private_key = key
        self.public = RSAKey.import_key(RSAKey.import_key(key).as_pem(private=False))
        digest = hashlib.sha256(self.public.as_der(private=False)).digest()
        self.fingerprint = "SHA256:" + base64.b64encode(digest).decode()
        self.rows: dict[tuple[str, ...], Json] = {}
        self.runs = 0
        self.broken = ""
        self._stale: set[str] = set()
        self._seen: set[str] = set()
        self._jobs: dict[str, Reply | None] = {}
        self._requests: dict[str, str] = {}

    def secret(self) -> Json:
        """What the product's secret store holds for this account."""
        return {
            "base_url": self.base_url, "account_identifier": self.identifier, "user": self.user,
            "private_key": self.private_key,
        }  # fmt: skip

    # --- the door ----------------------------------------------------------------------------------------------

    def authorise(self, request: Request) -> Reply | None:
        """A token of this account and user, signed by its key, not old and not too long-lived."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        kind = request.headers.get("x-snowflake-authorization-token-type")
        try:
            if scheme != "Bearer" or kind != "KEYPAIR_JWT" or token in self._stale:
                raise ValueError(kind)
            claims = jwt.decode(token, self.public, algorithms=["RS256"]).claims
            subject = f"{self.identifier.partition('.')[0]}.{self.user}".upper()
            if (claims["sub"], claims["iss"]) != (subject, f"{subject}.{self.fingerprint}"):
                raise ValueError("of somebody else")
            if not 0 < claims["exp"] - claims["iat"] <= 3600 or not claims["iat"] <= self.epoch() < claims["exp"]:
                raise ValueError("of another time")
        except (ValueError, KeyError, TypeError, JoseError):
            return Reply.json(401, {"code": "390144", "message": "JWT token is invalid.", "data": None})
        self._seen.add(token)
        return None

    def forget_tokens(self) -> Reply | None:
        """Every token that was shown so far is void."""
        self._stale |= self._seen
        return None

    def misbehave(self, kind: str, args: Json) -> Reply:
        """Snowflake's words."""
        if kind == "closed_period":
            return _failure(Failed("003001", "42501", "Insufficient privileges to operate on table"), "")
        if kind == "ok_with_errors":
            return Reply.json(200, {"code": "391908", "message": "The statement was not executed"})
        return Reply.json(429, {"code": "391903", "message": "Too many requests: LimitExceeded"})

    def act(self, request: Request) -> Reply:
        """Route one authorised call."""
        parts = request.segments
        if request.method == "POST" and parts == API:
            return self._submit(request)
        if request.method == "GET" and parts[:3] == API and len(parts) == 4:
            if parts[3] not in self._jobs:
                return Reply.json(404, {"code": "390141", "message": "The statement handle does not exist"})
            done = self._jobs[parts[3]]
            return done if done is not None else self._running(parts[3])
        return Reply.json(404, {"code": "390141", "message": "Not found"})

    def _submit(self, request: Request) -> Reply:
        wanted = request.query.get("requestId", "")
        if wanted and wanted in self._requests:
            handle = self._requests[wanted]
            done = self._jobs[handle]
            return done if done is not None else self._running(handle)
        handle = str(uuid.uuid5(uuid.NAMESPACE_URL, self.ids.next("statement", 32)))
        if wanted:
            self._requests[wanted] = handle
        body = request.json()
        if self.runs and str(body.get("statement", "")).startswith("MERGE"):
            self._jobs[handle] = None
            self.agenda.after(self.runs, lambda: self._finish(handle, body))
            return self._running(handle)
        self._finish(handle, body)
        done = self._jobs[handle]
        assert done is not None
        return done

    def _finish(self, handle: str, body: Json) -> None:
        with self.lock:
            try:
                self._jobs[handle] = self._run(body, handle)
            except Failed as failed:
                self._jobs[handle] = _failure(failed, handle)

    def _running(self, handle: str) -> Reply:
        said = "Asynchronous execution in progress. Use provided query id to perform query monitoring and management."
        place = f"/api/v2/statements/{handle}"
        return Reply.json(
            202, {"code": "333334", "message": said, "statementHandle": handle, "statementStatusUrl": place}
        )

    # --- the two statements ------------------------------------------------------------------------------------

    def _run(self, body: Json, handle: str) -> Reply:
        text, bindings = str(body.get("statement", "")), body.get("bindings") or {}
        values = [bindings[str(place)]["value"] for place in range(1, len(bindings) + 1)]
        if self.broken:
            raise Failed("100038", "22018", self.broken)
        if text.count("?") != len(values) or "'" in text:
            raise Failed("002049", "42601", "SQL compilation error: bind variables do not match")
        if text == f"SELECT REF FROM {TABLE} LIMIT 0":
            return _result(handle, [])
        if found := SELECT.fullmatch(text):
            columns = found["columns"].split(", ")
            rows = [row for row in self.rows.values() if [row["REF"], row["ACTION"], row["VERSION"]] == values]
            return _result(handle, [[_shown(row[name]) for name in columns] for row in rows])
        if found := MERGE.fullmatch(text):
            binds = BIND.findall(found["binds"])
            columns = found["columns"].split(", ")
            if [name for _, name in binds] != columns or found["on"] != " AND ".join(f"t.{n} = s.{n}" for n in KEY):
                raise Failed("001003", "42000", "SQL compilation error")
            row = {name: _typed(cast, value) for (cast, name), value in zip(binds, values, strict=True)}
            key = tuple(str(row[name]) for name in KEY)
            fresh = key not in self.rows
            if fresh:
                self.rows[key] = row
            return _result(handle, [[str(int(fresh))]])
        raise Failed("001003", "42000", "SQL compilation error: syntax error")

    def book(self) -> list[Entry]:
        """What the table holds, one entry a document: its states in words."""
        states: dict[str, list[Json]] = {}
        for row in self.rows.values():
            states.setdefault(row["REF"], []).append(row)
        return [
            Entry(
                self.name, self.account, ref, rows[0]["KIND"], ref, rows[0]["CURRENCY"],
                to_minor(rows[0]["AMOUNT"], rows[0]["CURRENCY"]), rows[0]["ENTITY"],
                " ".join(sorted(f"{row['ACTION']} {row['VERSION']}" for row in rows)),
            )
            for ref, rows in states.items()
        ]  # fmt: skip


def _key() -> str:
    """A key pair of this process: a token proves nothing but that both halves are one pair."""
    global _PEM
    if not _PEM:
        made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        form = serialization.PrivateFormat.PKCS8
        _PEM = made.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()
    return _PEM


_PEM = ""


def _typed(cast: str, value: Any) -> Any:
    """A bound text as its column's type. Raises Failed where Snowflake could not convert it."""
    if value is not None and cast == "TO_DECIMAL":
        try:
            return Decimal(value).quantize(PLACES)
        except ArithmeticError:
            raise Failed("100038", "22018", f"Numeric value '{value}' is not recognized") from None
    return value


def _shown(value: Any) -> str | None:
    return format(value, "f") if isinstance(value, Decimal) else value


def _result(handle: str, rows: list[list[str | None]]) -> Reply:
    return Reply.json(200, {
        "code": "090001", "sqlState": "00000", "message": "Statement executed successfully.", "statementHandle": handle,
        "resultSetMetaData": {"numRows": len(rows), "format": "jsonv2"}, "data": rows,
    })  # fmt: skip


def _failure(failed: Failed, handle: str) -> Reply:
    said = {"code": failed.code, "sqlState": failed.state, "message": str(failed), "statementHandle": handle}
    return Reply.json(422, said)


def stand(ground: Ground) -> Snowflake:
    """The sandbox of this system, found by the server."""
    return Snowflake("acme", ground.clock, ground.agenda, ground.seed)
