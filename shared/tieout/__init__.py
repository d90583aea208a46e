"""Tieout: integration middleware in which every event ties out.

The rooms, from the top of the staircase down; a room imports rooms below it, never above or beside
(kept by import-linter, see ``pyproject.toml``)::

    functions | cli -> aws -> work -> flows -> systems | mappings | tables -> contract -> core

``core``      pure values and decisions: no IO, no clock, no environment
``contract``  what a system must declare to be let in: ``Source`` and ``Target``
``systems``   one folder per outside system, listed one line each in ``systems/__init__.py``
``mappings``  governed data: ``mapping.yaml`` and its examples, no Python but the loader
``tables``    governed reference data with effective dates
``flows``     THE TABLE: every flow on one screen
``work``      the verbs (receive, intake, post, probe, ask) over ports
``aws``       the only room that knows AWS: adapters, settings, wiring
``cli``       the ``tieout`` command; left out of the Lambda layer
"""

__version__ = "0.1.0"
