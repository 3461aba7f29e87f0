"""Tariffs as JSON and TOML hold them, read exactly: prices as integers or as decimal text, never as floats.

A tariff is {"id", "name", "time_zone", "versions": [...]}; where "versions" is missing, the table itself is
the only version. Prices of a version are given one way: `price_nf_per_wh` or `rate_prices_nf_per_wh`
(integers), `price` or `prices` (yuan/kWh text, such as "0.58886875"), or `base` with `ratios`: base x ratio
of each rate, then `levies` on top, which no ratio touches. Prices given another way contain their `levies`.
A rate is counted by one of the meter's registers T1 to T4: sharp, peak, flat and valley in this order, unless
`registers` names others. Limits are `tier_limits_wh`, for the whole year or for each of `seasons`, which may have
prices, tiers, registers and windows of their own; `household_wh` is what a large household has more at every limit.
What a tier costs is `tier_steps` (added at each limit) or `tier_prices` (each tier's own, by rate if need be); prices
that differ from the first tier's by the same step at every rate become steps. An unknown key is an error, because a
misspelt one would change bills.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from core.errors import TariffError
from core.tariff_keys import (
    WINDOW_KEYS,
    check_keys,
    integers,
    one_of,
    price,
    truth,
    valid_from_s,
    windows,
    windows_to_dict,
)
from core.tariff_terms import (
    DEFAULT_TIME_ZONE,
    RATES,
    REGISTERS,
    Four,
    Prices,
    Season,
    Tariff,
    TariffVersion,
)
from core.tariff_windows import NO_WINDOWS, RATE_NAMES

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
    "registers",
    *WINDOW_KEYS,
)
_OWN_KEYS = (*_PRICE_KEYS, "ratios", *_STEP_KEYS, "registers", *WINDOW_KEYS)
_SEASON_KEYS = ("months", "tier_limits_wh", *_OWN_KEYS)
_RATIO_ONE = 10**8


def tariff_from_dict(data: Mapping[str, Any]) -> Tariff:
    """Read a tariff; `TariffError` names the tariff, the key and what is allowed."""
    if not isinstance(data, Mapping):
        raise TariffError(f"a tariff is a table of keys, not {data!r}")
    where = f"tariff {data.get('id', '')!r}"
    flat = "versions" not in data
    check_keys(data, (*_HEAD_KEYS, *(_VERSION_KEYS if flat else ("versions",))), where)
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
                **_registers_to_dict(version.registers if version.registers != REGISTERS else None),
                "order_rule": version.order_rule,
                "settlement_day": version.settlement_day,
                "free_quota_wh": version.free_quota_wh,
                "quota_fills_tier": version.quota_fills_tier,
                "seasons": [_season_to_dict(season) for season in version.seasons],
                "tier_period": version.tier_period,
                "tier_period_start": version.tier_period_start,
                "periods": [],
                **windows_to_dict(version.windows),
            }
            for version in tariff.versions
        ],
    }


def _tiers_to_dict(prices: TariffVersion | Prices) -> dict[str, Any]:
    if prices.tier_prices_nf_per_wh:
        return {"tier_prices_nf_per_wh": [list(four) for four in prices.tier_prices_nf_per_wh]}
    return {"tier_steps_nf_per_wh": list(prices.tier_steps_nf_per_wh)}


def _registers_to_dict(registers: Four | None) -> dict[str, Any]:
    return {} if registers is None else {"registers": [RATE_NAMES[rate - 1] for rate in registers]}


def _season_to_dict(season: Season) -> dict[str, Any]:
    """A season; what it has not of its own is left out."""
    own: dict[str, Any] = {"months": list(season.months), "tier_limits_wh": list(season.tier_limits_wh)}
    if season.prices is not None:
        own |= {"rate_prices_nf_per_wh": list(season.prices.rate_prices_nf_per_wh), **_tiers_to_dict(season.prices)}
    return own | _registers_to_dict(season.registers) | windows_to_dict(season.windows or NO_WINDOWS)


def _version(table: object, time_zone: str, where: str) -> TariffVersion:
    check_keys(table, _VERSION_KEYS, where)
    assert isinstance(table, Mapping)
    levies, registers = _levies(table, where), _registers(table, where) or REGISTERS
    single, first = _prices(table, levies, registers, where)
    prices = Prices(first, *_tiers(table, first, registers, where))
    seasons = _seasons(table, prices, levies, registers, where)
    if single:
        single = all(season.prices is None or _is_one(season.prices) for season in seasons)
    period = table.get("tier_period", "none")
    return TariffVersion(
        valid_from_s=valid_from_s(table, time_zone, where),
        kind=table.get("kind", "single" if single else "tou"),
        rate_prices_nf_per_wh=first,
        tier_steps_nf_per_wh=prices.tier_steps_nf_per_wh,
        seasons=seasons,
        tier_period=period,
        tier_period_start=table.get("tier_period_start", "0101" if period == "year" else 1),
        windows=windows(table, where) or NO_WINDOWS,
        tier_prices_nf_per_wh=prices.tier_prices_nf_per_wh,
        order_rule=table.get("order_rule", "none"),
        settlement_day=table.get("settlement_day", 1),
        free_quota_wh=table.get("free_quota_wh", 0),
        quota_fills_tier=truth(table.get("quota_fills_tier", True), "quota_fills_tier", where),
        levies_nf_per_wh=levies,
        registers=registers,
    )


def _is_one(prices: Prices) -> bool:
    return len(set(prices.rate_prices_nf_per_wh)) == 1


def _registers(table: Mapping[str, Any], where: str) -> Four | None:
    """The rates that the meter's registers T1 to T4 count; None where they are not named."""
    value = table.get("registers")
    if value is None:
        return None
    named = isinstance(value, Sequence) and not isinstance(value, str) and len(value) == RATES
    if not named or any(name not in RATE_NAMES for name in value) or len(set(value)) < RATES:
        what = f"registers = {value!r}"
        raise TariffError(
            f"{where}: {what}: name what T1, T2, T3 and T4 count, each another of {', '.join(RATE_NAMES)}"
        )
    first, second, third, fourth = (RATE_NAMES.index(name) + 1 for name in value)
    return first, second, third, fourth


def _levies(table: Mapping[str, Any], where: str) -> int:
    key = one_of(table, _LEVY_KEYS, where, required=False)
    if key is None:
        return 0
    return price(table[key], key, where) if key == "levies" else integers([table[key]], key, where)[0]


def _prices(table: Mapping[str, Any], levies: int, registers: Four, where: str) -> tuple[bool, Four]:
    """Whether one price is given, and the prices of the four registers."""
    key = one_of(table, _PRICE_KEYS, where, required=True)
    value = table[key] if key else None
    if (key == "base") != ("ratios" in table):
        raise TariffError(f"{where}: base and ratios belong together; give both, or prices")
    if key == "base":
        return False, _by_ratio(price(value, key, where), table["ratios"], levies, registers, where)
    if key == "price":
        return True, _all(price(value, key, where))
    if key == "price_nf_per_wh":
        return True, _all(integers([value], key, where)[0])
    if key == "prices":
        return False, _named_prices(value, registers, where)
    prices = integers(value, "rate_prices_nf_per_wh", where)
    if len(prices) != RATES:
        counted = ", ".join(RATE_NAMES[rate - 1] for rate in registers)
        raise TariffError(f"{where}: rate_prices_nf_per_wh holds {len(prices)} prices; give {counted}")
    return False, (prices[0], prices[1], prices[2], prices[3])


def _by_ratio(base: int, value: object, levies: int, registers: Four, where: str) -> Four:
    """Base x ratio + levies for each rate, exactly: a product of more than eight decimals is no legal price."""
    check_keys(value, RATE_NAMES, f"{where}, ratios")
    assert isinstance(value, Mapping)
    given = {}
    for name, text in value.items():
        scaled = base * price(text, f"ratios.{name}", where)  # a ratio is read as a price is, to eight decimals
        if scaled % _RATIO_ONE:
            raise TariffError(f"{where}: base x ratios.{name} = {text!r} has more than eight decimals of a yuan")
        given[name] = scaled // _RATIO_ONE + levies
    return _four(given, registers, f"{where}, ratios")


def _all(one: int) -> Four:
    return one, one, one, one


def _named_prices(value: object, registers: Four, where: str) -> Four:
    """Prices by rate name."""
    check_keys(value, RATE_NAMES, f"{where}, prices")
    assert isinstance(value, Mapping)
    given = {name: price(text, f"prices.{name}", where) for name, text in value.items()}
    return _four(given, registers, f"{where}: prices")


def _four(given: Mapping[str, int], registers: Four, where: str) -> Four:
    """By register; a rate without a price costs as flat, else as peak: no register is ever free."""
    default = given.get("flat", given.get("peak"))
    if default is None:
        raise TariffError(f"{where} must name at least flat or peak")
    names = [RATE_NAMES[rate - 1] for rate in registers]
    if strange := sorted(set(given) - set(names)):
        what = f"{', '.join(strange)} is counted by no register: T1 to T4 count {', '.join(names)}"
        raise TariffError(f'{where}: {what}; say it with registers, such as ["deep", "peak", "flat", "valley"]')
    first, second, third, fourth = (given.get(name, default) for name in names)
    return first, second, third, fourth


def _tiers(
    table: Mapping[str, Any], first: Four, registers: Four, where: str
) -> tuple[tuple[int, ...], tuple[Four, ...]]:
    """Steps, or prices of the later tiers where they do not follow from the first tier's by one step for all rates."""
    key = one_of(table, _STEP_KEYS, where, required=False)
    if key is None:
        return (), ()
    value = table[key]
    if key == "tier_steps_nf_per_wh":
        return integers(value, key, where), ()
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise TariffError(f'{where}: {key} must be a list of text in yuan/kWh, such as ["0.05", "0.25"]')
    if key == "tier_steps":
        return tuple(price(text, key, where) for text in value), ()
    if key == "tier_prices_nf_per_wh":
        tiers = tuple(_tier_integers(item, where) for item in value)
    else:
        tiers = tuple(_tier_price(item, registers, where) for item in value)
    steps = [{upper - lower for lower, upper in zip(*two, strict=True)} for two in pairwise((first, *tiers))]
    if all(len(step) == 1 for step in steps):
        return tuple(step.pop() for step in steps), ()
    return (), tiers


def _tier_price(value: object, registers: Four, where: str) -> Four:
    """Prices of one tier: text for all rates, or text by rate name."""
    if isinstance(value, Mapping):
        return _named_prices(value, registers, where)
    return _all(price(value, "tier_prices", where))


def _tier_integers(value: object, where: str) -> Four:
    prices = integers(value, "tier_prices_nf_per_wh", where)
    if len(prices) != RATES:
        raise TariffError(f"{where}: a tier of tier_prices_nf_per_wh holds {len(prices)} prices, not four")
    return prices[0], prices[1], prices[2], prices[3]


def _seasons(table: Mapping[str, Any], prices: Prices, levies: int, registers: Four, where: str) -> tuple[Season, ...]:
    more_wh = integers([table.get("household_wh", 0)], "household_wh", where)[0]
    if more_wh < 0:
        raise TariffError(f"{where}: household_wh = {more_wh} would lower the limits; give 0 or more")
    key = one_of(table, ("tier_limits_wh", "seasons"), where, required=False)
    if key is None:
        return (Season(),)
    if key == "tier_limits_wh":
        return (Season(tier_limits_wh=_limits(table, more_wh, where)),)
    if not isinstance(table[key], Sequence) or not table[key]:
        raise TariffError(f"{where}: seasons must be a list of tables with months and tier_limits_wh")
    absolute = any(name in table for name in _STEP_KEYS[2:])
    seasons = []
    for number, season in enumerate(table[key], 1):
        here = f"{where}, season {number}"
        check_keys(season, _SEASON_KEYS, here)
        months = integers(season.get("months"), "seasons.months", where)
        own_registers = _registers(season, here)
        own = _season_prices(season, prices, levies, own_registers or registers, here, absolute=absolute)
        if own_registers is not None and own is None:
            raise TariffError(f"{here}: registers of its own without prices; say what each rate costs in this season")
        seasons.append(Season(months, _limits(season, more_wh, where), own, own_registers, windows(season, here)))
    return tuple(seasons)


def _season_prices(
    season: Mapping[str, Any], prices: Prices, levies: int, registers: Four, where: str, *, absolute: bool
) -> Prices | None:
    """What energy costs in a season that says it; prices that it does not say are the version's, and so are steps."""
    priced, tiered = (any(key in season for key in keys) for keys in ((*_PRICE_KEYS, "ratios"), _STEP_KEYS))
    if not priced and not tiered:
        return None
    first = _prices(season, levies, registers, where)[1] if priced else prices.rate_prices_nf_per_wh
    if tiered:
        return Prices(first, *_tiers(season, first, registers, where))
    if absolute:
        what = "it has prices of its own, and the version says its tiers as tier_prices"
        raise TariffError(f"{where}: {what}; give the season its tier_prices too, or the version tier_steps")
    return Prices(first, prices.tier_steps_nf_per_wh)


def _limits(table: Mapping[str, Any], more_wh: int, where: str) -> tuple[int, ...]:
    limits = integers(table.get("tier_limits_wh", ()), "tier_limits_wh", where)
    return tuple(limit + more_wh for limit in limits)
