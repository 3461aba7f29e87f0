"""Reading single keys of a tariff's table: names, decimal text, integers, instants and windows of the day.

Every reader takes `where`, which opens the message of its `TariffError`.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from core.errors import TariffError
from core.tariff_terms import zone_of
from core.tariff_windows import DAY_MINUTES, RATE_NAMES, Period, Windows
from core.units import parse_price

WINDOW_KEYS = ("periods", "weekend_periods", "holiday_periods")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def check_keys(table: object, allowed: Sequence[str], where: str) -> None:
    """Refuse what is no table, and keys that are not allowed."""
    if not isinstance(table, Mapping):
        raise TariffError(f"{where}: {table!r} is no table of keys")
    for key in table:
        if key not in allowed:
            raise TariffError(f"{where}: unknown key {key!r}; allowed are {', '.join(allowed)}")


def one_of(table: Mapping[str, Any], keys: Sequence[str], where: str, *, required: bool) -> str | None:
    """Which of the keys is given; at most one may be, and one must be where it is required."""
    given = [key for key in keys if key in table]
    if len(given) > 1 or (required and not given):
        raise TariffError(f"{where}: give exactly one of {', '.join(keys)}, not {', '.join(given) or 'none'}")
    return given[0] if given else None


def price(value: object, key: str, where: str) -> int:
    """Yuan/kWh text to nanofen/Wh; numbers are refused, since a float has already lost the price."""
    if not isinstance(value, str):
        raise TariffError(f'{where}: {key} = {value!r} must be quoted text in yuan/kWh, such as "0.4883"')
    try:
        return parse_price(value)
    except ValueError as bad:
        raise TariffError(f"{where}: {key}: {bad}") from bad


def integers(value: object, key: str, where: str) -> tuple[int, ...]:
    """A list of integers."""
    if not isinstance(value, Sequence) or isinstance(value, str) or any(type(item) is not int for item in value):
        raise TariffError(f"{where}: {key} = {value!r} must be a list of integers")
    return tuple(value)


def truth(value: object, key: str, where: str) -> bool:
    """true or false."""
    if not isinstance(value, bool):
        raise TariffError(f"{where}: {key} = {value!r} must be true or false")
    return value


def valid_from_s(table: Mapping[str, Any], time_zone: str, where: str) -> int:
    """Epoch seconds, or ISO text: a date is its local midnight, a time without offset is local and must be unique."""
    key = one_of(table, ("valid_from", "valid_from_s"), where, required=True)
    value = table[key] if key else None
    if key == "valid_from_s":
        return integers([value], key, where)[0]
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError as bad:
        raise TariffError(f"{where}: valid_from = {str(value)!r}: write a date or an instant in ISO 8601") from bad
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone_of(time_zone, where))
        if moment.utcoffset() != moment.replace(fold=1).utcoffset():
            what = f"valid_from = {str(value)!r}: clocks of {time_zone} skip or repeat this time"
            raise TariffError(f"{where}: {what}; write the offset from UTC too")
    return (moment - _EPOCH) // timedelta(seconds=1)


def periods(value: object, key: str, where: str) -> tuple[Period, ...]:
    """Windows as {"from": "22:00", "to": "08:00", "rate": "valley"}; one over midnight becomes two."""
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise TariffError(f"{where}: {key} must be a list of tables")
    found = []
    for table in value:
        check_keys(table, ("from", "to", "rate"), f"{where}, {key}")
        if table.get("rate") not in RATE_NAMES:
            raise TariffError(f"{where}: rate {table.get('rate')!r} of {key}; use {', '.join(RATE_NAMES)}")
        rate = RATE_NAMES.index(table["rate"]) + 1
        start, end = minute(table.get("from"), where), minute(table.get("to"), where)
        if end > start:
            found.append(Period(start, end, rate))
            continue
        found += [Period(start, DAY_MINUTES, rate)] + ([Period(0, end, rate)] if end else [])
    return tuple(sorted(found, key=lambda period: period.start_minute))


def minute(value: object, where: str) -> int:
    """Minutes after midnight of a time "HH:MM", 24:00 included."""
    hour, colon, minutes = str(value).partition(":")
    if colon and len(hour) == len(minutes) == 2 and (hour + minutes).isascii() and (hour + minutes).isdecimal():
        total = int(hour) * 60 + int(minutes)
        if int(minutes) < 60 and total <= DAY_MINUTES:
            return total
    raise TariffError(f'{where}: {value!r} is no time of the day; write "08:00" to "24:00"')


def clock(minute_of_day: int) -> str:
    """The time of a minute of the day, "HH:MM"."""
    return f"{minute_of_day // 60:02d}:{minute_of_day % 60:02d}"


def windows(table: Mapping[str, Any], where: str) -> Windows | None:
    """The windows of all kinds of days; None where none is given."""
    if not any(table.get(key) for key in WINDOW_KEYS):
        return None
    workday, weekend, holiday = (periods(table.get(key, ()), key, where) for key in WINDOW_KEYS)
    return Windows(workday, weekend, holiday)


def windows_to_dict(value: Windows) -> dict[str, list[dict[str, str]]]:
    """Windows as `windows` reads them; kinds of days without any are left out."""
    given = zip(WINDOW_KEYS, (value.workday, value.weekend, value.holiday), strict=True)
    return {
        key: [
            {"from": clock(one.start_minute), "to": clock(one.end_minute), "rate": RATE_NAMES[one.rate - 1]}
            for one in own
        ]
        for key, own in given
        if own
    }
