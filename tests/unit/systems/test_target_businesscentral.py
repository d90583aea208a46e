"""Business Central over a wire that answers as told: what counts as there, as half done, as another document."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.systems.test_target_laws import FakeWire, always, work
from tieout import systems
from tieout.core.classify import Answer
from tieout.core.verdicts import Uncertain

BC = systems.target("businesscentral")


def shown(**change: Any) -> dict[str, Any]:
    row = {"id": "i1", "number": "PS-1", "externalDocumentNumber": "TIE-A", "currencyCode": "USD",
           "totalAmountIncludingTax": 544.38, "status": "Open"}  # fmt: skip
    return {"value": [row | change]}


def state(body: Any) -> tuple[str, str]:
    found = BC.find(always(200, body), work(BC, "invoice", "create"))
    return found.state, found.code


def test_a_posted_invoice_is_there_a_draft_is_half_of_it_and_another_document_is_for_a_person() -> None:
    assert state(shown()) == state(shown(status="Paid")) == ("complete", "")
    assert {state(shown(status=word)) for word in ("Draft", "In Review", "In_x0020_Review")} == {("partial", "")}
    others: list[dict[str, Any]] = [{"totalAmountIncludingTax": total} for total in (544.37, "544.38")]
    others += [{"currencyCode": code} for code in ("CAD", None)]
    others += [{"status": word} for word in ("Canceled", "Corrective", None)]
    for change in others:
        assert state(shown(**change)) == ("ambiguous", "target_echo_differs"), change
    assert state({"value": shown()["value"] * 2}) == ("ambiguous", "found_several")


def test_what_the_filter_gave_is_looked_at_again() -> None:
    assert state(shown(externalDocumentNumber="TIE-B")) == ("absent", "")
    assert state(shown(externalDocumentNumber=None)) == ("absent", "")


def test_a_search_without_its_list_is_not_taken_for_absent() -> None:
    with pytest.raises(Uncertain):
        state({"error": {"code": "x"}})


def test_a_canceled_document_is_not_taken_for_what_was_just_posted() -> None:
    with pytest.raises(Uncertain, match="Canceled"):
        BC.send(always(200, shown(status="Canceled")), [work(BC, "invoice", "create")])


def entry(account: str, debit: Any, ident: str = "e1") -> dict[str, Any]:
    return {"id": ident, "documentNumber": "TIE-A", "accountId": account, "debitAmount": debit, "creditAmount": 0}


def test_a_payment_is_what_the_ledger_shows_on_the_account_it_went_to() -> None:
    bank = "B0F1A2C3-44E3-EA11-BB43-000D3A2FECA1"
    one = work(BC, "payment", "create")

    def find(*entries: dict[str, Any]) -> tuple[str, str]:
        def answer(method: str, path: str) -> Answer:
            body = {"value": list(entries) if "generalLedgerEntries" in path else []}
            return always(200, body).answer(method, path)

        found = BC.find(FakeWire(answer), one)
        return found.state, found.code

    assert find(entry(bank, 544.38), entry("other", 1, "e2")) == ("complete", "")
    assert find(entry(bank, 500), entry(bank, 44.38, "e2")) == ("complete", "")
    for wrong in ((entry(bank, 544.37),), (entry("other", 544.38),), (entry(bank, "544.38"),), (entry(bank, True),)):
        assert find(*wrong) == ("ambiguous", "target_echo_differs"), wrong
    assert find() == ("absent", "")
