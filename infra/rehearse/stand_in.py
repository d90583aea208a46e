"""localstripe as a process: a stand-in for Stripe that signs and sends by itself, in shapes of 2017.

What it shows is transport: its own signature over its own bytes, over HTTP, at our front door. What it says is of 2017,
so what we make of it is looked at honestly: absorbed, or known and none of our business.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx

from infra.rehearse.server import BIN, await_port, free_port
from infra.rehearse.stage import Stage, quiet

#: What it sends of a sale, where Stripe sends more.
EVENTS = ("customer.created", "invoice.created", "invoice.payment_succeeded", "payment_intent.succeeded")


class LocalStripe:
    """One stand-in on loopback, in a folder of its own. Use as a context manager."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.log = folder / "localstripe.log"
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", auth=("sk_test_rehearsal", ""), timeout=30)

    def __enter__(self) -> LocalStripe:
        script = Path(__file__).parent / "localstripe_start.py"
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                [BIN.absolute() / "python", str(script), str(self.port)], stdout=out, stderr=out,
                env={**os.environ, "TMPDIR": str(self.folder), "PYTHONUNBUFFERED": "1"},
            )  # fmt: skip
        await_port(self.port, self.process, self.log)
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()
        self.process.kill()
        self.process.wait()

    def ask(self, path: str, **form: Any) -> dict[str, Any]:
        """One call of its API."""
        answer = self.http.post(path, data=form) if "events" not in form else self.http.post(path, json=form)
        if answer.is_error:
            raise AssertionError(f"localstripe {path}: HTTP {answer.status_code} {answer.text[:300]}")
        return dict(answer.json()) if answer.content else {}

    def hook(self, url: str, secret: str) -> None:
        """Send there from now on, signed with that secret."""
        self.ask("/_config/webhooks/tieout", url=url, secret=secret, events=list(EVENTS))

    def told(self) -> Counter[str]:
        """By its own log: how many deliveries of each type were taken, and how many refused (``! type``)."""
        text = self.log.read_text("utf-8", "replace")
        taken = re.findall(r'webhook "([\w.]+)" successfully delivered', text)
        return Counter([*taken, *(f"! {one}" for one in re.findall(r'webhook "([\w.]+)" failed', text))])

    def wait(self, count: int) -> Counter[str]:
        """Until so many deliveries were made (half a minute at most)."""
        for _ in range(300):
            if self.told().total() >= count:
                break
            time.sleep(0.1)
        return self.told()


def signs_and_sends(stage: Stage, folder: Path) -> None:
    """A customer is made, subscribes and pays; then the secret is wrong. Played first: it signs with the real time."""
    billing, home = stage.billing["US01"], folder / "localstripe"
    home.mkdir()
    with LocalStripe(home) as stripe, quiet():
        stripe.hook(f"{stage.world.address}/hooks/stripe/{billing.account}", billing.secret)
        buyer = stripe.ask("/v1/customers", name="Initech", email="ap@initech.example")["id"]
        card = {"type": "card", "card[number]": "4242424242424242", "card[exp_month]": 12, "card[exp_year]": 2040,
                "card[cvc]": "123"}  # fmt: skip
        method = stripe.ask("/v1/payment_methods", **card)["id"]
        stripe.ask(f"/v1/payment_methods/{method}/attach", customer=buyer)
        stripe.ask(f"/v1/customers/{buyer}", **{"invoice_settings[default_payment_method]": method})
        stripe.ask("/v1/plans", id="pro", amount=4_200, currency="usd", interval="month", **{"product[name]": "Pro"})
        stripe.ask("/v1/subscriptions", customer=buyer, **{"items[0][plan]": "pro"})
        taken = stripe.wait(len(EVENTS))
        stripe.hook(f"{stage.world.address}/hooks/stripe/{billing.account}", "whsec_wrong")
        stranger = stripe.ask("/v1/customers", name="Nobody")["id"]
        told = stripe.wait(len(EVENTS) + 1)
    stage.accepted += taken.total()
    stage.check("localstripe's own signature opens the door", dict(taken), dict.fromkeys(EVENTS, 1))
    stage.check("and a wrong secret's does not", dict(told - taken), {"! customer.created": 1})
    stage.settle()
    ends = {one["type"]: one["state"] for one in stage.items("event") if one["account"] == billing.account}
    wanted = {**dict.fromkeys(EVENTS, "IGNORED"), "customer.created": "MADE"}
    stage.check("its old customer is absorbed, the rest is known and none of our business", ends, wanted)
    stage.check("the customer is a party in Tryton", stage.posting("customer", buyer)["state"], "POSTED")
    stage.check("and of the refused one there is nothing", stage.posting("customer", stranger)["state"], "none")
