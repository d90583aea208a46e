"""The legacy ERP's other spelling: lines of fixed width (``.txt``). It shares nothing with the product's own.

Widths in characters of UTF-8; numbers stand right, filled with zeros, a minus in front.
"""

from __future__ import annotations

# by record type, of files that come in and of answers that go out
TAKEN = {"H": (1, 8, 2, 60, 20, 10), "D": (1, 6, 30, 12, 8, 30, 80, 10, 10, 3, 19, 19, 19, 30, 120),
         "T": (1, 6, 19, 16)}  # fmt: skip
GIVEN = {"H": (1, 8, 2, 60, 20), "A": (1, 6, 30, 20, 3, 19), "R": (1, 6, 30, 20, 120), "T": (1, 6, 6)}
TAKEN_NUMBERS = {"D": {1, 10, 11, 12}, "T": {1, 2}}
TOLD = {"H": (1, 8, 2, 12, 9, 20, 10), "P": (1, 6, 30, 10, 3, 19, 30, 80, 30, 120),
        "C": (1, 6, 8, 30, 30, 120, 120, 30, 120, 80, 20, 2), "T": (1, 6, 19, 16)}  # fmt: skip
TOLD_NUMBERS = {"H": {4}, "P": {1, 5}, "C": {1}, "T": {1, 2}}
GIVEN_NUMBERS = {"A": {1, 5}, "R": {1}, "T": {1, 2}}


def take_apart(text: str) -> list[str]:
    """The cells of a line; none where its length is not that of its type."""
    widths = TAKEN.get(text[:1], ())
    if not widths or len(text) != sum(widths):
        return []
    cells, place = [], 0
    for number, width in enumerate(widths):
        cell = text[place : place + width].strip()
        if number in TAKEN_NUMBERS.get(text[0], ()) and cell.lstrip("-").isdigit():
            cell = str(int(cell))
        cells.append(cell)
        place += width
    return cells


def spell(cells: list[str]) -> str:
    """A line of an answer; what does not fit its column is cut, as such systems do."""
    return _spelled(cells, GIVEN[cells[0]], GIVEN_NUMBERS.get(cells[0], set()))


def tell(cells: list[str]) -> str:
    """A line of a file that tells; of an unknown type, as it is."""
    widths = TOLD.get(cells[0], ())
    if len(widths) != len(cells):
        return " ".join(cells)
    return _spelled(cells, widths, TOLD_NUMBERS.get(cells[0], set()))


def _spelled(cells: list[str], widths: tuple[int, ...], numbers: set[int]) -> str:
    return "".join(
        cell.zfill(width) if place in numbers and cell else cell[:width].ljust(width)
        for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
