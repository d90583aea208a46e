"""Where a rotating pair of tokens is kept: the pair in Secrets Manager, the right to renew it in the ledger.

The pair has a secret of its own beside the account's (``.../token``), so that what a person writes and what a renewal
writes never overwrite each other. The right to renew is a lease on one ledger item, taken by a conditional write.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from tieout.core.credentials import Pair
from tieout.core.keys import refresh_item
from tieout.core.ledger import stamp
from tieout.core.verdicts import TryAgain
from tieout.core.writes import Change, Refused
from tieout.work.ports import Ledger

#: How long one renewal may take: a call to the token endpoint and a write, with their time-outs.
LEASE: Final = timedelta(seconds=60)
STORE_TRIES: Final = 3


class SecretTokens:
    """The pair of one target account, for all processes."""

    def __init__(
        self, client: Any, name: str, target: str, ledger: Ledger, owner: str, now: Callable[[], datetime]
    ) -> None:
        self._client, self._name, self._ledger, self._owner, self._now = client, f"{name}/token", ledger, owner, now
        self._key = refresh_item(target)
        self._rev: int | None = None

    def read(self) -> Pair | None:
        """The pair as it is stored now."""
        try:
            answer = self._client.get_secret_value(SecretId=self._name, VersionStage="AWSCURRENT")
            return Pair.of(json.loads(answer["SecretString"]))
        except ClientError as error:
            if error.response["Error"]["Code"] == "ResourceNotFoundException":
                return None
            raise TryAgain("secrets_unavailable", error.response["Error"]["Code"]) from error
        except BotoCoreError as error:
            raise TryAgain("secrets_unavailable", type(error).__name__) from error
        except (ValueError, KeyError, TypeError) as error:
            raise TryAgain("target_credentials", "the stored token is none", after=60) from error

    def claim(self) -> bool:
        """Take the lease unless another process holds it."""
        now = self._now()
        found = self._ledger.read([self._key]).get(self._key) or {}
        if found.get("until", "") > stamp(now) and found.get("owner") != self._owner:
            return False
        rev = found.get("rev")
        lease = {"what": "renewal", "owner": self._owner, "until": stamp(now + LEASE)}
        try:
            self._ledger.write([Change(self._key, set=lease, add={"rev": 1}, when={"rev": rev}, upsert=True)])
        except Refused:
            return False
        self._rev = int(rev or 0) + 1
        return True

    def store(self, pair: Pair) -> None:
        """Keep the pair; what was used up at the vendor's cannot be asked for again, so it is tried more than once."""
        text = json.dumps(pair.plain())
        for last in (*[False] * (STORE_TRIES - 1), True):
            try:
                self._put(text)
                return
            except (ClientError, BotoCoreError) as error:
                if last:
                    raise TryAgain("secrets_unavailable", type(error).__name__) from error

    def _put(self, text: str) -> None:
        try:
            self._client.put_secret_value(SecretId=self._name, SecretString=text)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ResourceNotFoundException":
                raise
            self._client.create_secret(Name=self._name, SecretString=text)

    def release(self) -> None:
        """Give the lease back; one that cannot be given back runs out."""
        free = Change(self._key, set={"until": ""}, add={"rev": 1}, when={"rev": self._rev, "owner": self._owner})
        try:
            self._ledger.write([free])
        except (Refused, TryAgain, ClientError, BotoCoreError):
            return
