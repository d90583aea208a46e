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


class Turned(ValueError):
    """An example stops that was said to make something, or the other way round; says which."""


def rewrite(example: Example, home: Path = mappings.HOME, turn: bool = False) -> bool:
    """Write the outcome into the example's file; True when that changed it.

    Raises `Turned` where it was said to make something and stops now, or the other way round, unless ``turn``: that is
    seldom what was meant. A ``usual`` one is said to make something by its name.
    """
    said, found = example.read(), outcome(example, home)
    was = "makes" if "makes" in said or example.path.stem == "usual" else "stops" if "stops_with" in said else ""
    if not turn and was and (was == "makes") != ("makes" in found):
        now = "makes something" if "makes" in found else f"stops with {found['stops_with']}"
        raise Turned(f"{example.name} is to {'make something' if was == 'makes' else 'stop'}, and {now}")
    kept = {word: value for word, value in said.items() if word not in ("makes", "stops_with")}
    text = spell(kept | found) + "\n"
    changed = text != example.path.read_text("utf-8")
    if changed:
        example.path.write_text(text, "utf-8")
    return changed


def main() -> int:
    """``python -m infra.accept``: rewrite all expectations and say which changed."""
    parser = argparse.ArgumentParser(description="rewrite the expectations of the mapping examples")
    parser.add_argument("mapping", nargs="?", help="only this mapping")
    parser.add_argument(
        "--turn", action="store_true", help="also where what made something stops, or the other way round"
    )
    given = parser.parse_args()
    wanted = given.mapping
    count = changed = 0
    turned: list[str] = []
    for example in examples():
        if wanted in (None, example.mapping):
            count += 1
            try:
                done = rewrite(example, turn=given.turn)
            except Turned as why:
                turned.append(str(why))
                continue
            if done:
                changed += 1
                print(f"rewritten: {example.name}")
    print(f"{count} examples, {changed} rewritten; read the diff before you commit it")
    for told in turned:
        print(f"left as it was: {told}")
    if turned:
        print('Mend the mapping or the example; if it is meant so, say it in the example, or give ARGS="--turn".')
    return 1 if turned else 0


if __name__ == "__main__":
    sys.exit(main())
