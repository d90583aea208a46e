"""What can be checked of Snowflake: that our role may read the table that it writes, and that the table is there."""

from __future__ import annotations

from tieout.core.checkup import Checks, Permission
from tieout.systems.snowflake.target import API, HEADERS, TABLE, statement

CHECKS = Checks(
    permissions=(
        Permission(
            f"may read {TABLE}", API, "POST", statement(f"SELECT REF FROM {TABLE} LIMIT 0", ()), HEADERS, untold=True
        ),
    ),
)  # fmt: skip
