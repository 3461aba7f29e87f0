"""Writes that end one installation of a meter and begin another.

Counters of tiers and rates belong to the household, so they go on with the new cursor, until another one moves in.
"""

from typing import Any, Protocol

from sqlalchemy import Connection, select

from server.domain.passwords import FACTORY_PASSWORD
from server.domain.readings import Rates
from server.store.bulk import insert_rows
from server.store.meters import MeterRow
from server.store.schema import meter, meter_cursor, meter_live, supply

_COUNTERS = ("tier_period_start", "tier_period_wh", "order_start", "order_rates_wh")
_FORGOTTEN: dict[str, None] = dict.fromkeys(
    ("total_wh", "reading_at", "reading_ms", "previous_wh", "previous_ms", "status3", "status3_at", "status3_ms",
     "clock_offset_s", "pending_wh", "pending_at")
)  # fmt: skip


class Beginning(Protocol):
    """What begins; None takes what the old meter had."""

    @property
    def meter_id(self) -> str: ...
    @property
    def start_wh(self) -> int: ...
    @property
    def start_rates_wh(self) -> Rates | None: ...
    @property
    def ratio(self) -> int | None: ...
    @property
    def max_power_w(self) -> int | None: ...
    @property
    def protocol(self) -> str | None: ...
    @property
    def model(self) -> str | None: ...
    @property
    def unit(self) -> int | None: ...


def begin(connection: Connection, estate_id: str, old: MeterRow, new: Beginning, at: int) -> int:
    """Install a meter that was never here, in the place of `old`; its number of installation."""
    values = _wiring(old, new, at)
    connection.execute(meter.insert().values(estate_id=estate_id, kind="household", install_no=1, **values))
    cursor = {"estate_id": estate_id, "meter_id": new.meter_id, "install_no": 1, **_cursor(new, at)}
    connection.execute(meter_cursor.insert().values(**cursor, **_counters(connection, estate_id, old.meter_id)))
    for table in (meter_live, supply):
        insert_rows(connection, table, ("estate_id", "meter_id"), [(estate_id, new.meter_id)])
    return 1


def begin_again(
    connection: Connection, estate_id: str, old: MeterRow, new: Beginning, at: int, *, keep_live: bool
) -> int:
    """Install a meter that is known: the same with another ratio or a new base, or one that was retired.

    `keep_live` where its registers run on, so that the last reading is still the one to judge by.
    """
    where = (meter.c.estate_id == estate_id, meter.c.meter_id == new.meter_id)
    install_no = int(connection.execute(select(meter.c.install_no).where(*where)).scalar_one()) + 1
    counters = _counters(connection, estate_id, old.meter_id)
    connection.execute(meter.update().where(*where).values(install_no=install_no, **_wiring(old, new, at)))
    own = (meter_cursor.c.estate_id == estate_id, meter_cursor.c.meter_id == new.meter_id)
    cursor = {"install_no": install_no, "seq": meter_cursor.c.seq + 1, **_cursor(new, at), **counters}
    connection.execute(meter_cursor.update().where(*own).values(**cursor))
    if not keep_live:
        live = (meter_live.c.estate_id == estate_id, meter_live.c.meter_id == new.meter_id)
        connection.execute(meter_live.update().where(*live).values(**_FORGOTTEN))
        _forget_relay(connection, estate_id, new.meter_id)
    return install_no


def retire(connection: Connection, estate_id: str, meter_id: str) -> None:
    """Take a meter off its bus and its account; its readings and charges stay."""
    where = (meter.c.estate_id == estate_id, meter.c.meter_id == meter_id)
    connection.execute(meter.update().where(*where).values(account_id=None, bus_id="", gate_id=None))
    live = (meter_live.c.estate_id == estate_id, meter_live.c.meter_id == meter_id)
    connection.execute(meter_live.update().where(*live).values(failures=0))
    _forget_relay(connection, estate_id, meter_id)


def feed(connection: Connection, estate_id: str, meter_id: str, account_id: str) -> None:
    """Let a meter feed an account, without a new installation."""
    where = (meter.c.estate_id == estate_id, meter.c.meter_id == meter_id)
    connection.execute(meter.update().where(*where).values(account_id=account_id))


def free(connection: Connection, estate_id: str, meter_id: str) -> None:
    """Take a meter from its account; it stays on its bus, and its relay as it is."""
    where = (meter.c.estate_id == estate_id, meter.c.meter_id == meter_id)
    connection.execute(meter.update().where(*where).values(account_id=None))
    own = (supply.c.estate_id == estate_id, supply.c.meter_id == meter_id)
    connection.execute(supply.update().where(*own).values(candidate=""))


def restart_counters(connection: Connection, estate_id: str, meter_id: str, tier_period_start: int) -> None:
    """Begin the counters of tiers and rates anew, for another household."""
    own = (meter_cursor.c.estate_id == estate_id, meter_cursor.c.meter_id == meter_id)
    fresh = {"tier_period_start": tier_period_start, "tier_period_wh": 0, "order_start": 0, "order_rates_wh": None}
    connection.execute(meter_cursor.update().where(*own).values(**fresh))


def _forget_relay(connection: Connection, estate_id: str, meter_id: str) -> None:
    """Nothing is wanted of a relay that is gone, and nothing is known of one that is new."""
    own = (supply.c.estate_id == estate_id, supply.c.meter_id == meter_id)
    unknown: dict[str, Any] = {"desired": "closed", "relay": "unknown", "command": "none", "cause": "none"}
    unknown |= dict.fromkeys(("relay_at", "relay_ms", "opened_at", "candidate_at"))
    connection.execute(supply.update().where(*own).values(**unknown, gen=supply.c.gen + 1, candidate=""))


def _wiring(old: MeterRow, new: Beginning, at: int) -> dict[str, Any]:
    """The row of the meter as it is installed now."""
    names = ("ratio", "max_power_w", "protocol", "model")
    taken = {name: getattr(old if getattr(new, name) is None else new, name) for name in names}
    rates = new.start_rates_wh or (None,) * 4
    return {
        **taken,
        **{f"start_rate{number}_wh": value for number, value in enumerate(rates, 1)},
        "password_level": old.password_level,
        "password": old.password if new.meter_id == old.meter_id else FACTORY_PASSWORD,
        "meter_id": new.meter_id,
        "bus_id": old.bus_id,
        "account_id": old.account_id,
        "room_id": old.room_id,
        "gate_id": old.gate_id,
        "start_wh": new.start_wh,
        "installed_at": at,
        "unit": old.unit if new.protocol is None else new.unit,
    }


def _cursor(new: Beginning, at: int) -> dict[str, Any]:
    rates = new.start_rates_wh or (None,) * 4
    named = {f"rate{number}_wh": value for number, value in enumerate(rates, 1)}
    return {"read_at": at, "total_wh": new.start_wh, **named}


def _counters(connection: Connection, estate_id: str, meter_id: str) -> dict[str, Any]:
    columns = [meter_cursor.c[name] for name in _COUNTERS]
    query = select(*columns).where(meter_cursor.c.estate_id == estate_id, meter_cursor.c.meter_id == meter_id)
    return dict(connection.execute(query).mappings().one())
