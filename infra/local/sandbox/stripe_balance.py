"""What moves the balance of the Stripe sandbox: charges, their fees, refunds, disputes, and payouts to the bank.

A paid invoice is a charge with a fee (2.9 % and 30 minor units); an automatic payout takes all that has not been paid
out yet. What a payout is made up of can be listed once it is reconciled, and of automatic payouts only. Simplified:
no charge objects, one bank account, no currency is ever converted, all funds are available at once.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from infra.local.sandbox.stripe_objects import listing
from infra.local.sandbox.webhooks import NOW, When
from infra.local.sandbox.wire import Json

if TYPE_CHECKING:
    from infra.local.sandbox.stripe import Stripe

DAY = 86400
_EVIDENCE = (
    "access_activity_log billing_address cancellation_policy cancellation_policy_disclosure "
    "cancellation_rebuttal customer_communication customer_email_address customer_name customer_purchase_ip "
    "customer_signature duplicate_charge_documentation duplicate_charge_explanation duplicate_charge_id "
    "product_description receipt refund_policy refund_policy_disclosure refund_refusal_explanation "
    "service_date service_documentation shipping_address shipping_carrier shipping_date shipping_documentation "
    "shipping_tracking_number uncategorized_file uncategorized_text"
)
#: What a merchant may hand in against a dispute; nobody has.
EVIDENCE = tuple(_EVIDENCE.split())


def balance_transaction(
    ident: str, created: int, currency: str, amount: int, fee: int, source: str, category: str, type_: str = ""
) -> Json:
    """One step of the balance; ``amount`` is signed, ``fee`` is taken out of it."""
    details = {"amount": fee, "application": None, "currency": currency, "description": "Stripe processing fees",
               "type": "stripe_fee"}  # fmt: skip
    return {
        "id": ident, "object": "balance_transaction", "amount": amount, "available_on": created,
        "balance_type": "payments", "created": created, "currency": currency, "description": None,
        "exchange_rate": None, "fee": fee, "fee_details": [details] if fee else [], "net": amount - fee,
        "reporting_category": category, "source": source, "status": "available", "type": type_ or category,
    }  # fmt: skip


def payout(ident: str, created: int, currency: str, amount: int, step: str, automatic: bool) -> Json:
    """A payout that has just reached the bank. Its arrival is a day, spelled as that day's midnight in UTC."""
    return {
        "id": ident, "object": "payout", "amount": amount, "application_fee": None, "application_fee_amount": None,
        "arrival_date": created - created % DAY, "automatic": automatic, "balance_transaction": step,
        "created": created, "currency": currency, "description": "STRIPE PAYOUT", "destination": "ba_acme",
        "failure_balance_transaction": None, "failure_code": None, "failure_message": None, "livemode": False,
        "metadata": {}, "method": "standard", "original_payout": None, "payout_method": None,
        "reconciliation_status": "completed" if automatic else "not_applicable", "reversed_by": None,
        "source_type": "card", "statement_descriptor": None, "status": "paid",
        "trace_id": {"status": "pending", "value": None}, "type": "bank_account",
    }  # fmt: skip


def invoice_payment(ident: str, created: int, invoice: Json, intent: str) -> Json:
    """That a payment intent paid an invoice."""
    return {
        "id": ident, "object": "invoice_payment", "amount_paid": invoice["amount_paid"],
        "amount_requested": invoice["amount_paid"], "created": created, "currency": invoice["currency"],
        "invoice": invoice["id"], "is_default": True, "livemode": False,
        "payment": {"payment_intent": intent, "type": "payment_intent"}, "status": "paid",
        "status_transitions": {"canceled_at": None, "paid_at": created},
    }  # fmt: skip


def dispute(ident: str, created: int, currency: str, amount: int, intent: str, inquiry: bool) -> Json:
    """A dispute, or an inquiry before one, that has moved nothing yet."""
    status = "warning_needs_response" if inquiry else "needs_response"
    due = {"due_by": created + 9 * DAY, "enhanced_eligibility": {}, "has_evidence": False, "past_due": False,
           "submission_count": 0, "submission_method": "not_submitted"}  # fmt: skip
    return {
        "id": ident, "object": "dispute", "amount": amount, "balance_transactions": [],
        "charge": "ch_3" + intent[4:], "created": created, "currency": currency, "enhanced_eligibility_types": [],
        "evidence": dict.fromkeys(EVIDENCE) | {"enhanced_evidence": {}},
        "evidence_details": due, "intended_submission_method": None, "is_charge_refundable": inquiry,
        "livemode": False, "metadata": {}, "payment_intent": intent, "reason": "fraudulent", "status": status,
    }  # fmt: skip


def refund(ident: str, created: int, currency: str, amount: int, intent: str) -> Json:
    """A refund that is still pending."""
    return {
        "id": ident, "object": "refund", "amount": amount, "balance_transaction": None, "charge": "ch_3" + intent[4:],
        "created": created, "currency": currency, "customer": None, "customer_account": None, "metadata": {},
        "payment_intent": intent, "payment_method": None, "reason": "requested_by_customer", "receipt_number": None,
        "source_transfer_reversal": None, "status": "pending", "transfer_reversal": None,
    }  # fmt: skip


class Balance:
    """The balance of one account. ``reconciles_after`` is how many seconds a payout's transactions are not listed."""

    def __init__(self, account: Stripe) -> None:
        self.account = account
        self.reconciles_after = 0
        self._waiting: list[str] = []
        self._paid_in: dict[str, list[str]] = {}

    def step(self, amount: int, fee: int, source: str, category: str, type_: str = "", currency: str = "") -> Json:
        """One step of the balance, now; a later payout takes it along."""
        billing = self.account
        ident, money = billing.ids.next("txn_1", 23), currency or billing.currency
        row = balance_transaction(ident, billing.epoch(), money, amount, fee, source, category, type_)
        billing.tables["balance_transactions"][row["id"]] = row
        self._waiting.append(row["id"])
        return row

    def charged(self, invoice: Json) -> Json:
        """An invoice was paid by card: a payment intent that paid it, and the charge's step."""
        billing, amount = self.account, invoice["amount_paid"]
        intent = billing.ids.next("pi_3", 23)
        row = invoice_payment(billing.ids.next("inpay_1", 23), billing.epoch(), invoice, intent)
        billing.tables["invoice_payments"][row["id"]] = row
        fee = (amount * 29 + 500) // 1000 + 30
        return self.step(amount, fee, "ch_3" + intent[4:], "charge", currency=invoice["currency"])

    def dispute(self, invoice: str, *, fee: int = 1500, inquiry: bool = False, when: When = NOW) -> Json:
        """The buyer's bank takes an invoice's payment back: ``charge.dispute.created`` and ``…funds_withdrawn``.

        An inquiry only asks, and moves nothing. Raises StopIteration for an invoice that nobody paid.
        """
        billing = self.account
        with billing.lock:
            paid = next(row for row in billing.tables["invoice_payments"].values() if row["invoice"] == invoice)
            row = dispute(billing.ids.next("du_1", 23), billing.epoch(), paid["currency"], paid["amount_paid"],
                          paid["payment"]["payment_intent"], inquiry)  # fmt: skip
            billing.tables["disputes"][row["id"]] = row
            billing.emit("charge.dispute.created", row, when)
            if not inquiry:
                self._move(row, -row["amount"], fee, "dispute")
                billing.emit("charge.dispute.funds_withdrawn", row, when)
            return copy.deepcopy(row)

    def close(self, ident: str, *, won: bool = False, when: When = NOW) -> Json:
        """A dispute ends: ``charge.dispute.closed``; of one that was won, ``…funds_reinstated`` before it."""
        billing = self.account
        with billing.lock:
            row = billing.tables["disputes"][ident]
            if row["status"].startswith("warning_"):
                row["status"] = "warning_closed"
            else:
                row["status"] = "won" if won else "lost"
            if won and row["balance_transactions"]:
                self._move(row, row["amount"], 0, "dispute_reversal")
                billing.emit("charge.dispute.funds_reinstated", row, when)
            billing.emit("charge.dispute.closed", row, when)
            return copy.deepcopy(row)

    def _move(self, row: Json, amount: int, fee: int, category: str) -> None:
        step = self.step(amount, fee, row["id"], category, "adjustment", row["currency"])
        row["balance_transactions"] = [*row["balance_transactions"], step]

    def refund(self, invoice: str, amount: int, *, pending: bool = False, when: When = NOW) -> Json:
        """Money of an invoice's payment goes back to the buyer: ``refund.created``. A pending one moves nothing yet."""
        billing = self.account
        with billing.lock:
            paid = next(row for row in billing.tables["invoice_payments"].values() if row["invoice"] == invoice)
            row = refund(billing.ids.next("re_3", 23), billing.epoch(), paid["currency"], amount,
                         paid["payment"]["payment_intent"])  # fmt: skip
            billing.tables["refunds"][row["id"]] = row
            if not pending:
                self._send_back(row)
            billing.emit("refund.created", row, when)
            return copy.deepcopy(row)

    def complete(self, ident: str, when: When = NOW) -> None:
        """A pending refund leaves the balance: ``refund.updated``."""
        with self.account.lock:
            row = self.account.tables["refunds"][ident]
            self._send_back(row)
            self.account.emit("refund.updated", row, when)

    def bounce(self, ident: str, when: When = NOW) -> None:
        """The buyer's bank gives a refund back: ``refund.failed``."""
        with self.account.lock:
            row = self.account.tables["refunds"][ident]
            step = self.step(row["amount"], 0, ident, "refund_failure", currency=row["currency"])
            row |= {"status": "failed", "failure_reason": "lost_or_stolen_card"}
            row["failure_balance_transaction"] = step["id"]
            self.account.emit("refund.failed", row, when)

    def _send_back(self, row: Json) -> None:
        step = self.step(-row["amount"], 0, row["id"], "refund", currency=row["currency"])
        row |= {"status": "succeeded", "balance_transaction": step["id"]}

    def pay_out(self, *, automatic: bool = True, when: When = NOW) -> Json:
        """All that waits in the account's own currency goes to the bank; event ``payout.paid``.

        Raises ValueError where nothing waits.
        """
        billing = self.account
        with billing.lock:
            rows = [billing.tables["balance_transactions"][ident] for ident in self._waiting]
            mine = [row for row in rows if row["currency"] == billing.currency]
            net = sum(row["net"] for row in mine)
            if not net:
                raise ValueError(f"{billing.account} has nothing to pay out")
            ident = billing.ids.next("po_1", 23)
            step = self.step(-net, 0, ident, "payout")
            taken = {step["id"], *(row["id"] for row in mine)}
            self._waiting = [one for one in self._waiting if one not in taken]
            self._paid_in[ident] = [step["id"], *(row["id"] for row in reversed(mine))]
            row = payout(ident, billing.epoch(), billing.currency, net, step["id"], automatic)
            billing.tables["payouts"][ident] = row
            billing.emit("payout.paid", row, when)
            return copy.deepcopy(row)

    def fail(self, ident: str, code: str = "account_closed", when: When = NOW) -> Json:
        """The bank gives a payout back; event ``payout.failed``. The money waits for the next payout."""
        billing = self.account
        with billing.lock:
            row = billing.tables["payouts"][ident]
            step = self.step(row["amount"], 0, ident, "payout_reversal", "payout_failure")
            row |= {"status": "failed", "failure_code": code, "failure_balance_transaction": step["id"],
                    "failure_message": "The bank account has been closed"}  # fmt: skip
            billing.emit("payout.failed", row, when)
            return copy.deepcopy(row)

    def shown(self, row: Json) -> Json:
        """A payout as it is read now."""
        if row["automatic"] and self.account.epoch() < row["created"] + self.reconciles_after:
            return row | {"reconciliation_status": "in_progress"}
        return row

    def rows_of(self, ident: str) -> list[Json] | None:
        """The steps that an automatic payout took along, its own first; ``None`` where that is not known."""
        row = self.account.tables["payouts"].get(ident)
        if row is None or not row["automatic"]:
            return None
        steps = self.account.tables["balance_transactions"]
        return [steps[one] for one in self._paid_in[ident]]

    def paid_by(self, form: Json) -> Json:
        """The invoice payments of one payment intent."""
        wanted = dict(form.get("payment") or {}).get("payment_intent")
        rows = self.account.tables["invoice_payments"].values()
        return listing("/v1/invoice_payments", [row for row in rows if row["payment"]["payment_intent"] == wanted])
