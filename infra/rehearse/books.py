"""Both books side by side: what Tryton's general ledger and each invoice's open amount say, and what ours says.

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
from infra.rehearse.client import Client
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


def owed(stage: Stage, entity: str) -> dict[str, int]:
    """What our ledger says is open of each posted invoice, by our reference: its total, less what is set against it.

    What is more than is open when it arrives (a credit of what was paid before) stands on account.
    """
    mine = [one for one in stage.items("posting") if one["entity"] == entity and one["state"] == "POSTED"]
    invoices = {one["pk"]: one for one in mine if one["kind"] == "invoice" and one["action"] == "create"}
    left = Counter({pk: one["total"] for pk, one in invoices.items()})
    for item in sorted(mine, key=lambda one: str(one["at"])):
        if item["kind"] in ("payment", "credit_note") or item["action"] == "void":
            [above] = [pk for pk, _ in item["reads"] if pk in invoices]
            left[above] -= item["total"] if item["total"] <= left[above] else 0
    return {one["ref"]: left[pk] for pk, one in invoices.items()}


def compare_open(stage: Stage, entity: str) -> None:
    """What Tryton says is to pay of each invoice must be what our ledger says; what is paid is then reconciled.

    Tryton reconciles in its own client alone: a person does it here, with the lines that it shows and no write-off, and
    the invoice says that it is paid.
    """
    ids = stage.made["companies"][entity]
    mine = [["company", "=", ids["company"]], ["state", "in", ["posted", "paid"]], ["total_amount", ">", 0]]
    fields = ("reference", "amount_to_pay", "lines_to_pay", "payment_lines")
    rows = stage.rows(entity, "account.invoice", mine, *fields)
    there = {row["reference"]: Money.from_decimal(Decimal(row["amount_to_pay"]["decimal"]), ids["code"]).minor
             for row in rows}  # fmt: skip
    here = owed(stage, entity)
    stage.check(f"{entity}: of {len(here)} invoices Tryton has open what we have open", there, here)
    paid = [row for row in rows if there[row["reference"]] == 0]
    client = Client(stage.server, ids["company"])
    for row in paid:
        client.reconcile([*row["lines_to_pay"], *row["payment_lines"]])
    after = stage.rows(entity, "account.invoice", mine, "reference", "state", "lines_to_pay.reconciliation")
    done = {row["reference"] for row in after
            if row["state"] == "paid" and all(line["reconciliation"] for line in row["lines_to_pay"])}  # fmt: skip
    stage.check(f"{entity}: a person reconciles the {len(paid)} paid ones, and they are paid", done,
                {ref for ref, left in here.items() if left == 0})  # fmt: skip


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
        moves = [["company", "=", ids["company"]], ["state", "=", "posted"], ["journal", "=", ids["cash_journal"]]]
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
