"""Joins the sandbox systems to the world: webhooks in, the file drop, and their credentials in the secret store."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from moto.backends import get_backend

from infra.local.template import ACCOUNT


class BucketDrop:
    """The legacy ERP's file drop: the drop bucket of the template, seen from outside."""

    def __init__(self, s3: Any, bucket: str) -> None:
        self._s3, self._bucket = s3, bucket

    def list(self, prefix: str) -> Iterable[str]:
        """Keys that begin with a prefix, read past the API: the world asks whenever it looks what is due next."""
        names = list(get_backend("s3")[ACCOUNT]["aws"].buckets[self._bucket].keys)
        return [name for name in names if name.startswith(prefix)]

    def get(self, key: str) -> bytes:
        """Content of a file; KeyError if it is gone."""
        try:
            return bytes(self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read())
        except self._s3.exceptions.NoSuchKey as gone:
            raise KeyError(key) from gone

    def put(self, key: str, body: bytes) -> None:
        """Writes a file."""
        self._s3.put_object(Bucket=self._bucket, Key=key, Body=body)


def put_secret(secrets: Any, stage: str, name: str, value: Any) -> None:
    """Puts a secret; a short name (``stripe/acct_us``) stands under ``tieout/{stage}/``."""
    full = name if name.startswith("tieout/") else f"tieout/{stage}/{name}"
    text = value if isinstance(value, str) else json.dumps(value)
    try:
        secrets.create_secret(Name=full, SecretString=text)
    except secrets.exceptions.ResourceExistsException:
        secrets.put_secret_value(SecretId=full, SecretString=text)
