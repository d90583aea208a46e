"""SAP over a wire that answers as told: logs, ledgers, cookies, decimals that are strings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.unit.systems.test_target_laws import FakeWire, always, work
from tieout import systems
from tieout.core.classify import Answer
from tieout.core.verdicts import NeedsHuman, Uncertain
from tieout.systems.sap import journal
from tieout.systems.sap.target import _session

SAP = systems.target("sap")


def line(**change: Any) -> dict[str, Any]:
    row = {
        "CompanyCode": "1710", "AccountingDocument": "0100000001", "FiscalYear": "2026", "Ledger": "0L",
        "AssignmentReference": "TIE-A", "AmountInTransactionCurrency": "544.38", "TransactionCurrency": "USD",
    }  # fmt: skip
    return row | change


def find(*rows: dict[str, Any], **more: Any) -> tuple[str, str]:
    found = SAP.find(always(200, {"d": {"results": list(rows), **more}}), work(SAP, "invoice", "create"))
    return found.state, found.code


def test_the_larger_side_of_what_carries_our_reference_is_the_total() -> None:
    revenue = line(AmountInTransactionCurrency="-500.00")
    assert find(line(), revenue) == ("complete", "")
    assert find(line(AmountInTransactionCurrency="-544.380"), line(AmountInTransactionCurrency="500")) == (
        "complete",
        "",
    )
    amounts: list[Any] = ["544.37", 544.38, None, "5.4438E2", "544.3800000000000000001"]
    for change in ({"TransactionCurrency": "EUR"}, *({"AmountInTransactionCurrency": one} for one in amounts)):
        assert find(line(**change), revenue) == ("ambiguous", "target_echo_differs"), change


def test_another_ledger_another_reference_and_a_second_document_are_told_apart() -> None:
    assert find(line(Ledger="2L"), line(AssignmentReference="TIE-B")) == ("absent", "")
    assert find(line(), line(AccountingDocument="0100000002")) == ("ambiguous", "found_several")
    assert find(line(), line(FiscalYear="2027")) == ("ambiguous", "found_several")


def test_half_a_list_is_no_list() -> None:
    with pytest.raises(Uncertain):
        find(line(), __next="https://x/GLAccountLineItem?$skiptoken=1")


def confirmation(document: str, *severities: str) -> bytes:
    items = "".join(
        f"<Item><TypeID>{n}(F5)</TypeID><SeverityCode>{code}</SeverityCode><Note>note {n}</Note></Item>"
        for n, code in enumerate(severities)
    )
    made = f"<AccountingDocument>{document}</AccountingDocument><CompanyCode>1710</CompanyCode>"
    made += "<FiscalYear>2026</FiscalYear>"
    return f"<e:Envelope xmlns:e='s'><e:Body><c><d>{made}</d><Log>{items}</Log></c></e:Body></e:Envelope>".encode()


def posted(body: bytes, *rows: dict[str, Any], status: int = 200) -> Any:
    """What sending an invoice comes to, where nothing is there before, and after it what ``rows`` say."""
    looks: list[str] = []

    def answer(method: str, path: str) -> Answer:
        if method == "POST":
            return Answer(status, {}, body)
        looks.append(path)
        shown = list(rows) if len(looks) > 1 else []
        return Answer(200, {}, json.dumps({"d": {"results": shown}}).encode())

    return SAP.send(FakeWire(answer), [work(SAP, "invoice", "create")])


def test_a_document_is_taken_for_posted_once_the_ledger_shows_it() -> None:
    [echo] = posted(confirmation("0100000001", "1", "2"), line())
    assert (echo.remote, echo.number, echo.ref, echo.total) == ("1710/0100000001/2026", "0100000001", "TIE-A", 54438)
    for rows in ((), (line(AccountingDocument="0100000009"),)):
        with pytest.raises(Uncertain, match="not there"):
            posted(confirmation("0100000001", "1"), *rows)


@pytest.mark.parametrize("severity", ["3", "4", "A", "E"])
def test_a_grave_item_refuses_whatever_stands_around_it(severity: str) -> None:
    with pytest.raises(NeedsHuman, match="target_refused") as raised:
        posted(confirmation(" ", "1", severity, "2"))
    assert "note 1" in raised.value.facts["said"]


def test_a_grave_maximum_refuses_where_no_item_says_why() -> None:
    body = confirmation(" ").replace(b"<Log>", b"<Log><MaximumLogItemSeverityCode>3</MaximumLogItemSeverityCode>")
    with pytest.raises(NeedsHuman, match="target_refused"):
        posted(body)


def test_a_confirmation_without_document_and_without_refusal_is_in_doubt() -> None:
    for document in ("", " ", "0000000000"):
        with pytest.raises(Uncertain, match="without a document"):
            posted(confirmation(document, "1"))
    fault = b"<e:Envelope xmlns:e='s'><e:Body><e:Fault><faultstring>x</faultstring></e:Fault></e:Body></e:Envelope>"
    with pytest.raises(Uncertain):
        posted(fault, status=500)


def test_a_document_type_in_an_answer_is_not_read() -> None:
    bomb = b'<!DOCTYPE e [<!ENTITY a "0100000001">]>' + confirmation("&a;", "1")
    with pytest.raises(Uncertain, match="document type"):
        posted(bomb, line())


@pytest.mark.parametrize(
    ("header", "cookies"),
    [
        ("a=1; path=/; secure, b=2; HttpOnly", "a=1; b=2"),
        ("a=1; expires=Wed, 31 Dec 2036 23:59:59 GMT; path=/, b=x=y; Max-Age=3", "a=1; b=x=y"),
        ("", ""),
        ("junk", ""),
    ],
)
def test_of_a_cookie_its_name_and_value_are_sent_back(header: str, cookies: str) -> None:
    made = _session(Answer(200, {"x-csrf-token": "t", "set-cookie": header}))
    assert (made.token, made.cookies) == ("t", cookies)
    assert made.headers() == ({"Cookie": cookies} if cookies else {}) | {"X-CSRF-Token": "t"}


def test_a_word_in_place_of_a_token_is_none() -> None:
    for word in ("Required", "fetch", ""):
        assert _session(Answer(200, {"x-csrf-token": word})).headers() == {}


def entry(**change: Any) -> Mapping[str, Any]:
    item = {"GLAccount": "1", "AmountInTransactionCurrency": 5, "DebitCreditCode": "S"}
    whole = {
        "currency": "USD", "created": "2026-11-23T12:00:00Z", "AccountingDocumentType": "SA", "CompanyCode": "1710",
        "CreatedByUser": "T", "DocumentDate": "2026-11-02", "PostingDate": "2026-11-02",
        "Item": [item, {**item, "AmountInTransactionCurrency": -5, "DebitCreditCode": "H"}],
    }  # fmt: skip
    return whole | change


def test_tax_items_of_one_code_are_one_and_nothing_is_lost() -> None:
    taxes = [
        {"TaxCode": code, journal.AMOUNT: tax, "DebitCreditCode": "S", journal.BASE: base}
        for code, tax, base in (("A1", 1, 10), ("A2", -3, 20), ("A1", 2, 30))
    ]
    body = journal.envelope("TREF", entry(ProductTaxItem=taxes)).decode()
    assert body.count("<ProductTaxItem>") == 2
    assert '<AmountInTransactionCurrency currencyCode="USD">3</AmountInTransactionCurrency>' in body
    assert '<TaxBaseAmountInTransCrcy currencyCode="USD">40</TaxBaseAmountInTransCrcy>' in body


def test_what_does_not_come_to_zero_says_both_sides() -> None:
    with pytest.raises(NeedsHuman, match="journal_unbalanced") as raised:
        journal.envelope("TREF", entry(Item=entry()["Item"][:1]))
    assert (raised.value.facts["debits"], raised.value.facts["credits"]) == ("5", "0")


def test_a_text_cannot_become_an_element() -> None:
    body = journal.envelope("TREF", entry(DocumentHeaderText="</X><Item>&")).decode()
    assert "&lt;/X&gt;&lt;Item&gt;&amp;" in body
