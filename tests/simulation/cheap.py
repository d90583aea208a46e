"""Pure functions of the product remembered by their inputs, so that a history costs milliseconds.

Only what is a pure function of bytes or text is remembered (reading an event, mapping it to a document, its
fingerprint, what is new in it, loading a stored document, keys and references, compression, an instant as text);
everything that decides anything runs each time. The events of all histories come from one small pool, so that nearly
every question was asked before. `test_what_is_remembered_changes_no_history` holds the trace to be the same without.
"""

from __future__ import annotations

import gc
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from typing import Any, Final
from unittest.mock import patch

from tieout import systems
from tieout.contract import Read
from tieout.core import documents, drift, keys, ledger
from tieout.core.verdicts import Verdict
from tieout.work import intake, render

_READS: dict[bytes, Sequence[Read]] = {}
_DOCUMENTS: dict[tuple[str, int, str], Any] = {}
_LOADED: dict[tuple[str, bytes], Any] = {}
_PRINTS: dict[tuple[int, str], str] = {}
_DRIFTS: dict[tuple[int, int], Any] = {}
_KNOWN_DOCS: dict[int, tuple[Any, str, bytes]] = {}
#: Pure functions of hashable arguments, remembered wherever a module of the product holds them.
_PURE: Final = (keys.part, keys.digest, keys.external_ref, keys.shard, keys.deduplication_id, ledger.stamp)
_SHORT: dict[Callable[..., Any], Callable[..., Any]] = {}


def _remembered(real: Callable[..., Any]) -> Callable[..., Any]:
    if real not in _SHORT:
        _SHORT[real] = lru_cache(maxsize=16_384)(real)
    return _SHORT[real]


def everywhere(stack: ExitStack, real: Callable[..., Any]) -> None:
    """Put the remembering function where the product's modules name the real one."""
    for name, module in list(sys.modules.items()):
        if name.startswith("tieout."):
            for attribute, value in list(vars(module).items()):
                if value is real:
                    stack.enter_context(patch.object(module, attribute, _remembered(real)))


class _Source:
    """A source that reads each body once."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def read(self, body: bytes) -> Sequence[Read]:
        if body not in _READS:
            _READS[body] = self._real.read(body)
        return _READS[body]


@contextmanager
def cheap() -> Iterator[None]:
    """Remember, for as long as this is open."""
    real_source = systems.source
    real_document, real_load = render.document, documents.load
    real_print, real_of, real_dump = intake._fingerprint, documents.fingerprint, documents.dump
    sources = {name: _Source(real_source(name)) for name in systems.SOURCES}

    def document(mapping: str, read: Read, source: str, account: str, *more: Any) -> Any:
        key = (mapping, id(read), account)
        if key not in _DOCUMENTS:
            try:
                made = real_document(mapping, read, source, account, *more)
                _KNOWN_DOCS[id(made)] = (made, real_of(made), real_dump(made))
                _DOCUMENTS[key] = made
            except Verdict as verdict:
                _DOCUMENTS[key] = verdict
        made = _DOCUMENTS[key]
        if isinstance(made, Verdict):
            raise made
        return made

    def load(kind: str, data: bytes) -> Any:
        key = (kind, data)
        if key not in _LOADED:
            if len(_LOADED) > 20_000:
                _LOADED.clear()
            _LOADED[key] = real_load(kind, data)
        return _LOADED[key]

    def fingerprint(doc: Any) -> str:
        known = _KNOWN_DOCS.get(id(doc))
        return known[1] if known else real_of(doc)

    def dump(doc: Any) -> bytes:
        known = _KNOWN_DOCS.get(id(doc))
        return known[2] if known else real_dump(doc)

    def event_print(arrival: Any, read: Read) -> str:
        key = (id(read), arrival.source)
        if key not in _PRINTS:
            _PRINTS[key] = real_print(arrival, read)
        return _PRINTS[key]

    real_drift = drift.unknown_paths

    def unknown_paths(thing: Any, known: Any, *more: Any) -> Any:
        key = (id(thing), id(known))
        if key not in _DRIFTS:
            _DRIFTS[key] = (real_drift(thing, known, *more), known)
        return _DRIFTS[key][0]

    with ExitStack() as stack:
        # A history leaves circles of greenlets behind: swept seldom, for looking costs more than keeping.
        stack.callback(gc.set_threshold, *gc.get_threshold())
        gc.set_threshold(50_000, 20, 50)
        for pure in _PURE:
            everywhere(stack, pure)
        stack.enter_context(patch.object(zlib, "compress", _remembered(zlib.compress)))
        stack.enter_context(patch.object(zlib, "decompress", _remembered(zlib.decompress)))
        stack.enter_context(patch.object(drift, "unknown_paths", unknown_paths))
        stack.enter_context(patch.object(systems, "source", lambda name: sources[name]))
        stack.enter_context(patch.object(render, "document", document))
        stack.enter_context(patch.object(documents, "load", load))
        stack.enter_context(patch.object(documents, "dump", dump))
        stack.enter_context(patch.object(documents, "fingerprint", fingerprint))
        stack.enter_context(patch.object(intake, "_fingerprint", event_print))
        yield
