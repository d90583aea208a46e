"""What can be checked of a file drop: that it lets us in and shows both of its folders."""

from __future__ import annotations

from tieout.core.checkup import Checks

CHECKS = Checks(folders=("in/", "out/"))
