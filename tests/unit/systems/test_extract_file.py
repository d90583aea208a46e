"""The extract's files: written once, proven by their manifest, and loaded once by whoever reads manifests only."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from infra.accept import examples, outcome
from infra.local.sandbox.agenda import Agenda
from infra.local.sandbox.extract import Lake
from tests.integration.systems.conftest import Files, Ours
from tieout import systems
from tieout.aws.http import DropWire
from tieout.contract import Work
from tieout.core.verdicts import NeedsHuman, TryAgain, Uncertain, Verdict

NOW = datetime(2026, 11, 23, 23, 59, 59, tzinfo=UTC)
TARGET = systems.target("extract")
USUAL = {one.mapping: outcome(one)["makes"] for one in examples() if one.name.startswith("extract.")
         and one.path.stem == "usual"}  # fmt: skip


class Bench:
    """A drop, the wire to it, and the lake that loads from it. ``trouble`` strikes before the write of that number."""

    def __init__(self) -> None:
        self.files = Files("extract/acme/")
        self.trouble: dict[int, Callable[[], None]] = {}
        self.puts = 0
        self.wire = DropWire("acme", self)
        self.lake = Lake("acme", lambda: NOW, Agenda(lambda: NOW), 0)
        self.lake.drop = self.files

    def put_once(self, name: str, body: bytes) -> bool:
        self.puts += 1
        self.trouble.get(self.puts, lambda: None)()
        return Ours(self.files).put_once(name, body)

    def get(self, name: str) -> bytes | None:
        return Ours(self.files).get(name)

    def names(self, folder: str) -> list[tuple[str, datetime]]:
        return Ours(self.files).names(folder)

    def send(self, *works: Work) -> list[Any]:
        return list(TARGET.send(self.wire, works))

    def find(self, work: Work) -> str:
        return TARGET.find(self.wire, dataclasses.replace(work, since=work.now, now=work.now + timedelta(days=1))).state


def work(
    mark: str = "1",
    kind: str = "invoice",
    entity: str = "US01",
    batch: str = "b1",
    change_of: Any = None,
    **change: Any,
) -> Work:
    ref = TARGET.reference.of(f"{kind}{mark}")
    payload = {**USUAL[f"extract.{kind}"], "object_id": f"in_{mark}", "entity": entity, **change, **(change_of or {})}
    return Work(
        f"{kind}/{mark}", kind, "create", ref, entity, "acme", "USD", 54438,
        TARGET.build(kind, "create", ref, payload), NOW, batch=batch,
    )  # fmt: skip


def raising(verdict: Verdict) -> Callable[[], None]:
    def act() -> None:
        raise verdict

    return act


def test_a_batch_is_a_file_and_a_manifest_an_entity_on_the_day_it_was_claimed() -> None:
    bench = Bench()
    echoes = bench.send(work("1"), work("2", "payment"), work("3", entity="DE01"))
    assert [(echo.currency, echo.total) for echo in echoes] == [("USD", 54438)] * 3
    day = "ingest_date=2026-11-23"
    assert sorted(bench.files.files) == sorted(
        f"extract/acme/{place}/{day}/b1-{entity}.{end}"
        for entity in ("US01", "DE01")
        for place, end in (("documents", "jsonl"), ("manifests", "json"))
    )
    manifest = json.loads(bench.files.files[f"extract/acme/manifests/{day}/b1-US01.json"])
    assert manifest["control"] == {
        "invoice:create:USD": {"count": 1, "amount": "544.38"},
        "payment:create:USD": {"count": 1, "amount": "544.38"},
    }
    assert bench.lake.load()[1] == []
    assert len(bench.lake.book()) == 3


def test_control_totals_are_exact() -> None:
    bench = Bench()
    bench.send(*(work(str(number), amount="0.10") for number in range(1000)))
    [manifest] = [json.loads(body) for name, body in bench.files.files.items() if "manifests" in name]
    assert manifest["control"]["invoice:create:USD"] == {"count": 1000, "amount": "100.00"}


def test_the_same_batch_twice_is_one_and_another_batch_with_the_same_document_is_loaded_once() -> None:
    bench = Bench()
    bench.send(work())
    before = dict(bench.files.files)
    bench.send(work())
    assert bench.files.files == before
    bench.send(work(batch="b2"))
    assert len(bench.files.files) == 4
    assert len(bench.lake.book()) == 1


def test_another_content_under_a_name_that_is_there_is_never_written_over() -> None:
    bench = Bench()
    bench.send(work())
    before = dict(bench.files.files)
    with pytest.raises(Uncertain, match="target_conflict"):
        bench.send(work(amount="1.00"))
    assert bench.files.files == before


def test_find_sees_what_was_written_and_only_what_a_manifest_vouches_for() -> None:
    bench = Bench()
    one, other = work("1"), work("2")
    assert bench.find(one) == "absent"
    bench.send(one)
    assert (bench.find(one), bench.find(other)) == ("complete", "absent")
    name = "extract/acme/documents/ingest_date=2026-11-23/b1-US01.jsonl"
    bench.files.files[name] += b"{}\n"
    assert bench.find(one) == "ambiguous"
    assert bench.lake.load() == ({}, [f"{name.replace('documents', 'manifests').removesuffix('l')}: another hash"])


def test_a_line_over_another_amount_is_for_a_person() -> None:
    bench = Bench()
    bench.send(work(amount="544.39"))
    assert bench.find(work()) == "ambiguous"


@pytest.mark.parametrize(
    ("struck", "trouble", "raised", "left"),
    [
        (1, TryAgain("target_unreachable"), TryAgain, 0),
        (1, Uncertain("target_lost"), Uncertain, 0),
        (2, TryAgain("target_unreachable"), Uncertain, 1),
        (2, Uncertain("target_lost"), Uncertain, 1),
    ],
)
def test_a_file_without_its_manifest_is_doubt_that_a_look_ends_as_absent(
    struck: int, trouble: Verdict, raised: type[Verdict], left: int
) -> None:
    bench = Bench()
    bench.trouble[struck] = raising(trouble)
    with pytest.raises(raised):
        bench.send(work())
    assert len(bench.files.files) == left
    assert bench.find(work()) == "absent"
    assert bench.lake.book() == []
    bench.send(work(batch="b2"))
    assert len(bench.lake.book()) == 1


def test_a_second_entitys_trouble_leaves_the_first_in_doubt_and_not_unsent() -> None:
    bench = Bench()
    bench.trouble[3] = raising(TryAgain("target_unreachable"))
    with pytest.raises(Uncertain):
        bench.send(work("1"), work("2", entity="DE01"))
    assert (bench.find(work("1")), bench.find(work("2", entity="DE01"))) == ("complete", "absent")


def test_text_that_a_spreadsheet_would_run_or_that_breaks_a_line_stays_one_json_text() -> None:
    bench = Bench()
    evil = '=HYPERLINK("http://x")\n{"ref": "TIE-EVIL"}'
    bench.send(work(number=evil))
    [content] = [body for name, body in bench.files.files.items() if name.endswith(".jsonl")]
    [line] = content.splitlines()
    assert json.loads(line)["number"] == evil
    assert len(bench.lake.book()) == 1


@pytest.mark.parametrize("name", ["currency", "posting_period", "event_time", "version"])
def test_a_line_without_what_places_it_is_none(name: str) -> None:
    with pytest.raises(NeedsHuman, match="mapping_value_missing"):
        work(change_of={name: None})


def test_a_later_state_of_a_document_shares_its_reference_and_is_looked_for_apart() -> None:
    bench = Bench()
    bench.send(work())
    assert bench.find(work(version="9")) == "absent"
    bench.send(work(version="9", batch="b2"))
    assert len(bench.lake.load()[0]) == 2
    assert len(bench.lake.book()) == 1
