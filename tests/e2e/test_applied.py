"""What is paid, credited and voided is open no more in the ERP: four targets, through the real handlers."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

import pytest

from infra.accept import examples
from infra.local.sandbox import Fault, Line
from tests.e2e.scene import Scene, scene
from tests.e2e.test_takebacks import voided
from tests.integration.systems.law import case_of
from tests.routed import routed
from tieout import systems, tables
from tieout.core import ledger
from tieout.core.lookup import Row, Table
from tieout.core.routing import Route
from tieout.work import ask
from tieout.work.settle import Wish, agree, settle

ERPS = ("odoo", "quickbooks", "tryton", "xero")
KINDS = ("customer", "invoice", "credit_note", "payment")


def installed(erp: str) -> dict[str, Table]:
    """The governed tables with the rows of an installation: those of the usual examples of its mappings."""
    known = tables.load().tables
    given: dict[str, dict[str, str]] = {}
    for one in examples():
        if one.mapping.startswith(f"{erp}.") and one.path.stem == "usual":
            for name, cells in one.read().get("tables", {}).items():
                given.setdefault(name, {}).update(cells)
    return {
        name: Table(
            name, [*known[name].rows, *(Row(key, {"value": value}, target=erp) for key, value in cells.items())],
            owner="tests", version="tests", columns=known[name].types,
        )
        for name, cells in given.items()
    }  # fmt: skip


@contextmanager
def booking(erp: str) -> Iterator[Scene]:
    """A world where Acme Inc keeps its books in ``erp``, with a customer there."""
    rows = [Route("erp", erp, "acme", entity="US01", kind=kind) for kind in KINDS]
    with routed(*rows, **installed(erp)), scene(customer=False) as made:
        made.customer = made.stripe.add_customer("Initech", "ap@initech.example")["id"]
        made.settle()
        yield made


@pytest.fixture(params=ERPS)
def erp(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def on(erp: str) -> Iterator[Scene]:
    with booking(erp) as made:
        yield made


def invoiced(on: Scene) -> str:
    line = Line(50_000, 1, "prod_pro", "Pro", tax_rate="txr_us_ny_8875")
    invoice = str(on.stripe.finalize_invoice(on.customer, [line])["id"])
    on.settle()
    return invoice


def owed(on: Scene, erp: str) -> list[int]:
    return sorted(case_of(erp).owed_in(on.sandboxes).values())


def states(on: Scene) -> set[Any]:
    return {item["state"] for item in on.items("posting") if item["step"] == "post"}


def booked(on: Scene, erp: str) -> list[str]:
    return sorted(one.kind for one in on.sandboxes.book(erp, "acme"))


def test_what_is_paid_and_what_is_credited_is_open_no_more(on: Scene, erp: str) -> None:
    on.stripe.pay(invoiced(on))
    on.settle()
    assert owed(on, erp) == [0]
    on.stripe.credit(invoiced(on), 20_000)
    on.settle()
    [credit] = on.postings("credit_note")
    assert owed(on, erp) == [0, 54_438 - credit["total"]]
    assert states(on) == {ledger.POSTED}
    assert booked(on, erp) == ["credit_note", "customer", "invoice", "invoice", "payment"]
    assert on.differences() == []


@pytest.mark.parametrize("fault", ["drop_before", "commit_then_drop"])
def test_what_breaks_before_or_behind_the_call_that_applies_it_is_finished_once(
    on: Scene, erp: str, fault: str
) -> None:
    invoice = invoiced(on)
    case_of(erp).alone(on.sandboxes)
    struck = on.sandboxes.faults.add(Fault(fault, case_of(erp).applies["credit_note", "create"]))
    on.stripe.credit(invoice, 50_000)
    on.settle()
    assert struck.struck == 1
    [credit] = on.postings("credit_note")
    assert (credit["state"], owed(on, erp)) == (ledger.POSTED, [54_438 - credit["total"]])
    assert booked(on, erp) == ["credit_note", "customer", "invoice"]
    assert on.differences() == []


def test_a_voided_invoice_is_open_no_more(on: Scene, erp: str) -> None:
    on.stripe.void(invoiced(on))
    on.settle()
    assert states(on) == {ledger.POSTED}
    dated = systems.target(erp).actions["invoice", "void"].dated
    assert booked(on, erp) == [*(["credit_note"] if dated else []), "customer", "invoice"]
    if dated:
        assert owed(on, erp) == [0]
    else:
        [status] = [one.status for one in on.sandboxes.book(erp, "acme") if one.kind == "invoice"]
        assert status in ("void", "voided")
    assert on.differences() == []


def test_a_void_of_a_paid_invoice_is_a_case_and_credited_on_account_where_the_target_can(on: Scene, erp: str) -> None:
    invoice = invoiced(on)
    on.stripe.pay(invoice)
    on.settle()
    voided(on, {"id": invoice})
    [cause] = ask.cases(on.ledger, on.world.clock.now())
    dated = systems.target(erp).actions["invoice", "void"].dated
    assert cause.code == ("void_of_paid" if dated else "cannot_take_back")
    assert booked(on, erp) == ["customer", "invoice", "payment"]
    if not dated:
        return
    [void] = [item for item in on.postings() if item["action"] == "void"]
    now = on.world.clock.now()
    settle(on.ledger, Wish(void["key"], "approve", "the customer was refunded by hand"), "anna", now, "t1")
    agree(on.ledger, void["key"], "ben", now, "t2")
    on.world.clock.advance(60)
    with redirect_stdout(io.StringIO()):
        on.world.invoke("probe", {})
    on.settle()
    assert states(on) == {ledger.POSTED}
    assert (booked(on, erp), owed(on, erp)) == (["credit_note", "customer", "invoice", "payment"], [0])
    assert on.differences() == []
