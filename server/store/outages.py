"""Who is without power, or may have it back: what a payment or a restore looks at."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, and_, select

from server.domain.supply import QUARANTINED
from server.store.schema import account, meter, supply

IDS_AT_ONCE = 10_000


def _same_meter(left: Any, right: Any) -> Any:
    return and_(left.c.estate_id == right.c.estate_id, left.c.meter_id == right.c.meter_id)


def accounts_to_close(connection: Connection, estate_id: str, account_ids: Sequence[str]) -> list[str]:
    """Those of these accounts with a meter that is wanted open for arrears, or whose close is not sent yet."""
    wanted_open = and_(supply.c.desired == "open", supply.c.cause == "arrears")
    close_waits = and_(supply.c.desired == "closed", supply.c.command == "queued")
    found: set[str] = set()
    for start in range(0, len(account_ids), IDS_AT_ONCE):
        query = (
            select(meter.c.account_id)
            .join(supply, _same_meter(supply, meter))
            .where(
                meter.c.estate_id == estate_id,
                meter.c.account_id.in_(account_ids[start : start + IDS_AT_ONCE]),
                wanted_open | close_waits,
            )
        )
        found.update(connection.execute(query).scalars())
    return sorted(found)


def dark_for_arrears(connection: Connection, estate_id: str) -> Sequence[RowMapping]:
    """Meters that are wanted open for arrears, with their bus, in the order in which they were cut.

    Not those that feed nobody: an empty flat gets its power with its next household.
    """
    query = (
        select(supply.c.meter_id, meter.c.bus_id)
        .join(meter, _same_meter(meter, supply))
        .where(
            supply.c.estate_id == estate_id,
            supply.c.desired == "open",
            supply.c.cause == "arrears",
            meter.c.account_id.is_not(None),
        )
        .order_by(meter.c.bus_id, supply.c.opened_at, supply.c.meter_id)
    )
    return connection.execute(query).mappings().all()


def dark_though_protected(connection: Connection, estate_id: str, now_s: int) -> Sequence[RowMapping]:
    """Meters that are wanted open for arrears though their household is protected at world time `now_s`, with bus.

    Whatever they speak, and whatever its rules say of keep-power.
    """
    query = (
        select(supply.c.meter_id, meter.c.bus_id)
        .join(meter, _same_meter(meter, supply))
        .join(account, and_(account.c.estate_id == meter.c.estate_id, account.c.account_id == meter.c.account_id))
        .where(
            supply.c.estate_id == estate_id,
            supply.c.desired == "open",
            supply.c.cause == "arrears",
            account.c.protected == 1,
            account.c.protected_until.is_(None) | (account.c.protected_until > now_s),
        )
        .order_by(supply.c.meter_id)
    )
    return connection.execute(query).mappings().all()


def quarantined_accounts(connection: Connection, estate_id: str) -> list[str]:
    """Accounts of households that exceeded a limit, in order."""
    query = (
        select(meter.c.account_id)
        .join(supply, _same_meter(supply, meter))
        .where(supply.c.estate_id == estate_id, supply.c.candidate == QUARANTINED, meter.c.account_id.is_not(None))
        .order_by(meter.c.account_id)
    )
    return list(dict.fromkeys(connection.execute(query).scalars()))
