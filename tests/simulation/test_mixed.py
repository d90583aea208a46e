"""Two releases side by side, and tokens that end in the middle of things: that both are really played, and judged."""

from __future__ import annotations

import random
from dataclasses import replace
from unittest.mock import patch

import pytest

from tests.simulation import check, coverage, events, history, releases, tokens
from tests.simulation.cheap import cheap
from tests.simulation.hub import Fate, Fates, Hub, Worker
from tests.simulation.releases import Deploys, Phase
from tests.simulation.taken import CALM, Calm
from tests.simulation.world import Setting, World, targets_of
from tieout.core import ledger
from tieout.core.keys import Key
from tieout.core.writes import Change

needs_git = pytest.mark.skipif(bool(releases.why_not()), reason=releases.why_not())


def played(setting: Setting = CALM, deploys: Deploys | None = None, fates: Fates | None = None) -> World:
    """An invoice, its payment and its credit note, played to rest."""
    world = World(fates or Calm(), setting)
    world.deploys = deploys
    with cheap(), targets_of(world):
        for number, kind in enumerate(("invoice", "payment", "credit_note")):
            event = events.stripe(0, kind, False)
            world.link(event)
            world.deliver(200.0 * number, event)
        world.hub.at(30.0, world.tick)
        assert world.hub.run(7200.0, world.rests), check.unrest(world)
        world.hub.close()
    return world


def ran(world: World, package: str) -> set[str]:
    """Roles of the invocations that ran a release."""
    return {who.rstrip("0123456789") for _, who, what, _ in world.hub.trace if what == package}


# --- releases ----------------------------------------------------------------------------------------------------
@needs_git
def test_the_release_before_is_real_code_of_its_own() -> None:
    before = releases.before()
    assert before is not None
    post = before.verbs["post"]
    assert "tieout-before" in str(post.__file__)
    assert post.ledger is not releases.this().verbs["post"].ledger
    assert post.TryAgain is releases.this().verbs["post"].TryAgain


@needs_git
def test_a_history_begun_by_the_release_before_is_finished_by_this_one() -> None:
    before = releases.before()
    assert before is not None
    world = played(deploys=Deploys(before, [Phase(0.0, 1.0), Phase(100.0, 0.5), Phase(300.0, 0.0)], random.Random(7)))
    assert check.check(world) == []
    assert {"intake", "post"} <= ran(world, "tieout_before")
    assert [item["state"] for item in world.postings()] == ["POSTED"] * 6


def test_what_a_later_release_wrote_waits_out_a_rollback_untouched() -> None:
    back = [Phase(0.0, 1.0), Phase(100.0, 0.0), Phase(900.0, 1.0)]
    world = played(deploys=Deploys(releases.after(), back, random.Random(7)))
    assert check.check(world) == []
    assert {"intake", "post"} <= ran(world, "tieout_after")
    # Its lane is of the later release: what came during the rollback was taken in when that release was back.
    late = [item for item in world.postings() if item["kind"] == "credit_note"]
    assert [item["v"] for item in late] == [ledger.SCHEMA + 1]


def test_a_write_to_what_a_later_release_wrote_is_seen() -> None:
    world = played()
    item = world.postings()[0]
    item["v"] = ledger.SCHEMA + 1
    worker = Worker("post", 1, 0.0, None, lambda outcome, value: None, schema=ledger.SCHEMA)
    world.table.write([Change(Key(item["pk"], item["sk"]), set={"looks": 1})], worker)
    assert any(found.startswith("I7") for found in check.check(world))


@needs_git
def test_a_tenth_of_the_histories_and_more_have_two_releases() -> None:
    plans = [history.plan(seed, coverage.focus(seed)) for seed in range(1_000)]
    assert sum(plan.release == "before" for plan in plans) >= 80
    assert sum(plan.release == "after" for plan in plans) >= 40


# --- tokens ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("scheme", ["fetched", "rotating"])
def test_a_token_that_ends_is_renewed_and_nothing_is_booked_twice(scheme: str) -> None:
    world = played(replace(CALM, tokens=scheme, token_life=90.0))
    assert check.check(world) == []
    assert world.vendor is not None
    assert world.vendor.count > 2
    assert len(world.books["netsuite:acme"].effects) == 3


class Revoked(Calm):
    """The ERP's tokens end at the first write."""

    def __init__(self) -> None:
        self.writes = 0

    def draw(self, n: int, label: str, kinds: tuple[str, ...], now: float) -> Fate:
        self.writes += label == "post.wire.put"
        return Fate("expired" if label == "post.wire.put" and self.writes == 1 else "", 0.01, 0.83)


def test_a_token_that_is_taken_back_in_mid_call_is_a_401_and_one_more_try_within_one_claim() -> None:
    world = played(replace(CALM, tokens="rotating"), fates=Revoked())
    assert check.check(world) == []
    (first, ref, fate), (second, again, then), *_ = world.books["netsuite:acme"].calls
    assert (first, ref, fate, then) == (second, again, "expired", "ok")
    item = next(item for item in world.postings() if item["ref"] == ref)
    assert [line["to"] for line in item["history"]] == ["NEW", "SENDING", "POSTED"]


def test_a_refresh_token_is_good_once_and_for_half_an_hour_more() -> None:
    vendor = tokens.Vendor(Hub(Calm()), 90.0)
    form = {"refresh_token": "tok_refresh_0"}
    assert vendor.token(form, "a")[0] == 200
    vendor.hub.now = tokens.GRACE - 1
    assert vendor.token(form, "b")[0] == 200
    vendor.hub.now = tokens.GRACE + 1
    assert vendor.token(form, "c") == (400, {"error": "invalid_grant"})


def test_two_who_renew_with_one_refresh_token_are_seen_where_nothing_befell_the_first() -> None:
    world = played(replace(CALM, tokens="rotating"))
    assert world.vendor is not None
    world.vendor.uses["tok_refresh_0"].append("post99")
    assert any(found.startswith("D19") for found in check.check(world))
    first = world.vendor.uses["tok_refresh_0"][0]
    world.hub.trace.append((0.0, first, "crash", ""))
    assert not any(found.startswith("D19") for found in check.check(world))


def test_without_single_flight_a_refresh_token_is_used_twice_and_that_is_seen() -> None:
    """The lease taken away: whoever wants to renew may."""
    with patch("tieout.aws.tokens.SecretTokens.claim", lambda self: True):
        seen = []
        with cheap():
            # Two of the seeds in which two workers want a new token at once, without a focus: which are played with
            # which changes whenever a boundary is added.
            for seed in (1704, 2572):
                seen += [one for one in history.play(seed).violations if one.startswith("D19")]
    assert len(seen) == 2
