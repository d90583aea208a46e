"""What Tryton is given of a customer's address and e-mail."""

from __future__ import annotations

from typing import Any

import pytest

from tieout.core.clocks import EventInstant
from tieout.core.documents import Address, Customer
from tieout.core.rules.tryton import tryton_addresses, tryton_contacts


def customer(address: Address | None = None, email: str | None = None) -> Customer:
    return Customer(
        source="stripe", account="acct_us", source_id="cus_1", entity="US01", version=1,
        event_instant=EventInstant.parse("2026-11-05T18:30:00Z"), canonical_id="stripe:acct_us:cus_1",
        legal_name="Initech", billing_address=address, email=email,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (None, {}),
        (Address(line1="1 Main", city="Austin", country="US"), {"street": "1 Main", "city": "Austin", "country": "US"}),
        (
            Address(line1="1 Main", line2="Floor 2", city="Austin", region="TX", postal_code="78701", country="US"),
            {"street": "1 Main\nFloor 2", "city": "Austin, TX", "postal_code": "78701", "country": "US"},
        ),
    ],
)
def test_a_party_gets_one_address_and_an_empty_one_where_there_is_none(given: Any, wanted: dict[str, str]) -> None:
    assert tryton_addresses(customer(given)) == [wanted]


def test_an_e_mail_is_a_contact_and_none_is_none() -> None:
    assert tryton_contacts(customer(email="ap@initech.example")) == [{"type": "email", "value": "ap@initech.example"}]
    assert tryton_contacts(customer()) is None
