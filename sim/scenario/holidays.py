"""The free days of an estate besides weekends: people stay at home, and some travel."""

from dataclasses import dataclass
from datetime import date

from sim.scenario.section import Section

EPOCH_DAY = date(1970, 1, 1).toordinal()
FIRST_NUMBER = 2
DAYS_MAX = 60
ALLOWED = 'days or spans, such as ["2027-01-01", "2026-10-01..2026-10-07"]'


@dataclass(frozen=True, slots=True)
class Holidays:
    """Spans of days since 1970, both ends included."""

    spans: tuple[tuple[int, int], ...] = ()

    def number_of(self, day: int) -> int:
        """The number of the holiday that holds a day (from 2 on), or -1."""
        for number, (first, last) in enumerate(self.spans, start=FIRST_NUMBER):
            if first <= day <= last:
                return number
        return -1


NO_HOLIDAYS = Holidays()


def read_holidays(section: Section, key: str = "holidays") -> Holidays:
    """Read a list of days and spans."""
    value = section.raw(key, [])
    if not isinstance(value, list) or not all(isinstance(item, str | date) for item in value):
        raise section.wrong(key, ALLOWED)
    spans = []
    for item in value:
        first, _, last = str(item).partition("..")
        try:
            span = _day(first), _day(last or first)
        except ValueError as error:
            raise section.wrong(key, ALLOWED) from error
        if not 0 <= span[1] - span[0] < DAYS_MAX:
            raise section.wrong(key, f"{ALLOWED}, each of at most {DAYS_MAX} days")
        spans.append(span)
    return Holidays(tuple(spans))


def _day(text: str) -> int:
    return date.fromisoformat(text).toordinal() - EPOCH_DAY
