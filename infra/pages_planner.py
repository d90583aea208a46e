"""The page of the planner: what becomes of a document that its source takes back or changes, row by row."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from infra.pages import Files, cell, grid, page
from tieout.core.planner import ROWS, At, Does, Period, Row, Says, Takes

#: What each word means. A word without a sentence, or a sentence without a word, stops the generator.
HEADS: Final = {
    Says.VOIDED: "The source takes the document back as a whole",
    Says.CHANGED: "The source tells other content under the same id",
    Says.CREDITED: "The source credits it, by a document of its own",
    Says.RENEWED: "The source tells a newer version of what changes in place",
}
STANDS: Final = {
    At.UNSENT: "NEW, HELD or REFUSED: certainly not at the target",
    At.UNDERWAY: "SENDING, DELIVERED or IN_DOUBT: it may be there",
    At.UNKNOWN: "AMBIGUOUS: the look could not decide",
    At.POSTED: "POSTED, and nothing that we booked is applied to it",
    At.APPLIED: "POSTED, and a payment or a credit that we booked is applied to it",
    At.GONE: "withdrawn unsent, taken back by an undo or by a void",
}
DONE: Final = {
    Does.WITHDRAW: "both end unsent, in one write that is refused where the document has moved on meanwhile",
    Does.REPLACE: "the older ends unsent, the newer is posted",
    Does.WAIT: "nothing yet: it keeps its place in the lane",
    Does.UPDATE: "written over the older, under the same reference",
    Does.VOID: "the target voids the document itself",
    Does.REVERSE: "a dated document takes the whole back and is applied to it",
    Does.CREDIT: "a credit on account, or one applied to what is open",
    Does.VOID_AND_REBILL: "void, then post the newer",
    Does.CREDIT_AND_REBILL: "credit the whole into an open period, then post the newer",
    Does.NOTHING: "it ends unsent: there is nothing to do",
    Does.STOP: "a case: a person decides and acts outside",
}


def planner_page() -> Files:
    """The whole table, a section a word of the source."""
    for words, known in ((Says, HEADS), (At, STANDS), (Does, DONE)):
        if set(words) != set(known):
            raise ValueError(f"a word of {words.__name__} lacks its sentence")
    body: list[str] = []
    for says, head in HEADS.items():
        rows = [_row(row) for row in ROWS if row.says is says]
        body += [f"## {head}", "", *grid(("Our posting", "Its period", "Target takes back", "What is done", "Why",
                                          "Books change by"), rows), ""]  # fmt: skip
    lists = [
        ["## Where a posting stands", "", *grid(("Word", "Means"), [(str(a), b) for a, b in STANDS.items()]), ""],
        ["## What may be done", "", *grid(("Word", "Means"), [(str(a), b) for a, b in DONE.items()])],
    ]
    return {
        "docs/planner.md": page(
            "What becomes of a document that is taken back or changed",
            "`shared/tieout/core/planner.py`",
            [f"{len(Says) * len(At) * len(Period) * len(Takes)} combinations, each with exactly one row; a test counts",
             "them. *Agreed* means that a person must agree first. What the verbs carry out of it by themselves today:",
             "everything about a void and a credit note, and newer versions. Other content under the same id is a case",
             "that shows its plan (`document_conflict`); carrying that plan out is a person's work at the source."],
            body,
            *lists,
        )
    }  # fmt: skip


def _row(row: Row) -> tuple[str, ...]:
    does = f"**{row.does}**" + (", agreed" if row.person else "")
    parts = [f"{_sign(row.old)} the old amount" if row.old else "", f"{_sign(row.new)} the new" if row.new else ""]
    effect = ", ".join(part for part in parts if part) or "nothing"
    return (_words(row.at, At), _words(row.period, Period), _words(row.takes, Takes), does, cell(row.why), effect)


def _sign(factor: int) -> str:
    return "plus" if factor > 0 else "minus"


def _words(chosen: Sequence[StrEnum], all_: type[StrEnum]) -> str:
    return "any" if len(chosen) == len(all_) else ", ".join(chosen)
