"""The call of Xero that no recorded request holds: the allocation behind a credit note, against what Xero publishes."""

from __future__ import annotations

import json
from collections.abc import Mapping

from tests.contract.test_requests import pytestmark, requests, xero_mistakes
from tests.unit.systems.test_target_laws import FakeWire, work
from tieout import systems
from tieout.core.classify import Answer
from tieout.core.exchange import Request

__all__ = ["pytestmark"]

NOTE = "7be578f5-63af-45c8-9b00-dcc4732baf0b"


class Recorder(FakeWire):
    """Remembers the writes whole."""

    def call(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Answer:
        if method == "PUT":
            self.writes = [*getattr(self, "writes", ()), Request(method, path, body or b"", headers or {})]
        return super().call(method, path)


def test_the_call_that_allocates_a_credit_note_is_one_that_xero_publishes() -> None:
    target = systems.target("xero")
    good = next(payload for _, found, _, payload in requests("xero") if found == "credit_note")
    [allocation] = good["Allocations"]
    open_ = {"Status": "AUTHORISED", "CurrencyCode": "USD"}
    note = {"CreditNoteID": NOTE, "Reference": "TIE-A", "Total": 544.38, "RemainingCredit": 544.38, **open_}
    shown = {
        "Allocations": [{"Amount": 500}], "CreditNotes": [note],
        "Invoices": [{**allocation["Invoice"], "AmountDue": 500, **open_}],
    }  # fmt: skip
    wire = Recorder(lambda method, path: Answer(200, {}, json.dumps(shown).encode()))
    target.send(wire, [work(target, "credit_note", "create")])
    [put] = wire.writes
    assert xero_mistakes(put) == []
    assert json.loads(put.body) == {"Allocations": [{**allocation, "Amount": 500}]}
    assert xero_mistakes(Request("PUT", put.path, put.body.replace(b"Amount", b"Total"), put.headers)) != []
    assert xero_mistakes(Request("POST", put.path, put.body, put.headers)) != []
