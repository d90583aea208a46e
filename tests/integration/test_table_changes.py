"""A change of a table on the real ledger: proposed, approved, served; the same verbs as on the fake."""

from __future__ import annotations

import boto3
import pytest
from moto import mock_aws

from tests.integration.test_ledger_contract import TABLE, make_table
from tests.unit.work.test_change import FIRST, FRENCH, NOW
from tieout.aws.ledger import DynamoLedger
from tieout.work import change


def test_a_change_is_proposed_approved_and_served_on_dynamodb() -> None:
    with mock_aws():
        client = boto3.client("dynamodb", region_name="us-east-1")
        make_table(client)
        books = DynamoLedger(client, TABLE, pause=lambda seconds: None)
        item = change.propose(books, FRENCH, "anna", NOW)
        with pytest.raises(change.NotAllowed):
            change.approve(books, item["change"], "anna", NOW)
        change.approve(books, item["change"], "ben", NOW)
        view = change.Served(books, lambda: NOW)().view(FIRST, entity="DE01", target="legacy")
        assert view.value("tax_codes", "FR-VAT-20") == "V20"
        [kept] = change.changes(books, "tax_codes")
        assert (kept["state"], kept["proposer"], kept["approver"], kept["rev"]) == ("APPROVED", "anna", "ben", 1)
