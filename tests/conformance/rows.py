"""The rows: what AWS promises, where it says so, and the probe that asks an engine.

`reviewed.yaml` lists where an engine is known to differ; everything else must be as promised, and what is listed must
still differ, so that an upgrade turns a row red in either direction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from tests.conformance import dynamo, letters
from tests.conformance.engines import LOCAL, MODEL, SECOND, Aws

ENGINES: Final = (LOCAL, SECOND, MODEL)
REVIEWED: Final = Path(__file__).parent / "reviewed.yaml"
Observed = Mapping[str, str]

_CONDITIONS: Final = "Developer Guide, Condition expressions"
_UPDATES: Final = "Developer Guide, Update expressions"
_TRANSACT: Final = "API Reference, TransactWriteItems"
_LIMITS: Final = "Developer Guide, Service, account and table quotas"
_TYPES: Final = "Developer Guide, Supported data types"
_INDEX: Final = "Developer Guide, Global secondary indexes"
_WORDS: Final = "Developer Guide, Expression attribute names and values"
_FIFO: Final = "SQS Developer Guide, FIFO delivery logic"
_ONCE: Final = "SQS Developer Guide, Exactly-once processing"
_SHOWN: Final = "SQS Developer Guide, Visibility timeout"
_DEAD: Final = "SQS Developer Guide, Dead-letter queues"
_DELETE: Final = "SQS API Reference, DeleteMessage"
_SIZES: Final = "SQS Developer Guide, Message quotas"


@dataclass(frozen=True)
class Probe:
    """One row. Exactly one of ``dynamo``, ``box`` (with ``fifo``) and ``api`` asks."""

    name: str
    promise: str
    source: str
    expected: str
    dynamo: Callable[[Aws], str] | None = None
    box: Callable[[letters.Box], str] | None = None
    api: Callable[[letters.SqsBox], str] | None = None
    fifo: bool = True

    @property
    def engines(self) -> tuple[str, ...]:
        """Who is asked: the model only knows delivery."""
        return ENGINES if self.box else (LOCAL, SECOND)

    def ask(self, engine: str, aws: Aws | None) -> str:
        """What the engine does; an error that is no refusal is told by its type."""
        try:
            if self.dynamo:
                assert aws is not None
                return self.dynamo(aws)
            if self.box:
                return self.box(letters.ModelBox(self.fifo) if aws is None else letters.SqsBox(aws, self.fifo))
            assert self.api is not None
            assert aws is not None
            return self.api(letters.SqsBox(aws, self.fifo))
        except Exception as error:
            return f"fails with {type(error).__name__}"


def _table(rows: Iterable[tuple[str, str, str, str, Callable[[Aws], str]]]) -> tuple[Probe, ...]:
    return tuple(Probe(name, promise, source, want, dynamo=ask) for name, promise, source, want, ask in rows)


BAD: Final = "ValidationException"
REFUSED: Final = "ConditionalCheckFailedException"
CANCELLED: Final = "TransactionCanceledException"

DYNAMO: Final = _table((
    ("put-if-absent", "A conditional put of an existing item is refused", _CONDITIONS, REFUSED, dynamo.second_put),
    ("refused-put-shows-item", "A refusal returns the item if asked to", "API Reference, PutItem", "shown",
     dynamo.refused_put_shows_item),
    ("one-winner", "Of eight conditional puts at once, one wins", _CONDITIONS, "1 winner", dynamo.one_winner),
    ("atomic-add", "Increments at once are all counted", _UPDATES, "80 of 80", dynamo.atomic_add),
    ("optimistic-lock", "No update is lost under an optimistic lock", _CONDITIONS, "none lost", dynamo.optimistic_lock),
    ("absent-is-not-less", "A comparison with an absent attribute does not hold", _CONDITIONS, REFUSED,
     dynamo.absent_is_not_less),
    ("true-is-not-one", "A boolean never equals a number", _TYPES, REFUSED, dynamo.true_is_not_one),
    ("update-makes-item", "ADD and list_append make item, number and list", _UPDATES, "n=2 l=1",
     dynamo.update_makes_item),
    ("all-or-nothing", "One refused condition refuses all", _TRANSACT, f"{CANCELLED}, 1 item", dynamo.all_or_nothing),
    ("reasons-in-order", "Reasons stand in the order of the actions", _TRANSACT, "None,ConditionalCheckFailed",
     dynamo.reasons_in_order),
    ("reason-shows-item", "A reason shows the item if asked to", _TRANSACT, "shown", dynamo.reason_shows_item),
    ("same-item-twice", "A transaction may name an item once", _TRANSACT, BAD, dynamo.same_item_twice),
    ("hundred-actions", "A transaction has at most 100 actions", _TRANSACT, f"100 accepted, 101 {BAD}",
     dynamo.hundred_and_one),
    ("four-megabytes", "A transaction has at most 4 MB", _TRANSACT, BAD, dynamo.four_megabytes),
    ("token-repeated", "The same token and request within ten minutes happens once", _TRANSACT, "n=1",
     dynamo.token_repeated),
    ("token-for-another", "The same token with another request is refused", _TRANSACT,
     "IdempotentParameterMismatchException", dynamo.token_for_another),
    ("check-on-absent", "A check that an item is absent needs no item", _TRANSACT, "accepted", dynamo.check_on_absent),
    ("item-size", "An item has at most 400 KB", _LIMITS, f"under accepted, over {BAD}", dynamo.item_size),
    ("exact-subtraction", "Numbers are decimal: 100.30 - 100.20 is 0.1", _TYPES, "0.1", dynamo.subtraction),
    ("numbers-normalised", "Trailing zeros are trimmed", _TYPES, "1", dynamo.normalised),
    ("38-digits", "A number has at most 38 digits", _TYPES, f"38 accepted, 39 {BAD}", dynamo.digits),
    ("reserved-word", "A reserved word as a bare name is refused", _WORDS, BAD, dynamo.reserved_word),
    ("unused-value", "A value that no expression uses is refused", _WORDS, BAD, dynamo.unused_value),
    ("unused-name", "A name that no expression uses is refused", _WORDS, BAD, dynamo.unused_name),
    ("overlapping-paths", "Two clauses may not change one path", _UPDATES, BAD, dynamo.overlapping_paths),
    ("key-changed", "A key attribute cannot be changed", "API Reference, UpdateItem", BAD, dynamo.key_changed),
    ("empty-string", "An empty string is a value, not a key", _TYPES, f"attribute accepted, key {BAD}",
     dynamo.empty_key),
    ("sparse-index", "An index shows items that have both its keys, and forgets them", _INDEX, "1 then 0",
     dynamo.sparse_index),
    ("index-key-type", "An index key of another type is refused", _INDEX, BAD, dynamo.index_key_type),
    ("index-key-empty", "An empty index key is refused", _INDEX, BAD, dynamo.index_key_empty),
    ("index-eventual", "A global index refuses a consistent read", _INDEX, BAD, dynamo.consistent_index),
    ("page-of-1-mb", "A page ends at 1 MB", "Developer Guide, Paginating table query results",
     "cut, with a key to go on", dynamo.one_megabyte_page),
    ("byte-order", "Strings sort by their UTF-8 bytes", _TYPES, "5A 61 FF5E 1F600", dynamo.byte_order),
    ("batch-get-twice", "A batch may name a key once", "API Reference, BatchGetItem", BAD, dynamo.batch_get_twice),
    ("batch-get-100", "A batch has at most 100 keys", "API Reference, BatchGetItem", BAD, dynamo.batch_get_many),
))  # fmt: skip

DELIVERY: Final = (
    Probe("group-blocked", "FIFO: nothing of a group while one is in flight; other groups flow", _FIFO, "a1 then b1",
          box=letters.group_blocked),
    Probe("order-after-failure", "FIFO: order holds after a partial failure", _FIFO, "a1,a2",
          box=letters.order_after_failure),
    Probe("swallowed-in-queue", "FIFO: the same deduplication id is taken once", _ONCE, "a",
          box=letters.swallowed_in_queue),
    Probe("swallowed-after-delete", "FIFO: for five minutes, also after the delete", _ONCE, "nothing",
          box=letters.swallowed_after_delete),
    Probe("invisible-fifo", "FIFO: in flight is invisible until the time-out", _SHOWN, "a, nothing, a",
          box=letters.invisible),
    Probe("invisible-standard", "Standard: in flight is invisible until the time-out", _SHOWN, "a, nothing, a",
          box=letters.invisible, fifo=False),
    Probe("counted", "Receives are counted", "SQS API Reference, ReceiveMessage", "1,2", box=letters.counted),
    Probe("next-after-death", "FIFO: when the head is dead, the next of its group flows", _DEAD, "a2",
          box=letters.next_after_death),
    Probe("id-after-death", "A dead letter keeps its message id", _DEAD, "same id", box=letters.id_after_death),
    Probe("stale-receipt-fifo", "FIFO: an expired receipt deletes nothing", _DELETE, "kept",
          box=letters.stale_receipt),
    Probe("stale-receipt-standard", "Standard: only the latest receipt deletes", _DELETE, "kept",
          box=letters.stale_receipt, fifo=False),
)  # fmt: skip

API: Final = (
    Probe("visible-prefix", "FIFO: a head made visible is delivered while a later one is in flight",
          "LocalStack issue 13386", "a0", api=letters.prefix_while_later_in_flight),
    Probe("not-in-flight", "Visibility can be changed only in flight", "SQS API Reference, ChangeMessageVisibility",
          "MessageNotInflight", api=letters.not_in_flight, fifo=False),
    Probe("size-in-bytes", "A message has at most 1 MiB, in bytes", _SIZES, "refused", api=letters.too_many_bytes),
    Probe("refused-characters", "Control characters are refused", "SQS API Reference, SendMessage", "refused",
          api=letters.refused_character),
    Probe("sequence-grows", "FIFO: sequence numbers grow", _FIFO, "grows", api=letters.sequence_grows),
    Probe("batch-of-ten", "A batch has at most ten entries", _SIZES, "refused", api=letters.eleven, fifo=False),
    Probe("batch-ids", "Ids in a batch differ", "SQS API Reference, SendMessageBatch", "refused",
          api=letters.same_entry_id, fifo=False),
    Probe("batch-bytes", "A batch has at most 1 MiB together", _SIZES, "refused", api=letters.batch_bytes, fifo=False),
    Probe("from-which-queue", "A dead letter says where it came from", "SQS API Reference, ReceiveMessage", "said",
          api=letters.from_which_queue, fifo=False),
)  # fmt: skip

ROWS: Final = (*DYNAMO, *DELIVERY, *API)


@dataclass(frozen=True)
class Deviation:
    """A reviewed disagreement: what the engine does, why it is borne, and what tests must do about it."""

    row: str
    engine: str
    does: str
    reason: str
    consequence: str


def reviewed() -> dict[tuple[str, str], Deviation]:
    """The reviewed list by row and engine; raises on a row or an engine that does not exist, or on one listed twice."""
    found: dict[tuple[str, str], Deviation] = {}
    asked = {(row.name, engine) for row in ROWS for engine in row.engines}
    for entry in yaml.safe_load(REVIEWED.read_text()) or []:
        one = Deviation(**entry)
        place = (one.row, one.engine)
        if place in found or place not in asked:
            raise ValueError(f"reviewed.yaml: {place} is listed twice, or nobody asks it")
        found[place] = one
    return found


def ask_all(engine: str, aws: Aws | None) -> dict[str, str]:
    """What one engine does on every row that asks it."""
    return {row.name: row.ask(engine, aws) for row in ROWS if engine in row.engines}


def disagreements(engine: str, observed: Observed, known: Mapping[tuple[str, str], Deviation]) -> list[str]:
    """What is not as reviewed, in both directions: a new lie, a lie that changed, and a lie that was mended."""
    wrong: list[str] = []
    for row in ROWS:
        if engine not in row.engines:
            continue
        does, listed = observed[row.name], known.get((row.name, engine))
        if listed is None and does != row.expected:
            wrong.append(f"{row.name}: AWS promises {row.expected!r}, {engine} does {does!r}")
        elif listed is not None and does == row.expected:
            wrong.append(f"{row.name}: {engine} is right now; take it off reviewed.yaml")
        elif listed is not None and does != listed.does:
            wrong.append(f"{row.name}: {engine} did {listed.does!r} and does {does!r} now")
    return wrong


def facts() -> list[tuple[str, ...]]:
    """Rows of the page: name, promise, source, and a cell for each engine."""
    known = reviewed()

    def cell(row: Probe, engine: str) -> str:
        if engine not in row.engines:
            return "not asked"
        found = known.get((row.name, engine))
        return f"**{found.does}**" if found else "right"

    return [(row.name, row.promise, row.source, row.expected, *(cell(row, e) for e in ENGINES)) for row in ROWS]
