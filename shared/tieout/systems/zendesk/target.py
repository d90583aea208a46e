"""Zendesk as a target, over the Support API: a ticket for what finance refused, a customer's finance status.

Class L: ``external_id`` is searchable and not unique, and Zendesk publishes neither the lag of a list nor promises it.
Behind that stands an ``Idempotency-Key`` on the creation of a ticket, which Zendesk remembers for two hours. Everything
else changes in place and is written as a state (fields of ours with a value), so that the same bytes twice are one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from tieout.contract import Action, Budget, Echo, Finds, Found, Quiet, Rate, Reference, Wire, Work
from tieout.core.classify import Answer, Row
from tieout.core.exchange import JSON, Request, judge, member, read_answer
from tieout.core.parse import write_json
from tieout.core.verdicts import Uncertain, Verdict

API: Final = "/api/v2"
HEADERS: Final = {"Content-Type": JSON, "Accept": JSON}
#: What Zendesk says of a ticket that nobody can change any more; it was solved days before.
CLOSED: Final = "closed prevents ticket update"


class Zendesk:
    """Writes tickets and organizations of one Zendesk account; holds nothing."""

    name = "zendesk"
    auth: Mapping[str, str] = {"scheme": "basic", "user": "email", "user_suffix": "/token", "password": "api_token"}
    finds = Finds.LAGGING
    quiet = Quiet(client_timeout=20, longest_processing=60, search_lag=120, clock_skew=5, period=300)
    reference = Reference("TIE-", 30)
    #: The smallest plan's 200 calls a minute; how many at once is not published.
    budget = Budget(concurrency=4, rates=(Rate(200, 60),))
    actions: Mapping[tuple[str, str], Action] = {
        ("ticket", "create"): Action("zendesk.ticket_create", echo=("ref",), once=False),
        ("ticket", "update"): Action("zendesk.ticket_update", echo=("ref",), once=False),
        ("customer", "upsert"): Action("zendesk.customer", echo=("ref",), once=False),
    }
    #: A conflict (409) stays uncertain, as it is everywhere: what is written is a state of our own two fields.
    verdicts: Sequence[Row] = (
        Row(400, Uncertain, "target_duplicate", says="idempotentrequesterror"),
        Row(503, Uncertain, "target_down"),
    )
    batches = False
    ack_due = 0

    def build(self, kind: str, action: str, ref: str, payload: Mapping[str, Any]) -> bytes:
        """The write as it will be sent and recorded; our reference is the external id."""
        if kind == "customer":
            body = write_json({"organization": {**payload, "external_id": ref}})
            return Request("POST", f"{API}/organizations/create_or_update", body, HEADERS).dump()
        if action == "update":
            fields = {name: value for name, value in payload.items() if name != "id"}
            body = write_json({"ticket": {**fields, "external_id": ref}})
            return Request("PUT", f"{API}/tickets/{quote(str(payload['id']), safe='')}", body, HEADERS).dump()
        body = write_json({"ticket": {**payload, "external_id": ref}})
        key = f"{ref}-{hashlib.sha256(body).hexdigest()[:16]}"
        return Request("POST", f"{API}/tickets", body, {**HEADERS, "Idempotency-Key": key}).dump()

    def send(self, wire: Wire, work: Sequence[Work]) -> Sequence[Echo | None]:
        """One call; the answer holds the object with its external id."""
        return [self._send(wire, one) for one in work]

    def _send(self, wire: Wire, work: Work) -> Echo:
        request = Request.load(work.payload)
        answer = wire.call(request.method, request.path, headers=request.headers, body=request.body)
        said = error_text(answer)
        if answer.status == 422 and CLOSED in said.casefold():
            # Closed is solved for good: what there was to tell has become pointless, and is no refusal of ours.
            shown = self._read(wire, request.path)
            if member(shown, "ticket", "status") == "closed":
                return _echo(member(shown, "ticket"))
        judge(self.verdicts, answer, said)
        echo = _echo(member(read_answer(answer), _noun(work)))
        if not echo.remote:
            raise Uncertain("target_unclear", f"HTTP {answer.status} without a {_noun(work)}", status=answer.status)
        return echo

    def _read(self, wire: Wire, path: str) -> Any:
        answer = wire.call("GET", path, headers={"Accept": JSON})
        judge(self.verdicts, answer, error_text(answer))
        return read_answer(answer)

    def find(self, wire: Wire, work: Work) -> Found:
        """Look by our external id. What changes in place must show the fields that were sent."""
        noun = _noun(work)
        place = "organizations/search" if noun == "organization" else "tickets"
        rows = self._list(wire, f"{API}/{place}?external_id={quote(work.ref, safe='')}", f"{noun}s")
        ours = [row for row in rows if row.get("external_id") == work.ref]
        if not ours:
            return Found("absent")
        if len(ours) > 1:
            return Found("ambiguous", None, "found_several", f"{len(ours)} with {work.ref}")
        if work.action == "create" or ours[0].get("status") == "closed" or _shows(ours[0], _sent(work)):
            return Found("complete", _echo(ours[0]))
        return Found("absent", _echo(ours[0]), said=f"the {noun} is there and does not show what was sent")

    def look(self, wire: Wire, kind: str, facts: Mapping[str, str]) -> Sequence[Echo]:
        """Organizations of the same name, which Zendesk keeps unique."""
        if kind != "customer" or not facts.get("name"):
            return []
        path = f"{API}/organizations/search?name={quote(facts['name'], safe='')}"
        rows = self._list(wire, path, "organizations")
        return [_echo(row) for row in rows if str(row.get("name", "")).casefold() == facts["name"].casefold()]

    def _list(self, wire: Wire, path: str, listed: str) -> list[Mapping[str, Any]]:
        body = self._read(wire, path)
        rows = member(body, listed)
        if not isinstance(rows, list):
            raise Uncertain("target_unclear", f"an answer without {listed}")
        return [row for row in rows if isinstance(row, Mapping)]


def _noun(work: Work) -> str:
    return "organization" if work.kind == "customer" else "ticket"


def _echo(row: Any) -> Echo:
    ident, ref = member(row, "id"), member(row, "external_id")
    remote = str(ident) if type(ident) is int else ""
    return Echo(remote, ref if isinstance(ref, str) else None, remote or None)


def _sent(work: Work) -> Mapping[str, Any]:
    sent = member(read_answer(Answer(0, body=Request.load(work.payload).body)), _noun(work))
    return sent if isinstance(sent, Mapping) else {}


def _shows(shown: Mapping[str, Any], sent: Mapping[str, Any]) -> bool:
    """Whether each field that was sent is shown with its value, in bags of custom fields too."""
    return all(
        _shows(shown.get(name) or {}, value) if isinstance(value, Mapping) else shown.get(name) == value
        for name, value in sent.items()
    )


def error_text(answer: Answer) -> str:
    """Codes and sentences of Zendesk's error bodies, of which there are two shapes; empty where it is none."""
    if answer.status < 400:
        return ""
    try:
        body = read_answer(answer)
    except Verdict:
        return ""
    found = [member(body, "error"), member(body, "description")]
    details, errors = member(body, "details"), member(body, "errors")
    lists = details.values() if isinstance(details, Mapping) else [errors]
    for row in (row for rows in lists if isinstance(rows, list) for row in rows):
        found += [member(row, name) for name in ("code", "title", "description", "detail")]
    return "; ".join(str(one) for one in found if isinstance(one, str) and one)


TARGET = Zendesk()
