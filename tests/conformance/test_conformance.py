"""The engines that tests stand on keep AWS's promises, except where the reviewed list says so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.conformance import differential, dynamo, engines, page, rows
from tests.conformance.engines import LOCAL, MODEL, SECOND, Aws

SEQUENCES = 50


@pytest.fixture
def aws() -> Iterator[Aws]:
    with engines.local() as aws:
        dynamo.make_table(aws)
        yield aws


def test_the_local_world_keeps_every_promise_but_the_reviewed_ones(aws: Aws) -> None:
    assert rows.disagreements(LOCAL, rows.ask_all(LOCAL, aws), rows.reviewed()) == []


def test_the_simulations_queue_keeps_every_promise_but_the_reviewed_ones() -> None:
    assert rows.disagreements(MODEL, rows.ask_all(MODEL, None), rows.reviewed()) == []


def test_random_writes_do_on_dynamodb_what_core_writes_says(aws: Aws) -> None:
    assert [found for seed in range(SEQUENCES) if (found := differential.differs(aws, seed))] == []


def test_rows_have_one_probe_and_a_name_of_their_own() -> None:
    assert len({row.name for row in rows.ROWS}) == len(rows.ROWS)
    for row in rows.ROWS:
        asks = (row.dynamo, row.box, row.api, row.died, row.flow, row.start, row.own)
        assert sum(bool(one) for one in asks) == 1, row.name


def test_the_page_is_what_rows_and_reviewed_list_say() -> None:
    assert page.PAGE.read_text() == page.text(), "run `python -m tests.conformance page`"


@pytest.mark.parametrize(
    ("row", "does", "said"),
    [
        ("put-if-absent", "accepted", "AWS promises 'ConditionalCheckFailedException', ministack does 'accepted'"),
        ("overlapping-paths", "ValidationException", "ministack is right now; take it off reviewed.yaml"),
        ("overlapping-paths", "fails with TypeError", "ministack did 'accepted' and does 'fails with TypeError' now"),
    ],
)
def test_a_new_lie_a_mended_one_and_a_changed_one_are_each_red(row: str, does: str, said: str) -> None:
    known = rows.reviewed()
    honest = {one.name: one.expected for one in rows.ROWS} | {r: d.does for (r, e), d in known.items() if e == SECOND}
    assert rows.disagreements(SECOND, honest, known) == []
    assert rows.disagreements(SECOND, honest | {row: does}, known) == [f"{row}: {said}"]


class _Forgets:
    """A DynamoDB client that forgets the condition of single updates."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    def update_item(self, **request: Any) -> Any:
        if condition := request.get("ConditionExpression"):
            request["ConditionExpression"] = f"attribute_not_exists(nowhere) OR ({condition})"
        return self.client.update_item(**request)


def test_a_table_that_forgets_conditions_is_found_by_random_writes(aws: Aws) -> None:
    forgetful = replace(aws, dynamodb=_Forgets(aws.dynamodb))
    assert any(differential.differs(forgetful, seed) for seed in range(5))
