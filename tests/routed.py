"""The release's tables with further routes, for what is off where no row names its role."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from tieout import tables
from tieout.core.lookup import Table
from tieout.core.routing import Route
from tieout.tables import Tables


@contextmanager
def routed(*rows: Route, **overlaid: Table) -> Iterator[Tables]:
    """Every reader of the release's tables sees ``rows`` too, and whole tables instead of the release's own."""
    known = tables.load()
    more = Tables({**known.tables, **overlaid}, (*known.routes, *rows), known.calendars, known.version)
    with patch.object(tables, "load", lambda: more):
        yield more
