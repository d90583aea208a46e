"""Two companies in an empty Tryton database: charts, a fiscal year each with January closed, an integration user's key.

Runs in Tryton's own environment (its licence keeps it out of ours): ``bootstrap.py CONFIG YEAR OUT``.
"""

from __future__ import annotations

import datetime
import json
import sys
from pathlib import Path
from typing import Any

from proteus import Model, Wizard, config  # type: ignore[import-not-found]

COMPANIES = (("US01", "USD", "US Dollar"), ("UK01", "GBP", "Pound"))


def named(model: str, **wanted: Any) -> Any:
    """The one record of ``model`` with these values."""
    return Model.get(model).find([(name, "=", value) for name, value in wanted.items()], limit=1)[0]


def company(name: str, code: str, currency_name: str, year: int) -> dict[str, Any]:
    """A company with its chart, its year and its closed January; the ids that a payload needs."""
    currency = Model.get("currency.currency")(name=currency_name, code=code, symbol=code, numeric_code="")
    currency.save()
    party = Model.get("party.party")(name=name)
    party.save()
    setup = Wizard("company.company.config")
    setup.execute("company")
    setup.form.party, setup.form.currency = party, currency
    setup.execute("add")
    made = named("company.company", party=party.id)
    user = Model.get("res.user")(1)
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
    cash = accounts.find([("company", "=", made.id), ("type.assets", "=", True), ("reconcile", "=", False)])[0]
    chart.form.account_receivable, chart.form.account_payable = receivable, payable
    chart.execute("create_properties")
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
    periods[0].click("close")
    return {
        "company": made.id,
        "code": code,
        "currency": currency.id,
        "receivable": receivable.id,
        "revenue": revenue.id,
        "cash": cash.id,
        "revenue_journal": named("account.journal", type="revenue").id,
        "cash_journal": named("account.journal", type="cash").id,
        "periods": [period.id for period in periods],
    }


def main(settings: str, year: int, out: Path) -> None:
    """Fill the database named ``erp`` and write what a rehearsal needs to know to ``out``."""
    config.set_trytond("sqlite:///erp", config_file=settings)
    made = {name: company(name, code, word, year) for name, code, word in COMPANIES}
    # Tryton asks a person about a due date in the past; documents of last year need a term that ends after today.
    term = Model.get("account.invoice.payment_term")(name="In three years")
    term.lines.new(type="remainder").relativedeltas.new(days=1095)
    term.save()
    user = Model.get("res.user")(1)
    # By default a user writes in the current company alone, whatever company the call's context names.
    user.company_filter = "all"
    user.save()
    application = Model.get("res.user.application")(application="rest", user=user)
    application.save()
    key = Model.get("res.user.application")(application.id).key
    out.write_text(json.dumps({"key": key, "payment_term": term.id, "companies": made}), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
