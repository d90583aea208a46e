"""Checks of each target at its sandbox: what stands well is said to, and each thing that goes wrong is seen."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import pytest

from infra.local.sandbox import Fault, described, netsuite, salesforce
from infra.local.sandbox.hubspot import HubSpot
from infra.local.sandbox.odoo import Odoo
from infra.local.sandbox.sap import Sap
from infra.local.sandbox.zendesk import Zendesk
from infra.local.sandbox.zuora import Zuora
from tests.fakes import World
from tests.integration.systems.conftest import Bench
from tests.integration.systems.law import rig
from tieout import systems
from tieout.aws.http import HttpWire
from tieout.core import checkup as values
from tieout.core.checkup import Finding
from tieout.work import checkup

HTTP = [name for name in systems.TARGETS if not systems.target(name).batches]
every_target = pytest.mark.parametrize("name", HTTP)
#: Members of what we write that a description shows without a plain type: choices, lists, ways on to other types.
UNTYPED = {
    ("netsuite", ""): frozenset({"item", "apply", "line", "addressBook"}),
    ("businesscentral", ""): frozenset({"type", "blocked", "salesInvoiceLines", "salesCreditMemoLines"}),
    ("businesscentral", "salesInvoiceLines"): frozenset({"lineType"}),
    ("businesscentral", "salesCreditMemoLines"): frozenset({"lineType"}),
    ("sap", ""): frozenset({"to_Item"}),
    ("sap", "to_Item.results"): frozenset({"to_PricingElement"}),
}
#: What is known without a call.
ASIDE = ("credentials", "signing secrets")
Look = Callable[[], dict[str, Finding]]


class Place:
    """A world whose secrets and wires are those of the sandboxes; ``off`` puts our clock off."""

    def __init__(self, bench: Bench, name: str, **settings: str) -> None:
        there = rig(name, bench)
        self.bench, self.account, self.off = bench, f"{name}:{there.account}", 0
        self.world = World(lambda system, account: there.wire)
        secrets = {one.split("/")[0]: one for one in bench.sandboxes.secrets()}
        assert name in secrets
        self.secret = dict(bench.sandboxes.secrets()[f"{name}/{there.account}"])
        if settings:
            self.secret["settings"] = {**self.secret.get("settings", {}), **settings}
            wire = HttpWire(systems.target(name), there.account, lambda: self.secret, bench.now)
            self.world.wire = lambda system, account: wire
        self.world.secrets.values[name, there.account] = self.secret

    def look(self) -> dict[str, Finding]:
        self.world.time = self.bench.clock
        self.world.later(seconds=self.off)
        return {one.what: one for one in checkup.check(self.world.ports(), self.account)}


@every_target
def test_an_account_in_order_is_found_good_in_everything_that_can_be_seen(bench: Bench, name: str) -> None:
    declared = systems.checks(name)
    assert declared is not None, f"{name} declares no checks"
    found = Place(bench, name).look()
    assert {one.says for one in declared.permissions if one.when is None} <= set(found)
    assert {what: one.said for what, one in found.items() if one.state != "good"} == {}
    assert "clock" in found


@every_target
def test_a_check_changes_nothing(bench: Bench, name: str) -> None:
    place = Place(bench, name)
    before = [dataclasses.astuple(one) for one in bench.sandboxes.books()]
    place.look()
    assert [dataclasses.astuple(one) for one in bench.sandboxes.books()] == before


@every_target
def test_a_clock_that_is_off_by_more_than_the_quiet_period_allows_is_bad(bench: Bench, name: str) -> None:
    place = Place(bench, name)
    place.off = systems.target(name).quiet.clock_skew
    assert place.look()["clock"].state == "good"
    place.off += values.WAY + 1
    assert place.look()["clock"].state == "bad"


@every_target
def test_a_secret_that_lacks_something_is_said_before_anything_is_asked(bench: Bench, name: str) -> None:
    place = Place(bench, name)
    del place.secret["base_url"]
    found = place.look()
    assert set(found) == {"credentials"}
    assert (found["credentials"].state, found["credentials"].said) == ("bad", "the secret lacks base_url")
    place.world.secrets.values.clear()
    assert place.look()["credentials"].said == "there is no secret"


@every_target
def test_what_is_out_of_reach_is_unknown_and_not_bad(bench: Bench, name: str) -> None:
    place = Place(bench, name)
    bench.sandboxes.faults.add(Fault("drop_before", f" /{name}/", times=0))
    assert {one.state for what, one in place.look().items() if what not in ASIDE} == {"unknown"}


@every_target
def test_a_permission_that_is_missing_is_bad_and_the_others_are_still_looked_at(
    bench: Bench, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(bench, name)
    declared = systems.checks(name)
    assert declared is not None
    wire = place.world.ports().wire(systems.target(name), "")
    first = next(one for one in declared.permissions if one.sure)
    call = wire.call

    def same(path: str) -> bool:
        settled = re.sub(r"\{(\w+)\}", lambda name: wire.settings.get(name[1], ""), first.path)
        return path == settled

    def forbidding(method: str, path: str, **more: Any) -> Any:
        answer = call(method, path, **more)
        return dataclasses.replace(answer, status=403) if same(path) and more["body"] == first.body else answer

    monkeypatch.setattr(wire, "call", forbidding)
    found = place.look()
    assert found[first.says].state == "bad"
    others = [
        one for one in declared.permissions if one.says in found and (one.path, one.body) != (first.path, first.body)
    ]
    assert {found[one.says].state for one in others} <= {"good"}


def bad(found: dict[str, Finding]) -> dict[str, tuple[str, str]]:
    """What does not stand well, with its sentence."""
    return {what: (one.state, one.said) for what, one in found.items() if one.state != "good"}


def test_a_right_to_write_that_salesforce_s_describe_denies_is_seen_for_an_object_and_for_a_field(bench: Bench) -> None:
    place, there = Place(bench, "salesforce"), bench.sandboxes.salesforce
    there.denied = {("Account", "updateable"), ("Tieout_Status__c", "Sentence__c"), ("SBQQ__Quote__c", "queryable")}
    denied = "the answer does not show it: "
    rights = "createable with True, updateable with True, queryable with True"
    assert bad(place.look()) == {
        "may write Account": ("bad", denied + rights),
        "may read SBQQ__Quote__c": ("bad", denied + "queryable with True"),
        "fields of status upsert": ("bad", "Sentence__c may not be written"),
        "fields of ticket upsert": ("bad", "Sentence__c may not be written"),
    }


def test_accounts_and_quotes_are_looked_at_where_the_account_s_settings_use_them(bench: Bench) -> None:
    assert {"may write Account", "may read SBQQ__QuoteLine__c"} <= set(Place(bench, "salesforce").look())
    found = Place(bench, "salesforce", quotes="orders", write_accounts="off").look()
    assert {"may read OrderItem", "may read Product2"} <= set(found)
    assert not {"may read SBQQ__Quote__c", "may write Account", "fields of customer upsert"} & set(found)


def test_what_salesforce_describes_otherwise_than_we_count_on_is_named(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = salesforce.OBJECTS["Tieout_Status__c"]
    monkeypatch.setitem(table, "Version__c", ("text", 18))
    monkeypatch.setitem(table, "Sentence__c", ("text", 255))
    monkeypatch.setitem(table, "Region__c", ("text", 10))
    monkeypatch.setattr(
        salesforce, "SALESFORCE_MUST", {("Tieout_Status__c", "Region__c"), ("Tieout_Status__c", "Account_Ref__c")}
    )
    said = Place(bench, "salesforce").look()["fields of status upsert"]
    assert (said.state, said.said) == ("bad", (
        "Sentence__c takes 255 characters, not 1000; Version__c is string, not double; mandatory and never sent: "
        "Region__c; mandatory and not always sent: Account_Ref__c"
    ))  # fmt: skip


def test_a_scope_that_hubspot_s_token_lacks_and_a_property_that_changed_are_seen_and_the_token_is_not(
    bench: Bench,
) -> None:
    place, there = Place(bench, "hubspot"), bench.sandboxes.of(HubSpot)
    there.scopes.discard("crm.objects.custom.write")
    there.properties |= {"tieout_version": "number"}
    del there.properties["tieout_sentence"]
    drift = "not known there any more: tieout_sentence; tieout_version is number, not string"
    found = place.look()
    assert bad(found) == {
        "may write p_tieout_status": ("bad", "the answer does not show it: scopes with crm.objects.custom.write"),
        "fields of status upsert, on deals": ("bad", drift),
        "fields of status upsert, on p_tieout_status": ("bad", drift),
    }
    assert there.token not in repr(found)


def test_a_token_that_hubspot_tells_nothing_of_is_unknown_and_not_in_the_finding(bench: Bench) -> None:
    place = Place(bench, "hubspot")
    place.secret["access_token"] = "pat-na1-canary"
    found = place.look()
    assert (found["may write deals"].state, found["may write deals"].said) == ("unknown", "target_no_such_thing")
    assert "canary" not in repr(found)


def test_a_day_of_hubspot_s_and_a_minute_of_zendesk_s_that_run_short_are_warnings(bench: Bench) -> None:
    bench.sandboxes.of(HubSpot).calls = 249_000
    bench.sandboxes.of(Zendesk).allowance = 20
    found = Place(bench, "hubspot").look()["calls of the day"]
    assert (found.state, found.said.endswith(" left of 250000")) == ("warn", True)
    place = Place(bench, "zendesk")
    states = [place.look()["calls of the minute"].state for _ in range(10)]
    assert (states[0], states[-1]) == ("good", "warn")


def test_what_odoo_lets_our_user_do_and_how_it_describes_its_models(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, there = Place(bench, "odoo"), bench.sandboxes.of(Odoo)
    there.denied = {("account.move", "write")}
    monkeypatch.setitem(described.ODOO["account.payment.register"], "amount", ("float", False))
    monkeypatch.setitem(described.ODOO["res.partner"], "x_region", ("char", True))
    assert bad(place.look()) == {
        "may write account.move": ("bad", "the answer does not show it: the answer with True"),
        "fields of payment create": ("bad", "amount is float, not monetary"),
        "fields of customer upsert": ("warn", "mandatory and never sent: x_region"),
    }


def test_sap_s_journal_service_is_asked_in_simulation_and_its_metadata_is_compared(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, there = Place(bench, "sap", simulate="yes"), bench.sandboxes.of(Sap)
    assert place.look()["may post journal entries (in simulation)"].state == "good"
    assert there.documents == {}
    there.journals = False
    order, item = (
        described.SAP["API_SALES_ORDER_SRV"][name][0] for name in ("A_SalesOrderType", "A_SalesOrderItemType")
    )
    monkeypatch.setitem(order, "PurchaseOrderByCustomer", ("Edm.String", 10))
    monkeypatch.setitem(item, "RequestedQuantity", ("Edm.Double", 0))
    found = bad(place.look())
    assert found.pop("may post journal entries (in simulation)")[0] == "bad"
    assert found == {
        "fields of quote create": ("bad", "PurchaseOrderByCustomer takes 10 characters, not 16"),
        "fields of quote create, to_Item.results": ("bad", "RequestedQuantity is Edm.Double, not Edm.Decimal"),
    }


def test_business_central_s_metadata_is_compared_line_by_line(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    customer, line = (described.BUSINESS_CENTRAL[name][0] for name in ("customer", "salesInvoiceLine"))
    monkeypatch.setitem(customer, "number", ("Edm.String", 10))
    monkeypatch.setitem(line, "quantity", ("Edm.Int32", 0))
    assert bad(Place(bench, "businesscentral").look()) == {
        "fields of customer upsert": ("bad", "number takes 10 characters, not 20"),
        "fields of credit_note create, salesCreditMemoLines": ("bad", "quantity is Edm.Int32, not Edm.Decimal"),
        "fields of invoice create, salesInvoiceLines": ("bad", "quantity is Edm.Int32, not Edm.Decimal"),
    }


def test_netsuite_s_own_limit_is_shown_and_a_field_of_another_type_is_named(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, there = Place(bench, "netsuite"), bench.sandboxes.netsuite
    assert place.look()["calls at once"].said == "5 allowed, 5 declared, the smaller is kept"
    there.limit = 3
    monkeypatch.setitem(netsuite.SCHEMAS, "date", {"type": "string", "format": "date-time"})
    found = bad(place.look())
    assert found.pop("calls at once") == ("warn", "3 allowed, 5 declared, the smaller is kept")
    assert found["fields of journal_entry create"] == ("bad", "tranDate is date-time, not date")
    there.administrator = False
    assert place.look()["calls at once"].state == "unknown"


def test_where_no_limit_is_told_the_declared_one_is_named(bench: Bench) -> None:
    said = Place(bench, "quickbooks").look()["limits that we keep"].said
    assert said == "none is told, declared: 5 calls at once, 10 in 1 s, 500 in 60 s"
    assert Place(bench, "xero").look()["limits that we keep"].said.startswith("declared: ")


def test_a_source_that_is_only_asked_is_checked_for_every_object_that_it_tells_of(bench: Bench) -> None:
    world = World(lambda system, account: HttpWire(system, account, lambda: secret, bench.now))
    secret = bench.sandboxes.secrets()["zuora/acme-eu"]
    world.secrets.values["zuora", "acme-eu"] = secret
    world.time = bench.clock

    def look() -> dict[str, Finding]:
        return {one.what: one for one in checkup.check(world.ports(), "zuora:acme-eu")}

    assert bad(look()) == {}
    assert {"may read accounts", "may read credit-memos", "may read the history of callouts"} <= set(look())
    bench.sandboxes.of(Zuora).denied = {"credit-memos"}
    found = bad(look())
    assert set(found) == {"may read credit-memos"}
    assert found["may read credit-memos"][0] == "bad"


def test_what_a_shipped_mapping_writes_is_counted_on_wherever_types_are_told() -> None:
    for name in systems.TARGETS:
        declared = systems.checks(name)
        for one in declared.metadata if declared else ():
            sent = checkup.written(systems.target(name), one)
            unknown = (sent.always | sent.sometimes) - set(one.fields) - set(one.skip)
            assert unknown <= UNTYPED.get((name, one.on or one.inside), frozenset()), (name, one.says)


def test_a_field_that_the_target_no_longer_knows_is_named(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(described.ODOO["account.move"], "payment_reference")
    found = Place(bench, "odoo").look()
    assert found["fields of invoice create"].said == "not known there any more: payment_reference"
    assert found["fields of customer upsert"].state == "good"


def test_an_allowance_that_runs_short_is_a_warning(bench: Bench) -> None:
    place = Place(bench, "salesforce")
    there = bench.sandboxes.salesforce
    there.calls = there.allowance - 300
    found = place.look()["calls of the day"]
    assert (found.state, found.said) == ("warn", f"{there.allowance - there.calls} left of {there.allowance}")
