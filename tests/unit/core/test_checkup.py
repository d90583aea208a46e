"""What answers show of an account, as values."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tieout.core.checkup import (
    Finding,
    Limit,
    Metadata,
    at_once,
    clock,
    declared_limits,
    failed,
    limits,
    worst,
)
from tieout.core.classify import Answer
from tieout.core.described import Field, Reading, Sent, compare
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


def test_what_a_limit_is_of_may_stand_in_a_header_of_its_own() -> None:
    rest = Limit("calls of the day", "left", whole="whole")
    [found] = limits([rest], {"left": "9", "whole": "100"})
    assert (found.state, found.said) == ("warn", "9 left of 100")
    assert limits([rest], {"left": "9", "whole": "many"})[0].said == "9 left"


def test_what_we_write_and_they_describe_otherwise_is_a_finding() -> None:
    declared = Metadata("invoice", "create", "/x", Reading(), {"a": "string(10)"}, skip=("id",), given=("d",))
    sent = Sent(frozenset({"a", "id"}), frozenset({"b"}))

    def found(live: dict[str, Field], one: Metadata = declared) -> tuple[str, str]:
        said = compare(one, sent, live)
        return said.state, said.said

    assert found({"a": Field("string", 10), "b": Field(), "d": Field(required=True)}) == ("good", "all 2 known")
    assert found({"a": Field("string", 9)}) == (
        "bad", "not known there any more: b; a takes 9 characters, not 10"
    )  # fmt: skip
    assert found({}) == ("unknown", "the description lists no fields")
    wanting = {"a": Field(), "b": Field(), "c": Field(required=True)}
    assert found(wanting) == ("bad", "mandatory and never sent: c")
    unsure = replace(declared, reading=Reading(sure=False))
    assert found(wanting, unsure) == ("warn", "mandatory and never sent: c")
    assert found({**wanting, "a": Field("number")}, unsure)[0] == "bad"


def test_the_limits_that_we_keep_are_named_and_the_account_s_own_goes_before_them() -> None:
    assert declared_limits(5, [(500, 60)], told=False).said == "none is told, declared: 5 calls at once, 500 in 60 s"
    assert declared_limits(None, [], told=True).said == "declared: no limit"
    assert [at_once(allowed, 5).state for allowed in (None, 4, 5)] == ["unknown", "warn", "good"]


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
