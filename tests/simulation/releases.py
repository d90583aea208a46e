"""Two releases side by side: the one before this (its real code, out of git), this one, and one after it.

A deploy lets both work for a while, and a rollback lets the older one work on what the newer has written. What stands
in a history for a release is its own source, imported under another name: everything but the language in which a
release speaks with the world (`SHARED`), which is this tree's for all of them, as are the targets of the simulation.

*Before* is the newest release tag; where no release was made yet, the commit in `BEFORE`, the last one that metered no
calls: its budget item knows neither rates nor classes. Documents are strict, so that a field which one of them gains is
read by no older release: from the first release on, such a field raises the schema number. Without a git history that
holds the commit, no history has a release before this one, and `why_not` says so. *After* is this source with
the next schema number, whose documents are packed in a way that this release cannot read.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import io
import random
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
BEFORE: Final = "b73ad93"
#: What releases and the world speak with each other: verdicts, writes, keys, the contract and the ports.
SHARED: Final = ("core.verdicts", "core.writes", "core.keys", "core.classify", "contract", "work.ports")
VERBS: Final = ("intake", "post", "probe", "steps", "receive", "settle", "restart", "windows")
#: Where a document is packed, in every release so far.
PACK: Final = "return zlib.compress(documents.dump(doc), 6)"


@dataclass(frozen=True)
class Release:
    """One release: the package that holds it, the newest schema that it knows, and its verbs as modules."""

    package: str
    schema: int
    verbs: Mapping[str, ModuleType]

    def __getattr__(self, name: str) -> Any:
        return self.verbs[name]

    @property
    def systems(self) -> ModuleType:
        """Its list of systems, in which the simulation puts its own targets."""
        return import_module(f"{self.package}.systems")


@dataclass(frozen=True)
class Phase:
    """From a virtual second on, ``share`` of all invocations run the other release."""

    start: float
    share: float


class Deploys:
    """Which release each invocation of one history runs."""

    def __init__(self, other: Release, phases: Sequence[Phase], rng: random.Random) -> None:
        self.other, self.phases, self.rng = other, phases, rng

    def of(self, now: float) -> Release:
        """The release of an invocation that begins now."""
        share = next((phase.share for phase in reversed(self.phases) if phase.start <= now), 0.0)
        return self.other if self.rng.random() < share else this()

    @property
    def over(self) -> float:
        """When the last deploy of the history is made."""
        return self.phases[-1].start


@cache
def this() -> Release:
    """The release that is simulated."""
    from tieout.core import ledger

    return _release("tieout", ledger.SCHEMA)


@cache
def before() -> Release | None:
    """The release before this one; ``None`` where git has none."""
    commit = _commit()
    if commit is None:
        return None
    _install("tieout_before", _exported(commit), lambda module, text: text)
    return _release("tieout_before", import_module("tieout_before.core.ledger").SCHEMA)


def why_not() -> str:
    """Why no history has a release before this one; empty where some have."""
    return "" if _commit() else f"no git history with a release tag or with {BEFORE}: N-1 is not played"


@cache
def after() -> Release:
    """A release after this one, with a schema of its own."""
    from tieout.core import ledger

    following = ledger.SCHEMA + 1
    packed = re.compile(r'zlib\.decompress\((\w+)\["doc"\]\)')

    def edit(module: str, text: str) -> str:
        text = text.replace(f"SCHEMA: Final = {ledger.SCHEMA}", f"SCHEMA: Final = {following}")
        text = text.replace(PACK, PACK.replace("return ", 'return b"2" + '))
        return packed.sub(r'zlib.decompress(\1["doc"].removeprefix(b"2"))', text)

    _install("tieout_after", ROOT / "shared/tieout", edit)
    assert following == import_module("tieout_after.core.ledger").SCHEMA
    return _release("tieout_after", following)


def _release(package: str, schema: int) -> Release:
    there = [name for name in VERBS if find_spec(f"{package}.work.{name}") is not None]
    return Release(package, schema, {name: import_module(f"{package}.work.{name}") for name in there})


# --- the code of another release ---------------------------------------------------------------------------------
@cache
def _commit() -> str | None:
    """The commit of the newest release tag before this one, or else of `BEFORE`; it must hold the product."""
    tag = _git("describe", "--tags", "--abbrev=0", "--match", "v*", "HEAD^")
    found = _git("rev-parse", "--verify", "--quiet", f"{tag or BEFORE}^{{commit}}")
    return found if found and _git("rev-parse", "--verify", "--quiet", f"{found}:shared/tieout") else None


def _git(*words: str) -> str:
    try:
        told = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return told.stdout.strip() if told.returncode == 0 else ""


#: Kept for as long as the process: modules read their data files when they are first used.
_EXPORTS: list[tempfile.TemporaryDirectory[str]] = []


def _exported(commit: str) -> Path:
    """The package of a commit, in a directory of its own."""
    archive = subprocess.run(
        ["git", "archive", commit, "shared/tieout"], cwd=ROOT, capture_output=True, check=True
    ).stdout
    home = tempfile.TemporaryDirectory(prefix="tieout-before-")
    _EXPORTS.append(home)
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(home.name, filter="data")
    return Path(home.name) / "shared/tieout"


def _install(package: str, home: Path, edit: Callable[[str, str], str]) -> None:
    sys.meta_path.insert(0, _Finder(package, home, edit))
    import_module(package)
    for name in SHARED:
        parent = import_module(f"{package}.{name}".rpartition(".")[0])
        sys.modules[f"{package}.{name}"] = import_module(f"tieout.{name}")
        setattr(parent, name.rpartition(".")[2], sys.modules[f"{package}.{name}"])


class _Loader(importlib.machinery.SourceFileLoader):
    """Compiles a source whose imports name its own package; nothing is cached on disk."""

    package = ""
    edit: Callable[[str, str], str] = staticmethod(lambda module, text: text)

    def get_code(self, fullname: str) -> CodeType | None:
        """The code of one module of the release."""
        path = self.get_filename(fullname)
        text = re.sub(r"(?m)^(\s*(?:from|import)\s+)tieout\b", rf"\1{self.package}", Path(path).read_text())
        text = text.replace('f"tieout.systems.', f'f"{self.package}.systems.')
        return compile(self.edit(fullname, text), path, "exec")


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, package: str, home: Path, edit: Callable[[str, str], str]) -> None:
        self.package, self.home, self.edit = package, home, edit

    def find_spec(self, name: str, path: object = None, target: object = None) -> importlib.machinery.ModuleSpec | None:
        """A module of the release; nothing for everybody else's."""
        first, *rest = name.split(".")
        if first != self.package:
            return None
        place = self.home.joinpath(*rest)
        file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        if not file.exists():
            return None
        loader = _Loader(name, str(file))
        loader.package, loader.edit = self.package, self.edit
        spec = importlib.machinery.ModuleSpec(name, loader, origin=str(file), is_package=place.is_dir())
        spec.has_location = True
        if place.is_dir():
            spec.submodule_search_locations = [str(place)]
        return spec
