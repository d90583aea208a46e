"""Named, typed functions that mappings may ``call``: what wants an ``if`` lives here, with its own tests.

A rule is pure: values in, one value out, `NeedsHuman` where the input is no good, None where there is nothing
to say (the field is then absent). Its parameters are checked when a mapping loads; one with a default may be
given an absent value. To add one: write it in a module of this room, decorate it with `rule`, and list the
module below if it is new.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Any, Final

from tieout.core.rules.registry import REGISTRY

MODULES: Final = (
    "amounts", "days", "names", "avalara", "businesscentral", "chargebee", "hubspot", "legacy", "netsuite",
    "quickbooks", "salesforce", "sap", "stripe", "stripe_cash", "tryton", "xero", "zendesk", "zuora",
)  # fmt: skip
"""The modules of this room that hold rules; one line each, those that all systems use first."""


class _Rules(Mapping[str, Callable[..., Any]]):
    """Every rule by its name. A module is imported when a rule is asked for that none before it holds."""

    def __getitem__(self, name: str) -> Callable[..., Any]:
        for module in MODULES:
            if name in REGISTRY:
                break
            import_module(f"{__name__}.{module}")
        return REGISTRY[name]

    def __iter__(self) -> Iterator[str]:
        for module in MODULES:
            import_module(f"{__name__}.{module}")
        return iter(REGISTRY)

    def __len__(self) -> int:
        return sum(1 for _ in self)


RULES: Final[Mapping[str, Callable[..., Any]]] = _Rules()
"""Every rule by its name."""
