"""An account that is reached by another scheme than its system's usual one: through the real wire, at the sandbox."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest

from infra.local.sandbox import Sandboxes
from infra.local.sandbox.netsuite import NetSuite
from infra.local.sandbox.salesforce import Salesforce
from infra.local.sandbox.sap import Sap
from tests.fakes import World
from tests.integration.systems.conftest import Bench
from tests.integration.systems.law import rig
from tieout import systems
from tieout.aws.http import HttpWire
from tieout.contract import Work
from tieout.core import credentials
from tieout.core.verdicts import TryAgain
from tieout.work import checkup

Secret = Callable[[Sandboxes], dict[str, Any]]


def _gateway(sandboxes: Sandboxes) -> dict[str, Any]:
    there = sandboxes.of(Sap)
    return {"base_url": there.base_url, "api_key": there.api_key, "settings": {"simulate": "yes"}}


def _client(sandboxes: Sandboxes) -> dict[str, Any]:
    there = sandboxes.of(Sap)
    return {"base_url": there.base_url, "client_id": there.client_id, "client_secret": there.client_secret}


#: Of each system: the scheme, the secret that fills it, the field that is broken, and what is posted.
WAYS: list[tuple[str, str, Secret, str, tuple[str, str]]] = [
    ("netsuite", "oauth1", lambda all_: all_.of(NetSuite).secret_of_tba(), "token_secret", ("invoice", "create")),
    ("salesforce", "oauth2_jwt_bearer", lambda all_: all_.of(Salesforce).secret_of_certificate(), "subject",
     ("status", "upsert")),
    ("sap", "header_key", _gateway, "api_key", ("invoice", "create")),
    ("sap", "oauth2_client_credentials", _client, "client_secret", ("customer", "upsert")),
]  # fmt: skip
every_way = pytest.mark.parametrize(("name", "scheme", "secret", "broken", "action"), WAYS)


def wire(bench: Bench, name: str, secret: Mapping[str, Any]) -> HttpWire:
    return HttpWire(systems.target(name), "acme", lambda: secret, bench.now)


@every_way
def test_an_account_posts_by_the_scheme_that_its_secret_fills(
    bench: Bench, name: str, scheme: str, secret: Secret, broken: str, action: tuple[str, str]
) -> None:
    case = rig(name, bench)
    case.wire = wire(bench, name, told := secret(bench.sandboxes))
    assert credentials.chosen(case.target.auth, told)["scheme"] == scheme
    work: Work = case.work(*action)
    case.post(work)
    assert case.found(work) == "complete"


@every_way
def test_what_is_wrong_with_it_is_credentials_and_nothing_was_done(
    bench: Bench, name: str, scheme: str, secret: Secret, broken: str, action: tuple[str, str]
) -> None:
    case = rig(name, bench)
    work = case.work(*action)
    before = case.book()
    case.wire = wire(bench, name, secret(bench.sandboxes) | {broken: "canary"})
    with pytest.raises(TryAgain, match="target_credentials") as raised:
        case.post(work)
    assert "canary" not in repr(raised.value) + str(raised.value)
    assert case.book() == before


@every_way
def test_a_check_of_such_an_account_is_made_by_it(
    bench: Bench, name: str, scheme: str, secret: Secret, broken: str, action: tuple[str, str]
) -> None:
    told = secret(bench.sandboxes)
    there = wire(bench, name, told)
    world = World(lambda system, account: there)
    world.time = bench.clock
    world.secrets.values[name, "acme"] = told
    found = {one.what: one for one in checkup.check(world.ports(), f"{name}:acme")}
    assert {one.state for what, one in found.items() if what not in ("credentials", "signing secrets")} == {"good"}
    told.pop(broken)
    assert found["credentials"].state == "good"
    assert checkup.check(world.ports(), f"{name}:acme")[0].state == "bad"


def test_an_account_that_holds_both_is_reached_by_the_one_that_it_names(bench: Bench) -> None:
    both = bench.sandboxes.secrets()["netsuite/acme"] | bench.sandboxes.netsuite.secret_of_tba()
    by = {"oauth1": "OAuth ", "oauth2_jwt_assertion": "Bearer "}
    for scheme in by:
        told = {**both, "settings": {**both["settings"], "scheme": scheme}}
        assert credentials.chosen(systems.target("netsuite").auth, told)["scheme"] == scheme
        answer = wire(bench, "netsuite", told).call("GET", "/services/rest/record/v1/customer?limit=1")
        assert answer.status == 200
    asked = [one.path for one in bench.sandboxes.calls("auth/oauth2")]
    assert len(asked) == 1, "only the second was by a token"


def test_netsuite_refuses_a_signature_that_was_used_or_is_old_and_one_over_another_request(bench: Bench) -> None:
    there = bench.sandboxes.netsuite
    seen: list[dict[str, str]] = []
    signing = wire(bench, "netsuite", there.secret_of_tba())
    once = signing._once

    def watched(method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Any:
        seen.append(dict(headers))
        return once(method, url, headers, body)

    signing._once = watched  # type: ignore[method-assign]
    path = "/services/rest/record/v1/customer?limit=1"
    assert signing.call("GET", path).status == 200
    assert once("GET", there.base_url + path, seen[0], None).status == 401, "the nonce was used"
    assert once("GET", there.base_url + path.replace("1", "2"), seen[0], None).status == 401
    bench.clock -= timedelta(seconds=600)
    old = wire(bench, "netsuite", there.secret_of_tba())
    headers = old._auth(there.secret_of_tba()).sign(_call(there.base_url + path))
    bench.clock += timedelta(seconds=600)
    assert once("GET", there.base_url + path, headers, None).status == 401, "its time is long over"


def _call(url: str) -> Any:
    from tieout.aws.auth import Call

    return Call("GET", url)


def test_salesforce_takes_an_assertion_that_lives_no_longer_than_three_minutes(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = bench.sandboxes.salesforce.secret_of_certificate()
    path = "/services/data/v67.0/sobjects/Account/describe"
    assert wire(bench, "salesforce", told).call("GET", path).status == 200
    auth = dict(systems.target("salesforce").auth) | {"assertion_life": "181"}
    monkeypatch.setattr(systems.target("salesforce"), "auth", auth)
    with pytest.raises(TryAgain, match="invalid_grant"):
        wire(bench, "salesforce", told).call("GET", path)
