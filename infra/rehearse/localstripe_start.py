"""localstripe on loopback: ``localstripe_start.py PORT``. Its own command would listen on every interface.

Runs in the rehearsal's own environment, as a process (its licence keeps it out of ours); what it stores goes to TMPDIR.
"""

from __future__ import annotations

import logging
import sys

from aiohttp import web  # type: ignore[import-not-found]
from localstripe.server import app  # type: ignore[import-not-found]

logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(message)s")
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
