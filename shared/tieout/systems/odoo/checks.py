"""What can be checked of Odoo: what our user may do with each model, and the fields of this database's own models.

``has_access`` answers for an operation without doing it. Which mandatory fields Odoo fills in itself it does not say:
those of its own accounting are left out, and any other is a warning.
"""

from __future__ import annotations

import json
from typing import Final

from tieout.core.checkup import Checks, Metadata, Permission
from tieout.core.described import Reading

JSON: Final = {"Content-Type": "application/json"}
ATTRIBUTES: Final = b'{"attributes": ["type", "required"]}'
READING: Final = Reading("keys", required={"required": True}, sure=False)
PARTNER: Final = {"name": "char", "ref": "char", "email": "char", "vat": "char", "is_company": "boolean"}
MOVE: Final = {
    "move_type": "selection", "partner_id": "many2one", "company_id": "many2one", "currency_id": "many2one",
    "invoice_date": "date", "date": "date", "payment_reference": "char", "ref": "char", "invoice_line_ids": "one2many",
}  # fmt: skip
PAYMENT: Final = {"journal_id": "many2one", "currency_id": "many2one", "payment_date": "date", "amount": "monetary"}
#: Mandatory in Odoo's own models, and filled in by their defaults.
GIVEN: Final = ("state", "journal_id", "auto_post", "autopost_bills", "payment_difference_handling",
                "installments_mode")  # fmt: skip


def _read(model: str) -> Permission:
    body = b'{"domain": [], "fields": ["id"], "limit": 1}'
    return Permission(f"may read {model}", f"/json/2/{model}/search_read", "POST", body, JSON)


def _may(model: str, operation: str) -> Permission:
    body = json.dumps({"ids": [], "operation": operation}).encode()
    path = f"/json/2/{model}/has_access"
    return Permission(f"may {operation} {model}", path, "POST", body, JSON, holds={"": True}, writes=True)


def _fields(kind: str, action: str, model: str, fields: dict[str, str], *skip: str) -> Metadata:
    path = f"/json/2/{model}/fields_get"
    return Metadata(
        kind, action, path, READING, fields, method="POST", body=ATTRIBUTES, headers=JSON, skip=skip, given=GIVEN
    )


CHECKS = Checks(
    permissions=(
        *(_read(model) for model in ("res.partner", "account.move", "account.payment")),
        _may("res.partner", "create"),
        _may("res.partner", "write"),
        _may("account.move", "create"),
        _may("account.move", "write"),
        _may("account.payment.register", "create"),
        _may("account.payment", "create"),
    ),
    metadata=(
        _fields("customer", "upsert", "res.partner", PARTNER),
        _fields("invoice", "create", "account.move", {**MOVE, "invoice_date_due": "date"}),
        _fields("invoice", "void", "account.move", {**MOVE, "reversed_entry_id": "many2one"}),
        _fields("credit_note", "create", "account.move", {**MOVE, "reversed_entry_id": "many2one"}),
        _fields("payment", "create", "account.payment.register", PAYMENT, "invoice_id"),
    ),
    settings={"X-Odoo-Database": "database"},
)
