"""Tariffs as JSON and TOML hold them, read exactly: prices as integers or as decimal text, never as floats.

A tariff is {"id", "name", "time_zone", "versions": [...]}; where "versions" is missing, the table itself is
the only version. Prices of a version are given one way: `price_nf_per_wh` or `rate_prices_nf_per_wh`
(integers), `price` or `prices` (yuan/kWh text, such as "0.58886875"), or `base` with `ratios`: base x ratio
of each rate, then `levies` on top, which no ratio touches. Prices given another way contain their `levies`.
Limits are `tier_limits_wh`, for the whole year or for each of `seasons`; `household_wh` is what a large
household has more at every limit. What a tier costs is `tier_steps` (added at each limit) or `tier_prices`
(each tier's own, by rate if need be); prices that differ from the first tier's by the same step at every rate
become steps. An unknown key is an error, because a misspelt one would change bills.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from core.tariff_terms import (
    DAY_MINUTES,
    DEFAULT_TIME_ZONE,
    Period,
    Season,
    Tariff,
    TariffError,
    TariffVersion,
    zone_of,
)
from core.units import parse_price

RATE_NAMES = ("sharp", "peak", "flat", "valley")
_PRICE_KEYS = ("price_nf_per_wh", "rate_prices_nf_per_wh", "price", "prices", "base")
_LEVY_KEYS = ("levies", "levies_nf_per_wh")
_STEP_KEYS = ("tier_steps_nf_per_wh", "tier_steps", "tier_prices_nf_per_wh", "tier_prices")
_ORDER_KEYS = ("order_rule", "settlement_day", "free_quota_wh", "quota_fills_tier")
_HEAD_KEYS = ("id", "name", "time_zone")
_VERSION_KEYS = (
    "valid_from",
    "valid_from_s",
    "kind",
    *_PRICE_KEYS,
    "ratios",
    *_LEVY_KEYS,
    *_STEP_KEYS,
    *_ORDER_KEYS,
    "household_wh",
    "tier_limits_wh",
    "seasons",
    "tier_period",
    "tier_period_start",
    "periods",
)
_RATIO_ONE = 10**8
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def tariff_from_dict(data: Mapping[str, Any]) -> Tariff:
    """Read a tariff; `TariffError` names the tariff, the key and what is allowed."""
    if not isinstance(data, Mapping):
        raise TariffError(f"a tariff is a table of keys, not {data!r}")
    where = f"tariff {data.get('id', '')!r}"
    flat = "versions" not in data
    _check_keys(data, (*_HEAD_KEYS, *(_VERSION_KEYS if flat else ("versions",))), where)
    head = {key: data.get(key, default) for key, default in zip(_HEAD_KEYS, ("", "", DEFAULT_TIME_ZONE), strict=True)}
    for key, value in head.items():
        if not isinstance(value, str):
            raise TariffError(f"{where}: {key} = {value!r} is no text; quote it")
    if not head["id"]:
        raise TariffError('a tariff has no id; add one, such as id = "beijing-month"')
    tables = [{key: value for key, value in data.items() if key not in _HEAD_KEYS}] if flat else data["versions"]
    if not isinstance(tables, Sequence) or isinstance(tables, str):
        raise TariffError(f"{where}: versions must be a list of tables")
    versions = tuple(
        _version(table, head["time_zone"], f"{where}, version {number}") for number, table in enumerate(tables, 1)
    )
    return Tariff(head["id"], head["name"] or head["id"], head["time_zone"], versions)


def tariff_to_dict(tariff: Tariff) -> dict[str, Any]:
    """The canonical form: integers only, every key written; `tariff_from_dict` gives the tariff back."""
    return {
        "id": tariff.tariff_id,
        "name": tariff.name,
        "time_zone": tariff.time_zone,
        "versions": [
            {
                "valid_from_s": version.valid_from_s,
                "kind": version.kind,
                "rate_prices_nf_per_wh": list(version.rate_prices_nf_per_wh),
                "levies_nf_per_wh": version.levies_nf_per_wh,
                **_tiers_to_dict(version),
                "order_rule": version.order_rule,
                "settlement_day": version.settlement_day,
                "free_quota_wh": version.free_quota_wh,
                "quota_fills_tier": version.quota_fills_tier,
                "seasons": [
                    {"months": list(season.months), "tier_limits_wh": list(season.tier_limits_wh)}
                    for season in version.seasons
                ],
                "tier_period": version.tier_period,
                "tier_period_start": version.tier_period_start,
                "periods": [
                    {"from": _clock(p.start_minute), "to": _clock(p.end_minute), "rate": RATE_NAMES[p.rate - 1]}
                    for p in version.periods
                ],
            }
            for version in tariff.versions
        ],
    }


def _tiers_to_dict(version: TariffVersion) -> dict[str, Any]:
    if version.tier_prices_nf_per_wh:
        return {"tier_prices_nf_per_wh": [list(prices) for prices in version.tier_prices_nf_per_wh]}
    return {"tier_steps_nf_per_wh": list(version.tier_steps_nf_per_wh)}


def _check_keys(table: object, allowed: Sequence[str], where: str) -> None:
    if not isinstance(table, Mapping):
        raise TariffError(f"{where}: {table!r} is no table of keys")
    for key in table:
        if key not in allowed:
            raise TariffError(f"{where}: unknown key {key!r}; allowed are {', '.join(allowed)}")


def _one_of(table: Mapping[str, Any], keys: Sequence[str], where: str, *, required: bool) -> str | None:
    given = [key for key in keys if key in table]
    if len(given) > 1 or (required and not given):
        raise TariffError(f"{where}: give exactly one of {', '.join(keys)}, not {', '.join(given) or 'none'}")
    return given[0] if given else None


def _price(value: object, key: str, where: str) -> int:
    """Yuan/kWh text to nanofen/Wh; numbers are refused, since a float has already lost the price."""
    if not isinstance(value, str):
        raise TariffError(f'{where}: {key} = {value!r} must be quoted text in yuan/kWh, such as "0.4883"')
    try:
        return parse_price(value)
    except ValueError as bad:
        raise TariffError(f"{where}: {key}: {bad}") from bad


def _integers(value: object, key: str, where: str) -> tuple[int, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str) or any(type(item) is not int for item in value):
        raise TariffError(f"{where}: {key} = {value!r} must be a list of integers")
    return tuple(value)


def _version(table: object, time_zone: str, where: str) -> TariffVersion:
    _check_keys(table, _VERSION_KEYS, where)
    assert isinstance(table, Mapping)
    levies = _levies(table, where)
    single, prices = _prices(table, levies, where)
    kind = table.get("kind", "single" if single else "tou")
    period = table.get("tier_period", "none")
    steps, tier_prices = _tiers(table, prices, where)
    return TariffVersion(
        valid_from_s=_valid_from_s(table, time_zone, where),
        kind=kind,
        rate_prices_nf_per_wh=prices,
        tier_steps_nf_per_wh=steps,
        seasons=_seasons(table, where),
        tier_period=period,
        tier_period_start=table.get("tier_period_start", "0101" if period == "year" else 1),
        periods=_periods(table.get("periods", ()), where),
        tier_prices_nf_per_wh=tier_prices,
        order_rule=table.get("order_rule", "none"),
        settlement_day=table.get("settlement_day", 1),
        free_quota_wh=table.get("free_quota_wh", 0),
        quota_fills_tier=_truth(table.get("quota_fills_tier", True), "quota_fills_tier", where),
        levies_nf_per_wh=levies,
    )


def _truth(value: object, key: str, where: str) -> bool:
    if not isinstance(value, bool):
        raise TariffError(f"{where}: {key} = {value!r} must be true or false")
    return value


def _levies(table: Mapping[str, Any], where: str) -> int:
    key = _one_of(table, _LEVY_KEYS, where, required=False)
    if key is None:
        return 0
    return _price(table[key], key, where) if key == "levies" else _integers([table[key]], key, where)[0]


def _prices(table: Mapping[str, Any], levies: int, where: str) -> tuple[bool, tuple[int, int, int, int]]:
    """Whether one price is given, and the prices of the four rates."""
    key = _one_of(table, _PRICE_KEYS, where, required=True)
    value = table[key] if key else None
    if (key == "base") != ("ratios" in table):
        raise TariffError(f"{where}: base and ratios belong together; give both, or prices")
    if key == "base":
        return False, _by_ratio(_price(value, key, where), table["ratios"], levies, where)
    if key == "price":
        price = _price(value, key, where)
        return True, (price, price, price, price)
    if key == "price_nf_per_wh":
        price = _integers([value], key, where)[0]
        return True, (price, price, price, price)
    if key == "prices":
        return False, _named_prices(value, where)
    prices = _integers(value, "rate_prices_nf_per_wh", where)
    if len(prices) != len(RATE_NAMES):
        raise TariffError(f"{where}: rate_prices_nf_per_wh holds {len(prices)} prices; give {', '.join(RATE_NAMES)}")
    return False, (prices[0], prices[1], prices[2], prices[3])


def _by_ratio(base: int, value: object, levies: int, where: str) -> "_Four":
    """Base x ratio + levies for each rate, exactly: a product of more than eight decimals is no legal price."""
    _check_keys(value, RATE_NAMES, f"{where}, ratios")
    assert isinstance(value, Mapping)
    given = {}
    for name, text in value.items():
        scaled = base * _price(text, f"ratios.{name}", where)  # a ratio is read as a price is, to eight decimals
        if scaled % _RATIO_ONE:
            raise TariffError(f"{where}: base x ratios.{name} = {text!r} has more than eight decimals of a yuan")
        given[name] = scaled // _RATIO_ONE + levies
    return _four(given, f"{where}, ratios")


def _named_prices(value: object, where: str) -> tuple[int, int, int, int]:
    """Prices by rate name."""
    _check_keys(value, RATE_NAMES, f"{where}, prices")
    assert isinstance(value, Mapping)
    return _four({name: _price(text, f"prices.{name}", where) for name, text in value.items()}, f"{where}: prices")


def _four(given: Mapping[str, int], where: str) -> "_Four":
    """A rate without a price costs as flat, else as peak: no register is ever free."""
    default = given.get("flat", given.get("peak"))
    if default is None:
        raise TariffError(f"{where} must name at least flat or peak")
    sharp, peak, flat, valley = (given.get(name, default) for name in RATE_NAMES)
    return sharp, peak, flat, valley


_Four = tuple[int, int, int, int]


def _tiers(table: Mapping[str, Any], first: _Four, where: str) -> tuple[tuple[int, ...], tuple[_Four, ...]]:
    """Steps, or prices of the later tiers where they do not follow from the first tier's by one step for all rates."""
    key = _one_of(table, _STEP_KEYS, where, required=False)
    if key is None:
        return (), ()
    value = table[key]
    if key == "tier_steps_nf_per_wh":
        return _integers(value, key, where), ()
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise TariffError(f'{where}: {key} must be a list of text in yuan/kWh, such as ["0.05", "0.25"]')
    if key == "tier_steps":
        return tuple(_price(text, key, where) for text in value), ()
    read = _tier_integers if key == "tier_prices_nf_per_wh" else _tier_price
    tiers = tuple(read(item, where) for item in value)
    steps = [{upper - lower for lower, upper in zip(*two, strict=True)} for two in pairwise((first, *tiers))]
    if all(len(step) == 1 for step in steps):
        return tuple(step.pop() for step in steps), ()
    return (), tiers


def _tier_price(value: object, where: str) -> _Four:
    """Prices of one tier: text for all rates, or text by rate name."""
    if isinstance(value, Mapping):
        return _named_prices(value, where)
    price = _price(value, "tier_prices", where)
    return price, price, price, price


def _tier_integers(value: object, where: str) -> _Four:
    prices = _integers(value, "tier_prices_nf_per_wh", where)
    if len(prices) != len(RATE_NAMES):
        raise TariffError(f"{where}: a tier of tier_prices_nf_per_wh holds {len(prices)} prices, not four")
    return prices[0], prices[1], prices[2], prices[3]


def _seasons(table: Mapping[str, Any], where: str) -> tuple[Season, ...]:
    more_wh = _integers([table.get("household_wh", 0)], "household_wh", where)[0]
    if more_wh < 0:
        raise TariffError(f"{where}: household_wh = {more_wh} would lower the limits; give 0 or more")
    key = _one_of(table, ("tier_limits_wh", "seasons"), where, required=False)
    if key is None:
        return (Season(),)
    if key == "tier_limits_wh":
        return (Season(tier_limits_wh=_limits(table, more_wh, where)),)
    if not isinstance(table[key], Sequence) or not table[key]:
        raise TariffError(f"{where}: seasons must be a list of tables with months and tier_limits_wh")
    seasons = []
    for season in table[key]:
        _check_keys(season, ("months", "tier_limits_wh"), f"{where}, seasons")
        months = _integers(season.get("months"), "seasons.months", where)
        seasons.append(Season(months, _limits(season, more_wh, where)))
    return tuple(seasons)


def _limits(table: Mapping[str, Any], more_wh: int, where: str) -> tuple[int, ...]:
    limits = _integers(table.get("tier_limits_wh", ()), "tier_limits_wh", where)
    return tuple(limit + more_wh for limit in limits)


def _valid_from_s(table: Mapping[str, Any], time_zone: str, where: str) -> int:
    """Epoch seconds, or ISO text: a date is its local midnight, a time without offset is local and must be unique."""
    key = _one_of(table, ("valid_from", "valid_from_s"), where, required=True)
    value = table[key] if key else None
    if key == "valid_from_s":
        return _integers([value], key, where)[0]
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


def _periods(value: object, where: str) -> tuple[Period, ...]:
    """Windows as {"from": "22:00", "to": "08:00", "rate": "valley"}; one over midnight becomes two."""
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise TariffError(f"{where}: periods must be a list of tables")
    periods = []
    for table in value:
        _check_keys(table, ("from", "to", "rate"), f"{where}, periods")
        if table.get("rate") not in RATE_NAMES:
            raise TariffError(f"{where}: rate {table.get('rate')!r} of a period; use {', '.join(RATE_NAMES)}")
        rate = RATE_NAMES.index(table["rate"]) + 1
        start, end = _minute(table.get("from"), where), _minute(table.get("to"), where)
        if end > start:
            periods.append(Period(start, end, rate))
            continue
        periods += [Period(start, DAY_MINUTES, rate)] + ([Period(0, end, rate)] if end else [])
    return tuple(sorted(periods, key=lambda period: period.start_minute))


def _minute(value: object, where: str) -> int:
    hour, colon, minute = str(value).partition(":")
    if colon and len(hour) == len(minute) == 2 and (hour + minute).isascii() and (hour + minute).isdecimal():
        total = int(hour) * 60 + int(minute)
        if int(minute) < 60 and total <= DAY_MINUTES:
            return total
    raise TariffError(f'{where}: {value!r} is no time of the day; write "08:00" to "24:00"')


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"
