"""Gives the functions the story's clock: the one thing that is put beside the product in its own process.

A function asks ``tieout.aws.clock`` for the time and nothing else; on AWS that is the machine's time.
"""

from __future__ import annotations

import importlib.abc
import importlib.util
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

NAME = "tieout.aws.clock"


def story() -> datetime:
    """The machine's time, and what the story has jumped."""
    return datetime.now(UTC) + timedelta(seconds=float(Path(os.environ["ACCEPTANCE_CLOCK"]).read_text() or 0))


class Finder(importlib.abc.MetaPathFinder):
    """Lets the module load as it is, then sets its clock."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        if name != NAME:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def timed(module: Any) -> None:
            execute(module)
            module.source = story

        spec.loader.exec_module = timed  # type: ignore[method-assign]
        return spec


sys.meta_path.insert(0, Finder())
