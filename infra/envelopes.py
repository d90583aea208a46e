"""Envelopes for ``sam local invoke``, derived from the captured events and checked fresh by a test.

``python -m infra.envelopes`` writes beside each event of a source its HTTP API event (``*.apigw.json``, signed with a
secret that is no secret), and under ``events/sqs/`` the queue events that intake and post would get of an invoice. How
to use them is in ``docs/adding-a-system.md``.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from tieout import flows, systems
from tieout.core import keys
from tieout.work import make, render
from tieout.work.ports import Send

EVENTS: Final = Path(__file__).parents[1] / "events"
#: What a local secret must hold for these envelopes to verify: a published value, useless anywhere else.
SECRET: Final = "whsec_local_invoke_only"
#: The same for senders that show a user and a password instead of signing.
CREDENTIAL: Final = "tieout:local_invoke_only"
HOST: Final = "localhost"
RECEIVED: Final = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
ACCOUNTS: Final = {
    "stripe": "acct_us", "salesforce": "00D_acme", "chargebee": "acme-eu", "zuora": "acme-eu", "hubspot": "24881733",
    "zendesk": "acme", "businesscentral": "acme", "netsuite": "acme", "legacy": "acme",
}  # fmt: skip
#: Senders that sign as we tell them to: scripts and flows of our own beside these systems.
OURS: Final = frozenset({"salesforce", "netsuite", "legacy"})
INVOICE: Final = "stripe/invoice.finalized.json"


def sign(source: str, body: bytes, secret: str, at: datetime, path: str = "") -> dict[str, str]:
    """The headers with which a source's sender signs ``body`` at ``at``, or shows its ``user:password``."""
    stamp = str(int(at.timestamp()))
    if source in ("chargebee", "zuora"):
        return {"authorization": "Basic " + base64.b64encode(secret.encode()).decode()}
    if source == "businesscentral":
        return {}  # the body itself carries the shared word
    if source == "hubspot":
        stamp += "000"
        signed = b"POST" + f"https://{HOST}{path}".encode() + body + stamp.encode()
        mark = base64.b64encode(hmac.new(secret.encode(), signed, hashlib.sha256).digest()).decode()
        return {"x-hubspot-request-timestamp": stamp, "x-hubspot-signature-v3": mark}
    if source == "zendesk":
        stamp = at.strftime("%Y-%m-%dT%H:%M:%SZ")
        mark = base64.b64encode(hmac.new(secret.encode(), stamp.encode() + body, hashlib.sha256).digest()).decode()
        return {"x-zendesk-webhook-signature-timestamp": stamp, "x-zendesk-webhook-signature": mark}
    mark = "v1=" + hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    if source == "stripe":
        return {"stripe-signature": f"t={stamp},{mark}"}
    if source in OURS:
        return {"x-tieout-timestamp": stamp, "x-tieout-signature": mark}
    raise ValueError(f"say in infra/envelopes.py how {source} signs (`sign`)")


def account_of(source: str, body: bytes) -> str:
    """The account a captured event belongs to: events in euros are Acme GmbH's."""
    if source not in ACCOUNTS:
        raise ValueError(f"name an account of {source} in infra/envelopes.py (`ACCOUNTS`)")
    return "acct_de" if source == "stripe" and b'"currency": "eur"' in body else ACCOUNTS[source]


def http_api(source: str, body: bytes) -> dict[str, Any]:
    """The HTTP API event (payload format 2.0) that brings ``body`` to receive."""
    account = account_of(source, body)
    path = f"/hooks/{source}/{account}"
    secret = SECRET if systems.source(source).replay_window else CREDENTIAL
    headers = {"content-type": "application/json", "host": HOST, **sign(source, body, secret, RECEIVED, path)}
    return {
        "version": "2.0",
        "routeKey": "POST /hooks/{source}/{account}",
        "rawPath": path,
        "rawQueryString": "",
        "headers": headers,
        "requestContext": {
            "http": {
                "method": "POST", "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "local",
            },
            "requestId": "local", "stage": "$default", "timeEpoch": int(RECEIVED.timestamp() * 1000),
        },
        "pathParameters": {"source": source, "account": account},
        "body": base64.b64encode(body).decode(),
        "isBase64Encoded": True,
    }  # fmt: skip


def queue(name: str, *bodies: dict[str, Any]) -> dict[str, Any]:
    """The event with which Lambda hands over messages of a queue."""
    return {
        "Records": [
            {
                "messageId": f"00000000-0000-4000-8000-{number:012d}",
                "receiptHandle": "local",
                "body": json.dumps(body, separators=(",", ":")),
                "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": str(int(RECEIVED.timestamp() * 1000))},
                "messageAttributes": {},
                "eventSource": "aws:sqs",
                "eventSourceARN": f"arn:aws:sqs:eu-central-1:000000000000:{name}",
                "awsRegion": "eu-central-1",
            }
            for number, body in enumerate(bodies, start=1)
        ]
    }


def to_intake(body: bytes) -> dict[str, Any]:
    """The queue event of the inbox for one delivery."""
    account = account_of("stripe", body)
    message = {
        "v": 1, "source": "stripe", "account": account, "delivery": keys.delivery_id("stripe", account, body),
        "received_at": RECEIVED.strftime("%Y-%m-%dT%H:%M:%SZ"), "body_b64": base64.b64encode(body).decode(),
    }  # fmt: skip
    return queue("inbox", message)


def to_post(body: bytes) -> dict[str, Any]:
    """The queue event of the lane queue for the invoice's posting."""
    account = account_of("stripe", body)
    [read] = systems.source("stripe").read(body)
    flow = flows.named("invoice")
    doc = render.document(flow.reads, read, "stripe", account)
    target = render.route("erp", "invoice", doc)
    origin = make.Origin("E#local", "local", RECEIVED, "local", "local", "")
    send: Send = make.make(flow, flow.steps[0], doc, target, origin).send
    return queue(f"lanes-{target.partition(':')[0]}.fifo", send.body())


def derived() -> dict[Path, str]:
    """Every envelope and its content."""
    found: dict[Path, dict[str, Any]] = {}
    for source in systems.SOURCES:
        for path in sorted((EVENTS / source).glob("*.json")):
            if not path.name.endswith(".apigw.json"):
                found[path.with_suffix(".apigw.json")] = http_api(source, path.read_bytes())
    invoice = (EVENTS / INVOICE).read_bytes()
    found[EVENTS / "sqs" / "intake.invoice.finalized.json"] = to_intake(invoice)
    found[EVENTS / "sqs" / "post.invoice.create.json"] = to_post(invoice)
    return {path: json.dumps(content, indent=2) + "\n" for path, content in found.items()}


def main() -> None:
    """Write what is not fresh."""
    for path, text in derived().items():
        if not path.exists() or path.read_text("utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
            print(path.relative_to(EVENTS.parent))


if __name__ == "__main__":
    main()
