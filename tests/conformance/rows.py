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

from tests.conformance import dynamo, fed, flows, letters, model
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
_POLLER: Final = "Lambda Developer Guide, Handling errors for an SQS event source"
_STATES: Final = "Step Functions Developer Guide, Handling errors in workflows"
_TOKENS: Final = "Step Functions Developer Guide, Wait for a callback with task token"
_ANSWERS: Final = "Step Functions API Reference, SendTaskSuccess"
_STARTS: Final = "Step Functions API Reference, StartExecution"
_READS: Final = "DynamoDB Developer Guide, Read consistency"
_ERRORS: Final = "DynamoDB Developer Guide, Error handling"


@dataclass(frozen=True)
class Probe:
    """One row. Exactly one of the callables asks; ``models`` where the simulation has words for the question."""

    name: str
    promise: str
    source: str
    expected: str
    dynamo: Callable[[Aws], str] | None = None
    box: Callable[[letters.Box], str] | None = None
    api: Callable[[letters.SqsBox], str] | None = None
    fifo: bool = True
    died: tuple[str, ...] = ()
    flow: Callable[[flows.Flow], str] | None = None
    start: Callable[[flows.AwsFlow], str] | None = None
    own: Callable[[], str] | None = None
    models: bool = False

    @property
    def engines(self) -> tuple[str, ...]:
        """Who is asked: the model only what the product meets of AWS, and what it alone does is asked of it alone."""
        if self.own:
            return (MODEL,)
        return ENGINES if self.box or self.models else (LOCAL, SECOND)

    def ask(self, engine: str, aws: Aws | None) -> str:
        """What the engine does; an error that is no refusal is told by its type."""
        try:
            if self.dynamo:
                assert aws is not None
                return self.dynamo(aws)
            if self.own:
                return self.own()
            if self.died:
                return fed.died(aws, *self.died)
            if self.flow:
                return self.flow(flows.ModelFlow() if aws is None else flows.AwsFlow(aws))
            if self.start:
                assert aws is not None
                return self.start(flows.AwsFlow(aws))
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

POLLERS: Final = (
    Probe("poller-partial", "Of a batch, what the function names comes again, and the rest is deleted", _POLLER,
          "named-1", died=("named-1", "ok-2"), models=True),
    Probe("poller-raises", "When the function fails, the whole batch comes again", _POLLER, "ok-2,raises-1",
          died=("raises-1", "ok-2"), models=True),
    Probe("poller-unknown-id", "A failure that names no message of the batch fails the whole batch", _POLLER,
          "foreign-1,ok-2", died=("foreign-1", "ok-2"), models=True),
    Probe("poller-empty-id", "An empty message id fails the whole batch", _POLLER, "empty-1,ok-2",
          died=("empty-1", "ok-2")),
    Probe("poller-null-id", "A message id that is null fails the whole batch", _POLLER, "null-1,ok-2",
          died=("null-1", "ok-2")),
    Probe("poller-other-key", "A failure without itemIdentifier fails the whole batch", _POLLER, "keyless-1,ok-2",
          died=("keyless-1", "ok-2")),
    Probe("poller-null", "An answer that is null is success", _POLLER, "nothing", died=("silent-1", "ok-2")),
    Probe("poller-null-list", "A list of failures that is null is success", _POLLER, "nothing",
          died=("nulls-1", "ok-2")),
)  # fmt: skip

FLOWS: Final = (
    Probe("retry-by-name", "A task is tried again when its error's name is listed", _STATES, "SUCCEEDED after 2",
          flow=flows.retried),
    Probe("retry-never", "MaxAttempts 0 for a name ends the tries, whatever follows", _STATES,
          "caught NeedsHuman after 0", flow=flows.never_retried),
    Probe("catch-by-name", "The first catch that lists the error's name is taken", _STATES, "caught Flaky after 0",
          flow=flows.caught_by_name),
    Probe("catch-task-failed", "States.TaskFailed stands for every error of a task but a time-out", _STATES,
          "caught Flaky after 0", flow=flows.caught_as_task_failed),
    Probe("uncaught", "An error that nothing catches fails the execution by its name", _STATES, "FAILED Flaky",
          flow=flows.uncaught),
    Probe("token-answered", "A step waits until its token is answered", _TOKENS, "accepted, SUCCEEDED given",
          flow=flows.answered, models=True),
    Probe("token-refused", "A failure that is answered is caught by its name", _TOKENS, "accepted, caught NeedsHuman",
          flow=flows.refused, models=True),
    Probe("token-answered-twice", "A second answer is refused and changes nothing", _ANSWERS,
          "SUCCEEDED first, then TaskTimedOut", flow=flows.answered_twice, models=True),
    Probe("token-unknown", "A token that nobody gave out is refused", _ANSWERS, "InvalidToken",
          flow=flows.unknown_token),
    Probe("token-late", "A step that nobody answers times out, and a late answer is refused", _ANSWERS,
          "caught States.Timeout, then TaskTimedOut", flow=flows.answered_late, models=True),
    Probe("token-teller-fails", "Where the function that was told the token fails, the step fails", _TOKENS,
          "caught Flaky", flow=flows.teller_fails, models=True),
    Probe("name-again", "The same name and input, while it runs, is the same execution", _STARTS,
          "the same execution", start=flows.same_name),
    Probe("name-other-input", "The same name with another input is refused", _STARTS, "ExecutionAlreadyExists",
          start=flows.same_name_other_input),
    Probe("name-after-end", "The name of an execution that has ended is refused", _STARTS, "ExecutionAlreadyExists",
          start=flows.same_name_after_its_end),
    Probe("execution-time-out", "An execution ends when its own TimeoutSeconds are over",
          "Amazon States Language, Top-level fields", "TIMED_OUT", start=flows.out_of_time),
)  # fmt: skip

OWN: Final = (
    Probe("throttled-write", "A throttled write has written nothing", _ERRORS, "refused, nothing written",
          own=model.throttled_write),
    Probe("contended-write", "A transaction in conflict with another has written nothing", _ERRORS,
          "refused, nothing written", own=model.contended_write),
    Probe("late-index", "A global index may show a write later; the item itself shows it at once", _READS,
          "item at once, index later", own=model.late_index),
    Probe("repeated-write", "A single write whose answer was lost may be made twice by the client, and its condition "
          "then refuses the second", _ERRORS, "refused, written once", own=model.repeated_write),
)  # fmt: skip

ROWS: Final = (*DYNAMO, *DELIVERY, *API, *POLLERS, *FLOWS, *OWN)


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
