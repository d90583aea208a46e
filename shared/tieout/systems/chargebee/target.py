"""Chargebee as a target: customers and subscriptions, form-encoded, under ids that we choose.

Class U: the id of what is made is our reference, and Chargebee makes no two objects of one id. So ``find`` is a read by
id. The idempotency key beside it makes a lost answer come again instead of a refusal.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote, urlencode

from tieout.contract import Action, Budget, Echo, Finds, Found, Quiet, Rate, Reference, Wire, Work
from tieout.core.classify import Answer, Row
from tieout.core.exchange import FORM, Request, encode_form, judge, member, read_answer
from tieout.core.keys import external_ref
from tieout.core.verdicts import NeedsHuman, TryAgain, Uncertain, Verdict

API: Final = "/api/v2"
PATHS: Final = {"customer": f"{API}/customers", "subscription": f"{API}/subscriptions"}
#: How an object is taken back, and with what.
UNDO: Final = {"customer": ("delete", ""), "subscription": ("cancel_for_items", "end_of_term=false")}
#: What a second undo may be refused with: there is nothing, or it is cancelled already.
GONE: Final = ("resource_not_found", "invalid_state_for_request")
#: Members of a form that are lists: Chargebee wants them by column, ``items[price][0]``, not by row.
LISTS: Final = ("subscription_items",)


class Chargebee:
    """Posts to and finds in one Chargebee site; holds nothing."""

    name = "chargebee"
    auth: Mapping[str, str] = {"scheme": "basic_key", "user": "api_key"}
    finds = Finds.UNIQUE
    quiet = Quiet(client_timeout=20, longest_processing=80, search_lag=0, clock_skew=5, period=180)
    reference = Reference("TIE-", 30)
    #: The least that a live site is given: 150 calls a minute.
    budget = Budget(concurrency=10, rates=(Rate(150, 60),))
    actions: Mapping[tuple[str, str], Action] = {
        ("customer", "create"): Action("chargebee.customer_create", echo=("ref",), undo="undo"),
        ("customer", "undo"): Action("chargebee.undo", echo=(), once=False),
        ("subscription", "create"): Action("chargebee.subscription", echo=("ref", "currency"), undo="undo"),
        ("subscription", "undo"): Action("chargebee.undo", echo=(), once=False),
    }
    verdicts: Sequence[Row] = (
        # The id is taken, or the key was used with other parameters: an earlier attempt may have landed.
        Row(400, Uncertain, "target_duplicate", says="duplicate_entry"),
        Row(422, Uncertain, "target_duplicate", says="unable_to_process_request"),
        Row(404, NeedsHuman, "target_reference_missing", says="resource_not_found"),
        # Somebody else changes the same object: nothing was written, and the site is not busy.
        Row(429, TryAgain, "target_conflict", says="lock_timeout", retry_after=True),
        Row(503, TryAgain, "target_down", says="site_"),
        Row(503, Uncertain, "target_down"),
    )
    batches = False
    ack_due = 0

    def build(self, kind: str, action: str, ref: str, payload: Mapping[str, Any]) -> bytes:
        """The form as it will be sent and recorded; an undo deletes or cancels what ``payload['id']`` names."""
        headers = {"Content-Type": FORM}
        if action == "undo":
            method, form = UNDO[kind]
            path = f"{PATHS[kind]}/{quote(str(payload['id']), safe='')}/{method}"
            return Request("POST", path, form.encode(), headers).dump()
        meta = json.dumps({**payload.get("meta_data", {}), "tieout_ref": ref}, separators=(",", ":"), sort_keys=True)
        body = encode_form({**{name: _columns(name, value) for name, value in payload.items() if name != "customer"},
                            "id": ref, "meta_data": meta})  # fmt: skip
        path = PATHS[kind]
        if kind == "subscription":
            path = f"{PATHS['customer']}/{quote(str(payload['customer']), safe='')}/subscription_for_items"
        return Request("POST", path, body, headers).dump()

    def send(self, wire: Wire, work: Sequence[Work]) -> Sequence[Echo | None]:
        """One call; the answer holds the object under the name of its kind."""
        return [self._send(wire, one) for one in work]

    def _send(self, wire: Wire, work: Work) -> Echo:
        request = Request.load(work.payload)
        key = {"chargebee-idempotency-key": external_ref(work.key, "tieout-", 40)}
        answer = wire.call(request.method, request.path, headers={**request.headers, **key}, body=request.body)
        text = error_text(answer)
        if work.action == "undo" and any(code in text for code in GONE) and self._gone(wire, work, request):
            return Echo(_named(request))  # it is gone, which is what was asked for
        judge(self.verdicts, answer, text)
        shown = member(read_answer(answer), work.kind)
        if not isinstance(member(shown, "id"), str):
            raise Uncertain("target_unclear", f"HTTP {answer.status} without an object", status=answer.status)
        return _echo(shown)

    def find(self, wire: Wire, work: Work) -> Found:
        """Read by id: what was made carries our reference as its id, what was taken back is deleted or cancelled."""
        request = Request.load(work.payload)
        if work.action == "undo":
            gone = self._gone(wire, work, request)
            return Found("complete", Echo(_named(request))) if gone else Found("absent")
        shown = self._read(wire, work.kind, work.ref)
        return Found("absent") if shown is None else Found("complete", _echo(shown))

    def _gone(self, wire: Wire, work: Work, request: Request) -> bool:
        return self._read(wire, work.kind, _named(request)) is None

    def _read(self, wire: Wire, kind: str, ident: str) -> Mapping[str, Any] | None:
        """The object of an id, if it lives: neither deleted nor cancelled."""
        answer = wire.call("GET", f"{PATHS[kind]}/{quote(ident, safe='')}")
        text = error_text(answer)
        if answer.status == 404 and "resource_not_found" in text:
            return None
        judge(self.verdicts, answer, text)
        shown = member(read_answer(answer), kind)
        if not isinstance(shown, Mapping) or not shown.get("id"):
            raise Uncertain("target_unclear", f"HTTP {answer.status} without an object", status=answer.status)
        return None if shown.get("deleted") is True or shown.get("status") == "cancelled" else shown

    def look(self, wire: Wire, kind: str, facts: Mapping[str, str]) -> Sequence[Echo]:
        """Customers with the same e-mail."""
        if kind != "customer" or not facts.get("email"):
            return []
        query = urlencode({"limit": "100", "email[is]": facts["email"]})
        answer = wire.call("GET", f"{PATHS['customer']}?{query}")
        judge(self.verdicts, answer, error_text(answer))
        listed = member(read_answer(answer), "list")
        rows = [member(one, "customer") for one in listed] if isinstance(listed, list) else []
        return [_echo(row) for row in rows if isinstance(row, Mapping) and row.get("email") == facts["email"]]


def _columns(name: str, value: Any) -> Any:
    """A list of rows as Chargebee's forms spell it: by column, then by number."""
    if name not in LISTS:
        return value
    columns = list(dict.fromkeys(column for row in value for column in row))
    return {
        column: {str(place): row[column] for place, row in enumerate(value) if column in row} for column in columns
    }  # fmt: skip


def _named(request: Request) -> str:
    """The id of the object that an undo names."""
    return request.path.split("/")[-2]


def error_text(answer: Answer) -> str:
    """Code, parameter and sentence of Chargebee's error body; empty where it is none."""
    if answer.status < 400:
        return ""
    try:
        error = read_answer(answer)
    except Verdict:
        return ""
    names = ("type", "api_error_code", "param", "message")
    return " ".join(str(member(error, name)) for name in names if member(error, name))


def _echo(shown: Mapping[str, Any]) -> Echo:
    currency = shown.get("currency_code")
    return Echo(remote=str(shown["id"]), ref=str(shown["id"]), currency=str(currency) if currency else None)


TARGET = Chargebee()
