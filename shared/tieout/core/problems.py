"""Every way a piece of work can fail to finish: the sentence for the person, the cause, the remedy, the owner.

One entry a code; a test holds codes raised and codes listed equal, both ways. Runbooks are derived from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True)
class Problem:
    """One code. ``sentence`` is filled with the verdict's facts; ``case`` says whether a person must act."""

    sentence: str
    cause: str
    remedy: str
    owner: str = "integration"
    severity: Literal["info", "warning", "error", "critical"] = "error"
    case: bool = True
    recovers: bool = False

    def say(self, facts: Mapping[str, str]) -> str:
        """The sentence with its facts; a fact that is not known reads «unknown», never an error."""
        return self.sentence.format_map(_Known(facts))


class _Known(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "unknown"


FINANCE, REVENUE, ENGINEER = "finance-ops", "revenue-ops", "integration"

PROBLEMS: Final[Mapping[str, Problem]] = {
    # --- the front door
    "signature_missing": Problem(
        "The delivery was not signed.", "The sender did not sign, or a proxy dropped the header.",
        "Check the endpoint's signing secret at the source.", case=False, severity="warning"),
    "signature_wrong": Problem(
        "The delivery's signature does not match its body.", "Wrong secret, or the body was changed on the way.",
        "Compare the endpoint's secret with the active ones.", case=False, severity="warning"),
    "signature_old": Problem(
        "The delivery was signed too long ago ({age} s).", "A replayed request, or a clock that is off.",
        "Check the sender's clock; deliver the event again from the source.", case=False, severity="warning"),
    "unknown_account": Problem(
        "There is no account {account} of {source} here.", "The endpoint's address is wrong, or the account is new.",
        "Add the account's secret and its row in the source accounts table.", case=False, severity="warning"),
    "too_large": Problem(
        "The body has {bytes} bytes; {most} are accepted.", "A very large document or an attack.",
        "Let the source send a thin event.", case=False, severity="warning"),
    "wrong_content_type": Problem(
        "Content type {type} is not accepted here.", "The sender is configured for another format.",
        "Send JSON.", case=False, severity="warning"),
    "empty_body": Problem(
        "The body is empty.", "The sender sent nothing.", "Send the event.", case=False, severity="warning"),
    "secrets_unavailable": Problem(
        "The signing secrets cannot be read right now.", "The secret store is throttled or out of reach.",
        "Wait: the sender delivers again.", case=False, recovers=True),
    "inbox_unavailable": Problem(
        "The inbox did not take the event.", "The queue is throttled or out of reach.",
        "Wait: the sender delivers again.", case=False, recovers=True),
    # --- reading an event
    "bad_json": Problem(
        "The event cannot be read: {reason}.", "The source sent something that is not strict JSON.",
        "Look at the raw event; ask the source to send it again.", ENGINEER),
    "wrong_shape": Problem(
        "The event lacks what every {source} event has: {reason}.", "Another API version, or not an event at all.",
        "Compare the raw event with the endpoint's API version.", ENGINEER),
    "file_refused": Problem(
        "The file {file} of the old ERP was refused whole: {reason}.",
        "It was cut on its way, put together wrongly, or its number was given twice.",
        "Have the ERP send it again under the same number (a file of ours tells it so); nothing of it was taken.",
        FINANCE, severity="critical"),
    "record_refused": Problem(
        "Line {line} of file {file} ({stream}) of the old ERP cannot be read: {reason}.",
        "The ERP's export does not keep to the format.",
        "Have the record sent again in a later file; the others of its file went on.", FINANCE),
    "event_conflict": Problem(
        "Event {event} came twice with different bodies.", "The source changed an event, or somebody forged one.",
        "Compare both bodies; the first stands.", ENGINEER, severity="critical"),
    "source_gone": Problem(
        "{target} does not show {what} any more.", "It was deleted or archived there before it was read.",
        "Look for it at the source. It is asked for again by itself; what finance shall know must be issued anew.",
        FINANCE, recovers=True),
    "source_forbidden": Problem(
        "{target} does not let us read {what}: {said}.", "A permission of the reading user is missing there.",
        "Grant it; this goes on by itself.", ENGINEER, recovers=True),
    "source_behind": Problem(
        "{target} still shows an older state of {what} than its event tells of.", "What it shows lags behind.",
        "None: it is asked again.", case=False, recovers=True, severity="info"),
    "allowance_short": Problem(
        "Only {left} of the calls that {target} allows a day are left: lists wait, so that what is posted goes on.",
        "All integrations of the account share one allowance.",
        "None: it is asked again. Where it lasts, find who spends the calls, or buy more.", case=False, recovers=True,
        severity="warning"),
    "source_unreadable": Problem(
        "{target} answers for {what} with something that is not it: {said}.", "Another API version, or a fault there.",
        "Compare its answer with its documentation; this goes on by itself.", ENGINEER, recovers=True),
    "source_late": Problem(
        "{target} has not shown {what} since {since}: {said}.", "It is out of reach, behind or at its limit.",
        "Look at the source; this goes on by itself.", ENGINEER, recovers=True, severity="warning"),
    "document_conflict": Problem(
        "{key} came again with other content: {was} before, {now} now. Plan: {plan}. {why}",
        "The same business key carries different money.",
        "Compare both documents and carry the plan out at the source; the first stands until then.", FINANCE,
        severity="critical"),
    "unknown_type": Problem(
        "{source} events of type {type} start no flow.", "Nobody asked for them.", "None, or add a flow.",
        case=False, severity="info"),
    "echo": Problem(
        "The event tells of an object that we created ourselves.", "The source confirms our own write.", "None.",
        case=False, severity="info"),
    "not_for_us": Problem(
        "The event concerns no flow in this state ({reason}).", "For example a deal that is not won.", "None.",
        case=False, severity="info"),
    "unknown_entity": Problem(
        "It is not known which company sells through {source} account {account}.",
        "No row in the source accounts table.", "Add the row; then release.", REVENUE),
    "no_route": Problem(
        "No route says where {kind} of {entity} goes.", "The route table has no row for it.",
        "Add a route; then release.", ENGINEER),
    "route_unable": Problem(
        "The route leads to {target}, which cannot {action} a document of the kind {kind}.",
        "A row of the route table names a system that does not offer this.",
        "Give the row a system that does (`tieout route explain` says which row it is).", ENGINEER),
    "route_to_source": Problem(
        "The route leads {kind} of {entity} back to {target}, which it came from.",
        "A row of the route table names the source's own account.",
        "Give the row another account.", ENGINEER),
    "lane_full": Problem(
        "More than a thousand documents wait in lane {lane}.", "Something has blocked it for long.",
        "Work the case at its head.", ENGINEER),
    "dead_letter": Problem(
        "A message was given up after {receives} attempts.", "The function failed on it each time.",
        "Read the function's log; then release.", ENGINEER, severity="critical"),
    "sequence_gap": Problem(
        "{source} numbers what it sends ({stream} of {account}), and {missing} did not come; known since {since}.",
        "An event was lost on its way, or our endpoint refused it.",
        "Have the source send them again, or read what changed there meanwhile. When they come, this closes by itself.",
        ENGINEER, recovers=True),
    # --- gates
    "wrong_region": Problem(
        "The document belongs to region {region}, not here.", "A residency rule.", "Send it to its own deployment.",
        ENGINEER, severity="critical"),
    "not_its_owner": Problem(
        "A {kind} is {owner}'s to say, and this one comes from {source}.", "The ownership table names one system.",
        "Correct the source, or the row in the ownership table; then retry.", REVENUE),
    "above_limit": Problem(
        "{kind} of {entity} over {total} (minor units of {currency}) is above the limit of {limit}.",
        "Amounts above the limit need a second person.", "Compare it with the source, then approve it.", FINANCE,
        severity="warning"),
    "behind": Problem(
        "It waits behind {head}.", "An earlier document of the same lane is not finished.", "None: order is kept.",
        case=False, recovers=True, severity="info"),
    "parent_missing": Problem(
        "It waits for {what}.", "The document it belongs to has not arrived or is not accepted yet.",
        "None while it is on its way; else find out where it is.", FINANCE, case=False, recovers=True,
        severity="info"),
    "parent_late": Problem(
        "It has waited for {what} since {since}.", "The document it belongs to never arrived.",
        "Send the missing event again from the source.", FINANCE),
    "parent_gone": Problem(
        "{what}, to which it belongs, {how}.",
        "The source took the document back and then tells of money on it.",
        "Find out at the source which holds; book it by hand on account, or cancel it here.", FINANCE),
    "customer_not_ours": Problem(
        "{target} had this customer before us, as {remote}: its record is not ours to change.",
        "Onboarding found the customer there and linked it; what its CRM changes since is not written over it.",
        "Change the record in the ERP by hand; then cancel this posting.", REVENUE),
    "customer_incomplete": Problem(
        "The customer lacks {what}.", "It was marked for finance before it was complete.",
        "Complete it in the CRM.", REVENUE),
    "customer_late": Problem(
        "It has waited since {since} for customer {what} to become known in {target}.",
        "The customer was never onboarded, or the onboarding is stuck.",
        "Onboard the customer, or send its event again from the source; this goes on by itself.", REVENUE,
        recovers=True),
    "void_of_paid": Problem(
        "The source voids it though payments or credits are applied to it. Plan: {plan}. {why}",
        "It was paid and then voided, or paid in the ERP by somebody else's hand.",
        "Agree to the plan (approve, two people), or cancel the void and correct it at the source.", FINANCE),
    "cannot_take_back": Problem(
        "The source voids it, and that cannot be done here. {why}", "A closed period, or what the target offers.",
        "Do what it says; then retry, or cancel the void.", FINANCE),
    "period_closed": Problem(
        "Period {period} of {entity} is closed.", "The posting date lies in a closed period.",
        "Reopen the period or decide on the next open one.", FINANCE),
    "late_document": Problem(
        "It belongs to period {period} of {entity}, which takes no more ({why}).",
        "It is late, and the policy wants a person to decide.",
        "Decide on the period with controlling; then release.", FINANCE),
    "budget_spent": Problem(
        "{target} is used to its limit.", "Its calls at once or in a window are taken, or others wait before it.",
        "None: it goes on by itself.",
        case=False, recovers=True, severity="info"),
    "target_paused": Problem(
        "{target} is paused until {until}.", "It asked for a pause or does not answer.",
        "None: it goes on by itself.", case=False, recovers=True, severity="warning"),
    "late": Problem(
        "It should have been finished by {by}.", "It has been open longer than its service level.",
        "Look at its timeline.", ENGINEER),
    # --- documents, mappings and tables
    "totals_do_not_add_up": Problem(
        "Lines and totals differ by {difference}.", "The source's document does not add up.",
        "Correct it at the source: void and issue again.", FINANCE),
    "lines_cut": Problem(
        "The event shows only the first {shown} lines of the document.", "Webhooks cut long lists.",
        "Let it be read again from the source.", ENGINEER),
    "payment_unknown": Problem(
        "{what} moves money of payment {payment}, which paid no invoice that the billing system names.",
        "It was charged without an invoice, so its payment was never booked from here.",
        "Book it by hand where that payment was booked.", FINANCE),
    "payout_not_itemised": Problem(
        "Payout {payout} does not say of which payments and fees it is made up.",
        "It was manual or instant: the billing system lists transactions of automatic payouts only.",
        "Book it by hand from the balance report; automatic payouts are booked by themselves.", FINANCE),
    "customer_not_linked": Problem(
        "Customer {what} is not known in the ERP yet.", "It was never onboarded, or its onboarding is still running.",
        "Onboard the customer; this goes on by itself.", REVENUE, case=False, recovers=True),
    "tax_code_not_mapped": Problem(
        "Tax {what} has no tax code in {target}.", "No row in the tax code table.",
        "Add the row; this goes on by itself.", FINANCE),
    "tax_engine_not_mapped": Problem(
        "Nobody has said who reckons the tax of what comes from {what}.", "No row in the table of tax engines.",
        "Add the row; this goes on by itself.", FINANCE),
    "tax_reckoned_elsewhere": Problem(
        "The ERP reckons the tax of this {kind}, so it must not be recorded a second time.",
        "The route table sends it to the tax system, and the table of tax engines says that the ERP reckons.",
        "End the route or change the row; cancel what was made meanwhile.", FINANCE),
    "tax_not_by_line": Problem(
        "Line {line} does not say its tax, and the document as a whole does.",
        "The billing system told tax by document only.", "Let it tell tax by line; then retry.", FINANCE),
    "tax_product_not_mapped": Problem(
        "Product {what} has no tax code at {target}.", "No row in the table of tax products.",
        "Let tax class the product and add the row; this goes on by itself.", FINANCE),
    "ship_to_missing": Problem(
        "The document does not say where it is supplied, which decides its tax.",
        "The billing system has no usable address of the customer.",
        "Complete the address at the billing system; cancel this one and record it by hand.", FINANCE),
    "address_not_found": Problem(
        "The customer's address is not one that tax can be reckoned for: {said}", "It is incomplete or does not exist.",
        "Correct the address; then retry.", REVENUE),
    "item_not_mapped": Problem(
        "Product {what} has no item in {target}.", "No row in the item table.", "Add the row; this goes on by itself.",
        FINANCE),
    "account_not_mapped": Problem(
        "Account {what} has no account in {target}.", "No row in the accounts table.",
        "Add the row; this goes on by itself.", FINANCE),
    "table_change_unusable": Problem(
        "An approved change of {table} does not fit the running release: {what}.",
        "The release changed the table after the change was approved.",
        "Propose the change anew for this release, or deploy the release it was made for; this goes on by itself.",
        FINANCE, recovers=True, severity="critical"),
    "currency_not_mapped": Problem(
        "Currency {what} is not set up for {target}.", "No row in the currency table.",
        "Add the row; this goes on by itself.", FINANCE),
    "entity_not_mapped": Problem(
        "Company {what} is not set up for {target}.", "No row in the entity table.",
        "Add the row; this goes on by itself.", FINANCE),
    "terms_not_mapped": Problem(
        "Payment terms {what} are not set up for {target}.", "No row in the terms table.",
        "Add the row; this goes on by itself.", FINANCE),
    "price_not_mapped": Problem(
        "Product {what} has no price in {target}.", "No row in the price table.",
        "Add the row; this goes on by itself.", REVENUE),
    "deal_incomplete": Problem(
        "The deal lacks {what}.", "It was closed before it was complete.", "Complete the deal in the CRM.", REVENUE),
    "quote_amends": Problem(
        "Quote {number} changes what was agreed before (its type is {type}): it is no order of its own.",
        "An amendment shows what stays beside what changes, and a reduction takes back.",
        "Change the order in the ERP by hand; then close this case.", REVENUE),
    "unknown_currency": Problem(
        "{currency} is not a currency that can be booked.", "The source sent a code that ISO 4217 does not list.",
        "Correct the currency at the source.", FINANCE),
    "bad_amount": Problem(
        "An amount cannot be read exactly.", "It has a strange form, or more decimals than its currency.",
        "Look at the raw event; correct it at the source.", ENGINEER),
    "amount_out_of_range": Problem(
        "An amount has eighteen digits or more.", "A mistake at the source, or an attack.",
        "Look at the raw event.", FINANCE, severity="critical"),
    "currency_mismatch": Problem(
        "Two currencies meet inside one document.", "The source's document mixes currencies.",
        "Correct it at the source: void and issue again.", FINANCE),
    "negative_total": Problem(
        "A {kind} over {amount} is negative.", "Its kind says the direction, not its sign.",
        "Issue a credit note instead at the source.", FINANCE),
    "bad_date": Problem(
        "A date or time cannot be read.", "It has a strange form, or no time zone where one is due.",
        "Look at the raw event.", ENGINEER),
    "bad_time_zone": Problem(
        "There is no time zone {zone}.", "A mistake in the entities table.", "Correct the row; then release.",
        ENGINEER),
    "period_not_in_calendar": Problem(
        "{entity} has no accounting period for {posting_date}.", "Its calendar does not reach that day yet.",
        "Add the periods to the calendar; this goes on by itself.", FINANCE),
    "journal_unbalanced": Problem(
        "Journal entry {number} does not balance: {debits} against {credits}.", "A mistake in whatever made it.",
        "Look at what made the entry; nothing is booked.", FINANCE, severity="critical"),
    "intercompany_unbalanced": Problem(
        "The two sides of an intercompany sale differ ({what}): {seller} against {buyer}.",
        "The wrong entity, or one side was changed alone.", "Compare both sides; nothing is booked.", FINANCE),
    "rounding_not_set": Problem(
        "It is not set how {target} rounds.", "No row in the rounding policies table.", "Add the row; then release.",
        FINANCE),
    "rounding_beyond_tolerance": Problem(
        "The target would come to another total, by {difference}; roundings explain {tolerance} at most.",
        "A wrong tax rate, or a source that computes tax otherwise.", "Compare rate and tax of each line.", FINANCE),
    "rounding_policy_unfit": Problem(
        "{currency} has more decimals than {policy} allows.", "The policy does not fit the currency.",
        "Choose another row in the rounding policies table.", FINANCE),
    "tax_rate_missing": Problem(
        "Line {line} of the {kind} has neither tax nor tax rate.", "The source left it out.",
        "Correct it at the source: void and issue again.", FINANCE),
    "rate_missing": Problem(
        "There is no rate from {of} into {into} for {on}.", "No row in the rates table.", "Add the row; then release.",
        FINANCE),
    "late_rule_missing": Problem(
        "A {kind} of {entity} is late for period {period}, and no rule says what to do.",
        "No row in the late documents table.", "Add the row; then release.", FINANCE),
    "bad_term": Problem(
        "Revenue of {promise} cannot be spread.", "Its days, prices or units contradict one another.",
        "Correct the contract at the source.", REVENUE),
    "modification_out_of_order": Problem(
        "A modification of {on} comes after one of {last} was booked.", "Amendments arrived in the wrong order.",
        "Enter both in their order; then release.", REVENUE),
    "intercompany_not_declared": Problem(
        "The {kind} of {entity} names {said} as our buying company, the customer {known}.",
        "A document in the wrong company, or a partner code that is missing.", "Correct the partner; then release.",
        FINANCE),
    "document_invalid": Problem(
        "The {kind} is not complete or not sound: {where}.", "The source left something out, or the mapping is wrong.",
        "Look at the raw event and at the mapping.", ENGINEER),
    "not_rendered": Problem(
        "The request for {target} cannot be made: our own rules fail with {error}.",
        "A mistake in a mapping, a rule or a gate of this release.",
        "Correct it, deploy it, then retry.", ENGINEER, severity="critical"),
    "ends_its_process": Problem(
        "The last {times} calls to {target} for this document each ended the process that made them; nothing arrived.",
        "A document or an answer that needs more memory or time than the function has; rarely a service that is down.",
        "Look at the function's reports around its attempts; give it more, or mend what it meets; then retry.",
        ENGINEER, severity="critical"),
    "mapping_value_missing": Problem(
        "Mapping {mapping} finds nothing at {path} for {field}.", "The source left it out.",
        "Complete it at the source, or make the field optional.", ENGINEER),
    "number_too_long": Problem(
        "Number {number} has more than the {most} characters that the target takes.",
        "The source's numbering is longer than the target's field.", "Shorten the numbering at the source.", FINANCE),
    "text_too_long": Problem(
        "{field} has {length} characters; the target takes {most}.", "A longer name or text than the target's field.",
        "Shorten it at the source, or change the mapping.", REVENUE),
    "terms_unknown": Problem(
        "Payment terms {terms} are not understood.", "They are not of the form NET30.",
        "Correct the terms at the source.", REVENUE),
    # --- the target's answers
    "target_unreachable": Problem(
        "{target} cannot be reached.", "Network, DNS or TLS.", "None: it is tried again.", case=False, recovers=True),
    "target_lost": Problem(
        "{target} did not answer.", "The connection broke after the request had left.",
        "None: the target is looked at before anything else.", case=False, recovers=True),
    "target_timeout": Problem(
        "{target} took too long.", "Slow or overloaded.", "None: the target is looked at.", case=False, recovers=True),
    "target_conflict": Problem(
        "{target} reports a conflict.", "A concurrent change or a duplicate.", "None: the target is looked at.",
        case=False, recovers=True),
    "target_unclear": Problem(
        "{target} answered something undeclared (HTTP {status}).", "A fault at the target.",
        "None: the target is looked at.", case=False, recovers=True),
    "target_echo_differs": Problem(
        "{target} shows another document than was sent: {difference}.", "Rounding, a script, or a mix-up there.",
        "Compare both documents.", FINANCE, severity="critical"),
    "target_busy": Problem(
        "{target} asks for a pause.", "Its limit is reached.", "None: it goes on by itself.", case=False,
        recovers=True, severity="info"),
    "target_down": Problem(
        "{target} is out of service.", "An outage or maintenance there.", "None: it goes on by itself.", case=False,
        recovers=True, severity="warning"),
    "target_credentials": Problem(
        "{target} does not accept our credentials.", "Expired or revoked.", "Renew the credentials.", ENGINEER,
        case=False, recovers=True, severity="critical"),
    "target_forbidden": Problem(
        "{target} forbids this: {said}.", "A permission is missing there.", "Grant the permission; then release.",
        ENGINEER),
    "target_no_such_thing": Problem(
        "{target} does not know what was named: {said}.", "A deleted or renamed record.", "Look at the payload.",
        ENGINEER),
    "target_too_large": Problem(
        "The document is too large for {target}.", "Too many lines.", "Split the document.", ENGINEER),
    "target_refused": Problem(
        "{target} refused the document: {said}.", "A rule there.", "Correct the document or the mapping; then release.",
        FINANCE),
    "target_host_key": Problem(
        "{target} shows another host key than the one we hold.",
        "Its key was replaced, or another machine answers at its address.",
        "Ask its operators for the key by another way and put it into the secret; then retry.", ENGINEER,
        severity="critical"),
    "target_reference_missing": Problem(
        "{target} misses a record the document names: {said}.", "Master data is incomplete there.",
        "Create the record; then release.", FINANCE),
    "target_duplicate": Problem(
        "{target} already has a document with this reference.", "An earlier attempt landed.",
        "None: the target is looked at.", case=False, recovers=True),
    "record_rejected": Problem(
        "{target} rejected the record: {said}.", "A rule there.", "Correct the document; then release.", FINANCE),
    "ack_missing": Problem(
        "{target} has not acknowledged batch {batch}.", "The file was not picked up.",
        "Ask the target's operators.", ENGINEER),
    "cannot_look": Problem(
        "Whether {target} has the document cannot be found out.", "It offers no search.",
        "Look by hand and settle.", FINANCE, severity="critical"),
    "found_several": Problem(
        "{target} has more than one document with our reference.", "A duplicate was made there.",
        "Reverse one of them and settle.", FINANCE, severity="critical"),
    # --- our own
    "ledger_contended": Problem(
        "Several functions wanted the same entry of the ledger at once.", "A burst on one lane or one target.",
        "None: it goes on by itself.", case=False, recovers=True, severity="info"),
    "newer_release": Problem(
        "A newer release of Tieout has this entry, and this one does not touch it.",
        "Two releases run side by side, or one was rolled back.",
        "None while the newer release runs; after a rollback, deploy it again.", case=False, recovers=True,
        severity="info"),
    "release_late": Problem(
        "What this event would join was written by a newer release of Tieout, which has not run since {since}.",
        "That release was rolled back.", "Deploy it again; this goes on by itself then.", ENGINEER, recovers=True,
        severity="warning"),
    "deadline_near": Problem(
        "There was not enough time left to start the call.", "A slow batch.", "None: it goes on by itself.",
        case=False, recovers=True, severity="info"),
    "job_behind": Problem(
        "Job {job} has finished no window since {since}: {means}.", "It fails each time, or its schedule is off.",
        "Read the function's log. What is owed is made up by its next run, which closes this.", ENGINEER,
        recovers=True),
    "step_failed": Problem(
        "Step {step} of {flow} failed: {said}.", "See the posting it names.", "Correct the cause and restart the flow.",
        REVENUE),
    "undo_failed": Problem(
        "Step {step} of {flow} could not be undone.", "See the posting it names.", "Undo it by hand and settle.",
        REVENUE, severity="critical"),
}  # fmt: skip


def problem(code: str) -> Problem:
    """The entry for ``code``; a code without one is a bug, said as a case rather than as a crash."""
    return PROBLEMS.get(code) or Problem(
        f"Something is wrong ({code}).", "No entry in the catalogue.", "Tell engineering."
    )
