"""Both books side by side: Tryton's general ledger, and what our ledger says it should hold.

Ours is read from the items in DynamoDB alone: of each posting that is POSTED, its total and the stored proof that its
document adds up. Theirs is every line of every posted move. Nothing is taken from the events or from the scenes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from infra.local import story
from infra.rehearse.installation import ENTITIES, account_of
from infra.rehearse.stage import Stage
from tieout.core.money import Money
from tieout.core.writes import Item
from tieout.work import tie

#: The accounts that our documents move, as the bootstrap names them.
PURPOSES = ("receivable", "revenue", "tax", "cash")


@dataclass(frozen=True)
class Line:
    """One account of one entity: its balance (debits less credits, minor units) there and here."""

    account: str
    theirs: int
    ours: int


def ours(stage: Stage, entity: str) -> Counter[int]:
    """What our ledger says: balance by Tryton's account id."""
    ids, book = stage.made["companies"][entity], Counter[int]()
    for item in stage.items("posting"):
        if item["target"] == f"tryton:{account_of(entity)}" and item["state"] == "POSTED":
            for purpose, minor in _moved(item):
                book[ids[purpose]] += minor
    return book


def _moved(item: Item) -> Iterator[tuple[str, int]]:
    """What a posting moves, by the purpose of the account."""
    if item["kind"] == "payment":
        yield from (("cash", item["total"]), ("receivable", -item["total"]))
    elif item["kind"] in ("invoice", "credit_note"):
        back = item["kind"] == "credit_note" or item["action"] == "void"
        sign = -1 if back else 1
        [net] = [left for name, left, _ in item["proof"] if name == "sum of lines = net"]
        yield "receivable", sign * item["total"]
        yield "revenue", -sign * net
        yield "tax", -sign * (item["total"] - net)


def theirs(stage: Stage, entity: str) -> tuple[dict[int, str], Counter[int]]:
    """Names and balances of the accounts of Tryton's general ledger."""
    mine: list[Any] = [["move.company", "=", stage.made["companies"][entity]["company"]],
                       ["move.state", "=", "posted"]]  # fmt: skip
    names, book = dict[int, str](), Counter[int]()
    for row in stage.rows(entity, "account.move.line", mine, "account.rec_name", "debit", "credit"):
        account = row["account"]["id"]
        names[account] = row["account"]["rec_name"]
        net = Decimal(row["debit"]["decimal"]) - Decimal(row["credit"]["decimal"])
        book[account] += Money.from_decimal(net, stage.made["companies"][entity]["code"]).minor
    return names, book


def compare(stage: Stage, entity: str) -> list[Line]:
    """Print the trial balance of one entity, ours beside it; they must agree to the last minor unit."""
    names, there = theirs(stage, entity)
    here, currency = ours(stage, entity), stage.made["companies"][entity]["code"]
    lines = [Line(names.get(one, str(one)), there[one], here[one]) for one in sorted({*there, *here})]
    print(f"\n{entity} trial balance, {currency}{'Tryton':>34}{'our ledger':>14}")
    for line in lines:
        shown = [Money.of(minor, currency).decimal for minor in (line.theirs, line.ours)]
        print(f"  {line.account:<34}{shown[0]:>14}{shown[1]:>14}")
    stage.check(f"{entity} agrees to the cent", [one for one in lines if one.theirs != one.ours], [])
    stage.check(f"{entity} balances", sum(there.values()), 0)
    stage.check(f"{entity} moved {', '.join(PURPOSES)}", sum(one.theirs != 0 for one in lines), len(PURPOSES))
    return lines


def entries(stage: Stage) -> list[tie.Entry]:
    """Tryton's documents as the tie-out compares them with the ledger, read without our target."""
    found: list[tie.Entry] = []
    known = {(item["target"], item["ref"]) for item in stage.items("posting") if item["kind"] == "customer"}
    for entity in ENTITIES:
        target, ids = f"tryton:{account_of(entity)}", stage.made["companies"][entity]
        mine = [["company", "=", ids["company"]], ["state", "in", ["posted", "paid"]]]
        for row in stage.rows(entity, "account.invoice", mine, "reference", "total_amount"):
            total = Money.from_decimal(Decimal(row["total_amount"]["decimal"]), ids["code"]).minor
            kind = "credit_note" if total < 0 else "invoice"
            found.append(tie.Entry(target, row["reference"] or "", kind, ids["code"], abs(total)))
        moves = [["company", "=", ids["company"]], ["state", "=", "posted"], ["origin", "=", None]]
        for row in stage.rows(entity, "account.move", moves, "description", "lines.debit"):
            debits = sum((Decimal(line["debit"]["decimal"]) for line in row["lines"]), Decimal(0))
            total = Money.from_decimal(debits, ids["code"]).minor
            found.append(tie.Entry(target, row["description"] or "", "payment", ids["code"], total))
        for row in stage.rows(entity, "party.party", [["code", "like", "TIE-%"]], "code"):
            if (target, row["code"]) in known:  # a party is of no company
                found.append(tie.Entry(target, row["code"], "customer", "", 0))
    return found


def tie_out(stage: Stage) -> None:
    """Received = what became of it, and every target's book against the ledger, document by document."""
    now = stage.world.clock.now()
    days = tie.last_days(now, (now.date() - stage.since.date()).days + 1)
    sandboxes = sum(200 <= attempt.status < 300 for attempt in story.attempts(stage.world))
    outcome = tie.tie(stage.ledger, days, stage.accepted + sandboxes)
    print(f"\ntie-out: {outcome.received.count} received")
    for row in outcome.rows:
        print(f"  {row.name:<12}{row.count:>6}  {'  '.join(str(one) for one in row.money)}")
    held = [*story.books(stage.world), *entries(stage)]
    differences = [*outcome.differences, *tie.compare(tie.booked(stage.ledger, days), held)]
    stage.check("everything received ties out, in the CRM's book, the old ERP's and Tryton's", differences, [])
