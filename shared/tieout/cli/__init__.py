"""The ``tieout`` command: what the desk shows, for scripts and for people who like a terminal.

``app``      the commands, their options and exit codes
``client``   the JSON API of a running deployment, and where to find one
``show``     answers as tables and sentences
``send``     signs a captured event and sends it in
``explain``  which route decided, and why

Exit codes: 0 all well; 1 the answer is a problem (nothing found, not tied out); 2 the command was misunderstood;
3 the deployment cannot be reached, or does not let you in.
"""

from __future__ import annotations


def main() -> None:
    """Run the command line."""
    from tieout.cli.app import app

    app()
