"""What a meter kept of its past: daily and hourly freezes, and load records, as readings of the instants they tell.

    daily freeze    05 06 00 nn time, 05 06 01 nn total and rates       nn = 01 the last midnight, 02 the one before ...
    hourly freeze   05 04 00 nn time, 05 04 01 nn total                 nn = 01 the last full hour ...
    load record     06 04 00 01 from a time on, so many records         class 4, the energies; one frame, no follow-up
    month (1997)    94 1F, 98 1F total and rates of the last automatic reading and the one before, on the day and hour
                    of C1 17; all that this edition keeps

A Modbus meter keeps nothing. The time is the meter's own. It is turned into world time by the clock's offset: a clock
within a minute of ours is taken at its word, so that a midnight is the tariff's midnight; one within five minutes is
corrected; what a worse clock noted is not used. That a meter keeps no such thing at all is remembered.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from core.dlt645.blocks import LoadRecord, decode_load_records
from core.dlt645.commands import Read
from core.dlt645.edition1997 import Read97, decode_value_97
from core.dlt645.profiles import EDITION_1997, EDITION_2007
from core.dlt645.service import ReadRecords
from core.errors import MeterRefused, NoReply, ValueFormatError
from core.framing import Command
from server.collect.line import Answer, BusLine
from server.collect.readout import MeterState, Readout
from server.collect.work import Clocks
from server.domain.readings import MeterReading, Rates

TRUSTED_S = 60
CORRECTED_S = 300
DAILY, HOURLY, FORWARD = 0x00060000, 0x00040000, 0x00000100
FREEZE = 0x05000000
DEPTHS = {DAILY: 62, HOURLY: 254}
MONTHS_97 = (0x941F, 0x981F)  # the last automatic reading, the one before
READING_DAY_97 = 0xC117
DAY_HOUR = re.compile(r"day (\d\d) hour (\d\d)")
EDGE_S = 90  # so long around an instant of freezing nothing is counted back from it
LOAD_SINCE = 0x06040001
ENERGIES = 4  # class of a load record
REMEMBERED = frozenset((LOAD_SINCE, READING_DAY_97))
LAST_DAY, HOURS = 28, 24  # of an automatic reading: every month has that day
RECORDS_MAX = 6  # of 32 bytes each, so that the answer is one frame

Kind = Literal["daily", "hourly", "load", "month"]


@dataclass(frozen=True, slots=True)
class Recall:
    """Something to ask a meter about its past: the freeze of `at` (world time), load records from then on, or the
    monthly registers of instants between `at` and `until`."""

    meter_id: str
    kind: Kind
    at: int
    records: int = RECORDS_MAX
    until: int = 0


class History:
    """Reads the past of meters over a line; errors as in `Readout`."""

    def __init__(self, line: BusLine, readout: Readout, clocks: Clocks) -> None:
        self._line = line
        self._readout = readout
        self._clocks = clocks

    async def recall(self, meter: MeterState, wanted: Recall, attempts: int) -> Sequence[MeterReading]:
        """What the meter tells of the past, oldest first; nothing where it kept nothing or its clock is bad."""
        if meter.plan.protocol != (EDITION_1997 if wanted.kind == "month" else EDITION_2007):
            return ()
        if wanted.kind == "load":
            return await self._loads(meter, wanted, attempts)
        if wanted.kind == "month":
            return await self._months(meter, wanted, attempts)
        freeze = DAILY if wanted.kind == "daily" else HOURLY
        found = await self._freeze(meter, freeze, wanted.at, attempts)
        return () if found is None else (found,)

    async def last_midnight(self, meter: MeterState, attempts: int) -> MeterReading | None:
        """The daily freeze of today's midnight, or None."""
        civil = self._clocks.civil(self._clocks.world_now())
        midnight = civil.replace(hour=0, minute=0, second=0)
        return await self._freeze(meter, DAILY, int(self._clocks.world_of(midnight)), attempts)

    async def _freeze(self, meter: MeterState, kind: int, at: int, attempts: int) -> MeterReading | None:
        offset_s = await self._offset(meter, attempts)
        if offset_s is None or FREEZE | kind in meter.unsupported:
            return None
        back = self._back(kind, at, offset_s)
        if back is None:
            return None
        taken = await self._kept(meter, FREEZE | kind | back, attempts)
        forward = None if taken is None else await self._kept(meter, FREEZE | kind | FORWARD | back, attempts)
        if taken is None or forward is None:
            if back == 1:
                meter.unsupported.add(FREEZE | kind)
            return None
        shown = meter.dialect.values(FREEZE | kind | back, taken.data)[0]
        if not isinstance(shown, datetime):
            return None
        total, *rates = meter.dialect.values(FREEZE | kind | FORWARD | back, forward.data)
        raw = taken.data + forward.data
        return self._reading(meter, shown, offset_s, total, _four(rates), "freeze", raw)

    def _back(self, kind: int, at: int, offset_s: int) -> int | None:
        """How many freezes ago `at` was by the meter's clock; None out of reach, or too close to the next freeze."""
        now = self._clocks.civil(self._clocks.world_now() + offset_s)
        then = self._clocks.civil(at)
        edge = now.second + 60 * (now.minute + (60 * now.hour if kind == DAILY else 0))
        span_s = 86_400 if kind == DAILY else 3600
        if not EDGE_S <= edge <= span_s - EDGE_S:
            return None
        begun = now - timedelta(seconds=edge)
        gone_s = (begun - then).total_seconds()
        back = int(gone_s) // span_s + 1
        return back if gone_s >= 0 and back <= DEPTHS[kind] else None

    async def _loads(self, meter: MeterState, wanted: Recall, attempts: int) -> Sequence[MeterReading]:
        offset_s = await self._offset(meter, attempts)
        if offset_s is None or LOAD_SINCE in meter.unsupported:
            return ()
        since = self._clocks.civil(wanted.at + offset_s).replace(second=0)
        request = ReadRecords(meter.meter_id, LOAD_SINCE, min(wanted.records, RECORDS_MAX), since)
        answer = await self._asked(meter, request, LOAD_SINCE, attempts)
        if answer is None:
            return ()
        found = []
        for record in decode_load_records(LOAD_SINCE, answer.data):
            total_wh = _forward_of(record)
            if record.at is not None and record.sum_ok and total_wh is not None:
                found.append(self._reading(meter, record.at, offset_s, total_wh, None, "load", answer.data))
        return [one for one in found if one is not None]

    async def _months(self, meter: MeterState, wanted: Recall, attempts: int) -> Sequence[MeterReading]:
        """What the automatic readings kept that lie where something is missing, oldest first."""
        offset_s = await self._offset(meter, attempts)
        day = None if offset_s is None else await self._reading_day(meter, attempts)
        if offset_s is None or day is None:
            return ()
        found = []
        for identifier, shown in zip(MONTHS_97, self._readings_before(day, offset_s), strict=True):
            off_s = abs(offset_s) if abs(offset_s) > TRUSTED_S else 0
            if not wanted.at - off_s <= self._clocks.world_of(shown) <= wanted.until + off_s:
                continue
            answer = await self._asked(meter, Read97(meter.meter_id, identifier), identifier, attempts)
            if answer is not None:
                total, *rates = decode_value_97(identifier, answer.data)
                found.append(self._reading(meter, shown, offset_s, total, _four(rates), "freeze", answer.data))
        return [one for one in reversed(found) if one is not None]

    async def _reading_day(self, meter: MeterState, attempts: int) -> tuple[int, int] | None:
        """Day of the month and hour of the automatic reading; None where the meter does not tell."""
        if meter.reading_day is None and READING_DAY_97 not in meter.unsupported:
            answer = await self._asked(meter, Read97(meter.meter_id, READING_DAY_97), READING_DAY_97, attempts)
            told = None if answer is None else DAY_HOUR.fullmatch(str(decode_value_97(READING_DAY_97, answer.data)[0]))
            if told is None or not 1 <= int(told[1]) <= LAST_DAY or not 0 <= int(told[2]) < HOURS:
                meter.unsupported.add(READING_DAY_97)
            else:
                meter.reading_day = int(told[1]), int(told[2])
        return meter.reading_day

    def _readings_before(self, day: tuple[int, int], offset_s: int) -> tuple[datetime, datetime]:
        """The last two instants of automatic readings by the meter's clock, newest first."""
        now = self._clocks.civil(self._clocks.world_now() + offset_s - EDGE_S)
        month = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        months = [month]
        for _ in range(2):
            months.append((months[-1] - timedelta(days=1)).replace(day=1))
        past = [one for one in (month.replace(day=day[0], hour=day[1]) for month in months) if one <= now]
        return past[0], past[1]

    async def _offset(self, meter: MeterState, attempts: int) -> int | None:
        """The clock's offset, read if it is not known; None where nothing that the clock noted can be used."""
        offset_s = meter.clock_offset_s
        if offset_s is None:
            offset_s = await self._readout.clock_offset(meter, attempts)
        return None if offset_s is None or abs(offset_s) > CORRECTED_S else offset_s

    async def _kept(self, meter: MeterState, identifier: int, attempts: int) -> Answer | None:
        return await self._asked(meter, Read(meter.meter_id, identifier), identifier, attempts)

    async def _asked(self, meter: MeterState, command: Command[Any], identifier: int, attempts: int) -> Answer | None:
        """The answer, twice the same on a line in doubt; None when the meter refuses."""
        before: bytes | None = None
        for attempt in range(1, attempts + 1):
            try:
                answer = await self._line.ask(command)
            except MeterRefused as refusal:
                if identifier in REMEMBERED and meter.dialect.lacks(refusal.err):
                    meter.unsupported.add(identifier)
                return None
            except (NoReply, ValueFormatError):
                if attempt == attempts:
                    raise
                continue
            if not self._line.is_doubtful or answer.data == before:
                return answer
            before = answer.data
        return None

    def _reading(
        self,
        meter: MeterState,
        shown: datetime,
        offset_s: int,
        total_wh: object,
        rates_wh: Rates | None,
        source: str,
        raw: bytes,
    ) -> MeterReading | None:
        if not isinstance(total_wh, int) or total_wh < 0:
            return None
        shift_s = 0 if abs(offset_s) <= TRUSTED_S else offset_s
        at = int(self._clocks.world_of(shown)) - shift_s
        if at > self._clocks.world_now():
            return None
        return MeterReading(
            meter_id=meter.meter_id,
            read_at=at,
            received_ms=self._clocks.machine_ms(),
            total_wh=total_wh,
            rates_wh=rates_wh,
            source=source,
            raw_hex=raw.hex(),
        )


def _four(rates: Sequence[object]) -> Rates | None:
    found = [rate for rate in rates[:4] if isinstance(rate, int)]
    return (found[0], found[1], found[2], found[3]) if len(found) == 4 else None


def _forward_of(record: LoadRecord) -> int | None:
    """The forward total of a record, if it holds the energies."""
    for section in record.sections:
        if section.entry.di >> 16 & 0xFF == ENERGIES and section.values and isinstance(section.values[0], int):
            return section.values[0]
    return None
