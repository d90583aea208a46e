"""The five ways a piece of work fails to finish, named by what happens next.

::

    Verdict
    ├── TryAgain     nothing was written; retried with back-off and jitter
    ├── Uncertain    it may have been written; look before doing anything else
    ├── NotYet       nothing is wrong; it waits for a named thing (period, parent, lane, budget, row, approval)
    ├── NeedsHuman   it would fail the same way again; a case is opened
    └── Ignore       correctly none of our business; said so in the log, nothing else

Five, and no subclasses: Step Functions matches errors by exact class name. What differs is the ``code``,
and every code has one entry in ``core/problems.py``.
"""

from __future__ import annotations


class Verdict(Exception):
    """How a piece of work did not finish.

    ``code`` names the entry in ``core/problems.py``; ``facts`` fill its sentence for the person; ``log`` is for
    the engineer and never shown to a person. Facts hold codes, ids and amounts, no personal data.
    """

    def __init__(self, code: str, log: str = "", **facts: object) -> None:
        super().__init__(f"{code}: {log}" if log else code)
        self.code = code
        self.log = log
        self.facts = {name: str(value) for name, value in facts.items()}


class TryAgain(Verdict):
    """Nothing was written. Retried with back-off; ``facts['after']`` may carry seconds asked for by the target."""


class Uncertain(Verdict):
    """It may have been written. Nothing is sent again before the target was looked at."""


class NotYet(Verdict):
    """Nothing is wrong; it waits for the thing its facts name (``gate``, and ``what``)."""


class NeedsHuman(Verdict):
    """It would fail the same way again. A case is opened and owned."""


class Ignore(Verdict):
    """Correctly none of our business."""
