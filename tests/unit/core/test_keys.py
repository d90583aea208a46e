"""Ledger keys: no two sorts of items share one."""

from __future__ import annotations

import inspect

from tieout.core import keys


def test_no_two_sorts_of_items_of_one_account_share_a_key() -> None:
    makers = {name: getattr(keys, name) for name in dir(keys) if name.endswith("_item")}
    made = {
        name: make("netsuite:acme").pk
        for name, make in makers.items()
        if len(inspect.signature(make).parameters) == 1
    }  # fmt: skip
    assert {"budget_item", "cursor_item", "checkup_item", "job_item"} <= set(made)
    assert len(set(made.values())) == len(made), made
