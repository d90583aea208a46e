"""Names of a drop's folder: all of them, however many pages they take, and a failed look is no empty folder."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from tieout.aws.http import DropWire
from tieout.aws.services import S3Drop
from tieout.core.verdicts import TryAgain

NOON = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)


class Bucket:
    """Pages of two."""

    def __init__(self, *names: str) -> None:
        self.keys = [f"legacy/acme/{name}" for name in names]
        self.down = False

    def list_objects_v2(self, Bucket: str, Prefix: str, ContinuationToken: str = "0") -> dict[str, Any]:
        if self.down:
            raise EndpointConnectionError(endpoint_url="s3")
        found, start = [key for key in self.keys if key.startswith(Prefix)], int(ContinuationToken)
        rows = [{"Key": key, "LastModified": NOON} for key in found[start : start + 2]]
        more = len(found) > start + 2
        return {"IsTruncated": more, **({"Contents": rows} if rows else {}),
                **({"NextContinuationToken": str(start + 2)} if more else {})}  # fmt: skip


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5])
def test_all_names_of_the_folder_come_however_many_pages_they_take(count: int) -> None:
    names = [f"in/{number}.csv" for number in range(count)]
    wire = DropWire("acme", S3Drop(Bucket("out/b1.csv", *names), "drop", "legacy/acme/"))
    assert wire.names("in/") == [(name, NOON) for name in names]


def test_a_failed_look_is_no_empty_folder() -> None:
    bucket = Bucket("in/a.csv")
    bucket.down = True
    with pytest.raises(TryAgain, match="target_unreachable"):
        DropWire("acme", S3Drop(bucket, "drop", "legacy/acme/")).names("in/")
