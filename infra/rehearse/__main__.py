"""``make rehearse``: our Tryton target against a real Tryton, and its general ledger against what we hold, to the cent.

What is rehearsed is the target (build, send, find) over the real transport. The flows, the lanes and the ledger in
DynamoDB stand in front of it in the product and are not part of this: the other side of the comparison is the list of
what the target said it posted. Exit code 0 only where every check holds and both books agree.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from base64 import urlsafe_b64encode
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from infra.rehearse.server import Server
from tieout.aws.http import HttpWire
from tieout.contract import Echo, Found, Work
from tieout.core.classify import Answer
from tieout.core.money import Money
from tieout.core.verdicts import Uncertain, Verdict
from tieout.systems.tryton.target import TARGET

#: A year that is over, so that no date of the rehearsal lies in the future: Tryton asks a person about those.
YEAR = datetime.now(UTC).year - 1


def day(month: int, of_month: int) -> dict[str, Any]:
    """A date as Tryton spells it."""
    return {"__class__": "date", "year": YEAR, "month": month, "day": of_month}


def amount(minor: int, currency: str) -> dict[str, str]:
    """An amount as Tryton spells it."""
    return {"__class__": "Decimal", "decimal": str(Money.of(minor, currency).decimal)}


class Breaking:
    """The real transport, and Tryton killed behind (or its answer lost after) the n-th write of one posting."""

    def __init__(self, wire: HttpWire, server: Server, after: int) -> None:
        self.wire, self.server, self.left, self.account = wire, server, after, wire.account

    @property
    def settings(self) -> Mapping[str, str]:
        return self.wire.settings

    def call(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Answer:
        answer = self.wire.call(method, path, headers=headers, body=body)
        if method != "GET":
            self.left -= 1
            if self.left == 0:
                self.server.kill()
                raise Uncertain("target_lost", "killed after it had committed")
        return answer

    def put_once(self, name: str, body: bytes) -> bool:
        raise NotImplementedError

    def get(self, name: str) -> bytes | None:
        raise NotImplementedError


class Company:
    """One company: what is posted to it through the target, and what its books should hold because of that."""

    def __init__(self, name: str, ids: Mapping[str, Any], key: str, term: int, server: Server) -> None:
        self.name, self.ids, self.term, self.currency = name, ids, term, str(ids["code"])
        secret = {"base_url": server.base_url, "key": key, "settings": {"company": str(ids["company"])}}
        self.wire = HttpWire(TARGET, name, lambda: secret, lambda: datetime.now(UTC))
        #: Debits minus credits by account id, in minor units.
        self.books: Counter[int] = Counter()
        self.posted: dict[str, Echo] = {}
        self.party = 0
        self.address = 0

    def work(self, kind: str, name: str, payload: Mapping[str, Any], total: int | None = None) -> Work:
        """A posting of this company under a reference of its own."""
        action = "upsert" if kind == "customer" else "create"
        ref = TARGET.reference.of(f"{kind}/{self.name}/{name}")
        recorded = TARGET.build(kind, action, ref, payload)
        currency = None if total is None else self.currency
        now = datetime.now(UTC)
        return Work(f"{kind}/{name}", kind, action, ref, self.name, self.name, currency, total, recorded, now)

    def customer(self, name: str) -> Work:
        """A customer with an address."""
        address = {"street": "Main Street 1", "city": "Springfield", "invoice": True}
        return self.work("customer", name, {"name": f"{name} of {self.name}", "addresses": [["create", [address]]]})

    def invoice(self, name: str, minor: int, month: int, of_month: int, kind: str = "invoice") -> Work:
        """An invoice of one line, or with a negative quantity a credit note."""
        line = {
            "type": "line", "company": self.ids["company"], "currency": self.ids["currency"], "invoice_type": "out",
            "party": self.party, "description": name, "quantity": 1 if kind == "invoice" else -1,
            "unit_price": amount(minor, self.currency), "account": self.ids["revenue"],
        }  # fmt: skip
        payload = {
            "type": "out", "company": self.ids["company"], "party": self.party, "invoice_address": self.address,
            "currency": self.ids["currency"], "account": self.ids["receivable"],
            "journal": self.ids["revenue_journal"], "payment_term": self.term,
            "invoice_date": day(month, of_month), "lines": [["create", [line]]],
        }  # fmt: skip
        return self.work(kind, name, payload, minor)

    def payment(self, name: str, minor: int, month: int, of_month: int) -> Work:
        """Money received: cash to receivable."""
        value, none = amount(minor, self.currency), amount(0, self.currency)
        lines = [
            {"account": self.ids["cash"], "debit": value, "credit": none},
            {"account": self.ids["receivable"], "party": self.party, "debit": none, "credit": value},
        ]
        payload = {
            "company": self.ids["company"], "journal": self.ids["cash_journal"],
            "period": self.ids["periods"][month - 1], "date": day(month, of_month), "lines": [["create", lines]],
        }  # fmt: skip
        return self.work("payment", name, payload, minor)

    def book(self, work: Work, echo: Echo | None) -> Echo:
        """Take into our books what the target showed as posted."""
        if echo is None or echo.ref != work.ref or echo.total != work.total:
            raise AssertionError(f"{work.key}: shown {echo}")
        if work.ref not in self.posted and work.total is not None:
            sign = -1 if work.kind == "credit_note" else 1
            debit, credit = ("cash", "receivable") if work.kind == "payment" else ("receivable", "revenue")
            self.books[self.ids[debit]] += sign * work.total
            self.books[self.ids[credit]] -= sign * work.total
        self.posted[work.ref] = echo
        return echo

    def post(self, work: Work) -> Echo:
        """Send and book."""
        return self.book(work, TARGET.send(self.wire, [work])[0])

    def find(self, work: Work) -> Found:
        """Look for it."""
        return TARGET.find(self.wire, work)

    def refused(self, work: Work) -> str:
        """The code with which it is refused; ``taken`` where it is not."""
        try:
            TARGET.send(self.wire, [work])
        except Verdict as verdict:
            return verdict.code
        return "taken"

    def rows(self, model: str, domain: list[Any], *fields: str) -> list[dict[str, Any]]:
        """What Tryton holds, read without the target."""
        wanted = urlsafe_b64encode(json.dumps(domain).encode()).decode()
        answer = self.wire.call("GET", f"/rest/model/{model}?d={wanted}&" + "&".join(f"f={name}" for name in fields))
        if answer.status != 200:
            raise AssertionError(f"{model}: HTTP {answer.status} {answer.body[:300]!r}")
        rows: list[dict[str, Any]] = json.loads(answer.body)
        return rows

    def trial_balance(self) -> tuple[dict[int, str], Counter[int]]:
        """Names and balances (minor units) of the accounts of Tryton's general ledger."""
        mine: list[Any] = [["move.company", "=", self.ids["company"]], ["move.state", "=", "posted"]]
        names: dict[int, str] = {}
        balances: Counter[int] = Counter()
        for row in self.rows("account.move.line", mine, "account.rec_name", "debit", "credit"):
            account = row["account"]["id"]
            names[account] = row["account"]["rec_name"]
            net = Decimal(row["debit"]["decimal"]) - Decimal(row["credit"]["decimal"])
            balances[account] += Money.from_decimal(net, self.currency).minor
        return names, balances


class Checks:
    """What was looked at, said at once, and whether all of it held."""

    def __init__(self) -> None:
        self.done = self.failed = 0

    def __call__(self, sentence: str, shown: object, wanted: object) -> None:
        self.done += 1
        held = shown == wanted
        self.failed += not held
        print(f"  {'ok  ' if held else 'FAIL'} {sentence}" + ("" if held else f": {shown}, not {wanted}"), flush=True)


def rehearse(company: Company, server: Server, check: Checks) -> None:
    """Every scene against one company."""
    globex = company.customer("Globex")
    with ThreadPoolExecutor(4) as threads:
        codes = Counter(threads.map(company.refused, [globex] * 4))
    parties = company.rows("party.party", [["code", "=", globex.ref]], "addresses.id")
    check(f"four creates of one customer at once make one party ({dict(codes)})", len(parties), 1)
    check("and it is found", company.find(globex).state, "complete")
    company.party, company.address = parties[0]["id"], parties[0]["addresses"][0]["id"]

    first = company.invoice("first", 120_000, 3, 10)
    check("an invoice that was not sent is absent", company.find(first).state, "absent")
    number = company.post(first).number
    check(f"an invoice gets a posting number ({number})", bool(number), True)
    check("sent again it is the same one", company.post(first).number, number)
    check("and it is found", company.find(first).state, "complete")
    company.post(company.payment("pays first", 100_000, 3, 12))
    company.post(company.payment("pays first", 100_000, 3, 12))
    company.post(company.invoice("takes some back", 20_001, 3, 15, kind="credit_note"))

    closed = company.invoice("in January", 500, 1, 15)
    check("a closed period refuses", company.refused(closed), "period_closed")
    check("and what it leaves is half a document, in no book", company.find(closed).state, "partial")
    early = company.invoice("before the last number", 700, 3, 1)
    check("a date before the last number's is refused", company.refused(early), "target_refused")

    for writes, left, scene in ((1, "partial", "between draft and post"), (2, "complete", "behind the post")):
        torn = company.invoice(f"torn {scene}", 3_333, 4, writes)
        try:
            TARGET.send(Breaking(company.wire, server, writes), [torn])
            code = "taken"
        except Uncertain as verdict:
            code = verdict.code
        check(f"Tryton killed {scene}: in doubt", code in ("target_lost", "target_unclear"), True)
        server.start()
        check("after its restart find says how far it came", company.find(torn).state, left)
        company.post(torn)
        rows = company.rows("account.invoice", [["reference", "=", torn.ref]], "state")
        check("and sent again there is one, posted", [row["state"] for row in rows], ["posted"])


def compare(company: Company, check: Checks) -> None:
    """Print both books side by side; they must agree to the last minor unit."""
    names, theirs = company.trial_balance()
    print(f"\n{company.name} trial balance, {company.currency}{'Tryton':>34}{'ours':>14}")
    for account in sorted({*theirs, *company.books}):
        shown = [Money.of(book[account], company.currency).decimal for book in (theirs, company.books)]
        print(f"  {names.get(account, account):<34}{shown[0]:>14}{shown[1]:>14}")
    check(f"{company.name} agrees to the cent", dict(theirs), dict(company.books))
    check(f"{company.name} balances", theirs.total(), 0)


def timed(what: str, do: Callable[[], Any]) -> Any:
    """Do it and print how long it took."""
    start = time.monotonic()
    result = do()
    print(f"{what}: {time.monotonic() - start:.0f} s", flush=True)
    return result


def main() -> int:
    """Set up, rehearse, compare."""
    start = time.monotonic()
    check = Checks()
    with tempfile.TemporaryDirectory(prefix="tieout-rehearse-") as folder:
        server = Server(Path(folder))
        made = timed("Tryton with two companies and a closed January", lambda: server.create(YEAR))
        try:
            timed("server", server.start)
            companies = [
                Company(name, ids, made["key"], made["payment_term"], server) for name, ids in made["companies"].items()
            ]
            for company in companies:
                print(company.name)
                timed("  scenes", partial(rehearse, company, server, check))
            for company in companies:
                compare(company, check)
        finally:
            server.kill()
    posted = sum(len(company.posted) for company in companies)
    print(f"\n{posted} documents posted, {check.done} checks, {check.failed} failed, {time.monotonic() - start:.0f} s")
    return 1 if check.failed else 0


if __name__ == "__main__":
    sys.exit(main())
