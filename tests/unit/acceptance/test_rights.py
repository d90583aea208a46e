"""Rights of the template: what functions have by themselves, what the story used, and one right less."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from infra.acceptance import rights, second
from infra.acceptance.__main__ import _spread
from infra.acceptance.engine.gaps import GAPS
from infra.expand import source
from infra.local.template import Made


@pytest.fixture
def template(tmp_path: Path) -> Path:
    return Path(shutil.copy(second.ROOT / "template.yaml", tmp_path))


def test_rights_are_what_functions_ask_for_by_themselves(template: Path) -> None:
    had = rights.granted(template)
    assert ("PostRole", "states:SendTaskSuccess") in had
    assert not [right for right in had if right[0] == "MachineRole" or right[1].startswith("logs:")]
    assert ("IntakeRole", "sqs:ReceiveMessage") not in had, "the poller asks for it, not the function"


def test_one_right_less_is_one_right_less_and_the_template_stays(template: Path) -> None:
    before, gone = template.read_text(), ("PostRole", "sqs:SendMessage")
    copy = rights.without(template, gone)
    assert rights.granted(template) - rights.granted(copy) == {gone}
    assert template.read_text() == before
    first, second_ = (source(path) for path in (template, copy))
    assert {k: v for k, v in first["Resources"].items() if k != "PostRole"} == {
        k: v for k, v in second_["Resources"].items() if k != "PostRole"
    }


@pytest.mark.parametrize(
    ("right", "said"),
    [
        (("PostRole", "sqs:Fly"), "PostRole has no sqs:Fly; there is PostRole:dynamodb:BatchGetItem"),
        (("Nobody", "sqs:SendMessage"), "Nobody has no sqs:SendMessage; there is DeskAuthorizerRole"),
    ],
)
def test_a_right_that_nobody_has_cannot_be_taken_away(right: tuple[str, str], said: str, template: Path) -> None:
    with pytest.raises(rights.Unknown, match=said):
        rights.without(template, right)


def test_what_was_used_is_told_by_the_names_of_the_template() -> None:
    decisions = [
        {"role": "stack-PostRole-1", "action": "sqs:SendMessage", "allowed": True},
        {"role": "stack-PostRole-1", "action": "s3:GetObject", "allowed": False},
    ]
    assert rights.used(decisions, {"PostRole": Made("stack-PostRole-1")}) == {("PostRole", "sqs:SendMessage")}


def test_a_sample_is_spread_over_the_roles() -> None:
    all_ = [(role, f"a:{n}") for role in "abcd" for n in range(5)]
    assert {role for role, _ in _spread(all_, 4)} == set("abcd")
    assert _spread(all_, 100) == all_


def test_the_page_names_each_gap_that_is_closed_and_how() -> None:
    page = (second.ROOT / "docs/acceptance.md").read_text()
    assert [gap.lacks for gap in GAPS if f"| {gap.lacks} | {gap.closed_by} |" not in page] == []


def test_the_python_of_a_runtime_is_found_or_said_to_be_missing() -> None:
    here = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    assert second.python(here)
    assert second.python("python2.99") is None
