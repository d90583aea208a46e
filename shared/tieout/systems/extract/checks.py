"""What can be checked of the extract's drop: that it lets us in and shows the folders of the day."""

from __future__ import annotations

from tieout.core.checkup import Checks

CHECKS = Checks(folders=("documents/ingest_date={today}/", "manifests/ingest_date={today}/"))
