"""A customer as an account of Salesforce: a look proves every field, a search finds who is there by hand."""

from __future__ import annotations

from typing import Any

import pytest

from infra.local.sandbox import Fault
from infra.local.sandbox.salesforce import Salesforce
from tests.integration.systems.cases.salesforce import Case
from tests.integration.systems.conftest import Bench
from tieout import systems
from tieout.contract import Read
from tieout.core.problems import PROBLEMS
from tieout.core.verdicts import NeedsHuman


@pytest.fixture
def there(bench: Bench) -> Case:
    return Case(bench)


def account(there: Case) -> dict[str, Any]:
    org = there.bench.sandboxes.of(Salesforce)
    (found,) = [row for row in org.rows["Account"].values() if row.get("TieoutKey__c")]
    return found


def test_an_account_that_shows_another_value_than_was_sent_is_not_this_version_of_it(there: Case) -> None:
    work = there.work("customer", "upsert")
    assert there.found(work) == "absent"
    there.post(work)
    assert there.found(work) == "complete"
    for field in ("Name", "BillingCity", "Selling_Entity__c"):
        was, account(there)[field] = account(there)[field], "another"
        assert there.found(work) == "absent", field
        account(there)[field] = was
    assert there.found(work) == "complete"


@pytest.mark.parametrize("name", ["Initech", "O'Brien & Sons", "Back\\slash", "' OR Name != '"])
def test_accounts_that_are_there_by_hand_are_found_by_what_is_known_of_them(there: Case, name: str) -> None:
    org = there.bench.sandboxes.of(Salesforce)
    same = org.add_account(name, "ap@initech.example", tax_id="98-7654321")["Id"]
    org.add_account("Somebody Else", "else@other.example", tax_id="11-1111111")

    def looked(**facts: str) -> list[str]:
        return [echo.remote for echo in there.target.look(there.wire, "customer", facts)]

    assert looked(name=name) == looked(tax_id="98-7654321") == looked(email="ap@initech.example", name=name) == [same]
    assert looked() == looked(name="Nobody") == []
    assert there.target.look(there.wire, "status", {"name": name}) == []


def test_an_account_that_was_merged_into_another_is_gone_and_its_deals_are_the_others(there: Case) -> None:
    org = there.bench.sandboxes.of(Salesforce)
    ident = org.add_account("Initech", "ap@initech.example")["Id"]
    deal = org.add_opportunity(ident, "Seats", "US01", "USD", [])
    read = Read("e1", "account.changed", ident, {"Id": ident}, there.bench.now(), thin=True)
    assert systems.reader("salesforce").again(there.wire, read).object["Name"] == "Initech"
    struck = there.bench.sandboxes.faults.add(Fault("merged_customer", "GET .*/query"))
    with pytest.raises(NeedsHuman, match="source_gone") as said:
        systems.reader("salesforce").again(there.wire, read)
    assert struck.struck == 1
    assert PROBLEMS[said.value.code].owner
    [survivor] = [row["Id"] for row in org.rows["Account"].values() if row["Name"] == "Initech"]
    assert ident not in org.rows["Account"]
    assert deal["AccountId"] == survivor
