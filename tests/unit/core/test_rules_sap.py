"""What SAP's short fields make of long texts: broken between words, or told, never cut in silence."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.unit.core.documentsamples import ORIGIN
from tieout.core.documents import Customer
from tieout.core.documents.base import Address
from tieout.core.documents.party import TaxId
from tieout.core.documents.sales import QuoteLine
from tieout.core.money import Money
from tieout.core.rules.sap import sap_address, sap_name, sap_price, sap_vat_number
from tieout.core.verdicts import NeedsHuman


def test_a_name_is_broken_between_words_into_two_parts_of_forty() -> None:
    name = "Gesellschaft für vorausschauende Wartung von Windkraftanlagen mbH"
    parts = [sap_name(name, 1), sap_name(name, 2)]
    assert all(part is not None and len(part) <= 40 for part in parts)
    assert " ".join(part or "" for part in parts) == name
    assert [sap_name("Bluebird", 1), sap_name("Bluebird", 2)] == ["Bluebird", None]
    assert sap_name("x" * 40, 1) == "x" * 40


@pytest.mark.parametrize("name", ["x" * 41, "word " * 17, f"{'x' * 40} {'y' * 40} z"])
def test_a_name_that_fits_no_two_parts_is_for_a_person(name: str) -> None:
    with pytest.raises(NeedsHuman, match="text_too_long"):
        sap_name(name, 1)


def customer(**change: Any) -> Customer:
    address = Address(line1="20 Jay Street", city="Brooklyn", region="NY", postal_code="11201", country="US")
    whole: dict[str, Any] = {
        "canonical_id": "a:b:c",
        "legal_name": "Bluebird",
        "email": "a@b.example",
        "billing_address": address,
    }
    return Customer(**ORIGIN, **(whole | change))


def test_an_address_has_what_is_known_and_nothing_is_cut() -> None:
    made = sap_address(customer())
    assert made == {
        "Country": "US", "CityName": "Brooklyn", "PostalCode": "11201", "StreetName": "20 Jay Street", "Region": "NY",
        "Language": "EN", "to_EmailAddress": {"results": [{"EmailAddress": "a@b.example"}]},
    }  # fmt: skip
    assert sap_address(customer(billing_address=None)) is None
    for field, value in (("line1", "x" * 61), ("line2", "x" * 41), ("city", "x" * 41), ("region", "Kent"),
                         ("postal_code", "1" * 11)):  # fmt: skip
        long = Address(**{"line1": "a", "city": "b", "country": "US", field: value})
        with pytest.raises(NeedsHuman, match="text_too_long"):
            sap_address(customer(billing_address=long))


def test_a_vat_number_goes_under_its_category_and_other_numbers_are_left_out() -> None:
    vat = TaxId(type="eu_vat", value="DE811907980", country="DE")
    other = TaxId(type="us_ein", value="84-2210456", country="US")
    assert sap_vat_number(customer(tax_ids=(other, vat))) == {"BPTaxType": "DE0", "BPTaxNumber": "DE811907980"}
    assert sap_vat_number(customer(tax_ids=(other,))) is None


def test_a_price_is_the_net_for_the_whole_quantity() -> None:
    def line(quantity: str) -> QuoteLine:
        net = Money(1000, "USD")  # type: ignore[arg-type]
        return QuoteLine(line_id="l", product_id="p", quantity=Decimal(quantity), net=net)

    [price] = sap_price(line("3"))
    assert (price["ConditionRateValue"], price["ConditionQuantity"]) == ("10.00", "3")
    with pytest.raises(NeedsHuman, match="bad_amount"):
        sap_price(line("2.5"))
