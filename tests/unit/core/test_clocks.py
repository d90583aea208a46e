"""Four clocks: no way between them but the named ones."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieout.core import clocks
from tieout.core.clocks import (
    Calendar,
    DocumentDate,
    EventInstant,
    Period,
    PeriodState,
    PostingDate,
    TaxPoint,
    document_date_at,
)
from tieout.core.verdicts import NeedsHuman, NotYet

NEW_YEARS_EVE = EventInstant.parse("2026-01-01T03:30:00Z")


def test_a_moment_is_another_day_for_another_entity() -> None:
    assert document_date_at(NEW_YEARS_EVE, "America/New_York").iso == "2025-12-31"
    assert document_date_at(NEW_YEARS_EVE, "Europe/Berlin").iso == "2026-01-01"


def test_the_clocks_of_one_day_are_neither_equal_nor_comparable() -> None:
    day = date(2026, 1, 31)
    assert len({DocumentDate(day), TaxPoint(day), PostingDate(day)}) == 3
    with pytest.raises(TypeError):
        assert DocumentDate(day) < PostingDate(day)  # type: ignore[operator]


def test_a_day_is_no_moment_and_no_other_clock() -> None:
    with pytest.raises(NeedsHuman):
        DocumentDate(datetime(2026, 1, 31, tzinfo=UTC))
    with pytest.raises(NeedsHuman):
        EventInstant(datetime(2026, 1, 31))  # noqa: DTZ001 - a moment without zone is the point


@pytest.mark.parametrize("text", ["2026-02-30", "2026-1-1", "20260101", "2026-01-01T00:00:00Z", "", "２０２６-01-01"])
def test_what_is_no_day_is_refused(text: str) -> None:
    with pytest.raises(NeedsHuman) as told:
        PostingDate.parse(text)
    assert told.value.code == "bad_date"


@pytest.mark.parametrize(
    "text", ["2026-01-01T00:00:00", "2026-01-01", "2026-13-01T00:00:00Z", "yesterday", "2026-01-01T00:00:00+25:00"]
)
def test_what_is_no_moment_with_an_offset_is_refused(text: str) -> None:
    with pytest.raises(NeedsHuman) as told:
        EventInstant.parse(text)
    assert told.value.code == "bad_date"


@given(st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(2200, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_a_moment_reads_back_as_it_was_written(moment: datetime) -> None:
    instant = EventInstant(moment)
    assert EventInstant.parse(instant.iso) == instant


def test_every_vendors_offset_is_the_same_moment() -> None:
    spelled = ["2026-01-31T12:00:00.000+0000", "2026-01-31T13:00:00+01:00", "2026-01-31T12:00:00Z"]
    assert {EventInstant.parse(text) for text in spelled} == {EventInstant.from_epoch(1769860800)}
    assert EventInstant.from_epoch_ms(1769860800000) == EventInstant.from_epoch(1769860800)


@pytest.mark.parametrize("seconds", [-1, True, 1.5, "1", 10**12, None])
def test_what_is_no_unix_time_is_refused(seconds: object) -> None:
    with pytest.raises(NeedsHuman) as told:
        EventInstant.from_epoch(seconds)  # type: ignore[arg-type]
    assert told.value.code == "bad_date"


def test_the_tax_point_and_posting_date_of_an_ordinary_document_are_its_date() -> None:
    day = document_date_at(NEW_YEARS_EVE, "America/New_York")
    assert clocks.tax_point_of(day).iso == clocks.posting_date_of(day).iso == "2025-12-31"
    assert clocks.due_date_after(day, 30).iso == "2026-01-30"


def test_an_unknown_time_zone_is_refused() -> None:
    with pytest.raises(NeedsHuman) as told:
        document_date_at(NEW_YEARS_EVE, "Europe/Atlantis")
    assert told.value.code == "bad_time_zone"


JANUARY = Period("2026-01", date(2026, 1, 1), date(2026, 1, 31), PeriodState.CLOSED)
FEBRUARY = Period("2026-02", date(2026, 2, 1), date(2026, 2, 28))
CALENDAR = Calendar("US01", "America/New_York", [FEBRUARY, JANUARY])


def test_the_period_comes_from_the_posting_date() -> None:
    assert CALENDAR.period_of(PostingDate.parse("2026-01-31")) is JANUARY
    assert CALENDAR.period_of(PostingDate.parse("2026-02-01")) is FEBRUARY
    assert not JANUARY.is_open
    assert FEBRUARY.is_open


def test_no_other_clock_has_a_period() -> None:
    with pytest.raises(TypeError):
        CALENDAR.period_of(DocumentDate.parse("2026-01-31"))  # type: ignore[arg-type]


@pytest.mark.parametrize("day", ["2025-12-31", "2026-03-01"])
def test_a_day_outside_the_calendar_waits_for_it(day: str) -> None:
    with pytest.raises(NotYet) as told:
        CALENDAR.period_of(PostingDate.parse(day))
    assert told.value.code == "period_not_in_calendar"


def test_the_next_open_period_of_a_late_document_is_found() -> None:
    assert CALENDAR.next_open(PostingDate.parse("2026-01-15")) is FEBRUARY
    assert CALENDAR.next_open(PostingDate.parse("2026-03-15")) is None


@pytest.mark.parametrize("first", [date(2026, 1, 31), date(2026, 2, 2)])
def test_a_calendar_with_a_gap_or_an_overlap_is_refused(first: date) -> None:
    with pytest.raises(ValueError, match="overlap or leave a gap"):
        Calendar("US01", "UTC", [JANUARY, Period("2026-02", first, date(2026, 2, 28))])
