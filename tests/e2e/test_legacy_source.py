"""What the legacy ERP tells in files of its own reaches billing and the CRM; what is broken or missing is a case."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from infra.local.sandbox import Fault
from infra.local.sftp import FolderDrop, SftpServer
from tests.e2e.scene import Scene, scene
from tests.e2e.test_poll import hours
from tieout.core import ledger
from tieout.core.writes import Item

OPENED = ("C", "new", "K7", "", "Nordlicht GmbH", "ap@nordlicht.example", "DE8", "Hafenstr. 4", "Kiel", "24103", "DE")
CHANGED = ("C", "changed", "K1", "", "Elbe AG", "", "", "", "", "", "")


def paid(number: int, amount: str = "11900") -> Sequence[str]:
    return ("P", f"ZE{number}", "2026-11-20", "EUR", amount, "K1", f"RE{number}", "NTRF", "thank you")


@pytest.fixture(params=["bucket", "sftp"])
def on(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scene]:
    """A world whose ERP drops files in our bucket, or on an SFTP server of its own."""
    if request.param == "bucket":
        with scene(customer=False) as made:
            hours(made, 0.2)
            yield made
        return
    for folder in ("out", "in"):
        (tmp_path / folder).mkdir()
    with SftpServer(tmp_path) as server, scene(customer=False) as made:
        made.world.put_secret("legacy/acme", server.secret())
        made.sandboxes.drop = FolderDrop(server.root, "legacy/acme/", made.world.clock.now)
        hours(made, 0.2)
        yield made


def told(on: Scene) -> list[Item]:
    return [item for item in on.events() if item["source"] == "legacy"]


def states(on: Scene) -> dict[str, str]:
    return {item["event_id"]: item["state"] for item in told(on)}


def cases(on: Scene) -> dict[str, str]:
    return {item["code"]: str(item["facts"]) for item in told(on) if item["state"] == ledger.CASE}


@pytest.mark.parametrize("ending", [".csv", ".txt"])
def test_a_file_of_the_night_reaches_billing_and_sales_record_by_record(on: Scene, ending: str) -> None:
    there = on.sandboxes.legacy
    there.tell("PAY", [paid(1), paid(2, "1.5"), paid(3)], ending=ending)
    there.tell("CUS", [OPENED, CHANGED], ending=ending)
    hours(on, 1)
    assert states(on) == {
        "PAY:1:1": ledger.MADE, "PAY:1:2": ledger.CASE, "PAY:1:3": ledger.MADE, "CUS:1:1": ledger.MADE,
        "CUS:1:2": ledger.MADE,
    }  # fmt: skip
    assert "'line': '2'" in cases(on)["record_refused"]
    assert {item["state"] for item in on.items("posting")} == {ledger.POSTED}
    said = {str(row["Document__c"]): str(row["Sentence__c"]) for row in on.sandboxes.salesforce.statuses()}
    assert set(said) == {"ZE1", "ZE3", "K1"}
    assert "119.00 EUR" in said["ZE1"]
    assert [row["name"] for row in on.sandboxes.stripe["acct_de"].tables["customers"].values()] == ["Nordlicht GmbH"]
    hours(on, 1)
    assert {item["deliveries"] for item in told(on)} == {1}, "a file that is known is not sent again"


def test_a_file_that_does_not_hold_together_is_one_case_and_its_number_is_missed_until_it_comes(on: Scene) -> None:
    there = on.sandboxes.legacy
    there.tell("PAY", [paid(1)])
    on.sandboxes.faults.add(Fault("truncated", "DROP /legacy/acme/in/PAY"))
    there.tell("PAY", [paid(2)])
    there.tell("PAY", [paid(3)])
    hours(on, 2)
    assert "cut" in cases(on)["file_refused"]
    assert {item["deliveries"] for item in told(on)} == {1}
    [stream] = on.items("stream")
    assert (stream["code"], stream["facts"]["missing"]) == ("sequence_gap", "2")
    there.tell("PAY", [paid(2)], number=2, name="again")
    hours(on, 1)
    [stream] = on.items("stream")
    assert (stream["state"], stream["upto"]) == ("WHOLE", 3)
    assert states(on)["PAY:2:1"] == ledger.MADE


def test_a_file_that_never_comes_is_a_gap_and_one_that_comes_late_is_none(on: Scene) -> None:
    there = on.sandboxes.legacy
    there.tell("PAY", [paid(1)])
    on.sandboxes.faults.add(Fault("late_commit", "DROP /legacy/acme/in/PAY", args={"seconds": 1200}))
    there.tell("PAY", [paid(2)])
    there.tell("PAY", [paid(3)])
    on.sandboxes.faults.add(Fault("drop_before", "DROP /legacy/acme/in/CUS"))
    there.tell("CUS", [CHANGED], number=8)
    there.tell("CUS", [CHANGED], number=7)
    there.tell("CUS", [CHANGED], number=9)
    hours(on, 2)
    found = {item["number"]: (item["state"], item.get("facts", {}).get("missing")) for item in on.items("stream")}
    assert found == {"PAY": ("WHOLE", None), "CUS": (ledger.CASE, "8")}


def test_a_number_with_another_content_is_refused_whole_and_the_first_stands(on: Scene) -> None:
    there = on.sandboxes.legacy
    there.tell("PAY", [paid(1)], name="a")
    hours(on, 0.3)
    there.tell("PAY", [paid(1, "99900"), paid(2)], number=1, name="b")
    hours(on, 1)
    assert "came before with another content" in cases(on)["file_refused"]
    assert states(on)["PAY:1:1"] == ledger.MADE
    assert "PAY:1:2" not in states(on)
    [row] = on.sandboxes.salesforce.statuses()
    assert "119.00 EUR" in row["Sentence__c"]
