"""Two companies in an empty Tryton database: charts, taxes, a fiscal year each with two closed months, a key.

Runs in Tryton's own environment (its licence keeps it out of ours): ``bootstrap.py CONFIG DATABASE YEAR OUT``.
"""

from __future__ import annotations

import datetime
import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

from proteus import Model, Wizard, config  # type: ignore[import-not-found]

COMPANIES = (("US01", "USD", "US Dollar", "0.08875"), ("UK01", "GBP", "Pound", "0.20"))
COUNTRIES = (("US", "United States"), ("GB", "United Kingdom"))
#: January, which our own calendar holds closed too, and December, of which only Tryton knows.
CLOSED = (0, 11)
#: Sales tax in the universal chart.
TAX_ACCOUNT = "6.3.6"
CASH_ACCOUNT = "1.1.1"


def named(model: str, **wanted: Any) -> Any:
    """The one record of ``model`` with these values."""
    return Model.get(model).find([(name, "=", value) for name, value in wanted.items()], limit=1)[0]


def company(name: str, code: str, currency_name: str, rate: str, year: int) -> dict[str, Any]:
    """A company with its chart, its taxes, its year and its closed months; the ids that a payload needs."""
    currency = Model.get("currency.currency")(name=currency_name, code=code, symbol=code, numeric_code="")
    currency.save()
    party = Model.get("party.party")(name=name)
    party.save()
    setup = Wizard("company.company.config")
    setup.execute("company")
    setup.form.party, setup.form.currency = party, currency
    setup.execute("add")
    made = named("company.company", party=party.id)
    user = named("res.user", login="admin")
    user.companies.append(Model.get("company.company")(made.id))
    user.company = made
    user.save()
    config.get_config()._context = {**Model.get("res.user").get_preferences(True, {}), "company": made.id}

    template = Model.get("account.account.template")(
        Model.get("ir.model.data").get_id("account.account_template_root_en", {})
    )
    chart = Wizard("account.create_chart")
    chart.execute("account")
    chart.form.account_template, chart.form.company = template, made
    chart.execute("create_account")
    accounts = Model.get("account.account")

    def account(kind: str) -> Any:
        return accounts.find([("company", "=", made.id), (f"type.{kind}", "=", True), ("closed", "=", False)])[0]

    receivable, payable, revenue = account("receivable"), account("payable"), account("revenue")
    cash = named("account.account", company=made.id, code=CASH_ACCOUNT)
    tax_account = named("account.account", company=made.id, code=TAX_ACCOUNT)
    chart.form.account_receivable, chart.form.account_payable = receivable, payable
    chart.execute("create_properties")

    def tax(label: str, at: str) -> int:
        made_tax = Model.get("account.tax")(name=label, description=label, type="percentage", rate=Decimal(at))
        made_tax.company, made_tax.invoice_account, made_tax.credit_note_account = made, tax_account, tax_account
        made_tax.save()
        return int(made_tax.id)

    taxes = {"sales": tax(f"{name} sales tax", rate), "exempt": tax(f"{name} exempt", "0")}
    sequences = Model.get("ir.sequence.strict")

    def sequence(kind: str, prefix: str) -> Any:
        made_sequence = sequences(name=f"{name} {kind}", company=made, prefix=prefix)
        made_sequence.sequence_type = named("ir.sequence.type", name=kind)
        made_sequence.save()
        return made_sequence

    book = Model.get("account.fiscalyear")(name=str(year), company=made)
    book.start_date, book.end_date = datetime.date(year, 1, 1), datetime.date(year, 12, 31)
    book.move_sequence = sequence("Account Move", "")
    numbers, line = sequence("Invoice", f"{name}-{year}-"), book.invoice_sequences[0]
    line.out_invoice_sequence = line.in_invoice_sequence = numbers
    line.out_credit_note_sequence = line.in_credit_note_sequence = numbers
    book.save()
    book.click("create_period")
    periods = Model.get("account.period").find([("company", "=", made.id)], order=[("start_date", "ASC")])
    for month in CLOSED:
        periods[month].click("close")
    return {
        "company": made.id,
        "code": code,
        "currency": currency.id,
        "receivable": receivable.id,
        "revenue": revenue.id,
        "cash": cash.id,
        "tax": tax_account.id,
        "taxes": taxes,
        "revenue_journal": named("account.journal", type="revenue").id,
        "cash_journal": named("account.journal", type="cash").id,
    }


def main(settings: str, database: str, year: int, out: Path) -> None:
    """Fill the database and write what a rehearsal needs to know to ``out``."""
    config.set_trytond(database, config_file=settings)
    for code, name in COUNTRIES:
        Model.get("country.country")(code=code, name=name).save()
    made = {one[0]: company(*one, year=year) for one in COMPANIES}
    user = named("res.user", login="admin")
    # By default a user writes in the current company alone, whatever company the call's context names.
    user.company_filter = "all"
    user.save()
    application = Model.get("res.user.application")(application="rest", user=user)
    application.save()
    key = Model.get("res.user.application")(application.id).key
    out.write_text(json.dumps({"key": key, "companies": made}), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
