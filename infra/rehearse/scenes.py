"""What happens in the rehearsal, entity by entity: each scene is a few events and what must have become of them.

The days only go forward, because Tryton's numbers follow dates; the scene that breaks this says so. What is left open
at the end is open on purpose, and `OPEN` names it: anything else that is open is a failure.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from typing import Any
from urllib.parse import urlencode

import httpx

from infra.local.functions import Crash
from infra.local.sandbox import Line
from infra.rehearse.stage import BUYER, TARGET, Stage, quiet
from tieout.core.verdicts import Verdict
from tieout.core.writes import Item

#: Problem code of each posting that stays open, by entity and document.
OPEN = {
    ("UK01", "january"): "period_closed",
    ("US01", "backwards"): "target_refused", ("UK01", "backwards"): "target_refused",
    ("US01", "december"): "period_closed", ("UK01", "december"): "period_closed",
}  # fmt: skip


def play(stage: Stage, entity: str) -> None:
    """Every scene of one entity, in the order of its days."""
    a_customer_and_its_rivals(stage, entity)
    a_customer_that_moves(stage, entity)
    a_closed_january_by_our_own_policy(stage, entity)
    an_invoice_its_payment_and_a_credit(stage, entity)
    a_payment_before_its_invoice(stage, entity)
    a_date_before_the_last_number(stage, entity)
    tryton_is_killed(stage, entity)
    tryton_is_killed_before_a_payment_pays(stage, entity)
    a_worker_of_ours_is_killed(stage, entity)
    if entity == "US01":
        a_tax_that_two_people_map(stage, entity)
    else:
        a_zombie_makes_the_same_invoice(stage, entity)
    a_void(stage, entity)
    a_december_that_only_tryton_holds_closed(stage, entity)


def play_last(stage: Stage, entity: str) -> None:
    """What waits for good, so that nothing has to happen around it."""
    a_payment_in_a_blocked_lane(stage, entity)


def an_old_erp_by_sftp(stage: Stage) -> None:
    """A third entity keeps its books in an ERP that hosts its own SFTP server, whose line breaks at both renames."""
    billing = stage.sandboxes.stripe["acct_de"]
    stage.sftp.trouble = ["drop_before", "commit_then_drop"]
    buyer = billing.add_customer("Initrode", "ap@initrode.example")["id"]
    stage.settle()
    line = Line(10_000, 1, "prod_pro", "Pro", tax_rate="txr_de_vat_19")
    invoice = billing.finalize_invoice(buyer, [line])["id"]
    stage.settle()
    stage.check("the line broke at a rename, before it and behind it", stage.sftp.trouble, [])
    states = (stage.posting("customer", buyer)["state"], stage.posting("invoice", invoice)["state"])
    stage.check("customer and invoice are acknowledged over SFTP", states, ("POSTED", "POSTED"))
    held = [(one.kind, one.total_minor, one.currency) for one in stage.sandboxes.book("legacy", "acme")]
    stage.check("and once each in the old ERP", sorted(held), [("customer", 0, ""), ("invoice", 11_900, "EUR")])


def ask(stage: Stage, who: str, role: str, path: str, **form: str) -> dict[str, Any]:
    """What our API answers to a person, who may do it."""
    headers = {"content-type": "application/x-www-form-urlencoded",
               "authorization": f"Bearer {stage.world.token(who, (role,))}"}  # fmt: skip
    with quiet():
        answer = stage.world.http("POST", path, headers, urlencode(form))
    told: dict[str, Any] = json.loads(answer.body)
    if answer.status != 200:
        raise AssertionError(f"{path}: HTTP {answer.status} {told}")
    return told


def go_on(stage: Stage) -> None:
    """A person has done something: the next round of probe finds it."""
    stage.world.advance(600)
    with quiet():
        stage.world.invoke("probe", {})
    stage.settle()


# --- scenes ----------------------------------------------------------------------------------------------------------
def a_customer_and_its_rivals(stage: Stage, entity: str) -> None:
    """Right before our worker creates the party, three others (a worker thought dead, say) send the same request."""
    billing, codes = stage.billing[entity], Counter[str]()

    def send(item: Item) -> None:
        try:
            TARGET.send(stage.wires[entity], [stage.work(item)])
            codes["taken"] += 1
        except Verdict as verdict:
            codes[verdict.code] += 1

    def rivals() -> None:
        item = stage.posting("customer", billing.id("cus", BUYER))
        threads = [threading.Thread(target=send, args=(item,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    with stage.struck("before post http.POST:erp", 1, rivals):
        stage.happens(entity, billing.customer(BUYER))
    item = stage.posting("customer", billing.id("cus", BUYER))
    parties = stage.rows(entity, "party.party", [["code", "=", item["ref"]]], "name")
    stage.check(f"four creates of one customer at once make one party (rivals: {dict(codes)})",
                (codes.total(), len(parties)), (3, 1))  # fmt: skip
    stage.check("and ours ends as posted, by looking", item["state"], "POSTED")


def a_customer_that_moves(stage: Stage, entity: str) -> None:
    """A party is changed in place, by our target alone: no flow tells of it yet."""
    body = stage.billing[entity].customer("Mover")
    event = json.loads(body)
    event["data"]["object"]["address"]["line1"] = "1 New Street"
    event["data"]["object"]["email"] = "new@mover.example"
    wire, shown = stage.wires[entity], []
    for version in (body, json.dumps(event).encode(), body):
        work = stage.unbooked(entity, "customer", version)
        shown.append(TARGET.find(wire, work).state)
        TARGET.send(wire, [work])
        shown.append(TARGET.find(wire, work).state)
    stage.check("a customer that moves, and back, is found once it shows it", shown, ["absent", "complete"] * 3)
    rows = stage.rows(entity, "party.party", [["code", "=", work.ref]], "addresses.street", "contact_mechanisms.value")
    held = [(len(row["addresses"]), len(row["contact_mechanisms"])) for row in rows]
    stage.check("as one party with one address and one e-mail", held, [(1, 1)])


def a_closed_january_by_our_own_policy(stage: Stage, entity: str) -> None:
    """Our calendar holds January closed: the policy of the one entity re-dates, the other's holds."""
    stage.happens(entity, stage.billing[entity].invoice("january", BUYER, 5_000, 1, 15))
    item = stage.invoice(entity, "january")
    if entity == "US01":
        [row] = stage.rows(entity, "account.invoice", [["reference", "=", item["ref"]]], "invoice_date", "state")
        stage.check("an invoice of a closed January is re-dated by policy", item["state"], "POSTED")
        shown = (row["invoice_date"]["month"], row["invoice_date"]["day"])
        stage.check("and stands in Tryton under the first open day", shown, (2, 1))
    else:
        stage.check(
            "an invoice of a closed January waits by policy", (item["state"], item["code"]), ("HELD", "period_closed")
        )
        stage.check("and never reached Tryton", stage.states(entity, item), [])


def an_invoice_its_payment_and_a_credit(stage: Stage, entity: str) -> None:
    """The usual way; the invoice's event is delivered twice."""
    billing = stage.billing[entity]
    event = billing.invoice("first", BUYER, 100_000, 3, 10)
    stage.happens(entity, event, event)
    stage.happens(entity, billing.paid("first", BUYER, 100_000, 3, 10, (3, 12)))
    stage.happens(entity, billing.credit("partly", "first", BUYER, 20_001, 3, 15))
    item = stage.invoice(entity, "first")
    stage.check(
        f"an invoice gets a posting number ({item.get('remote_number')})", bool(item.get("remote_number")), True
    )
    stage.check("delivered twice it is one document", stage.states(entity, item), ["posted"])
    paid = [one["state"] for one in stage.items("posting") if one["kind"] == "payment" and one["entity"] == entity]
    stage.check("its payment is posted", paid, ["POSTED"])
    stage.check("so is its credit note", stage.posting("credit_note", billing.id("cn", "partly"))["state"], "POSTED")


def a_payment_before_its_invoice(stage: Stage, entity: str) -> None:
    """The events arrive the wrong way round."""
    billing = stage.billing[entity]
    stage.happens(entity, billing.paid("prepaid", BUYER, 30_000, 3, 18, (3, 20)))
    source_id = f"{billing.id('in', 'prepaid')}:paid"
    held = stage.posting("payment", source_id)
    stage.check(f"a payment without its invoice waits ({held.get('code')})", held["state"], "HELD")
    stage.happens(entity, billing.invoice("prepaid", BUYER, 30_000, 3, 18))
    states = (stage.invoice(entity, "prepaid")["state"], stage.posting("payment", source_id)["state"])
    stage.check("and follows it by itself", states, ("POSTED", "POSTED"))


def a_date_before_the_last_number(stage: Stage, entity: str) -> None:
    """Tryton refuses, a case is open, and other lanes go on."""
    billing = stage.billing[entity]
    stage.happens(entity, billing.invoice("backwards", BUYER, 700, 3, 1))
    item = stage.invoice(entity, "backwards")
    stage.check(
        "a date before the last number's is refused", (item["state"], item["code"]), ("REFUSED", "target_refused")
    )
    stage.check("what it leaves is a draft, in no book", stage.states(entity, item), ["draft"])


def tryton_is_killed(stage: Stage, entity: str) -> None:
    """SIGKILL, in one entity between draft and post, in the other behind the post with its answer lost."""

    def lost() -> None:
        stage.server.kill()
        raise httpx.ReadError("the server is gone, and its answer with it")

    name = "cut"
    draft = entity == "US01"
    strike, nth, scene = (stage.server.kill, 1, "between draft and post") if draft else (lost, 2, "behind the post")
    with stage.struck("after post http.POST:erp", nth, strike) as hit:
        stage.send(entity, stage.billing[entity].invoice(name, BUYER, 3_333, 4, 1))
        stage.pump()
    stage.check(f"Tryton is killed {scene}", len(hit), 1)
    stage.check("the posting is in doubt", stage.invoice(entity, name)["state"], "IN_DOUBT")
    stage.server.start()
    stage.settle()
    item = stage.invoice(entity, name)
    stage.check("after its restart probe looks, and it ends as posted", item["state"], "POSTED")
    stage.check("and there is one, posted", stage.states(entity, item), ["posted"])


def tryton_is_killed_before_a_payment_pays(stage: Stage, entity: str) -> None:
    """SIGKILL, in one entity behind the posting of a payment, in the other behind the call that sets it against."""
    billing, posted = stage.billing[entity], entity == "US01"
    where, nth, scene = (("after post http.POST:erp", 2, "before it pays its invoice") if posted else
                         ("after post http.PUT:erp", 1, "behind the call that does"))  # fmt: skip

    def lost() -> None:
        stage.server.kill()
        raise httpx.ReadError("the server is gone, and its answer with it")

    with stage.struck(where, nth, lost) as hit:
        stage.send(entity, billing.paid("cut", BUYER, 3_333, 4, 1, (4, 2)))
        stage.pump()
    stage.check(f"Tryton is killed behind the posting of a payment, {scene}", len(hit), 1)
    source_id = f"{billing.id('in', 'cut')}:paid"
    stage.check("the payment is in doubt", stage.posting("payment", source_id)["state"], "IN_DOUBT")
    stage.server.start()
    stage.settle()
    item = stage.posting("payment", source_id)
    moves = stage.rows(entity, "account.move", [["description", "=", item["ref"]]], "lines.invoice_payment")
    pays = [line["invoice_payment"] for move in moves for line in move["lines"] if line["invoice_payment"]]
    shown = (item["state"], len(moves), pays)
    stage.check("after its restart there is one, and it pays", shown,
                ("POSTED", 1, [int(stage.invoice(entity, "cut")["remote"])]))  # fmt: skip


def a_worker_of_ours_is_killed(stage: Stage, entity: str) -> None:
    """The environment dies behind each write, and in intake before its transaction: nothing of it runs any more."""

    def dies() -> None:
        raise Crash("killed")

    billing = stage.billing[entity]
    places = (("after post http.POST:erp", 1), ("after post http.POST:erp", 2),
              ("before intake dynamodb.TransactWriteItems", 1))  # fmt: skip
    for number, (where, nth) in enumerate(places, start=1):
        name = f"orphan{number}"
        with stage.struck(where, nth, dies) as hit:
            stage.happens(entity, billing.invoice(name, BUYER, 1_100 * number, 4, 2 + number))
        item = stage.invoice(entity, name)
        shown = (len(hit), item["state"], stage.states(entity, item) if "ref" in item else [])
        stage.check(f"a worker killed {where}, no. {nth}: one, posted", shown, (1, "POSTED", ["posted"]))


def a_tax_that_two_people_map(stage: Stage, entity: str) -> None:
    """Held, with a sentence; two people give it a row, and it goes on by itself, without a release."""
    billing = stage.billing[entity]
    stage.happens(entity, billing.invoice("untaxed", BUYER, 9_900, 4, 10, rate="txr_us_tx_new"))
    held = stage.invoice(entity, "untaxed")
    stage.check("an invoice with an unmapped tax waits", (held["state"], held["code"]), ("HELD", "tax_code_not_mapped"))
    row = {"table": "tax_codes", "key": "txr_us_tx_new", "entity": entity, "target": "tryton",
           "column.value": str(stage.made["companies"][entity]["taxes"]["sales"]), "from": f"{billing.year}-01-01",
           "why": "registered there since the new year"}  # fmt: skip
    change = ask(stage, "anna", "operator", "/v1/tables/changes", **row)["change"]
    ask(stage, "ben", "approver", f"/v1/tables/changes/{change}/approve")
    go_on(stage)
    stage.check("and goes on once two people gave it a row", stage.invoice(entity, "untaxed")["state"], "POSTED")


def a_zombie_makes_the_same_invoice(stage: Stage, entity: str) -> None:
    """A worker thought dead thaws right before ours creates: Tryton takes both drafts, and never both into the book."""

    def zombie() -> None:
        item = stage.invoice(entity, "haunted")
        thread = threading.Thread(target=TARGET.send, args=(stage.wires[entity], [stage.work(item)]))
        thread.start()
        thread.join()

    with stage.struck("before post http.POST:erp", 1, zombie):
        stage.happens(entity, stage.billing[entity].invoice("haunted", BUYER, 4_400, 4, 10))
    item = stage.invoice(entity, "haunted")
    stage.check("of two creates of one invoice one is in the book", stage.states(entity, item), ["draft", "posted"])
    stage.check("and a person is asked", item["state"], "AMBIGUOUS")
    drafts = [["reference", "=", item["ref"]], ["state", "=", "draft"]]
    for row in stage.rows(entity, "account.invoice", drafts, "id"):
        stage.wires[entity].call("DELETE", f"/rest/model/account.invoice/{row['id']}")
    ask(stage, "anna", "operator", "/v1/settle/ask", posting=item["key"], action="look", why="the draft is deleted")
    go_on(stage)
    item = stage.invoice(entity, "haunted")
    stage.check("who deletes the draft and says look", (item["state"], stage.states(entity, item)),
                ("POSTED", ["posted"]))  # fmt: skip


def a_payment_in_a_blocked_lane(stage: Stage, entity: str) -> None:
    """What follows a refused invoice waits behind it; that other lanes went on, the scenes since have shown."""
    billing = stage.billing[entity]
    stage.happens(entity, billing.paid("backwards", BUYER, 700, 3, 1, (5, 3)))
    behind = stage.posting("payment", f"{billing.id('in', 'backwards')}:paid")
    stage.check("a payment waits behind its refused invoice", behind["state"] in ("NEW", "HELD"), True)


def a_void(stage: Stage, entity: str) -> None:
    """An invoice is voided in billing: the whole of it is taken back, in the same lane."""
    billing = stage.billing[entity]
    stage.happens(entity, billing.invoice("mistake", BUYER, 2_500, 4, 15))
    stage.happens(entity, billing.voided("mistake", BUYER, 2_500, 4, 15, (4, 20)))
    void = stage.posting("invoice", billing.id("in", "mistake"), "void")
    stage.check("a voided invoice is taken back", void["state"], "POSTED")


def a_december_that_only_tryton_holds_closed(stage: Stage, entity: str) -> None:
    """Our calendar says open; the server refuses the post, and numbers have no gap for it."""
    billing = stage.billing[entity]
    stage.happens(entity, billing.invoice("december", BUYER, 800, 12, 5))
    item = stage.invoice(entity, "december")
    stage.check("Tryton's own closed period refuses", (item["state"], item["code"]), ("REFUSED", "period_closed"))
    stage.happens(entity, billing.invoice("may", BUYER, 900, 5, 2))
    stage.check("and others go on", stage.invoice(entity, "may")["state"], "POSTED")
    stage.check_numbers(entity)
