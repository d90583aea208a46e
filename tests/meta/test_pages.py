"""The pages in docs hang together: every link leads somewhere, and each governed thing has its place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from infra import generate, pages, pages_reliability
from tests.meta.guards import ROOT
from tieout import flows, mappings, systems, tables
from tieout.core import ledger
from tieout.core.classify import COMMON
from tieout.core.problems import PROBLEMS

PAGES = sorted((ROOT / "docs").rglob("*.md"))
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]*)(?:#([^)\s]*))?\)")


def anchors(page: Path) -> set[str]:
    """The headings of a page as links name them."""
    found = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().casefold().replace(" ", "-") for heading in found}


def broken(page: Path) -> list[str]:
    """The links of a page that lead nowhere."""
    wrong = []
    for path, anchor in LINK.findall(page.read_text("utf-8")):
        if "://" in path:
            continue
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            wrong.append(f"{path}#{anchor}")
    return wrong


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    assert broken(page) == []


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# Here\n\n[a](#here) [b](#there) [c](gone.md) [d](page.md#here) [e](https://x.example/y#z)\n", "utf-8"
    )
    assert broken(page) == ["#there", "gone.md#"]


def test_each_governed_thing_has_its_place() -> None:
    docs = ROOT / "docs"
    assert {f"{name}.md" for name in mappings.names()} < {page.name for page in (docs / "mappings").iterdir()}
    assert set(tables.load().tables) | {"routes", "calendars"} <= anchors(docs / "tables.md")
    assert {flow.name for flow in flows.FLOWS} <= anchors(docs / "flows.md")
    assert set(PROBLEMS) <= anchors(docs / "runbooks.md")
    assert all(f"[{name}]" in (docs / "systems.md").read_text("utf-8") for name in systems.SYSTEMS)


def test_what_a_table_cell_holds_cannot_break_the_table() -> None:
    assert list(pages.grid(("a",), [(pages.cell("x | y\nz"),)])) == ["| a |", "|---|", "| x \\| y z |"]


def test_every_rule_of_a_system_is_read_from_its_readme() -> None:
    text = pages.system_page()["docs/systems.md"]
    assert "not said" not in text
    assert text.count("\n| ") == 2 + len(systems.SYSTEMS) + 10


def test_the_state_page_shows_every_move_and_changes_with_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    text = pages_reliability.state_page()["docs/state-machine.md"]
    for state, moves in ledger.MOVES.items():
        assert all(f"    {state} --> {to}\n" in text for to in moves if state and to != state)
    planted = {**ledger.MOVES, ledger.POSTED: frozenset({ledger.COMPENSATED, ledger.NEW})}
    monkeypatch.setattr(ledger, "MOVES", planted)
    assert "docs/state-machine.md" in generate.differences()


def test_a_state_without_a_sentence_stops_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "MOVES", {**ledger.MOVES, "LOST": frozenset()})
    with pytest.raises(ValueError, match="sentence"):
        pages_reliability.state_page()


def test_the_verdict_page_shows_each_targets_rows_before_the_common_ones_decide(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = pages_reliability.verdict_page()["docs/verdicts.md"]
    for name in systems.TARGETS:
        for row in systems.target(name).verdicts:
            assert f"| {row.verdict.__name__} | `{row.code}` |" in text
    monkeypatch.setattr(pages_reliability, "COMMON", COMMON[1:])
    assert "docs/verdicts.md" in generate.differences()
