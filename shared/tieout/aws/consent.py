"""A person's consent, once: the authorization code flow (RFC 6749, 4.1) of a system whose token rotates.

Through Authlib. It ends where the rotating store begins: the pair that the code was exchanged for is stored under the
lease of a renewal, as every later one is. No function loads this; the command ``tieout systems authorize`` does.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import boto3
import httpx
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.httpx_client import OAuth2Client
from botocore.exceptions import BotoCoreError, ClientError

from tieout import systems
from tieout.aws import clock
from tieout.aws.auth import TokenStore, pair_of, plain_http_only_on_loopback, token_url
from tieout.aws.ledger import DynamoLedger
from tieout.aws.tokens import SecretTokens
from tieout.core.credentials import SCHEMES, Pair
from tieout.core.verdicts import TryAgain

#: Seconds for the one call to the token endpoint.
LIMIT: Final = 20.0


class NoConsent(Exception):
    """It did not come to a pair; the message is for the person, and holds no secret."""


@dataclass(frozen=True, repr=False)
class Asked:
    """One consent that is asked for: where the person goes, and what proves that the answer is to this question."""

    url: str
    state: str
    verifier: str
    redirect: str


class Door:
    """One account's way from a consent to its stored pair."""

    def __init__(
        self, account: str, secret: Mapping[str, Any], store: TokenStore, keep: Any = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:  # fmt: skip
        self.account = account
        self._auth = declared(account)
        self._secret = secret
        self._store = store
        self._keep = keep or (lambda refresh: None)
        self._transport = transport

    def ask(self, redirect: str) -> Asked:
        """The address of the vendor's consent page; ``state`` is drawn, and a verifier where the vendor takes PKCE."""
        verifier = secrets.token_urlsafe(48) if self._auth.get("pkce") else ""
        address = str(self._secret.get("authorize_url") or self._auth["authorize_url"])
        with self._client(redirect) as client:
            proof = {"code_verifier": verifier} if verifier else {}
            url, state = client.create_authorization_url(address, state=secrets.token_urlsafe(24), **proof)
        return Asked(str(url), str(state), verifier, redirect)

    def answered(self, asked: Asked, address: str) -> Pair:
        """The pair, exchanged for the code in the address at which the person's browser ended, and stored.

        Raises ``NoConsent``: a refusal, an answer to another question, another company, a renewal under way.
        """
        said = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        if "error" in said:
            raise NoConsent(f"The vendor says {said['error'][:80]}.")
        if not secrets.compare_digest(said.get("state", ""), asked.state) or not said.get("code"):
            raise NoConsent("That address does not answer this question (state or code): start again.")
        company = said.get(self._auth.get("company", ""), "")
        if company and company not in str(self._secret["base_url"]):
            raise NoConsent(f"The consent is for company {company}, and base_url names another one.")
        try:
            if not self._store.claim():
                raise NoConsent("Another process renews this account's token: try again in a minute.")
            try:
                pair = self._exchanged(asked, address)
                self._store.store(pair)
            finally:
                self._store.release()
            self._keep(pair.refresh)
        except TryAgain as obstacle:
            raise NoConsent(f"Not stored: {obstacle}") from None
        return pair

    def _exchanged(self, asked: Asked, address: str) -> Pair:
        url = token_url(self._auth, self._secret)
        plain_http_only_on_loopback(url)
        proof = {"code_verifier": asked.verifier} if asked.verifier else {}
        try:
            with self._client(asked.redirect) as client:
                said = client.fetch_token(url, authorization_response=address, state=asked.state, **proof)
        except AuthlibBaseError as error:
            raise NoConsent(f"The token endpoint says {str(error.error)[:80]}.") from None
        except (httpx.HTTPError, ValueError) as error:
            raise NoConsent(f"The token endpoint did not answer: {type(error).__name__}.") from None
        if not said.get("access_token") or not said.get("refresh_token"):
            raise NoConsent("The token endpoint gave no refresh token: is the scope for it missing?")
        days = self._auth.get("refresh_days", "")
        return pair_of(said, "", clock.now(), int(days) if days else None)

    def _client(self, redirect: str) -> Any:
        method = {"code_challenge_method": self._auth["pkce"]} if self._auth.get("pkce") else {}
        return OAuth2Client(
            self._secret["client_id"], self._secret["client_secret"], scope=self._auth.get("scope"),
            redirect_uri=redirect, trust_env=False, timeout=LIMIT, transport=self._transport, **method,
        )  # fmt: skip


def declared(account: str) -> Mapping[str, str]:
    """How an account's system is let in by a consent. Raises ``NoConsent`` where it is not."""
    system = account.partition(":")[0]
    auth = systems.target(system).auth if system in systems.TARGETS else {}
    if not auth or not SCHEMES[auth["scheme"]].rotates:
        raise NoConsent(f"{system or 'Nothing'} is not let in by a person's consent.")
    return auth


def open_door(account: str, stage: str, table: str) -> Door:
    """The door of an account of a deployment, by the AWS credentials of whoever runs this. Raises ``NoConsent``.

    ``table`` is the ledger, in which the right to renew is taken. The account's secret must hold the client already;
    the first refresh token is written into it where it has none, because it counts as incomplete without.
    """
    declared(account)
    system, _, name = account.partition(":")
    path, client = f"tieout/{stage}/{system}/{name}", boto3.client("secretsmanager")
    try:
        secret = json.loads(client.get_secret_value(SecretId=path)["SecretString"])
    except (ClientError, BotoCoreError, ValueError) as error:
        raise NoConsent(f"The secret {path} cannot be read: {type(error).__name__}.") from None
    for field in ("base_url", "client_id", "client_secret"):
        if not secret.get(field):
            raise NoConsent(f"The secret {path} has no {field}.")

    def keep(refresh: str) -> None:
        if not secret.get("refresh_token"):
            try:
                client.put_secret_value(SecretId=path, SecretString=json.dumps({**secret, "refresh_token": refresh}))
            except (ClientError, BotoCoreError) as error:
                raise TryAgain("secrets_unavailable", type(error).__name__) from error

    ledger = DynamoLedger(boto3.client("dynamodb"), table)
    owner = f"consent.{secrets.token_hex(4)}"
    return Door(account, secret, SecretTokens(client, path, account, ledger, owner, clock.now), keep)
