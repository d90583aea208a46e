"""What is derived is committed and fresh; `make generate` writes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra import generate


def test_what_is_derived_is_fresh() -> None:
    stale = sorted(generate.differences())
    assert not stale, f"stale: {', '.join(stale)}; run `{generate.COMMAND}` and commit what it writes"


def _one(text: str) -> dict[str, generate.Generator]:
    return {"pages/*.md": lambda: {"pages/a.md": text}}


def test_a_changed_source_makes_its_file_stale(tmp_path: Path) -> None:
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages/a.md").write_text("old", encoding="utf-8")
    assert generate.differences(tmp_path, _one("old")) == {}
    assert generate.differences(tmp_path, _one("new")) == {"pages/a.md": "new"}


def test_a_file_that_nothing_derives_any_more_is_to_go(tmp_path: Path) -> None:
    (tmp_path / "pages").mkdir()
    for name in "ab":
        (tmp_path / f"pages/{name}.md").write_text("text", encoding="utf-8")
    assert generate.differences(tmp_path, _one("text")) == {"pages/b.md": None}


def test_a_generator_stays_inside_its_pattern() -> None:
    with pytest.raises(ValueError, match="does not match"):
        generate.render({"pages/*.md": lambda: {"template.yaml": ""}})


def test_a_block_without_content_and_content_without_a_block_are_refused() -> None:
    block = "  # derived: lanes\n  - old\n  # end derived: lanes\n"
    assert generate.fill(block, {"lanes": "- a\n- b"}) == "  # derived: lanes\n  - a\n  - b\n  # end derived: lanes\n"
    with pytest.raises(ValueError, match="that no generator fills"):
        generate.fill(block, {})
    with pytest.raises(ValueError, match="no derived block for machines"):
        generate.fill(block, {"lanes": "", "machines": ""})


def test_each_target_has_its_lane_its_dead_letters_and_its_alarm() -> None:
    lanes = generate.blocks(("crm",), ("crm", "ledger-two"), [])["lanes"]
    for logical_id in ("CrmLane", "LedgerTwoLane"):
        for suffix in ("", "Policy", "Mapping", "Dead", "DeadPolicy", "DeadMapping", "DeadAlarm"):
            assert f"\n{logical_id}{suffix}:\n" in f"\n{lanes}\n"
