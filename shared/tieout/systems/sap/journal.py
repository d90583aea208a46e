"""The journal entry of SAP's SOAP service: the request as bytes, and what its log says under HTTP 200.

What goes out is made of a payload in SAP's own words, whose amounts are signed (a credit is negative) and stand beside
a debit/credit indicator that says the same. An entry that does not come to zero does not go out.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from tieout.core.classify import Answer
from tieout.core.verdicts import NeedsHuman
from tieout.core.xml import Element, read_xml, write_xml

PATH: Final = "/sap/bc/srt/scs_ext/sap/journalentrycreaterequestconfi"
NAMESPACE: Final = "http://sap.com/xi/SAPSCORE/SFIN"
OPERATION: Final = "JournalEntryCreateRequestConfirmation_In"
HEADERS: Final = {
    "Content-Type": "text/xml; charset=utf-8",
    "Accept": "text/xml",
    "SOAPAction": f'"{NAMESPACE}/{OPERATION}/{OPERATION}Request"',
}
#: Asks for the same without writing anything.
REAL, TEST = b"<TestDataIndicator>false</TestDataIndicator>", b"<TestDataIndicator>true</TestDataIndicator>"
#: The head's fields in the order of the schema.
HEAD: Final = ("AccountingDocumentType", "DocumentReferenceID", "DocumentHeaderText", "CreatedByUser", "CompanyCode",
               "DocumentDate", "PostingDate", "TaxDeterminationDate")  # fmt: skip
ITEMS: Final = ("Item", "DebtorItem", "ProductTaxItem")
AMOUNT, BASE = "AmountInTransactionCurrency", "TaxBaseAmountInTransCrcy"
#: Severity from which a log item is a refusal, and words that the verdict table looks for.
REFUSED: Final = 3
REFUSAL: Final = "severity 3"


def envelope(ref: str, payload: Mapping[str, Any]) -> bytes:
    """The SOAP request for one journal entry. Raises ``NeedsHuman('journal_unbalanced')``."""
    said = dict(payload)
    currency, created = str(said.pop("currency")), str(said.pop("created"))
    items = _items(said, ref)
    _prove_balance(ref, items)
    head = {name: (ref if name == "DocumentReferenceID" else said.get(name)) for name in HEAD}
    entry = {
        "OriginalReferenceDocumentType": "BKPFF",
        "BusinessTransactionType": "RFBU",
        **head,
        **{kind: [_spelled(item, currency) for item in rows] for kind, rows in items.items()},
    }
    body = {
        "MessageHeader": {"ID": ref, "CreationDateTime": created, "TestDataIndicator": False},
        "JournalEntryCreateRequest": {
            "MessageHeader": {"ID": f"{ref}-1", "CreationDateTime": created},
            "JournalEntry": entry,
        },
    }
    inner = write_xml(f'f:JournalEntryBulkCreateRequest xmlns:f="{NAMESPACE}"', body)
    soap = 's:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"'
    return f"<{soap}><s:Header/><s:Body>{inner}</s:Body></s:Envelope>".encode()


def _items(said: Mapping[str, Any], ref: str) -> dict[str, list[dict[str, Any]]]:
    """Items with our reference and their numbers; tax items of one code are one."""
    found: dict[str, list[dict[str, Any]]] = {}
    number = 0
    for kind in ITEMS:
        given = said.get(kind) or []
        rows = [dict(one) for one in (given if isinstance(given, list | tuple) else [given])]
        if kind == "ProductTaxItem":
            rows = _by_code(rows)
        found[kind] = []
        for row in rows:
            number += 1
            if kind != "ProductTaxItem":
                row["AssignmentReference"] = ref
            if not (row.get("CashDiscountTerms") or {}).get("DueCalculationBaseDate"):
                row.pop("CashDiscountTerms", None)
            found[kind].append({"ReferenceDocumentItem": str(number), **row})
    return found


def _by_code(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    merged: dict[str, dict[str, Any]] = {}
    for row in rows:
        into = merged.setdefault(row["TaxCode"], {**row, AMOUNT: Decimal(0), BASE: Decimal(0)})
        into[AMOUNT] += row.get(AMOUNT) or 0
        into[BASE] += row[BASE]
    return list(merged.values())


def _prove_balance(ref: str, items: Mapping[str, list[dict[str, Any]]]) -> None:
    amounts = [Decimal(row[AMOUNT]) for rows in items.values() for row in rows]
    debits, credits = sum(one for one in amounts if one > 0), -sum(one for one in amounts if one < 0)
    if debits != credits:
        raise NeedsHuman("journal_unbalanced", ref, number=ref, what="debits = credits", debits=debits, credits=credits)


#: Fields of an item in the order of the schema.
ORDER: Final[Mapping[str, int]] = {
    name: place
    for place, name in enumerate((
        "ReferenceDocumentItem", "GLAccount", "Debtor", "TaxCode", AMOUNT, "DebitCreditCode", BASE, "DocumentItemText",
        "AssignmentReference", "Tax", "TradingPartner", "CashDiscountTerms",
    ))
}  # fmt: skip


def _spelled(item: Mapping[str, Any], currency: str) -> dict[str, Any]:
    """An item in the order of the schema, each amount with its currency."""
    amounts = (AMOUNT, BASE)
    ordered = sorted(item.items(), key=lambda field: ORDER[field[0]])
    return {f'{name} currencyCode="{currency}"' if name in amounts else name: value for name, value in ordered}


def read_confirmation(answer: Answer) -> Element:
    """The body of a SOAP answer. Raises ``ValueError`` where it is none, or is cut."""
    if answer.truncated:
        raise ValueError("the answer is too long")
    body = next((one for one in read_xml(answer.body).walk() if one.name == "Body"), None)
    if body is None or not body.children:
        raise ValueError("no SOAP body")
    return body.children[0]


def document(confirmation: Element) -> tuple[str, str, str] | None:
    """Company code, number and fiscal year of what was posted; ``None`` where the answer names none.

    A refusal leaves the number blank and the year at zeros.
    """
    for one in confirmation.walk():
        number = one.value("AccountingDocument")
        if number and number.strip("0"):
            return one.value("CompanyCode"), number, one.value("FiscalYear")
    return None


def log_text(confirmation: Element) -> str:
    """What a log says where it refuses, with `REFUSAL` in front; empty where it does not."""
    items = [one for one in confirmation.walk() if one.name == "Item" and one.all("Note")]
    grave = [one for one in items if _severity(one.value("SeverityCode")) >= REFUSED]
    most = max(
        (_severity(one.text) for one in confirmation.walk() if one.name == "MaximumLogItemSeverityCode"), default=0
    )
    if not grave and most < REFUSED:
        return ""
    # The general item (RW 609, "Error in document") comes first and says the least.
    told = [f"{one.value('TypeID')} {one.value('Note')}" for one in grave]
    return f"{REFUSAL} " + "; ".join(dict.fromkeys([*told[1:], *told[:1]]))


def _severity(code: str) -> int:
    """A severity as a number; what is no digit is as grave as can be (an abort is said with a letter)."""
    code = code.strip()
    return int(code) if code.isascii() and code.isdigit() else 0 if not code else REFUSED
