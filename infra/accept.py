"""`make accept` rewrites what the mapping examples expect; the diff is the review.

What an example says, and how it is run, is in `tieout.cli.examples`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tieout import mappings
from tieout.cli.examples import Example, examples, outcome, same, spell

__all__ = ["Example", "examples", "outcome", "rewrite", "same"]


def rewrite(example: Example, home: Path = mappings.HOME) -> bool:
    """Write the outcome into the example's file; True when that changed it."""
    said = example.read()
    kept = {word: value for word, value in said.items() if word not in ("makes", "stops_with")}
    text = spell(kept | outcome(example, home)) + "\n"
    changed = text != example.path.read_text("utf-8")
    if changed:
        example.path.write_text(text, "utf-8")
    return changed


def main() -> int:
    """``python -m infra.accept``: rewrite all expectations and say which changed."""
    parser = argparse.ArgumentParser(description="rewrite the expectations of the mapping examples")
    parser.add_argument("mapping", nargs="?", help="only this mapping")
    wanted = parser.parse_args().mapping
    count = changed = 0
    for example in examples():
        if wanted in (None, example.mapping):
            count += 1
            if rewrite(example):
                changed += 1
                print(f"rewritten: {example.name}")
    print(f"{count} examples, {changed} rewritten; read the diff before you commit it")
    return 0


if __name__ == "__main__":
    sys.exit(main())
