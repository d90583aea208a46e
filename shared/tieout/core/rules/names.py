"""Rules about names and identifiers: canonical identity of a customer, trimmed and cut texts."""

from __future__ import annotations

from tieout.core.canonical import canonical_key
from tieout.core.rules.registry import rule
from tieout.core.verdicts import NeedsHuman


@rule
def canonical_customer(source: str, account: str, customer: str) -> str:
    """The one identity of a customer known by an id of one system: ``source:account:id``."""
    return f"{source}:{account}:{customer}"


@rule
def customer_key(name: str, tax_id: str | None = None) -> str:
    """What two records of the same buyer share: the tax id where there is one, else the name, canonical."""
    return canonical_key(tax_id) if tax_id else canonical_key(name)


@rule
def first_present(first: str | None = None, second: str | None = None, third: str | None = None) -> str | None:
    """The first of up to three values that is there and not empty."""
    return first or second or third or None


@rule
def upper(text: str) -> str:
    """Text in upper case (codes and ISO countries)."""
    return text.upper()


@rule
def cut(text: str, length: int) -> str:
    """Text of at most `length` characters, for targets with short fields."""
    return text[:length]


@rule
def fits(text: str, most: int) -> str:
    """Text that must go whole or not at all: a document number that was cut is another number."""
    if len(text) > most:
        raise NeedsHuman("number_too_long", f"{len(text)} characters, {most} fit", number=text[:64], most=str(most))
    return text


@rule
def days_of_terms(terms: str) -> int:
    """The number of days of net terms such as NET30; due on receipt is 0."""
    spelled = terms.upper().replace(" ", "").replace("_", "")
    if spelled in ("DUEONRECEIPT", "IMMEDIATE"):
        return 0
    days = spelled.removeprefix("NET")
    if not days.isascii() or not days.isdigit() or len(days) > 3:
        raise NeedsHuman("terms_unknown", f"not net terms: {terms[:32]!r}", terms=terms[:32])
    return int(days)


@rule
def unless_applied(document: str = "", applied: bool = False) -> str | None:
    """The invoice that what takes it back is applied to; absent where something is applied to it already.

    ``NeedsHuman('parent_missing')`` where the target does not have it.
    """
    if not document:
        raise NeedsHuman("parent_missing", what="the invoice")
    return None if applied else document
