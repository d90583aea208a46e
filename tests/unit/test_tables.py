"""The governed tables of this release, and the mistakes their loader tells."""

from __future__ import annotations

import shutil
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from tieout import tables
from tieout.core.clocks import PostingDate
from tieout.core.money import RoundingPolicy
from tieout.core.nodes import GovernanceError
from tieout.core.verdicts import NeedsHuman, NotYet

DAY = date(2026, 11, 23)


def changed(home: Path, file: str, old: str, new: str) -> list[str]:
    """The mistakes of a copy of our tables with one change; the change is proven to have happened."""
    copy = home / "tables"
    shutil.copytree(tables.HOME, copy, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    text = (copy / file).read_text("utf-8")
    assert old in text
    (copy / file).write_text(text.replace(old, new, 1), "utf-8")
    with pytest.raises(GovernanceError) as told:
        tables.load(copy)
    return str(told.value).splitlines()


def test_the_tables_of_this_release_are_sound_and_owned() -> None:
    known = tables.load()
    assert {"entities", "source_accounts", "tax_codes", "items", "currencies", "terms", "accounts"} <= set(known.tables)
    assert all(table.owner and table.means and table.rows for table in known.tables.values())


def test_the_governed_set_is_whole() -> None:
    known = tables.load()
    assert {"entities", "tax_codes", "accounts", "items", "terms", "currencies", "rates", "residency", "ownership",
            "retry_policies", "rounding_policies"} <= set(known.tables)  # fmt: skip
    assert known.calendars
    assert known.routes
    words = known.tables["rounding_policies"].types["value"]
    assert set(words) == {policy.value for policy in RoundingPolicy} | {"en16931"}


def test_a_rate_is_that_of_its_day_with_its_source() -> None:
    rates = tables.load().tables["rates"]
    late, early = (rates.lookup("EUR/USD", date(2026, month, 15)) for month in (11, 10))
    assert late is not None
    assert early is not None
    assert (late.cell(), early.cell(), late.cell("source")) == (
        Decimal("1.1575"), Decimal("1.1640"), "treasury month rate",
    )  # fmt: skip
    assert rates.lookup("EUR/USD", date(2026, 12, 1)) is None, "no rate goes on holding because nobody set the next"


def test_each_entity_has_its_books_and_its_day() -> None:
    known = tables.load()
    assert known.route(entity="US01", kind="invoice", on=DAY).target == "netsuite:acme"
    assert known.route(entity="DE01", kind="invoice", on=DAY).target == "legacy:acme"
    assert known.route(entity="DE01", kind="subscription", on=DAY, role="billing").target == "stripe:acct_de"
    assert known.route(entity="US01", kind="status", on=DAY, role="crm").target == "salesforce:acme"
    assert [known.entity(code).zone for code in ("US01", "DE01")] == ["America/New_York", "Europe/Berlin"]


def test_a_sources_account_says_who_sells() -> None:
    known = tables.load()
    assert known.entity_of("stripe", "acct_de", DAY).code == "DE01"
    with pytest.raises(NeedsHuman) as told:
        known.entity_of("stripe", "acct_fr", DAY)
    assert (told.value.code, told.value.facts["account"]) == ("unknown_entity", "acct_fr")


def test_a_french_tax_waits_for_finance_and_others_do_not() -> None:
    known = tables.load()
    us, de = known.view(DAY, entity="US01", target="netsuite"), known.view(DAY, entity="DE01", target="legacy")
    assert us.value("tax_codes", "txr_us_ny_8875") == "7"
    assert de.value("tax_codes", "DE-VAT-19") == "V19"
    assert us.find("tax_codes", "FR-VAT-20") is None
    assert us.find("tax_codes", "DE-VAT-19") is None, "another entity's row is no row"


def test_the_period_of_a_posting_date_is_the_entitys() -> None:
    known = tables.load()
    assert known.period("US01", PostingDate.parse("2026-11-23")).is_open
    assert not known.period("DE01", PostingDate.parse("2025-12-31")).is_open
    for entity, day in (("US01", "2031-01-01"), ("FR01", "2026-11-23")):
        with pytest.raises(NotYet) as told:
            known.period(entity, PostingDate.parse(day))
        assert told.value.code == "period_not_in_calendar"


def test_the_version_of_a_table_follows_its_content(tmp_path: Path) -> None:
    copy = tmp_path / "tables"
    shutil.copytree(tables.HOME, copy, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    (copy / "items.yaml").write_text((copy / "items.yaml").read_text("utf-8").replace('"101"', '"999"'), "utf-8")
    ours, theirs = tables.load(), tables.load(copy)
    assert theirs.version != ours.version
    assert theirs.tables["items"].version != ours.tables["items"].version
    assert theirs.tables["terms"].version == ours.tables["terms"].version


MISTAKES = [
    ("items.yaml", "key: prod_pro", "kye: prod_pro", "unknown word 'kye' in a row; did you mean 'key'?"),
    ("items.yaml", 'value: "101"', "value: 101", "column 'value' is text; write 101 so"),
    ("items.yaml", ', value: "101"', "", "a row needs 'value'"),
    ("items.yaml", "key: prod_seat", "key: prod_pro", "both hold for 'prod_pro' from ever"),
    ("items.yaml", "table: items", "table: itmes", "table 'itmes' must be in a file of its own name"),
    ("items.yaml", "owner: finance-ops\n", "", "a table needs 'owner'"),
    ("items.yaml", "rows:", "rows: [", "not YAML"),
    ("items.yaml", "- {key: prod_pro,", "- {key: prod_pro, from: 2026-13-01,", "'from' must be a day, YYYY-MM-DD"),
    ("items.yaml", "- {key: prod_pro,", "- {key: prod_pro, from: 2026-02-01, until: 2026-01-01,", "is before 'from'"),
    ("items.yaml", "- {key: prod_pro,", "- {key: prod_pro, key: x,", "'key' stands twice"),
    ("tax_codes.yaml", "entity: US01", "entity: US1", "no entity 'US1'; did you mean 'US01'?"),
    ("terms.yaml", "days: 30", "days: true", "column 'days' is whole; write True so"),
    ("terms.yaml", "days: whole", "days: hole", "column 'days' must be one of text, whole, number, truth"),
    ("entities.yaml", "zone: Europe/Berlin", "zone: Europe/Bonn", "no time zone 'Europe/Bonn'"),
    ("entities.yaml", "currency: EUR", "currency: EURO", "no currency 'EURO'"),
    ("source_accounts.yaml", "value: DE01", "value: DE1", "no entity 'DE1'; did you mean 'DE01'?"),
    ("routes.yaml", "role: erp, entity: DE01", "role: erp, entity: US01", "ambiguous: "),
    ("routes.yaml", "entity: DE01", "entty: DE01", "unknown word 'entty' in a route; did you mean 'entity'?"),
    ("routes.yaml", '"legacy:acme"', "legacy", "'to' is system:account"),
    ("calendars.yaml", "state: open", "state: opne", "unknown state 'opne'; did you mean 'open'?"),
    ("calendars.yaml", "entity: DE01", "entity: US01", "entity DE01 has no calendar"),
    ("calendars.yaml", "entity: DE01", "entity: DE1", "no entity 'DE1'; did you mean 'DE01'?"),
    ("currencies.yaml", "key: JPY", "key: JPX", "no currency 'JPX'; did you mean"),
    ("rates.yaml", "key: GBP/USD", "key: GBPUSD", "'GBPUSD' is not a pair of currencies, e.g. EUR/USD"),
    ("rates.yaml", "value: 1.1640", "value: -1.1640", "a rate is more than nothing, not -1.1640"),
    ("rates.yaml", ", from: 2026-10-01", "", "a rate needs 'from', the day it is of"),
    ("rates.yaml", "from: 2026-11-01", "from: 2026-10-31", "both hold for 'EUR/USD' from 2026-10-31"),
    ("residency.yaml", "key: DE01", "key: DE1", "no entity 'DE1'; did you mean 'DE01'?"),
    ("residency.yaml", "fenced: false", "fenced: maybe", "column 'fenced' is truth; write 'maybe' so"),
    ("ownership.yaml", "customer.email", "customer.mail", "no field 'mail' in 'customer.mail'"),
    ("ownership.yaml", "customer.email", "custmer.email", "no kind of document 'custmer'; did you mean 'customer'?"),
    ("ownership.yaml", "other: case", "other: cases", "column 'other' is one of ignored, case, last_wins, not 'cases'"),
    (
        "ownership.yaml",
        "value: salesforce, other: case}",
        "value: salesforce, other: ignored}",
        "'customer.legal_name' cannot be left out of a document: 'case' or 'last_wins', not 'ignored'",
    ),
    ("ownership.yaml", "key: payout", "key: payot", "no kind of document 'payot'; did you mean 'payout'?"),
    ("limits.yaml", "invoice:USD", "invoce:USD", "no kind of document 'invoce'; did you mean 'invoice'?"),
    ("limits.yaml", "invoice:USD", "invoice", "no currency ''"),
    ("limits.yaml", "value: 100000000", "value: -1", "a limit is not less than nothing, not -1"),
    ("rounding_policies.yaml", "value: line", "value: lines", "did you mean 'line'?"),
    ("rounding_policies.yaml", "account: rounding", "account: rest", "no account 'rest' of netsuite in accounts"),
    ("retry_policies.yaml", "least_seconds: 60", "least_seconds: 6000", "from 6000 to 3600 s is no span for a pause"),
    ("terms.yaml", "rule: days_after", "rule: day_after", "did you mean 'days_after'?"),
    ("terms.yaml", "rule: [days_after", "rule: [1", "or a list of words"),
    ("source_accounts.yaml", "stripe:acct_de", "acct_de", "'acct_de' is not system:account"),
]


@pytest.mark.parametrize(("file", "old", "new", "told"), MISTAKES, ids=[f"{m[0]}-{m[3][:30]}" for m in MISTAKES])
def test_a_mistake_in_a_table_is_told_and_nothing_loads(
    tmp_path: Path, file: str, old: str, new: str, told: str
) -> None:
    found = changed(tmp_path, file, old, new)
    assert any(line.startswith(file) and told in line for line in found), found
