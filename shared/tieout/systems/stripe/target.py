"""Stripe as a target: customers and subscriptions, form-encoded, each once under an idempotency key.

Class U: ``Idempotency-Key`` makes the same bytes twice one object for at least 24 hours. ``find`` does not lean on
the key: it lists (lists are consistent; Stripe's search lags by a minute) and matches ``metadata[tieout_ref]``. The
key is derived from the posting, not from the reference alone: after an undo the same customer may be made again, and
the old key would only replay the answer about the deleted one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlencode

from tieout.contract import Action, Budget, Echo, Finds, Found, Quiet, Rate, Reference, Wire, Work
from tieout.core.classify import Answer, Row
from tieout.core.exchange import FORM, Request, encode_form, judge, member, read_answer
from tieout.core.keys import external_ref
from tieout.core.verdicts import NeedsHuman, TryAgain, Uncertain, Verdict

PATHS: Final = {"customer": "/v1/customers", "subscription": "/v1/subscriptions"}
#: Pages of a list that find reads before it says that it cannot tell (100 objects each).
PAGES_MOST: Final = 50
#: How far the listing starts before the first attempt, for clocks that differ.
BEFORE: Final = timedelta(minutes=10)


class Stripe:
    """Posts to and finds in one Stripe account; holds nothing."""

    name = "stripe"
    auth: Mapping[str, str] = {"scheme": "bearer_key", "field": "api_key"}
    finds = Finds.UNIQUE
    quiet = Quiet(client_timeout=20, longest_processing=80, search_lag=0, clock_skew=5, period=180)
    reference = Reference("TIE-", 30)
    budget = Budget(concurrency=20, rates=(Rate(80, 1),))
    actions: Mapping[tuple[str, str], Action] = {
        ("customer", "create"): Action("stripe.customer_create", echo=("ref",), undo="undo"),
        ("customer", "undo"): Action("stripe.undo", echo=(), once=False),
        ("subscription", "create"): Action("stripe.subscription", echo=("ref", "currency"), undo="undo"),
        ("subscription", "undo"): Action("stripe.undo", echo=(), once=False),
    }
    verdicts: Sequence[Row] = (
        # The key was used with other parameters: an earlier attempt of another shape may have landed.
        Row(400, Uncertain, "target_duplicate", says="idempotency_error"),
        Row(400, NeedsHuman, "target_reference_missing", says="resource_missing"),
        Row(404, NeedsHuman, "target_reference_missing", says="resource_missing"),
        Row(409, TryAgain, "target_conflict", says="lock_timeout"),
        Row(503, Uncertain, "target_down"),
    )
    batches = False
    ack_due = 0

    def build(self, kind: str, action: str, ref: str, payload: Mapping[str, Any]) -> bytes:
        """The form as it will be sent and recorded; an undo deletes the object named by ``payload['id']``."""
        if action == "undo":
            return Request("DELETE", f"{PATHS[kind]}/{quote(str(payload['id']), safe='')}").dump()
        body = encode_form({**payload, "metadata": {**payload.get("metadata", {}), "tieout_ref": ref}})
        return Request("POST", PATHS[kind], body, {"Content-Type": FORM}).dump()

    def send(self, wire: Wire, work: Sequence[Work]) -> Sequence[Echo | None]:
        """One call; the answer is the object itself."""
        return [self._send(wire, one) for one in work]

    def _send(self, wire: Wire, work: Work) -> Echo:
        request = Request.load(work.payload)
        key = {"Idempotency-Key": external_ref(work.key, "tieout-", 40)} if request.method == "POST" else {}
        answer = wire.call(request.method, request.path, headers={**request.headers, **key}, body=request.body)
        if work.action == "undo" and answer.status == 404:
            return Echo(request.path.rpartition("/")[2])  # it is gone, which is what was asked for
        judge(self.verdicts, answer, error_text(answer))
        shown = read_answer(answer)
        if not isinstance(member(shown, "id"), str):
            raise Uncertain("target_unclear", f"HTTP {answer.status} without an object", status=answer.status)
        return _echo(shown)

    def find(self, wire: Wire, work: Work) -> Found:
        """List what may be ours and match our reference."""
        request = Request.load(work.payload)
        if work.action == "undo":
            return self._find_gone(wire, request)
        found = [row for row in self._listed(wire, work, request) if _echo(row).ref == work.ref]
        live = [row for row in found if row.get("status") != "canceled"]
        if not live:
            return Found("absent")
        if len(live) > 1:
            return Found("ambiguous", _echo(live[0]), "found_several", f"{len(live)} objects")
        return Found("complete", _echo(live[0]))

    def _find_gone(self, wire: Wire, request: Request) -> Found:
        answer = wire.call("GET", request.path)
        if answer.status == 404:
            return Found("complete", Echo(request.path.rpartition("/")[2]))
        judge(self.verdicts, answer, error_text(answer))
        shown = read_answer(answer)
        gone = member(shown, "deleted") is True or member(shown, "status") == "canceled"
        return Found("complete", _echo(shown)) if gone else Found("absent", _echo(shown))

    def _listed(self, wire: Wire, work: Work, request: Request) -> Iterator[Mapping[str, Any]]:
        sent = dict(parse_qsl(request.body.decode()))
        wanted: dict[str, str] = {"limit": "100"}
        if work.kind == "subscription":
            wanted |= {"customer": sent["customer"], "status": "all"}
        elif sent.get("email"):
            wanted["email"] = sent["email"]
        if work.since is not None:
            wanted["created[gte]"] = str(int((work.since - BEFORE).timestamp()))
        yield from self._pages(wire, PATHS[work.kind], wanted)

    def _pages(self, wire: Wire, path: str, wanted: dict[str, str]) -> Iterator[Mapping[str, Any]]:
        for _ in range(PAGES_MOST):
            answer = wire.call("GET", f"{path}?{urlencode(wanted)}")
            judge(self.verdicts, answer, error_text(answer))
            page = read_answer(answer)
            rows = [row for row in member(page, "data") or [] if isinstance(row, Mapping)]
            yield from rows
            if not rows or member(page, "has_more") is not True:
                return
            wanted = wanted | {"starting_after": str(rows[-1]["id"])}
        raise Uncertain("target_unclear", f"more than {PAGES_MOST} pages of {path}", status=200)

    def look(self, wire: Wire, kind: str, facts: Mapping[str, str]) -> Sequence[Echo]:
        """Customers with the same e-mail."""
        if kind != "customer" or not facts.get("email"):
            return []
        rows = self._pages(wire, PATHS["customer"], {"limit": "100", "email": facts["email"]})
        return [_echo(row) for row in rows]


def error_text(answer: Answer) -> str:
    """Type, code and sentence of Stripe's error body; empty where it is none."""
    if answer.status < 400:
        return ""
    try:
        error = member(read_answer(answer), "error")
    except Verdict:
        return ""
    names = ("type", "code", "decline_code", "param", "message")
    return " ".join(str(member(error, name)) for name in names if member(error, name))


def _echo(shown: Mapping[str, Any]) -> Echo:
    currency = member(shown, "currency")
    return Echo(
        remote=str(shown["id"]),
        ref=member(shown, "metadata", "tieout_ref"),
        currency=str(currency).upper() if currency else None,
    )


TARGET = Stripe()
