"""What is read from one meter and how its answers become values.

Quantities are named by the identifiers of DL/T 645-2007, whatever the meter speaks: its dialect makes the request and
reads the answer. Reads are repeated up to a number of attempts; a refusal is an answer and is not repeated. What a
meter does not have is remembered and not asked again: so the energy block falls back to the total register. Refusals
for any other reason (a busy meter) fall back this time only.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from core.dlt645 import identifiers as di
from core.dlt645.identifiers import Value
from core.errors import MeterRefused, NoReply, ValueFormatError
from core.framing import Command
from core.units import WH_PER_STEP
from server.collect.dialect import Dialect, dialect_of
from server.collect.line import BusLine
from server.collect.work import Clocks, MeterPlan
from server.domain.readings import MeterReading, MeterVariables, Rates, StatusRead

AGREE_TRIES = 4
AGREE_POWER_W = 16_000
CLOCK_PAIR_TRIES = 2  # date and time are two reads; midnight may fall between them


@dataclass(slots=True)
class MeterState:
    """What is known about one meter beside its readings."""

    plan: MeterPlan
    dialect: Dialect = field(init=False)
    unsupported: set[int] = field(default_factory=set)
    clock_offset_s: int | None = None
    clock_at: float = float("-inf")
    status3: int | None = None
    reading_day: tuple[int, int] | None = None  # of the month, and its hour: when a meter of 1997 reads itself

    def __post_init__(self) -> None:
        self.dialect = dialect_of(self.plan)

    @property
    def meter_id(self) -> str:
        """The meter's address."""
        return self.plan.meter_id

    def forget_clock(self) -> None:
        """What was found of its clock was found by a clock of ours that is in doubt."""
        self.clock_offset_s, self.clock_at = None, float("-inf")

    def replan(self, plan: MeterPlan) -> None:
        """Take a changed plan; what is known of a meter that speaks otherwise now is forgotten."""
        if (plan.protocol, plan.model, plan.unit) != (self.plan.protocol, self.plan.model, self.plan.unit):
            self.unsupported.clear()
            self.reading_day = None
        self.plan, self.dialect = plan, dialect_of(plan)


class _Read(NamedTuple):
    """An answer with its payload read: the values are there, or it had been asked again."""

    data: bytes
    at_world: float
    values: tuple[Value, ...]


Forward = tuple[int, Rates | None, _Read]


class Readout:
    """Reads values over a line. Every method raises `NoReply`, `MeterRefused`, `ValueFormatError` or `PortError`."""

    def __init__(self, line: BusLine, clocks: Clocks) -> None:
        self._line = line
        self._clocks = clocks

    async def energy(
        self, meter: MeterState, attempts: int, *, with_reverse: bool = False, source: str = "live"
    ) -> MeterReading:
        """Total and, if the meter has them, four rate registers; with the reverse total if wanted."""
        total_wh, rates_wh, answer = await self._forward(meter, attempts)
        if self._line.is_doubtful:
            total_wh, rates_wh, answer = await self._agreed(meter, attempts, (total_wh, rates_wh, answer))
        reverse_wh = None
        if with_reverse:
            reverse_wh = await self._optional_int(meter, di.REVERSE_TOTAL, attempts)
        return MeterReading(
            meter_id=meter.meter_id,
            read_at=int(answer.at_world),
            received_ms=self._clocks.machine_ms(),
            total_wh=total_wh,
            rates_wh=rates_wh,
            reverse_wh=reverse_wh,
            source=source,
            raw_hex=answer.data.hex(),
        )

    async def status(self, meter: MeterState, attempts: int) -> StatusRead | None:
        """Status word 3, with the clock offset known so far; None when the meter has no such word."""
        answer = await self._optional(meter, di.STATUS_WORD_3, attempts)
        if answer is None:
            return None
        status3 = _only_int(di.STATUS_WORD_3, answer)
        meter.status3 = status3
        return StatusRead(
            meter.meter_id, int(answer.at_world), self._clocks.machine_ms(), status3, meter.clock_offset_s
        )

    async def clock_offset(self, meter: MeterState, attempts: int, *, sane_s: float = 60.0) -> int | None:
        """Meter clock minus world time in seconds, read now; None when the meter has no clock or shows no time.

        An offset above `sane_s` is read a second time, since midnight may have fallen between date and time.
        """
        try:
            offset_s = await self._read_clock(meter, attempts, sane_s)
        except ValueFormatError:
            offset_s = None
        meter.clock_offset_s, meter.clock_at = offset_s, self._clocks.world_now()
        self._clocks.heard(meter.meter_id, offset_s)
        return offset_s

    async def _read_clock(self, meter: MeterState, attempts: int, sane_s: float) -> int | None:
        offset_s: int | None = None
        for _ in range(CLOCK_PAIR_TRIES):
            day = await self._optional(meter, di.DATE, attempts)
            clock = await self._optional(meter, di.TIME, attempts)
            if day is None or clock is None:
                return None
            offset_s = self._offset(day, clock)
            if abs(offset_s) <= sane_s:
                break
        return offset_s

    async def variables(self, meter: MeterState, attempts: int) -> MeterVariables:
        """Voltage and current of phase A and total power; None for what the meter does not have."""
        voltage_mv = await self._optional_int(meter, di.VOLTAGE_A, attempts)
        current_ma = await self._optional_int(meter, di.CURRENT_A, attempts)
        power_mw = await self._optional_int(meter, di.POWER_TOTAL, attempts)
        return MeterVariables(meter.meter_id, int(self._clocks.world_now()), voltage_mv, current_ma, power_mw)

    async def _agreed(self, meter: MeterState, attempts: int, first: Forward) -> Forward:
        """Registers that two reads in a row agree on, since a wrong one may look right on this line."""
        for _ in range(AGREE_TRIES):
            second = await self._forward(meter, attempts)
            passed_s = max(0.0, second[2].at_world - first[2].at_world)
            if _agree(first, second, int(AGREE_POWER_W * passed_s / 3600) // WH_PER_STEP * WH_PER_STEP):
                return second
            first = second
        raise NoReply(f"meter {meter.meter_id} was read {AGREE_TRIES + 1} times and never twice alike, for noise")

    async def _forward(self, meter: MeterState, attempts: int) -> Forward:
        block = await self._optional(meter, di.ENERGY_BLOCK, attempts)
        if block is None:
            answer = await self._ask(meter, di.ENERGY_TOTAL, attempts)
            total_wh = _only_int(di.ENERGY_TOTAL, answer)
            if total_wh < 0:
                raise ValueFormatError(f"meter {meter.meter_id} shows an energy below zero: {total_wh} Wh")
            return total_wh, None, answer
        total, *rates = block.values
        if not isinstance(total, int):
            raise ValueFormatError(f"meter {meter.meter_id} has no total in its energy block")
        found = [rate for rate in rates[:4] if isinstance(rate, int)]
        rates_wh = (found[0], found[1], found[2], found[3]) if len(found) == 4 else None
        return total, rates_wh, block

    async def _optional_int(self, meter: MeterState, identifier: int, attempts: int) -> int | None:
        answer = await self._optional(meter, identifier, attempts)
        if answer is None:
            return None
        value = answer.values[0]
        return value if isinstance(value, int) else None

    async def _optional(self, meter: MeterState, identifier: int, attempts: int) -> _Read | None:
        """The answer, or None when the meter refuses; "no such data" is remembered."""
        command = None if identifier in meter.unsupported else meter.dialect.command(identifier)
        if command is None:
            return None
        try:
            return await self._ask_with(command, meter, identifier, attempts)
        except MeterRefused as refusal:
            if meter.dialect.lacks(refusal.err):
                meter.unsupported.add(identifier)
            return None

    async def _ask(self, meter: MeterState, identifier: int, attempts: int) -> _Read:
        """Read one identifier that the meter must have."""
        command = meter.dialect.command(identifier)
        if command is None:
            raise ValueFormatError(f"meter {meter.meter_id} has no {identifier:08X} in its protocol")
        return await self._ask_with(command, meter, identifier, attempts)

    async def _ask_with(self, command: Command[Any], meter: MeterState, identifier: int, attempts: int) -> _Read:
        """Ask; silence and unreadable values are repeated up to `attempts` times in all."""
        for attempt in range(1, attempts + 1):
            try:
                answer = await self._line.ask(command)
                values = meter.dialect.values(identifier, answer.data)
            except (NoReply, ValueFormatError):
                if attempt == attempts:
                    raise
            else:
                if attempt > 1 and not meter.dialect.names_replies:
                    await self._line.let_late_pass()
                return _Read(answer.data, answer.at_world, values)
        raise NoReply(f"meter {meter.meter_id} was not asked: no attempts left")

    def _offset(self, day: _Read, clock: _Read) -> int:
        midnight, second = day.values[0], clock.values[0]
        if not isinstance(midnight, datetime) or not isinstance(second, int):
            raise ValueFormatError("the meter's clock shows no date or no time")
        shown = midnight + timedelta(seconds=second)
        return round((shown - self._clocks.civil(clock.at_world)).total_seconds())


def _agree(first: Forward, second: Forward, moved_wh: int) -> bool:
    """Whether the registers are the same, but for what a fast world uses between two reads."""
    if (first[1] is None) != (second[1] is None):
        return False
    pairs = zip((first[0], *(first[1] or ())), (second[0], *(second[1] or ())), strict=True)
    return all(0 <= after - before <= moved_wh for before, after in pairs)


def _only_int(identifier: int, answer: _Read) -> int:
    value = answer.values[0]
    if not isinstance(value, int):
        raise ValueFormatError(f"identifier {identifier:08X} holds no value")
    return value
