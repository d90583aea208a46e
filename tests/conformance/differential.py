"""The ledger's write semantics, three times: what `core.writes` says, and what the engine's DynamoDB does.

Seeded sequences of random writes over a few items go to both. After each write the refusals must be the same (which
conditions, and what stood there), and after each sequence the items.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Sequence
from typing import Any, Final

from tests.conformance.dynamo import TABLE
from tests.conformance.engines import Aws
from tests.fakes import MemoryLedger
from tieout.aws.ledger import DynamoLedger
from tieout.core.keys import Key
from tieout.core.writes import Change, Check, Put, Refused, Write

SEQUENCES: Final = 200
WRITES: Final = 12
ITEMS: Final = 4
NAMES: Final = ("a", "b", "c")


def _value(rng: random.Random) -> Any:
    # No booleans: `holds` and moto take True for 1, DynamoDB and MiniStack do not (row "true-is-not-one").
    return rng.choice([0, 1, 2, -3, 10**17, "", "x", "é", [1, "y"], {"k": [2]}, b"\x00"])


def _when(rng: random.Random) -> dict[str, Any]:
    names = rng.sample([*NAMES, "n", "l[0]"], rng.choice([0, 0, 1, 1, 2]))
    return {name: rng.choice([None, None, 1, "x"]) for name in names}


def _one(rng: random.Random, key: Key) -> Write:
    kind = rng.random()
    if kind < 0.25:
        return Put({"pk": key.pk, "sk": key.sk, **{name: _value(rng) for name in rng.sample(NAMES, 2)}})
    if kind < 0.35:
        return Check(key, _when(rng) or {"a": None})
    changed = rng.sample(NAMES, 2)
    return Change(
        key,
        set={changed[0]: _value(rng)} if rng.random() < 0.8 else {"a": 1},
        remove=[changed[1]] if rng.random() < 0.3 and changed[1] != "a" else [],
        add={"n": rng.choice([1, -1, 5])} if rng.random() < 0.4 else {},
        append={"l": [rng.choice([1, "x"])]} if rng.random() < 0.4 else {},
        when=_when(rng),
        below={"n": rng.choice([0, 2, 4])} if rng.random() < 0.25 else {},
        upsert=rng.random() < 0.6,
    )


def sequence(seed: int, pks: Sequence[str]) -> list[list[Write]]:
    """One seeded sequence of writes; each touches one to three of the items."""
    rng = random.Random(seed)
    return [[_one(rng, Key(pk)) for pk in rng.sample(pks, rng.choice([1, 1, 1, 2, 3]))] for _ in range(WRITES)]


def _try(ledger: Any, writes: Sequence[Write]) -> Any:
    try:
        ledger.write(writes)
    except Refused as refused:
        return refused.failed, tuple(s if no else None for s, no in zip(refused.seen, refused.failed, strict=True))
    return "written"


def differs(aws: Aws, seed: int) -> str:
    """Where engine and `core.writes` part in this sequence; empty where they do not."""
    pks = [f"{uuid.uuid4().hex}-{number}" for number in range(ITEMS)]
    model, real = MemoryLedger(), DynamoLedger(aws.dynamodb, TABLE, pause=lambda seconds: None)
    for step, writes in enumerate(sequence(seed, pks)):
        says, does = _try(model, writes), _try(real, writes)
        if says != does:
            return f"seed {seed} write {step}: core.writes {says}, {aws.name} {does}: {writes}"
    keys = [Key(pk) for pk in pks]
    says, does = model.read(keys), real.read(keys)
    return "" if says == does else f"seed {seed}: items {says} and on {aws.name} {does}"
