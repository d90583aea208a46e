"""How the legacy ERP's files are spelled: comma-separated, or in columns of fixed width; the records are the same.

An account says which in its secret's ``settings.format``: ``csv`` (the default) or ``fixed``. In fixed width a text
stands left in its column, a whole number right, filled with zeros; widths count characters of UTF-8.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from tieout.core.verdicts import NeedsHuman

#: Widths of a number (eighteen digits and a sign) and of a reference.
NUMBER, REF, TEXT = 19, 30, 120
#: The longest document number that either dialect takes whole.
DOCUMENT_NO: Final = 80


class Dialect(Protocol):
    """One spelling of the same records."""

    name: str
    ending: str

    def line(self, cells: Sequence[str], way: str) -> str:
        """One record as a line; ``way`` is ``out`` or ``in``, ``tell`` for what the ERP tells of its own accord, and
        ``receipt`` for our answer to that."""

    def rows(self, content: bytes, way: str) -> list[list[str]]:
        """The cells of each line; what is no record of ours has the cells that could be read."""


class Csv:
    """Cells between commas, quoted where they must be."""

    name, ending = "csv", "csv"

    def line(self, cells: Sequence[str], way: str) -> str:
        """One record as a line."""
        out = io.StringIO()
        csv.writer(out, lineterminator="").writerow(cells)
        return out.getvalue()

    def rows(self, content: bytes, way: str) -> list[list[str]]:
        """The cells of each line. Raises ``csv.Error``."""
        return list(csv.reader(io.StringIO(content.decode("utf-8", "replace"), newline="")))


@dataclass(frozen=True)
class Column:
    """One column: its width, and whether it holds a whole number."""

    width: int
    number: bool = False


def _texts(*widths: int) -> tuple[Column, ...]:
    return tuple(Column(width) for width in widths)


_LINE, _AMOUNT, _COUNT = Column(6, True), Column(NUMBER, True), Column(6, True)
#: The columns of each record type, by the way that the file goes.
LAYOUTS: Final[Mapping[tuple[str, str], tuple[Column, ...]]] = {
    ("out", "H"): _texts(1, 8, 2, 60, 20, 10),
    ("out", "D"): (*_texts(1), _LINE, *_texts(REF, 12, 8, REF, DOCUMENT_NO, 10, 10, 3), _AMOUNT, _AMOUNT, _AMOUNT,
                   *_texts(REF, TEXT)),
    ("out", "T"): (*_texts(1), _COUNT, _AMOUNT, *_texts(16)),
    ("in", "H"): _texts(1, 8, 2, 60, 20),
    ("in", "A"): (*_texts(1), _LINE, *_texts(REF, 20, 3), _AMOUNT),
    ("in", "R"): (*_texts(1), _LINE, *_texts(REF, 20, TEXT)),
    ("in", "T"): (*_texts(1), _COUNT, _COUNT),
    ("tell", "H"): (*_texts(1, 8, 2, 12), Column(9, True), *_texts(20, 10)),
    ("tell", "P"): (*_texts(1), _LINE, *_texts(30, 10, 3), _AMOUNT, *_texts(30, DOCUMENT_NO, 30, TEXT)),
    ("tell", "C"): (*_texts(1), _LINE, *_texts(8, 30, REF, TEXT, TEXT, 30, TEXT, 80, 20, 2)),
    ("tell", "T"): (*_texts(1), _COUNT, _AMOUNT, *_texts(16)),
    ("receipt", "H"): (*_texts(1, 8, 2, 60), Column(9, True), *_texts(16)),
    ("receipt", "R"): (*_texts(1), _LINE, *_texts(20, TEXT)),
    ("receipt", "T"): (*_texts(1), _COUNT, _COUNT),
}  # fmt: skip


class Fixed:
    """Columns of fixed width."""

    name, ending = "fixed", "txt"

    def line(self, cells: Sequence[str], way: str) -> str:
        """One record as a line. Raises ``NeedsHuman('number_too_long')``: a cell that was cut says something else."""
        spelled = []
        for cell, column in zip(cells, LAYOUTS[way, cells[0]], strict=True):
            if len(cell) > column.width:
                raise NeedsHuman("number_too_long", "a cell wider than its column", number=cell[:64],
                                 most=str(column.width))  # fmt: skip
            spelled.append(cell.zfill(column.width) if column.number and cell else cell.ljust(column.width))
        return "".join(spelled)

    def rows(self, content: bytes, way: str) -> list[list[str]]:
        """The cells of each line."""
        return [_cut(line, way) for line in content.decode("utf-8", "replace").split("\n") if line]


def _cut(line: str, way: str) -> list[str]:
    """The cells of one line; a line that is not of its layout's length is one cell, and so no record."""
    columns = LAYOUTS.get((way, line[:1]))
    if columns is None or len(line) != sum(column.width for column in columns):
        return [line]
    cells, at = [], 0
    for column in columns:
        cell = line[at : at + column.width].rstrip(" ")
        cells.append(_whole(cell) if column.number else cell)
        at += column.width
    return cells


def _whole(cell: str) -> str:
    """A number without the zeros that fill its column; anything else as it is."""
    digits = cell.removeprefix("-")
    return str(int(cell)) if digits.isascii() and digits.isdigit() else cell


DIALECTS: Final[Mapping[str, Dialect]] = {one.name: one for one in (Csv(), Fixed())}


def chosen(settings: Mapping[str, str]) -> Dialect:
    """The dialect that an account's settings name. Raises ``NeedsHuman('target_credentials')`` for one there is not."""
    name = settings.get("format", "csv")
    if name not in DIALECTS:
        raise NeedsHuman("target_credentials", f"no file format {name[:20]!r}", target="legacy")
    return DIALECTS[name]
