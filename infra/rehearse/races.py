"""Races that the product's own budget of one call at a time keeps from happening, run past it: eight workers at once.

They need a database that locks: SQLite gives one number twice under them, PostgreSQL makes the later ones wait or fail.
They come last, because what they make is in no ledger of ours.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence

from infra.rehearse.stage import BUYER, TARGET, Stage
from tieout.contract import Work
from tieout.core.verdicts import TryAgain, Verdict

AT_ONCE = 8
#: How often a worker comes again that was told to.
TRIES = 60


def race(stage: Stage, entity: str) -> None:
    """One customer, one invoice, and eight invoices, each by eight workers at once."""
    customer = stage.unbooked(entity, "customer", stage.billing[entity].customer("Racer"))
    codes = _at_once(stage, entity, [customer] * AT_ONCE, tries=1)
    parties = stage.rows(entity, "party.party", [["code", "=", customer.ref]], "id")
    stage.check(f"{AT_ONCE} creates of one customer at once make one party ({dict(codes)})", len(parties), 1)

    one = stage.unbooked(entity, "invoice", stage.billing[entity].invoice("raced", BUYER, 1_000, 6, 1))
    codes = _at_once(stage, entity, [one] * AT_ONCE, tries=1)
    rows = stage.rows(entity, "account.invoice", [["reference", "=", one.ref]], "state")
    states = Counter(row["state"] for row in rows)
    stage.check(f"{AT_ONCE} creates of one invoice at once: at most one is in the book ({dict(states)}, {dict(codes)})",
                states["posted"] <= 1, True)  # fmt: skip

    bodies = [stage.billing[entity].invoice(f"race{n}", BUYER, 1_000 + n, 6, 2) for n in range(AT_ONCE)]
    works = [stage.unbooked(entity, "invoice", body) for body in bodies]
    codes = _at_once(stage, entity, works, tries=TRIES)
    stage.check(f"{AT_ONCE} invoices posted at once all arrive ({dict(codes)})", codes["posted"], AT_ONCE)
    stage.check_numbers(entity)


def _at_once(stage: Stage, entity: str, works: Sequence[Work], tries: int) -> Counter[str]:
    """Send all of them from threads of their own; a worker that may try again does. What they were told, counted."""
    told, together = Counter[str](), threading.Barrier(len(works))

    def send(work: Work) -> None:
        together.wait()
        for attempt in range(tries):
            try:
                TARGET.send(stage.wires[entity], [work])
                told["posted"] += 1
                return
            except Verdict as verdict:
                told[verdict.code] += 1
                if not isinstance(verdict, TryAgain) and tries == 1:
                    return
            time.sleep(0.1 * (1 + attempt % 5))

    threads = [threading.Thread(target=send, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return told
