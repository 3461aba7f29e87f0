"""A draft of a tariff: a document as a person writes it, laid over the versions that hold, and held to the price cap.

A draft never touches a version that has begun. What it says of the future replaces what was planned before; a document
that leaves the begun versions out means them as they are.
"""

import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from core.tariff import Tariff, TariffError, tariff_from_dict
from core.tariff_terms import TariffVersion
from core.tariff_windows import RATE_NAMES
from core.units import parse_price

DOCUMENT_MAX = 100_000  # characters of a document


def tariff_of_text(text: str) -> Tariff:
    """The tariff of a document in TOML or JSON: a table of its keys, or `[[tariff]]` of an estate file, exactly one.

    `TariffError` says what is wrong and where.
    """
    if len(text) > DOCUMENT_MAX:
        raise TariffError(f"the document has {len(text)} characters; at most {DOCUMENT_MAX} are read")
    try:
        table = json.loads(text) if text.lstrip()[:1] == "{" else tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise TariffError(f"the document is neither TOML nor JSON: {error}") from error
    return tariff_from_dict(_only_tariff(table))


def _only_tariff(table: Any) -> Mapping[str, Any]:
    if isinstance(table, Mapping) and "tariff" in table:
        tariffs = table["tariff"]
        if len(table) > 1 or not isinstance(tariffs, list) or len(tariffs) != 1:
            raise TariffError("a draft is one tariff: one [[tariff]] and nothing beside it, or its keys alone")
        table = tariffs[0]
    if not isinstance(table, Mapping):
        raise TariffError("a tariff is a table of keys")
    return table


def begun(tariff: Tariff, now_s: int) -> tuple[TariffVersion, ...]:
    """The versions that have begun."""
    return tuple(version for version in tariff.versions if version.valid_from_s <= now_s)


def coming(tariff: Tariff, now_s: int) -> tuple[TariffVersion, ...]:
    """The versions that begin later."""
    return tuple(version for version in tariff.versions if version.valid_from_s > now_s)


def merged(stored: Tariff | None, draft: Tariff, now_s: int) -> Tariff:
    """What would be in force: the begun versions as they are, and the draft's future.

    `TariffError` for a draft that changes what has begun, or says nothing new.
    """
    if stored is None:
        return draft
    where = f"tariff {draft.tariff_id!r}"
    if draft.time_zone != stored.time_zone:
        raise TariffError(f"{where}: its time zone is {stored.time_zone} and cannot change")
    old, said = begun(stored, now_s), begun(draft, now_s)
    if any(version not in old for version in said):
        what = "it says a version that has begun otherwise, or one that begins in the past"
        raise TariffError(f"{where}: {what}; leave begun versions out, and let new ones begin later than now")
    whole = replace(stored, name=draft.name, versions=(*old, *coming(draft, now_s)))
    if whole == stored:
        raise TariffError(f"{where}: it says nothing that is not in force or planned already")
    return whole


def new_versions(stored: Tariff | None, whole: Tariff) -> tuple[TariffVersion, ...]:
    """The versions that are not stored yet."""
    known = () if stored is None else stored.versions
    return tuple(version for version in whole.versions if version not in known)


def dearest(version: TariffVersion) -> tuple[int, int, int]:
    """(price in nanofen per Wh, tier from 1, rate 1..5) of the dearest energy of a version, in any season."""
    return max(
        (prices.tier_price_nf_per_wh(tier, register), tier + 1, rate)
        for season in version.seasons
        for prices in (version.prices_in(season),)
        for tier in range(prices.tier_count + 1)
        for register, rate in enumerate(version.registers_in(season), 1)
    )


def check_cap(tariff: Tariff, versions: Iterable[TariffVersion], cap_nf_per_wh: int | None) -> None:
    """`TariffError` naming the first price of these versions that is over the estate's cap; None is no cap."""
    if cap_nf_per_wh is None:
        return
    for version in versions:
        price, tier, rate = dearest(version)
        if price > cap_nf_per_wh:
            begins = datetime.fromtimestamp(version.valid_from_s, UTC).astimezone(ZoneInfo(tariff.time_zone))
            which = f"tier {tier}" if version.kind == "single" else f"tier {tier}, {RATE_NAMES[rate - 1]}"
            raise TariffError(
                f"tariff {tariff.tariff_id!r}, version from {begins:%Y-%m-%d}: {yuan_of(price)} yuan/kWh ({which}) is "
                f"over the estate's price cap of {yuan_of(cap_nf_per_wh)}; lower the price, or the cap of the price "
                "authority in the estate file (price_cap) if it has changed"
            )


def cap_of(text: object) -> int:
    """A cap in yuan/kWh, as text, in nanofen per Wh; `ValueError` for none that is positive."""
    cap = parse_price(text) if isinstance(text, str) else 0
    if cap <= 0:
        raise ValueError(f"{text!r} is no price above zero")
    return cap


def yuan_of(nf_per_wh: int) -> str:
    """A price in yuan/kWh, all its digits and at least four."""
    whole, part = divmod(nf_per_wh, 10**8)
    return f"{whole}.{f'{part:08d}'.rstrip('0').ljust(4, '0')}"
