"""What answers show of an account, as values."""

from __future__ import annotations

from typing import Any

import pytest

from tieout.core.checkup import Finding, Limit, Metadata, clock, drift, failed, fields, limits, worst
from tieout.core.classify import Answer
from tieout.core.ledger import instant
from tieout.core.verdicts import NeedsHuman, TryAgain, Uncertain

NOW = instant("2026-11-23T12:00:00.000Z")
USAGE = Limit("calls of the day", "sforce-limit-info", r"api-usage=(?P<used>\d+)/(?P<of>\d+)")


@pytest.mark.parametrize(
    ("date", "state"),
    [
        ("Mon, 23 Nov 2026 12:00:07 GMT", "good"),
        ("Mon, 23 Nov 2026 11:59:52 GMT", "bad"),
        ("Mon, 23 Nov 2026 12:00:08 GMT", "bad"),
        ("", "unknown"),
        ("yesterday", "unknown"),
    ],
)
def test_clocks_agree_within_what_is_allowed_and_the_seconds_of_the_way(date: str, state: str) -> None:
    assert clock(Answer(200, {"date": date}), NOW, 5).state == state


@pytest.mark.parametrize(
    ("told", "state", "said"),
    [
        ("api-usage=18/5000", "good", "4982 left of 5000"),
        ("api-usage=4501/5000", "warn", "499 left of 5000"),
        ("api-usage=5000/5000", "warn", "0 left of 5000"),
        ("", "unknown", "the answer has no sforce-limit-info"),
    ],
)
def test_a_limit_that_runs_short_is_told(told: str, state: str, said: str) -> None:
    [found] = limits([USAGE], {"sforce-limit-info": told})
    assert (found.state, found.said) == (state, said)


def test_a_limit_without_its_whole_is_short_only_when_nothing_is_left() -> None:
    rest = Limit("calls of the minute", "x-minlimit-remaining")
    assert [limits([rest], {"x-minlimit-remaining": left})[0].state for left in ("1", "0")] == ["good", "warn"]


def test_fields_are_keys_or_named_members_and_an_empty_description_shows_nothing() -> None:
    keyed = Metadata("invoice", "create", "/x", members=("properties",))
    named = Metadata("invoice", "create", "/x", members=("fields",), named="name")
    assert fields(keyed, {"properties": {"a": {}, "b": {}}}) == frozenset({"a", "b"})
    assert fields(named, {"fields": [{"name": "a"}, {"label": "b"}, "c"]}) == frozenset({"a"})
    nothing: list[Any] = [None, {}, {"properties": {}}, {"fields": []}, [], "x"]
    for body in nothing:
        assert fields(keyed, body) is None
        assert fields(named, body) is None


def test_what_we_write_and_they_no_longer_know_is_named() -> None:
    declared = Metadata("invoice", "create", "/x", skip=("id",))
    assert drift(declared, frozenset({"a", "id"}), frozenset({"a", "b"})).state == "good"
    gone = drift(declared, frozenset({"a", "c", "d"}), frozenset({"a"}))
    assert (gone.state, gone.said) == ("bad", "not known there any more: c, d")
    assert drift(declared, frozenset({"a"}), None).state == "unknown"


def test_a_refusal_is_bad_and_a_silence_is_unknown() -> None:
    assert failed("x", NeedsHuman("target_forbidden", said="no rights")) == Finding(
        "x", "bad", "target_forbidden: no rights"
    )
    assert failed("x", TryAgain("target_credentials")).state == "bad"
    assert [failed("x", one("target_lost")).state for one in (Uncertain, TryAgain)] == ["unknown", "unknown"]


def test_a_whole_account_is_called_by_its_worst_finding() -> None:
    states = ["good", "unknown", "warn", "bad"]
    for count in range(1, 5):
        assert worst(Finding("x", one, "") for one in states[:count]) == states[count - 1]  # type: ignore[arg-type]
    assert worst([]) == "unknown"
