"""The law of readers: held by every source that is asked as well."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.unit.systems.test_target_laws import FakeWire, always
from tieout import systems
from tieout.contract import Read
from tieout.core import credentials
from tieout.core.classify import COMMON, READING, Answer, Row, classify
from tieout.core.problems import PROBLEMS
from tieout.core.verdicts import NeedsHuman, TryAgain, Uncertain, Verdict

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
EVENTS = Path(__file__).parents[3] / "events"
#: Intake's time-out and what it needs to book a batch.
INTAKE, MARGIN = 30, 5
every_reader = pytest.mark.parametrize("name", systems.READERS)


def thin(name: str) -> list[Read]:
    """One read of each type whose object is read again, out of the captured events."""
    paths = [EVENTS / name / f"{type_}.json" for type_ in systems.source(name).rereads]
    return [systems.source(name).read(path.read_bytes())[0] for path in paths if path.exists()]


@every_reader
def test_what_it_needs_is_declared_and_it_leaves_time_to_book(name: str) -> None:
    reader = systems.reader(name)
    assert reader.name == name
    assert credentials.needs(reader.auth)
    assert reader.budget.concurrency > 0
    assert reader.quiet.client_timeout + MARGIN < INTAKE


@every_reader
def test_every_code_of_its_verdict_table_has_its_sentence_and_nothing_read_is_ever_in_doubt(name: str) -> None:
    for row in (*systems.reader(name).verdicts, *READING):
        assert row.code in PROBLEMS
        assert row.verdict is not Uncertain


@every_reader
def test_there_is_an_event_of_each_type_that_it_reads_again(name: str) -> None:
    assert len(thin(name)) == len(systems.source(name).rereads)


@every_reader
def test_it_only_ever_gets(name: str) -> None:
    for read in thin(name):
        wire = always(404)
        with pytest.raises(Verdict):
            systems.reader(name).again(wire, read)
        assert {method for method, _ in wire.asked} <= {"GET"}


HOSTILE: Mapping[str, Answer] = {
    "empty": Answer(200),
    "a page": Answer(200, {}, b"<html><body>login</body></html>"),
    "cut": Answer(200, {}, b'{"id": "x', truncated=True),
    "half": Answer(200, {}, b'{"id": "x'),
    "a list": Answer(200, {}, b"[]"),
    "a number": Answer(200, {}, b"7"),
    "another": Answer(200, {}, b'{"id": "somebody-else"}'),
    "deep": Answer(200, {}, b"[" * 100_000),
    "a redirect": Answer(302, {"location": "https://evil.example/"}),
    "a teapot": Answer(418, {}, b"x"),
}


@every_reader
@pytest.mark.parametrize("answer", HOSTILE.values(), ids=HOSTILE)
def test_a_strange_answer_is_a_verdict_and_never_an_object(name: str, answer: Answer) -> None:
    for read in thin(name):
        with pytest.raises(Verdict) as said:
            systems.reader(name).again(FakeWire(lambda method, path: answer), read)
        assert said.value.code in PROBLEMS


@every_reader
@pytest.mark.parametrize(("status", "kind"), [(401, TryAgain), (403, NeedsHuman), (404, NeedsHuman), (429, TryAgain)])
def test_what_http_says_means_the_same_everywhere(name: str, status: int, kind: type[Verdict]) -> None:
    for read in thin(name):
        with pytest.raises(kind):
            systems.reader(name).again(always(status, {}), read)


# --- Zuora ---------------------------------------------------------------------------------------------------------
def zuora(code: int, status: int = 200) -> Verdict:
    body = {"success": False, "processId": "CBCFED6580B4E076", "reasons": [{"code": code, "message": "no"}]}
    with pytest.raises(Verdict) as said:
        systems.reader("zuora").again(always(status, body, **{"retry-after": "7"}), thin("zuora")[0])
    return said.value


@pytest.mark.parametrize("status", [200, 400, 429])
@pytest.mark.parametrize(
    ("sort", "kind", "code"),
    [
        (10, NeedsHuman, "source_forbidden"), (11, TryAgain, "target_credentials"), (20, NeedsHuman, "target_refused"),
        (40, NeedsHuman, "source_gone"), (50, TryAgain, "target_conflict"), (60, TryAgain, "target_down"),
        (61, TryAgain, "target_down"), (70, TryAgain, "target_busy"), (99, TryAgain, "target_down"),
    ],
)  # fmt: skip
def test_the_last_two_digits_of_zuora_s_reason_say_of_what_sort_it_is(
    status: int, sort: int, kind: type[Verdict], code: str
) -> None:
    said = zuora(53100000 + sort, status)
    assert (type(said), said.code) == ((kind, code) if (status, sort) != (429, 20) else (TryAgain, "target_busy"))
    if code == "target_busy":
        assert said.facts["after"] == "7"


def test_zuora_s_tenants_with_several_entities_name_theirs_in_a_header() -> None:
    seen: list[Mapping[str, str]] = []

    class Wire(FakeWire):
        def call(self, method: str, path: str, *, headers: Any = None, body: bytes | None = None) -> Answer:
            seen.append(headers)
            return super().call(method, path, headers=headers, body=body)

    read = thin("zuora")[0]
    shown = json.dumps({"id": read.object_id}).encode()
    for settings in ({}, {"entity_ids": "e1"}):
        again = systems.reader("zuora").again(Wire(lambda m, p: Answer(200, {}, shown), settings=settings), read)
        assert again.object == {"id": read.object_id}
        assert again.object_version == read.object_version
    assert [headers.get("Zuora-Entity-Ids") for headers in seen] == [None, "e1"]
    assert all(headers["Zuora-Version"] for headers in seen)


def test_a_common_row_never_answers_before_the_rows_of_reading() -> None:
    rows: tuple[Row, ...] = (*systems.reader("zuora").verdicts,)
    assert classify(rows, Answer(403), "").code == "source_forbidden"  # type: ignore[union-attr]
    assert classify((), Answer(403), "").code in {row.code for row in COMMON}  # type: ignore[union-attr]
