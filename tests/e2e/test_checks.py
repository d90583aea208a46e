"""The accounts that routes name are checked by the deployed probe, and what it found is in the ledger."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from datetime import timedelta

from infra.local.sandbox import Fault
from tests.e2e.scene import Scene, scene
from tieout.core import keys

ACCOUNTS = ("netsuite:acme", "stripe:acct_us", "stripe:acct_de", "salesforce:acme", "legacy:acme")


def passed(here: Scene, span: timedelta) -> None:
    """World time passes, and the probe runs."""
    with redirect_stdout(io.StringIO()):
        here.world.advance(span)
        here.world.invoke("probe", {})


def test_probe_checks_every_account_and_sees_what_goes_wrong_and_right_again() -> None:
    with scene() as here:

        def states() -> dict[str, str]:
            wanted = {keys.checkup_item(one): one for one in ACCOUNTS}
            found = here.ledger.read(list(wanted))
            return {name: found[key]["state"] for key, name in wanted.items() if key in found}

        passed(here, timedelta(minutes=2))
        assert states() == dict.fromkeys(ACCOUNTS, "good")
        here.sandboxes.faults.add(Fault("stale_token", "GET /stripe/acct_us/", times=0))
        passed(here, timedelta(hours=6, minutes=2))
        assert states() == dict.fromkeys(ACCOUNTS, "good") | {"stripe:acct_us": "bad"}
        here.sandboxes.faults.clear()
        passed(here, timedelta(hours=6, minutes=2))
        assert states() == dict.fromkeys(ACCOUNTS, "good")
