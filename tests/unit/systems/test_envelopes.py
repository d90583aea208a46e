"""The envelopes in ``events/`` are fresh, and each is what its function takes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from infra.envelopes import CREDENTIAL, EVENTS, RECEIVED, SECRET, account_of, derived, sign
from tieout import systems
from tieout.aws import wiring
from tieout.work.receive import receive

DERIVED = derived()


@pytest.mark.parametrize("path", DERIVED, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_an_envelope_is_as_fresh_as_its_event(path: Any) -> None:
    assert path.exists(), "run: python -m infra.envelopes"
    assert path.read_text("utf-8") == DERIVED[path], "run: python -m infra.envelopes"


@pytest.mark.parametrize(
    "path", sorted(EVENTS.glob("*/*.apigw.json")), ids=lambda path: f"{path.parent.name}/{path.name}"
)
def test_receive_takes_each_http_envelope(path: Any) -> None:
    taken: list[Any] = []

    class Doors:
        def secret(self, system: str, account: str) -> dict[str, Any]:
            return {systems.source(system).secrets_field: [SECRET, CREDENTIAL]}

        def keep(self, name: str, body: bytes) -> str:
            raise AssertionError("small enough")

        def enqueue(self, body: Any) -> None:
            taken.append(body)

    event = json.loads(path.read_bytes())
    delivery = wiring.delivery(event)
    response = receive(delivery, Doors())
    assert response.status == systems.source(delivery.source).success.status, response.body
    assert [one["source"] for one in taken] == [path.parent.name]


def test_queue_envelopes_are_understood() -> None:
    [intake] = wiring.messages(json.loads((EVENTS / "sqs" / "intake.invoice.finalized.json").read_bytes()))
    assert (intake.body["source"], intake.source) == ("stripe", "inbox")
    [post] = wiring.messages(json.loads((EVENTS / "sqs" / "post.invoice.create.json").read_bytes()))
    assert post.body["target"] == "netsuite:acme"
    assert post.body["posting"].startswith("invoice/stripe:acct_us:in_1")


def test_a_source_of_which_nothing_was_said_is_named() -> None:
    """It must not be signed as another sender signs: its door would refuse its own captured event, and say less."""
    with pytest.raises(ValueError, match="how moonbill signs"):
        sign("moonbill", b"{}", SECRET, RECEIVED)
    with pytest.raises(ValueError, match="an account of moonbill"):
        account_of("moonbill", b"{}")
