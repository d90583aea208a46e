"""NetSuite before the law: the captured documents, rendered by the governed tables of this release."""

from __future__ import annotations

from typing import Any

from tests.integration.systems.conftest import buyer, document_of
from tests.integration.systems.law import Rig, example_document
from tieout.contract import Work
from tieout.core import documents
from tieout.core.documents import Document
from tieout.core.money import Currency, Money


def in_dollars(note: Document) -> Document:
    """The captured credit note, which is in euros, as one of the US company's."""
    text = documents.dump(note).replace(b'"EUR"', b'"USD"').replace(b'"DE01"', b'"US01"')
    note = documents.load("credit_note", text)
    assert isinstance(note, documents.CreditNote)
    lines = tuple(line.model_copy(update={"tax_code": "txr_us_ca_725"}) for line in note.lines)
    return note.model_copy(update={"lines": lines})


class Case(Rig):
    name = "netsuite"

    @staticmethod
    def error(text: str) -> Any:
        """A refusal in its shape."""
        return {"status": 400, "o:errorDetails": [{"o:errorCode": text.upper(), "detail": text}]}

    def document(self, kind: str) -> Document:
        """The captured document of that kind."""
        if kind == "customer":
            return buyer()
        if kind in ("quote", "journal_entry"):
            return example_document(f"netsuite.{'sales_order' if kind == 'quote' else kind}")
        if kind == "credit_note":
            return in_dollars(document_of("stripe/credit_note.created", "stripe.credit_note"))
        event = {"invoice": "invoice.finalized", "payment": "invoice.paid"}[kind]
        return document_of(f"stripe/{event}", f"stripe.{kind}")

    def scope(self, kind: str, action: str) -> dict[str, Any]:
        """The customer, and the invoice that a payment, a credit note or a void hangs on, posted here first."""
        customer = self.bench.work(self.target, "upsert", buyer(), {})
        if kind == "journal_entry":
            return {}
        if kind == "customer":
            if action == "undo":
                self.post(customer)
            return {}
        facts = {"canonical": buyer().canonical_id, "ref": customer.ref, "remote": self.post(customer).remote}
        if (kind, action) in (("invoice", "create"), ("quote", "create")):
            return {"customer": facts}
        invoice = self.bench.work(self.target, "create", self.document("invoice"), {"customer": facts})
        return {
            "customer": facts,
            "parent": {"ref": invoice.ref, "remote": self.post(invoice).remote, "applied": False},
        }

    def work(self, kind: str, action: str, mark: str = "") -> Work:
        """A posting of that action; see :class:`Rig`."""
        return self.bench.work(self.target, action, self.document(kind), self.scope(kind, action))

    def amount(self, minor: int, mark: str) -> Work | None:
        """The captured invoice with one line over that amount."""
        invoice = self.document("invoice")
        assert isinstance(invoice, documents.Invoice)
        net, none = Money(minor, Currency.of("USD")), Money(0, Currency.of("USD"))
        line = invoice.lines[0].model_copy(update={"net": net, "tax": none, "tax_code": "txr_us_exempt"})
        change = {
            "lines": (line,),
            "net": net,
            "tax": none,
            "gross": net,
            "tax_breakdown": (),
            "source_id": f"in_{mark}",
            "number": mark,
        }
        doc = invoice.model_copy(update=change)
        return self.bench.work(self.target, "create", doc, self.scope("invoice", "create"))
