"""Routing: the most specific row, for a stated reason, never a matter of order."""

from __future__ import annotations

from datetime import date
from itertools import permutations

import pytest

from tieout.core.routing import Route, ambiguities, decide
from tieout.core.verdicts import NeedsHuman

DAY = date(2026, 6, 1)
ANY = Route("erp", "legacy", "acme", line=1)
US = Route("erp", "netsuite", "acme", entity="US01", line=2, why="Acme Inc keeps its books there")
US_CREDIT = Route("erp", "netsuite", "credits", entity="US01", kind="credit_note", line=3)
DE_OLD = Route("erp", "legacy", "acme", entity="DE01", last=date(2026, 12, 31), line=4)
DE_NEW = Route("erp", "netsuite", "acme", entity="DE01", first=date(2027, 1, 1), line=5)
CRM = Route("crm", "salesforce", "acme", line=6)
ROWS = [ANY, US, US_CREDIT, DE_OLD, DE_NEW, CRM]


@pytest.mark.parametrize(
    ("entity", "kind", "on", "target"),
    [
        ("US01", "invoice", DAY, "netsuite:acme"),
        ("US01", "credit_note", DAY, "netsuite:credits"),
        ("DE01", "invoice", date(2026, 12, 31), "legacy:acme"),
        ("DE01", "invoice", date(2027, 1, 1), "netsuite:acme"),
        ("FR01", "invoice", DAY, "legacy:acme"),
    ],
)
def test_the_most_specific_row_wins_in_whatever_order_rows_stand(entity: str, kind: str, on: date, target: str) -> None:
    for rows in permutations(ROWS):
        assert decide(rows, entity=entity, kind=kind, on=on).target == target


def test_a_role_has_its_own_rows() -> None:
    assert decide(ROWS, role="crm", entity="US01", kind="status", on=DAY).target == "salesforce:acme"


def test_the_explanation_names_the_row_the_reason_and_every_loser() -> None:
    told = decide(ROWS, entity="US01", kind="invoice", on=DAY).explain().splitlines()
    assert told == [
        "netsuite:acme, because it is the most specific row that holds on 2026-06-01 (entity is US01)",
        "  decided by line 2: erp of entity=US01 → netsuite:acme",
        "  Acme Inc keeps its books there",
        "  not line 3: erp of entity=US01 kind=credit_note → netsuite:credits: kind is invoice, not credit_note",
        "  not line 4: erp of entity=DE01 until 2026-12-31 → legacy:acme: entity is US01, not DE01",
        "  not line 5: erp of entity=DE01 from 2027-01-01 → netsuite:acme: entity is US01, not DE01",
        "  not line 1: erp of any document → legacy:acme: less specific",
    ]


def test_no_row_is_a_case_and_says_what_was_asked() -> None:
    with pytest.raises(NeedsHuman) as told:
        decide([US, DE_NEW], entity="DE01", kind="invoice", on=DAY)
    assert told.value.code == "no_route"
    assert told.value.facts | {"entity": "DE01", "kind": "invoice"} == told.value.facts
    assert "holds only from 2027-01-01" in told.value.log


def test_a_condition_on_what_the_document_does_not_say_does_not_hold() -> None:
    cloud = Route("erp", "netsuite", "cloud", product_line="cloud")
    assert decide([ANY, cloud], entity="US01", kind="invoice", on=DAY).target == "legacy:acme"
    found = decide([ANY, cloud], entity="US01", kind="invoice", on=DAY, product_line="cloud")
    assert found.target == "netsuite:cloud"


def test_rows_that_cannot_meet_are_not_ambiguous() -> None:
    assert ambiguities(ROWS) == []


@pytest.mark.parametrize(
    "other",
    [
        Route("erp", "netsuite", "acme", entity="US01"),
        Route("erp", "netsuite", "acme", kind="invoice"),
        Route("erp", "netsuite", "acme", entity="DE01", first=date(2026, 12, 31), last=date(2026, 12, 31)),
    ],
)
def test_two_rows_of_which_neither_is_more_specific_are_ambiguous(other: Route) -> None:
    assert ambiguities([*ROWS, other])
