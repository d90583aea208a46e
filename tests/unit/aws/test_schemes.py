"""The schemes of authentication: what is sent, and that a rotating token is never lost and never renewed twice."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, quote, unquote

import boto3
import httpx
import pytest
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc import jwt
from joserfc.jwk import RSAKey
from moto import mock_aws

from tests.fakes import MemoryLedger
from tieout import systems
from tieout.aws.auth import Call, credentials
from tieout.aws.http import HttpWire
from tieout.aws.tokens import LEASE, SecretTokens
from tieout.core import credentials as declared
from tieout.core.credentials import SCHEMES, Pair
from tieout.core.verdicts import TryAgain

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
BASE = "https://api.example"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()
CALL = Call("GET", f"{BASE}/record/v1/invoice?limit=1&q=a%20b")
FILLED = {
    "base_url": BASE, "api_key": "k", "login": "u", "password": "p", "consumer_key": "ck", "consumer_secret": "cs",
    "token_id": "ti", "token_secret": "ts", "realm": "123_SB1", "client_id": "cid", "client_secret": "cse",
    "certificate_id": "cert", "private_key": PEM, "subject": "me@example.com", "refresh_token": "r0",
}  # fmt: skip
AUTH: Mapping[str, dict[str, str]] = {
    "bearer_key": {"field": "api_key"},
    "header_key": {"field": "api_key", "header": "X-Key"},
    "basic": {"user": "login", "password": "password"},
    "basic_key": {"user": "api_key"},
    "oauth1": {},
    "oauth2_client_credentials": {"token_path": "/token"},
    "oauth2_jwt_assertion": {"token_path": "/token", "algorithm": "PS256"},
    "oauth2_jwt_bearer": {"token_path": "/token", "algorithm": "RS256", "audience": "https://login.example"},
    "oauth2_refresh": {"token_path": "/token"},
    "keypair_jwt": {"account": "login", "user": "password", "header": "X-Kind", "header_value": "KEYPAIR_JWT"},
}


class Clock:
    def __init__(self) -> None:
        self.at = NOW

    def __call__(self) -> datetime:
        return self.at


class Vendor:
    """A token endpoint that rotates: a refresh token works once, and the API takes the newest access token only."""

    def __init__(self) -> None:
        self.refresh, self.count, self.broken = "r0", 0, False
        self.asked: list[dict[str, list[str]]] = []
        self.headers: list[Mapping[str, str]] = []

    def post(self, url: str, form: str, headers: Mapping[str, str]) -> tuple[int, Any]:
        said = parse_qs(form)
        self.asked.append(said)
        self.headers.append(headers)
        if self.broken:
            return 503, None
        if "refresh_token" in said and said["refresh_token"] != [self.refresh]:
            return 400, {"error": "invalid_grant"}
        self.count += 1
        self.refresh = f"r{self.count}"
        more = {"refresh_token": self.refresh, "x_refresh_token_expires_in": 8_640_000}
        return 200, {"access_token": f"a{self.count}", "expires_in": 3600, **more}


class Store:
    """A store that several processes share."""

    def __init__(self) -> None:
        self.pair: Pair | None = None
        self.taken = False
        self.fails = 0

    def read(self) -> Pair | None:
        return self.pair

    def claim(self) -> bool:
        taken, self.taken = self.taken, True
        return not taken

    def store(self, pair: Pair) -> None:
        if self.fails:
            self.fails -= 1
            raise TryAgain("secrets_unavailable", "throttled")
        self.pair = pair

    def release(self) -> None:
        self.taken = False


def rotating(vendor: Vendor, store: Any, now: Clock) -> Any:
    return credentials({"scheme": "oauth2_refresh", "token_path": "/token"}, FILLED, vendor.post, now, store)


def test_every_declared_scheme_is_carried_out_and_none_besides() -> None:
    assert set(AUTH) | {"drop"} == set(SCHEMES)
    for name, auth in AUTH.items():
        made = credentials({"scheme": name, **auth}, FILLED, Vendor().post, Clock(), Store())
        assert made.sign(CALL)
        assert "cse" not in repr(made)
    with pytest.raises(ValueError, match="no such scheme"):
        credentials({"scheme": "magic"}, FILLED, Vendor().post, Clock())


@pytest.mark.parametrize("name", sorted(AUTH))
def test_each_field_that_a_scheme_needs_is_missed_by_name(name: str) -> None:
    auth = {"scheme": name, **AUTH[name]}
    assert declared.missing(auth, FILLED) == ()
    for field in declared.needs(auth):
        broken = {key: value for key, value in FILLED.items() if key != field}
        assert declared.missing(auth, broken) == (field,)
        if field == "base_url":
            continue  # the transport's own question
        with pytest.raises(TryAgain) as raised:
            credentials(auth, broken, Vendor().post, Clock(), Store())
        assert field in str(raised.value)


def test_an_account_may_be_reached_by_the_other_scheme_where_its_secret_fills_it() -> None:
    auth = {"scheme": "basic", **AUTH["basic"], "or": "oauth2_client_credentials", "token_path": "/token"}
    names = {**AUTH["basic"], "base_url": "base_url"}
    user = {field: FILLED[field] for field in names.values()}
    client = {field: FILLED[field] for field in ("base_url", "client_id", "client_secret")}
    assert declared.chosen(auth, user)["scheme"] == "basic"
    assert declared.chosen(auth, client)["scheme"] == declared.chosen(auth, user | client)["scheme"] == auth["or"]
    assert declared.missing(auth, {"base_url": "x", "client_id": "y"}) == ("login", "password")
    for secret, word in ((user, "Basic "), (client, "Bearer "), (user | client, "Bearer ")):
        assert credentials(auth, secret, Vendor().post, Clock()).sign(CALL)["Authorization"].startswith(word)


def test_no_other_scheme_rotates_because_one_store_belongs_to_one_scheme() -> None:
    for name in systems.TARGETS:
        auth = systems.target(name).auth
        if "or" in auth:
            assert not any(SCHEMES[one["scheme"]].rotates for one in declared.alternatives(auth))


def test_every_target_declares_a_known_scheme() -> None:
    for name in systems.TARGETS:
        auth = systems.target(name).auth
        assert auth["scheme"] in SCHEMES
        assert declared.needs(auth) or auth["scheme"] == "drop"


def test_the_simple_schemes_say_what_the_vendor_reads() -> None:
    def headers(name: str) -> dict[str, str]:
        return credentials({"scheme": name, **AUTH[name]}, FILLED, Vendor().post, Clock()).sign(CALL)

    assert headers("bearer_key") == {"Authorization": "Bearer k"}
    assert headers("header_key") == {"X-Key": "k"}
    assert headers("basic") == {"Authorization": "Basic " + base64.b64encode(b"u:p").decode()}


def test_an_oauth1_signature_is_the_one_of_rfc_5849_by_hand() -> None:
    [text] = credentials({"scheme": "oauth1"}, FILLED, Vendor().post, Clock()).sign(CALL).values()
    assert text.startswith("OAuth ")
    said = dict(part.split("=", 1) for part in text.removeprefix("OAuth ").split(", "))
    said = {name: unquote(value.strip('"')) for name, value in said.items()}
    assert said.pop("realm") == "123_SB1"
    assert said["oauth_timestamp"] == str(int(NOW.timestamp()))
    mark = said.pop("oauth_signature")
    pairs = sorted((quote(k, safe="~"), quote(v, safe="~")) for k, v in {**said, "limit": "1", "q": "a b"}.items())
    normal = quote("&".join(f"{k}={v}" for k, v in pairs), safe="~")
    base = f"GET&{quote(f'{BASE}/record/v1/invoice', safe='~')}&{normal}"
    assert mark == base64.b64encode(hmac.new(b"cs&ts", base.encode(), hashlib.sha256).digest()).decode()


def test_client_credentials_may_stand_in_the_header_and_name_a_scope() -> None:
    vendor = Vendor()
    auth = {"scheme": "oauth2_client_credentials", "token_path": "/t", "client_auth": "basic", "scope": "s/.default"}
    assert credentials(auth, FILLED, vendor.post, Clock()).sign(CALL) == {"Authorization": "Bearer a1"}
    assert vendor.asked == [{"grant_type": ["client_credentials"], "scope": ["s/.default"]}]
    assert vendor.headers == [{"Authorization": "Basic " + base64.b64encode(b"cid:cse").decode()}]


def test_a_signed_grant_names_its_subject_and_its_audience() -> None:
    vendor = Vendor()
    auth = {"scheme": "oauth2_jwt_bearer", **AUTH["oauth2_jwt_bearer"]}
    credentials(auth, FILLED, vendor.post, Clock()).sign(CALL)
    [form] = vendor.asked
    assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    claims = jwt.decode(form["assertion"][0], RSAKey.import_key(PEM), algorithms=["RS256"]).claims
    assert (claims["iss"], claims["sub"], claims["aud"]) == ("cid", "me@example.com", "https://login.example")


# --- rotation ----------------------------------------------------------------------------------------------------
def test_a_key_pairs_token_names_account_user_and_the_prints_of_the_public_half() -> None:
    clock = Clock()
    secret = {"account": "acmeorg-acme.eu-central-1", "user": "loader", "private_key": PEM}
    auth = {"scheme": "keypair_jwt", "account": "account", "user": "user", "header": "X-Kind", "header_value": "JWT"}
    signer = credentials(auth, secret, lambda *_: (500, None), clock)
    headers = signer.sign(CALL)
    assert headers["X-Kind"] == "JWT"
    public = KEY.public_key()
    spki = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    token = jwt.decode(headers["Authorization"].removeprefix("Bearer "), RSAKey.import_key(PEM), algorithms=["RS256"])
    prints = base64.b64encode(hashlib.sha256(spki).digest()).decode()
    assert token.claims["sub"] == "ACMEORG-ACME.LOADER"
    assert token.claims["iss"] == f"ACMEORG-ACME.LOADER.SHA256:{prints}"
    assert token.claims["exp"] - token.claims["iat"] < 3600
    assert signer.sign(CALL) == headers, "it is used for as long as it is good"
    clock.at += timedelta(seconds=2941)
    later = signer.sign(CALL)
    assert later != headers
    assert signer.renew(headers), "an older one is forgotten already"
    assert signer.sign(CALL) == later


def test_a_rotating_token_is_renewed_by_one_process_and_read_by_the_others() -> None:
    vendor, store, now = Vendor(), Store(), Clock()
    one, two = rotating(vendor, store, now), rotating(vendor, store, now)
    assert one.sign(CALL) == two.sign(CALL) == {"Authorization": "Bearer a1"}
    now.at += timedelta(hours=1)
    assert two.sign(CALL) == one.sign(CALL) == {"Authorization": "Bearer a2"}
    assert [form["refresh_token"] for form in vendor.asked] == [["r0"], ["r1"]]
    assert store.pair is not None
    assert (store.pair.refresh, store.pair.expires_on) == ("r2", "2027-03-04")


def test_who_finds_another_renewing_waits_and_spends_nothing() -> None:
    vendor, store, now = Vendor(), Store(), Clock()
    store.taken = True
    with pytest.raises(TryAgain) as raised:
        rotating(vendor, store, now).sign(CALL)
    assert (raised.value.code, raised.value.facts["after"]) == ("target_credentials", "3")
    assert vendor.asked == []


def test_a_pair_that_could_not_be_stored_is_stored_before_anything_else() -> None:
    vendor, store, now = Vendor(), Store(), Clock()
    one = rotating(vendor, store, now)
    store.fails = 1
    with pytest.raises(TryAgain, match="secrets_unavailable"):
        one.sign(CALL)
    assert one.sign(CALL) == {"Authorization": "Bearer a1"}
    assert (store.pair and store.pair.refresh, len(vendor.asked), store.taken) == ("r1", 1, False)


def test_a_token_that_was_refused_is_not_taken_from_the_store_again() -> None:
    vendor, store, now = Vendor(), Store(), Clock()
    one, two = rotating(vendor, store, now), rotating(vendor, store, now)
    spent = one.sign(CALL)
    two.sign(CALL)
    assert one.renew(spent)
    assert one.sign(CALL) == {"Authorization": "Bearer a2"}
    assert two.renew(spent)
    assert two.sign(CALL) == {"Authorization": "Bearer a2"}, "what another process renewed meanwhile is used"
    assert vendor.count == 2


def test_a_renewal_that_fails_gives_the_right_back() -> None:
    vendor, store, now = Vendor(), Store(), Clock()
    vendor.broken = True
    with pytest.raises(TryAgain, match="target_unreachable"):
        rotating(vendor, store, now).sign(CALL)
    vendor.broken = False
    assert rotating(vendor, store, now).sign(CALL) == {"Authorization": "Bearer a1"}


def test_a_call_with_a_stale_token_is_made_once_more_with_the_renewed_one() -> None:
    vendor, store = Vendor(), Store()
    seen: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/token":
            status, body = vendor.post(str(request.url), request.content.decode(), request.headers)
            return httpx.Response(status, json=body)
        seen.append(request.headers["authorization"])
        return httpx.Response(401 if seen == ["Bearer a1"] else 200)

    target = SimpleNamespace(
        name="x", auth={"scheme": "oauth2_refresh", "token_path": "/token"}, quiet=SimpleNamespace(client_timeout=5)
    )
    client = httpx.Client(transport=httpx.MockTransport(handler))
    wire = HttpWire(target, "acme", lambda: FILLED, Clock(), lambda: client, tokens=store)
    assert wire.call("GET", "/x").status == 200
    assert seen == ["Bearer a1", "Bearer a2"]


# --- the store on AWS --------------------------------------------------------------------------------------------
def stores(now: Clock) -> tuple[Any, MemoryLedger, SecretTokens, SecretTokens]:
    client, ledger = boto3.client("secretsmanager", region_name="us-east-1"), MemoryLedger()

    def made(owner: str) -> SecretTokens:
        return SecretTokens(client, "tieout/test/xero/acme", "xero:acme", ledger, owner, now)

    return client, ledger, made("one"), made("two")


@mock_aws
def test_the_pair_lies_beside_the_accounts_secret_and_the_right_is_one_processs() -> None:
    now = Clock()
    client, _, one, two = stores(now)
    assert one.read() is None
    assert one.claim()
    assert not two.claim()
    pair = Pair("a1", "r1", NOW + timedelta(hours=1), "2027-01-01")
    one.store(pair)
    assert two.read() == pair
    one.store(Pair("a2", "r2", NOW))
    assert json.loads(client.get_secret_value(SecretId="tieout/test/xero/acme/token")["SecretString"])[
        "refresh_token"
    ] == ("r2")
    one.release()
    assert two.claim()


@mock_aws
def test_a_process_that_died_while_renewing_holds_nobody_up_for_long() -> None:
    now = Clock()
    _, _, one, two = stores(now)
    assert one.claim()
    now.at += LEASE + timedelta(seconds=1)
    assert two.claim()
    one.release()
    assert not one.claim(), "the one that slept gives back only what is its own"


@mock_aws
def test_a_throttled_store_is_asked_again_and_then_told() -> None:
    _, _, one, _ = stores(Clock())
    calls = []

    class Throttled:
        def put_secret_value(self, **asked: Any) -> None:
            calls.append(1)
            raise ClientError({"Error": {"Code": "ThrottlingException"}}, "PutSecretValue")

    one._client = Throttled()
    with pytest.raises(TryAgain, match="secrets_unavailable"):
        one.store(Pair("a", "r", NOW))
    assert len(calls) == 3


def test_days_left_are_counted_to_the_day_and_unknown_where_nobody_said() -> None:
    today = date(2026, 11, 24)
    assert declared.nearest({"expires_on": "2026-12-04"}, today) == ("", 10)
    assert declared.nearest({"expires_on": "2026-11-23"}, today) == ("", -1)
    assert declared.nearest({}, today) is None
    by_field = {"api_key": "2027-01-01", "webhook_secrets": "2026-11-25"}
    assert declared.nearest({"expires_on": by_field}, today) == ("webhook_secrets", 1)
    for no_day in ("soon", {"api_key": "soon"}):
        with pytest.raises(ValueError, match="isoformat"):
            declared.nearest({"expires_on": no_day}, today)


def test_an_account_may_name_the_scheme_by_which_it_is_reached() -> None:
    auth = {"scheme": "basic", **AUTH["basic"], "or": "header_key bearer_key", "header": "X", "field": "api_key"}
    assert declared.chosen(auth, FILLED)["scheme"] == "header_key", "the first other one that is filled"
    for name in ("basic", "header_key", "bearer_key"):
        assert declared.chosen(auth, FILLED | {"settings": {"scheme": name}})["scheme"] == name
    assert declared.chosen(auth, FILLED | {"settings": {"scheme": "magic"}})["scheme"] == "header_key"
    named = {"base_url": "x", "login": "u", "password": "p", "settings": {"scheme": "bearer_key"}}
    assert declared.missing(auth, named) == ("api_key",), "what it named is what it must hold"
