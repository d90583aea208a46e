"""What becomes of a document whose period is closed: post, hold, re-date or escalate, by a governed rule.

The late document policy is a table (``late_documents``): a row by entity and kind says what to do in a soft-closed, a
closed and a locked period, above an amount, and when the tax period is filed. `decide` is pure and changes nothing:
a re-dated document keeps its document date and its tax point, and only its posting date moves, to the first day of
the next period in which both its subledger and the general ledger are open.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from tieout.core.clocks import Calendar, Ledger, Period, PeriodState, PostingDate, TaxPoint
from tieout.core.documents import Booked, CreditNote, Dispute, ExchangeRate, Invoice, Payment, Refund, total
from tieout.core.lookup import View
from tieout.core.money import Currency, Money
from tieout.core.verdicts import NeedsHuman, NotYet

TABLE: Final = "late_documents"
RECEIVABLES: Final = frozenset({Invoice.kind, CreditNote.kind, Payment.kind, Refund.kind, Dispute.kind})
"""Kinds that the receivables ledger books; every kind is booked by the general ledger too."""
TAXED: Final = frozenset({Invoice.kind, CreditNote.kind})
"""Kinds that a tax return reports."""


class Action(IntEnum):
    """What to do, weakest first: where two rules apply, the stronger one does."""

    POST = 0
    REDATE = 1
    HOLD = 2
    ESCALATE = 3


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the policy. `limit` is in minor units of `currency`, the entity's own."""

    soft_closed: Action
    closed: Action
    locked: Action
    tax_filed: Action
    limit: Money
    over: Action
    row: str

    def of(self, state: PeriodState) -> Action:
        """What the row says about a period in that state."""
        return {
            PeriodState.OPEN: Action.POST,
            PeriodState.SOFT_CLOSED: self.soft_closed,
            PeriodState.CLOSED: self.closed,
            PeriodState.LOCKED: self.locked,
        }[state]


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of the document, and why: `reasons` are words of the late list, `row` the rule that said so."""

    action: Action
    posting_date: PostingDate
    original: PostingDate
    period: Period
    reasons: tuple[str, ...] = ()
    row: str = ""

    @property
    def late(self) -> bool:
        """Whether the document belongs on the late list."""
        return bool(self.reasons)


def rule_for(view: View, kind: str, currency: str) -> Rule | None:
    """The row for the view's entity and a kind; None when the table has none. `currency` is the entity's."""
    hit = view.find(TABLE, kind)
    if hit is None:
        return None
    said = {
        name: Action[str(hit.cell(name)).upper()] for name in ("soft_closed", "closed", "locked", "tax_filed", "over")
    }
    limit = hit.cell("limit")
    return Rule(
        soft_closed=said["soft_closed"],
        closed=said["closed"],
        locked=said["locked"],
        tax_filed=said["tax_filed"],
        over=said["over"],
        limit=Money(limit if isinstance(limit, int) else 0, Currency(currency)),
        row=f"{TABLE} {hit.version} line {hit.row.line}",
    )  # fmt: skip


def decide(
    *,
    kind: str,
    amount: Money | None,
    posting_date: PostingDate,
    tax_point: TaxPoint | None,
    calendar: Calendar,
    rule: Rule | None,
    rate: ExchangeRate | None = None,
) -> Decision:
    """What becomes of a document of that kind, amount and days in the entity's calendar.

    `rate` brings an amount in another currency to the limit's; without it such an amount counts as above the limit.
    `NotYet` ``period_not_in_calendar`` when the calendar does not reach the posting date; `NeedsHuman`
    ``late_rule_missing`` when the document is late and no row says what to do.
    """
    period = calendar.period_of(posting_date)
    ledgers = (Ledger.AR, Ledger.GL) if kind in RECEIVABLES else (Ledger.GL,)
    state = period.strictest(ledgers)
    filed = kind in TAXED and tax_point is not None and _tax_filed(calendar, tax_point)
    if state is PeriodState.OPEN and not filed:
        return Decision(Action.POST, posting_date, posting_date, period)
    if rule is None:
        raise NeedsHuman("late_rule_missing", kind, kind=kind, entity=calendar.entity, period=period.name)
    reasons = [f"period_{state.value}"] if state is not PeriodState.OPEN else []
    action = rule.of(state)
    if filed:
        reasons.append("tax_period_filed")
        action = max(action, rule.tax_filed)
    if amount is not None and _over(amount, rule.limit, rate):
        reasons.append("over_limit")
        action = max(action, rule.over)
    made = Decision(action, posting_date, posting_date, period, tuple(reasons), rule.row)
    if action is not Action.REDATE or state is PeriodState.OPEN:
        return made
    following = calendar.next_open(posting_date, ledgers)
    if following is None:
        return Decision(Action.HOLD, posting_date, posting_date, period, (*reasons, "no_open_period"), rule.row)
    return Decision(action, PostingDate(following.first), posting_date, following, tuple(reasons), rule.row)


def redated(doc: Booked, decision: Decision) -> Booked:
    """The document under its new posting date; document date and tax point stay as they are."""
    return doc.model_copy(update={"posting_date": decision.posting_date})


def decide_for(doc: Booked, calendar: Calendar, rule: Rule | None, rate: ExchangeRate | None = None) -> Decision:
    """`decide` with the facts of a document."""
    return decide(
        kind=doc.kind, amount=total(doc), posting_date=doc.posting_date, tax_point=doc.tax_point, calendar=calendar,
        rule=rule, rate=rate,
    )  # fmt: skip


def _tax_filed(calendar: Calendar, tax_point: TaxPoint) -> bool:
    """Whether the tax period of a tax point takes nothing any more; one before the calendar was filed long ago."""
    try:
        period = calendar.period_of(PostingDate(tax_point.value))  # the same months; only the ledger differs
    except NotYet:
        return tax_point.value < calendar.periods[0].first if calendar.periods else True
    return period.state_of(Ledger.TAX) in (PeriodState.CLOSED, PeriodState.LOCKED)


def _over(amount: Money, limit: Money, rate: ExchangeRate | None) -> bool:
    if amount.currency != limit.currency:
        if rate is None or (rate.of, rate.into) != (amount.currency, limit.currency):
            return True
        from tieout.core.fx import convert  # seldom: most limits are in the document's own currency

        amount = convert(amount, rate)
    return abs(amount) > limit
