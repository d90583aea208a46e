"""Named, typed functions that mappings may ``call``: what wants an ``if`` lives here, with its own tests.

A rule is pure: values in, one value out, `NeedsHuman` where the input is no good, None where there is nothing
to say (the field is then absent). Its parameters are checked when a mapping loads; one with a default may be
given an absent value. To add one: write it in a module of this room, decorate it with `rule`, and list the
module below if it is new.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Final

from tieout.core.rules.registry import REGISTRY

MODULES: Final = (
    "amounts", "avalara", "businesscentral", "chargebee", "days", "hubspot", "names", "netsuite", "quickbooks",
    "salesforce", "sap", "stripe", "tryton", "zendesk", "zuora",
)  # fmt: skip
"""The modules of this room that hold rules; one line each."""

for _module in MODULES:
    import_module(f"{__name__}.{_module}")

RULES: Final[Mapping[str, Callable[..., Any]]] = REGISTRY
"""Every rule by its name."""
