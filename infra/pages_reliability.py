"""Pages of the posting protocol: the state machine and its moves, the verdict table of every target, the gates.

All are read where the product reads them (`core/ledger.py`, `core/classify.py`, the systems' own rows).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from infra.pages import Files, cell, code, grid, page
from tieout import systems
from tieout.core import ledger
from tieout.core.classify import COMMON, READING, Row
from tieout.core.gates import GATES
from tieout.core.problems import PROBLEMS

#: What a state is, in a sentence. A state without one, or a sentence without a state, stops the generator.
MEANS: Final = {
    ledger.NEW: "made, or proven absent at the target; waits for its message or its turn in the lane",
    ledger.SENDING: "claimed with its intent; whoever holds the lease may be calling the target now",
    ledger.DELIVERED: "handed over in a file or a job; the target acknowledges later",
    ledger.IN_DOUBT: "it may have been written; left alone for the quiet period, then looked for",
    ledger.AMBIGUOUS: "the look could not decide; a person does",
    ledger.REFUSED: "the target, or a gate, refused it for good; a person mends the cause",
    ledger.HELD: "nothing is wrong; it waits for a named thing",
    ledger.POSTED: "the target showed our key, currency and total",
    ledger.SUPERSEDED: "a newer state made it needless, its source took it back, or people ended it: never sent",
    ledger.COMPENSATED: "it was posted and has been taken back",
}


def state_page() -> Files:
    """The states, what people are shown, and every legal move, as a table and as a drawing."""
    states = [state for state in ledger.MOVES if state]
    if set(states) != set(MEANS) or set(states) != set(ledger.SHOWN):
        raise ValueError("a state lacks its sentence or its word for people, or one is named that does not exist")
    rows = [
        (
            code(state),
            ledger.SHOWN[state],
            MEANS[state],
            ", ".join(code(to) for to in _ordered(state)) or "nothing: final",
            "no" if state in ledger.TERMINAL else "yes",
        )
        for state in states
    ]
    return {
        "docs/state-machine.md": page(
            "The state machine of a posting",
            "`shared/tieout/core/ledger.py`",
            ["Every move is one conditional write on state, epoch and the tail of the history, and one line of that",
             "history, chained by hash. A move that is not in this table raises. A state that is not final must be",
             "due: probe looks at whatever is, so that nothing waits unseen."],
            list(_drawing(states)),
            grid(("State", "People see", "Means", "May become", "Must be due"), rows),
        )
    }  # fmt: skip


def _ordered(state: str) -> list[str]:
    order = list(ledger.MOVES)
    return sorted(ledger.MOVES[state], key=order.index)


def _drawing(states: list[str]) -> Iterator[str]:
    yield "```mermaid"
    yield "stateDiagram-v2"
    yield "    [*] --> NEW"
    for state in states:
        yield from (f"    {state} --> {to}" for to in _ordered(state) if to != state)
    yield from (f"    {state} --> [*]" for state in states if not ledger.MOVES[state])
    yield "```"


def verdict_page() -> Files:
    """The common rows of the classifier, each target's own before them, and what every code then means for a person."""
    own = [
        [f"## {name}", "", *grid(HEADS, [_row(row) for row in rows])]
        for name in systems.TARGETS
        if (rows := systems.target(name).verdicts)
    ]
    asked = [
        [
            f"## {name}, asked",
            "",
            *grid(HEADS, [_row(row) for row in systems.reader(name).verdicts if row not in READING]),
        ]
        for name in systems.READERS
    ]
    return {
        "docs/verdicts.md": page(
            "Verdicts",
            "`shared/tieout/core/classify.py` and the targets' own rows",
            ["An answer of a target becomes a verdict by the first row that matches: the target's own rows first, then",
             "the common ones. `says` must be contained in the target's error code or message. A 2xx that no row",
             "refuses is *done* once the echo was seen; whatever no row names is `Uncertain`: it is looked at before",
             "anything is sent again."],
            ["| Verdict | What happens next |", "|---|---|",
             "| `TryAgain` | nothing was written; again with back-off and jitter, or after what the target asked for |",
             "| `Uncertain` | it may have been written; in doubt, quiet period, look |",
             "| `NotYet` | held until the named thing is there |",
             "| `NeedsHuman` | refused; a case with its owner |",
             "| `Ignore` | none of our business; said in the log |"],
            ["## Common", "", *grid(HEADS, [_row(row) for row in COMMON])],
            *own,
            ["## Reading", "",
             "Where a source is only asked, nothing is ever in doubt: an event whose object cannot be read waits for",
             "its source (or is a case, and is asked for all the same). These rows come before the common ones.",
             "", *grid(HEADS, [_row(row) for row in READING])],
            *asked,
        )
    }  # fmt: skip


def gate_page() -> Files:
    """The gates in their order, with the sentence that a person reads of each code."""
    rows = [
        (
            str(position),
            gate.name,
            cell(gate.guards),
            "<br>".join(f"{code(one)}: {cell(PROBLEMS[one].sentence)}" for one in gate.codes),
            cell(gate.opens),
        )
        for position, gate in enumerate(GATES, 1)
    ]
    return {
        "docs/gates.md": page(
            "The gates before a posting",
            "`shared/tieout/core/gates.py`",
            ["Each is a pure check of what was read for the posting; the first that objects decides, and nothing of",
             "the posting has left us then. Two more stand behind them: the rendering holds whatever a table does not",
             "map, and the claim takes a slot of the target's budget in the same write (`budget_spent`). Ownership is",
             "asked by kind of document. By field it is governed data for people, and no gate asks it: whether a",
             "value is another than its owner's shows only beside the owner's, which the ledger does not keep once a",
             "document is posted; and to leave fields out by the table alone would make customers without an address."],
            grid(("", "Gate", "Guards", "Says", "Opens by"), rows),
        )
    }  # fmt: skip


HEADS: Final = ("Status", "Says", "Verdict", "Code", "A person reads", "Case")


def _row(row: Row) -> tuple[str, ...]:
    entry = PROBLEMS[row.code]
    status = str(row.status) if row.status > 9 else f"{row.status}xx"
    case = entry.owner if entry.case else "no"
    return status, code(row.says), row.verdict.__name__, code(row.code), cell(entry.sentence), case
