"""Master data of the sandbox account: subsidiaries, currencies, terms, items, tax codes, accounts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Master:
    """A row of master data; ``rate`` is the percentage of a tax code, as text."""

    id: str
    name: str
    external_id: str = ""
    rate: str = "0"


def masters() -> dict[str, list[Master]]:
    """Each table of master data, by name."""
    return {
        "subsidiary": [Master("1", "Acme Inc", "US01"), Master("2", "Acme GmbH", "DE01")],
        "currency": [Master("1", "USD", "USD"), Master("2", "GBP", "GBP"), Master("3", "CAD", "CAD"),
                     Master("4", "EUR", "EUR"), Master("5", "JPY", "JPY")],
        "term": [Master("1", "Due on receipt", "NET0"), Master("2", "Net 30", "NET30"),
                 Master("3", "Net 60", "NET60"), Master("4", "Net 15", "NET15")],
        "item": [Master("101", "Pro plan", "sku-pro"), Master("102", "Seats", "sku-seat"),
                 Master("103", "Set-up", "sku-setup"), Master("104", "Usage", "sku-usage"),
                 Master("105", "Support", "sku-support"), Master("190", "Credit", "sku-credit"),
                 Master("199", "Rounding", "sku-rounding")],
        "taxCode": [Master("5", "Not Taxable", "TAX-EXEMPT", "0"), Master("7", "NY 8.875%", "TAX-US-NY", "8.875"),
                    Master("8", "CA 7.25%", "TAX-US-CA", "7.25"), Master("21", "VAT-DE 19%", "TAX-DE-19", "19"),
                    Master("22", "VAT-DE 7%", "TAX-DE-7", "7"),
                    Master("23", "VAT-DE reverse charge", "TAX-DE-RC", "0")],
        "account": [
            Master(number, name, f"acct-{number}") for number, name in (
                ("101", "Bank"), ("111", "Undeposited Funds"), ("119", "Accounts Receivable"), ("180", "Due from"),
                ("125", "Disputed payments"), ("126", "Refunds to customers"), ("127", "Reversed payments"),
                ("631", "Dispute fees"), ("640", "Dispute losses"),
                ("220", "Tax payable"), ("240", "Deferred revenue"), ("280", "Due to"), ("400", "Revenue"),
                ("630", "Payment fees"), ("790", "Exchange differences"), ("799", "Rounding"),
            )
        ],
        "department": [Master("1", "Sales", "SALES")], "class": [Master("1", "Subscription", "SUBSCRIPTION")],
        "location": [Master("1", "Head office", "HQ")],
    }  # fmt: skip
