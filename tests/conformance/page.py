"""The derived page `docs/conformance.md`: the rows, and the reviewed list."""

from __future__ import annotations

from typing import Final

from infra.pages import cell, grid, page
from tests.conformance import rows
from tests.conformance.engines import ROOT

PAGE: Final = ROOT / "docs/conformance.md"


def text() -> str:
    """The page as it must be."""
    listed = [(f"`{d.row}`", d.engine, cell(d.does), d.reason, d.consequence) for d in rows.reviewed().values()]
    asked = [(f"`{name}`", *(cell(one) for one in rest)) for name, *rest in rows.facts()]
    return page(
        "Do the stand-ins behave like AWS?",
        "`tests/conformance/rows.py` and `tests/conformance/reviewed.yaml`",
        ["No AWS account stands behind this page. Each row is a promise that AWS makes in its documentation, and a",
         "probe that asks three engines: *local* is moto under the shims of `infra/local`, on which tests and",
         "`make run` stand; *ministack* is a second, independent emulator as it is published (`make conformance`;",
         "`make acceptance` closes some of its gaps); *model* is what `tests/simulation` has of AWS, asked where it",
         "has words for the question, and alone about throttles and late reads. A cell is *right*, or what the engine",
         "does instead. What differs is on a reviewed list. A row that changes, for better or worse, is red.",
         "",
         "Besides, 200 seeded sequences of random ledger writes go to `core.writes` and to the DynamoDB of *local* and",
         "of *ministack*: refusals, what they show, and items must be the same (50 of them on *local* in `make test`).",
         "",
         "Not asked, because the product does not use them: streams, and expiry of items in the ledger. Not to be",
         "asked of any engine here: throttling and eventual reads as AWS does them; the model's are its own."],
        grid(("Row", "AWS promises", "Source", "Expected", *rows.ENGINES), asked),
        ["## The reviewed list"],
        grid(("Row", "Engine", "Does", "Why it is borne", "What follows for tests"), listed),
    )  # fmt: skip
