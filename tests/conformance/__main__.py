"""`python -m tests.conformance`: asks MiniStack and the local world all rows; `page` writes docs/conformance.md."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from tests.conformance import differential, dynamo, engines, page, rows
from tests.conformance.engines import Aws


def _compare(name: str, start: Callable[[], AbstractContextManager[Aws]]) -> list[str]:
    began = time.monotonic()
    with start() as aws:
        dynamo.make_table(aws)
        observed = rows.ask_all(name, aws)
        wrong = rows.disagreements(name, observed, rows.reviewed())
        wrong += [found for seed in range(differential.SEQUENCES) if (found := differential.differs(aws, seed))]
    took = f"{time.monotonic() - began:.0f} s"
    print(f"{name}: {len(observed)} rows, {differential.SEQUENCES} sequences, {len(wrong)} not as reviewed, {took}")
    return wrong


def main(words: list[str]) -> int:
    """Exit status 1 where something is not as reviewed."""
    if words == ["page"]:
        page.PAGE.write_text(page.text())
        return 0
    os.environ.update(AWS_ACCESS_KEY_ID="testing", AWS_SECRET_ACCESS_KEY="testing", AWS_EC2_METADATA_DISABLED="true")
    wrong = _compare(engines.LOCAL, engines.local) + _compare(engines.SECOND, engines.second)
    print("\n".join(wrong) or "conformance: as reviewed")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
