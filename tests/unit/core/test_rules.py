"""The named functions that mappings call."""

from __future__ import annotations

import inspect
from decimal import Decimal
from typing import Any

import pytest

from tieout.core.clocks import DocumentDate
from tieout.core.money import Money
from tieout.core.rules import RULES
from tieout.core.rules.registry import rule
from tieout.core.verdicts import NeedsHuman


@pytest.mark.parametrize("name", sorted(RULES))
def test_every_rule_is_typed_and_says_what_it_does(name: str) -> None:
    signature = inspect.signature(RULES[name])
    assert RULES[name].__doc__
    assert signature.return_annotation is not inspect.Signature.empty
    assert all(one.annotation is not inspect.Parameter.empty for one in signature.parameters.values())


def test_two_rules_of_one_name_are_refused() -> None:
    def currency(code: str) -> str:
        """Another one."""
        return code

    with pytest.raises(ValueError, match="two rules are called 'currency'"):
        rule(currency)


@pytest.mark.parametrize(
    ("name", "given", "made"),
    [
        ("stripe_money", {"minor": 500, "currency": "isk"}, Money.of(5, "ISK")),
        ("stripe_money", {"minor": 500, "currency": "usd"}, Money.of(500, "USD")),
        ("money_minor", {"minor": 500, "currency": "JPY"}, Money.of(500, "JPY")),
        ("money_decimal", {"amount": "12.50", "currency": "EUR"}, Money.of(1250, "EUR")),
        ("money_decimal", {"amount": Decimal("12.5"), "currency": "EUR"}, Money.of(1250, "EUR")),
        ("money_decimal", {"amount": 12, "currency": "EUR"}, Money.of(1200, "EUR")),
        ("decimal", {"number": "2.50"}, Decimal("2.50")),
        ("decimal", {"number": 3}, Decimal(3)),
        ("document_date", {"moment": 1769916600, "zone": "America/New_York"}, DocumentDate.parse("2026-01-31")),
        (
            "document_date",
            {"moment": "2026-01-31T23:30:00Z", "zone": "Europe/Berlin"},
            DocumentDate.parse("2026-02-01"),
        ),
        ("days_of_terms", {"terms": "Net 30"}, 30),
        ("days_of_terms", {"terms": "due_on_receipt"}, 0),
        ("customer_key", {"name": "ACME\u00a0Inc"}, "acme inc"),
        ("customer_key", {"name": "ACME", "tax_id": "DE\u2011123"}, "de-123"),
        ("first_present", {"first": None, "second": "b"}, "b"),
    ],
)
def test_a_rule_makes(name: str, given: dict[str, Any], made: object) -> None:
    assert RULES[name](**given) == made


@pytest.mark.parametrize(
    ("name", "given", "code"),
    [
        ("money_decimal", {"amount": True, "currency": "EUR"}, "bad_amount"),
        ("money_decimal", {"amount": " 1", "currency": "EUR"}, "bad_amount"),
        ("money_decimal", {"amount": Decimal("NaN"), "currency": "EUR"}, "bad_amount"),
        ("stripe_money", {"minor": True, "currency": "usd"}, "bad_amount"),
        ("stripe_money", {"minor": 1, "currency": "btc"}, "unknown_currency"),
        ("decimal", {"number": True}, "bad_amount"),
        ("decimal", {"number": "1e5"}, "bad_amount"),
        ("decimal", {"number": "-0"}, "bad_amount"),
        ("decimal", {"number": [1]}, "bad_amount"),
        ("document_date", {"moment": "31.01.2026", "zone": "UTC"}, "bad_date"),
        ("document_date", {"moment": True, "zone": "UTC"}, "bad_date"),
        ("days_of_terms", {"terms": "2/10 net 30"}, "terms_unknown"),
    ],
)
def test_a_rule_refuses(name: str, given: dict[str, Any], code: str) -> None:
    with pytest.raises(NeedsHuman) as told:
        RULES[name](**given)
    assert told.value.code == code
