"""What can be checked of Odoo: reads of what we write, and the fields of this database's own models."""

from __future__ import annotations

from tieout.core.checkup import Checks, Metadata, Permission

JSON = {"Content-Type": "application/json"}
FIELDS = b'{"attributes": ["type"]}'


def _read(model: str) -> Permission:
    body = b'{"domain": [], "fields": ["id"], "limit": 1}'
    return Permission(f"may read {model}", f"/json/2/{model}/search_read", "POST", body, JSON)


def _fields(kind: str, action: str, model: str, *skip: str) -> Metadata:
    path = f"/json/2/{model}/fields_get"
    return Metadata(kind, action, path, method="POST", body=FIELDS, headers=JSON, skip=skip)


CHECKS = Checks(
    permissions=tuple(_read(model) for model in ("res.partner", "account.move", "account.payment")),
    metadata=(
        _fields("customer", "upsert", "res.partner"),
        _fields("invoice", "create", "account.move"),
        _fields("credit_note", "create", "account.move"),
        _fields("payment", "create", "account.payment.register", "invoice_id"),
    ),
    settings={"X-Odoo-Database": "database"},
)
