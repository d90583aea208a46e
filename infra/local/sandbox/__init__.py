"""Sandbox systems that behave like the vendor on the wire: billing, CRM, ERPs.

They live in the local world, keep their own books in exact integers, and can be told to misbehave as the vendors do
(``faults``). They share nothing with the product, so that a comparison of their books with the product's ledger can
fail. Where to look::

    server.py             Sandboxes: start, stop, secrets, tick, book, faults; the HTTP server
    stripe.py             API, idempotency, billing helpers, signed events     (objects in stripe_objects.py)
    netsuite.py           records, transforms, SuiteQL                         (token in netsuite_auth.py)
    salesforce.py         token, upsert, SOQL, the Flow's callout
    xero.py               contacts, documents, where filters                   (token in rotating.py)
    quickbooks.py         entities, sync tokens, queries                       (token in rotating.py)
    sap.py                sessions and CSRF tokens, partners, orders, journal entries over SOAP
    businesscentral.py    drafts and their posting, payment journals, entity tags (subscriptions in _hooks.py)
    tryton.py             REST: drafts that are posted, numbers that follow dates
    hubspot.py            objects and their history, upserts, a search that lags, signed batches of events
    zuora.py              token, object queries that may lag, callouts
    zendesk.py            tickets, organizations, signed event webhooks
    avalara.py            transactions by code, addresses
    snowflake.py          key-pair tokens, two statements over one table
    extract.py            a lake that proves manifests and merges
    legacy.py             CSV batches on a file drop, acknowledged later
    faults.py             the ways to misbehave, one table
    any other             found by its function ``stand``
    agenda.py, books.py, wire.py, webhooks.py, system.py   what they share
"""

from __future__ import annotations

from infra.local.sandbox.books import Entry
from infra.local.sandbox.faults import Fault
from infra.local.sandbox.netsuite import NetSuite
from infra.local.sandbox.salesforce import Product, Salesforce
from infra.local.sandbox.server import Sandboxes
from infra.local.sandbox.stripe import Stripe
from infra.local.sandbox.stripe_objects import Line
from infra.local.sandbox.webhooks import When

__all__ = ["Entry", "Fault", "Line", "NetSuite", "Product", "Salesforce", "Sandboxes", "Stripe", "When"]
