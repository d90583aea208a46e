"""``tieout mappings``: what it prints, what it exits with, and the golden diff between two versions."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tieout import mappings, tables
from tieout.cli import app as application
from tieout.core.nodes import GovernanceError

HERE = Path(__file__).parent / "mapping_diff"
BOTH = ("--from", str(HERE / "before.yaml"), "--to", str(HERE / "after.yaml"), "--over", str(HERE / "documents"))


def run(*words: str) -> Result:
    return CliRunner().invoke(application.app, ["mappings", *words])


def answer(*words: str) -> Any:
    return json.loads(run(*words, "--json").stdout)


def test_what_another_version_changes_is_printed_as_it_was_agreed() -> None:
    done = run("diff", "netsuite.invoice", *BOTH)
    assert done.stdout == (HERE / "printed.txt").read_text("utf-8")
    assert done.exit_code == 1


def test_the_same_differences_are_told_to_scripts() -> None:
    told = answer("diff", "netsuite.invoice", *BOTH)
    assert (told["documents"], told["same"]) == (6, 1)
    by_name = {one["name"].rpartition("/")[2]: one for one in told["differences"]}
    assert by_name["french"]["stops_with"] == "tax_code_not_mapped"
    assert by_name["french"]["amount"] == {"amount": "240.00", "currency": "EUR"}
    assert by_name["no_tax"]["stopped_with"] == "mapping_value_missing"
    assert {"field": "total", "difference": {"amount": "-15.54", "currency": "USD"}} in told["money"], (
        "13.32 of one invoice and 2.22 of another"
    )


def test_the_same_version_twice_differs_in_nothing() -> None:
    same = ("--from", str(HERE / "after.yaml"), "--to", str(HERE / "after.yaml"), "--over", str(HERE / "documents"))
    done = run("diff", "netsuite.invoice", *same)
    assert (done.exit_code, "6 stay the same" in done.stdout) == (0, True)


def test_without_a_folder_the_examples_and_the_captured_events_are_the_corpus() -> None:
    told = answer("diff", "netsuite.invoice", "--from", "1", "--to", str(HERE / "after.yaml"))
    names = {one["name"] for one in told["differences"]}
    assert {"netsuite.invoice/usual", "stripe/invoice.finalized"} <= names


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("show", "netsuite.invioce"), 2, "did you mean 'netsuite.invoice'?"),
        (("diff", "netsuite.invioce", *BOTH), 2, "did you mean 'netsuite.invoice'?"),
        (("diff", "legacy.invoice"), 2, "has no older version"),
        (("diff", "legacy.invoice", "--from", "7"), 1, "no version '7' of legacy.invoice; there are 1"),
        (("diff", "legacy.invoice", "--from", "none.yaml"), 1, "there is no such file"),
        (("diff", "netsuite.invoice", *BOTH[:4], "--over", "nowhere"), 2, "There is no folder nowhere"),
        (("explain", "netsuite.invoice", "nothing.json"), 2, "There is no file nothing.json"),
        (("explain", "netsuite.invoice", "unmapped_tax"), 1, "stops with tax_code_not_mapped"),
        (("explain", "netsuite.payment", str(HERE / "documents" / "euros.json")), 1, "nothing that netsuite.payment"),
        (("check", "nothing"), 2, "There is no mapping nothing"),
    ],
)
def test_what_went_wrong_is_said_with_its_exit_code(words: tuple[str, ...], code: int, told: str) -> None:
    done = run(*words)
    assert done.exit_code == code, done.output
    assert told in done.stderr


def test_every_mapping_of_this_release_is_sound_and_does_as_its_examples_say() -> None:
    assert answer("check")["mistakes"] == []
    assert answer("test")["differences"] == []
    assert [one["name"] for one in answer("ls")] == mappings.names()


def test_a_field_is_explained_by_rule_inputs_and_the_row_with_its_days() -> None:
    told = {one["field"]: one for one in answer("explain", "netsuite.invoice", "usual")["fields"]}
    tax = told["item.items.0.taxCode.id"]
    assert tax["rule"].startswith("lookup: tax_codes, from: it.tax_code")
    assert tax["inputs"] == {"it.tax_code": "txr_us_ny_8875"}
    assert tax["row"].endswith("'txr_us_ny_8875' (entity), ever to further notice")


def test_a_captured_event_and_a_document_alone_are_explained_too() -> None:
    event = Path(__file__).parents[3] / "events" / "stripe" / "invoice.finalized.json"
    assert "number" in {one["field"] for one in answer("explain", "stripe.invoice", str(event))["fields"]}
    told = answer("explain", "netsuite.invoice", str(HERE / "documents" / "dollars.json"))["fields"]
    assert next(one["value"] for one in told if one["field"] == "entity.id") == "«customer cus_1»"


def test_show_says_fields_meaning_and_examples() -> None:
    told = answer("show", "netsuite.invoice")
    day = next(one for one in told["fields"] if one["field"] == "tranDate")
    assert day == {
        "field": "tranDate", "rule": "from: invoice.posting_date", "means": "decides the period", "line": 8,
        "optional": False, "missing": None,
    }  # fmt: skip
    assert {"name": "unmapped_tax", "why": "a tax that nobody mapped holds the invoice"} in told["examples"]
    assert "def plain(scope, view):" in run("show", "netsuite.invoice", "--source").stdout


def side_by_side(home: Path, word: int) -> Path:
    shutil.copytree(mappings.HOME / "netsuite.invoice", home / "netsuite.invoice")
    current = (home / "netsuite.invoice" / "mapping.yaml").read_text("utf-8")
    (home / "netsuite.invoice" / "versions").mkdir()
    (home / "netsuite.invoice" / "versions" / "1.yaml").write_text(
        current.replace("version: 1", f"version: {word}").replace("invoice.posting_date", "invoice.document_date"),
        "utf-8",
    )
    (home / "netsuite.invoice" / "mapping.yaml").write_text(current.replace("version: 1", "version: 2"), "utf-8")
    return home


def test_versions_stand_side_by_side(tmp_path: Path) -> None:
    home, columns = side_by_side(tmp_path, 1), tables.load().columns()
    assert mappings.older("netsuite.invoice", home) == [1]
    days = {
        name: next(rule.rule for rule in mappings.load(name, columns, home).rules if rule.field == "tranDate")
        for name in ("netsuite.invoice@1", "netsuite.invoice@2", "netsuite.invoice")
    }
    assert list(days.values()) == ["from: invoice.document_date"] + ["from: invoice.posting_date"] * 2


def test_a_version_under_a_wrong_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GovernanceError, match="this file is version 1 by its name and 3 by its word"):
        mappings.load("netsuite.invoice@1", tables.load().columns(), side_by_side(tmp_path, 3))
