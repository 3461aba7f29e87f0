"""Commissioning: who is on a line, what each meter is, and what its register shows.

Drives the searches of the core over anything that can ask and listen: a port of its own, or the line of a running
collector. It only reads. One call is one line setting; the caller goes through bauds and parities. Some meters of 1997
answer neither wildcards nor shortened addresses: those are asked by the numbers that a person read on their nameplates.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from core.dlt645 import edition1997 as old
from core.dlt645 import identifiers as di
from core.dlt645.commands import Command, Read, reply_value
from core.dlt645.detection import Detection, Found
from core.dlt645.profiles import EDITION_1997, EDITION_2007
from core.dlt645.search import AddressSearch, Heard
from core.errors import CoreError
from core.modbus.maps import read_of, values_of
from core.modbus.meters import COMBINED, FORWARD, METERS
from core.modbus.search import UnitSearch
from server.collect.port import LineSettings

MODBUS = "modbus"
NAMEPLATE = "nameplate"  # in the place of a protocol while numbers of nameplates are asked
PROTOCOLS = (EDITION_2007, EDITION_1997, MODBUS)
METER_MODEL = 0x0400040B


class Ears(Protocol):
    """Asks on a line and hears all that comes."""

    async def hear(self, command: Any, linger_s: float = 0.0) -> Heard:
        """What the line brought after `command`."""


@dataclass(frozen=True, slots=True)
class FoundMeter:
    """One meter. `profile` names its habits, `model` what it says of itself or, for Modbus, which maps fit.

    `edition_known` is False for one that refuses every read: `protocol` is then the likelier edition.
    """

    protocol: str
    address: str
    baud: int
    parity: str
    profile: str = ""
    model: str = ""
    total_wh: int | None = None
    rates_wh: tuple[int, ...] = ()
    latency_ms: int = 0
    edition_known: bool = True


@dataclass(slots=True)
class Findings:
    """All of a scan; what could not be told is kept as (protocol, address or pattern).

    `silent` are the addresses of nameplates that nobody answered to, at any line setting so far.
    """

    meters: list[FoundMeter] = field(default_factory=list)
    clashes: list[tuple[str, str]] = field(default_factory=list)
    nameless: list[tuple[str, str]] = field(default_factory=list)
    doubts: list[tuple[str, str]] = field(default_factory=list)
    gave_up: list[str] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)
    probes: int = 0


@dataclass(frozen=True, slots=True)
class Sought:
    """What to look for and how patiently; `linger_s` is how long more answers are waited for after one.

    `addresses` of nameplates (12 digits) are asked one by one, ahead of the searches.
    """

    protocols: tuple[str, ...] = PROTOCOLS
    units: Sequence[int] = range(1, 33)
    tries: int = 1
    thorough: bool = False
    linger_s: float = 0.5
    addresses: tuple[str, ...] = ()


class Scanner:
    """Scans one line setting after the other into one `Findings`."""

    def __init__(self, sought: Sought, progress: Callable[[str, str, int, int], None]) -> None:
        """`progress(protocol, pattern, probes, meters found)` is called before each question."""
        self.findings = Findings()
        self._sought = sought
        self._progress = progress

    async def scan(self, ears: Ears, line: LineSettings) -> None:
        """Look for everybody on the line as it is set now; `PortError` when it is lost."""
        for address in self._sought.addresses:
            if not any(one.address == address for one in self.findings.meters):
                await self._ask_named(ears, line, address)
        for protocol in self._sought.protocols:
            if protocol == MODBUS:
                await self._scan_units(ears, line)
            else:
                await self._scan_addresses(ears, line, protocol)

    async def _ask_named(self, ears: Ears, line: LineSettings, address: str) -> None:
        """The meter with this number, if it answers."""
        told = self.findings
        for _ in range(self._sought.tries):
            told.probes += 1
            self._progress(NAMEPLATE, address, told.probes, len(told.meters))
            found = await _detected(ears, line, address)
            if found is not None:
                told.meters.append(await _described(ears, line, found.edition, address, found))
                told.silent = [one for one in told.silent if one != address]
                return
        if address not in told.silent:
            told.silent = [*told.silent, address]

    async def _drive(self, ears: Ears, protocol: str, search: AddressSearch | UnitSearch) -> None:
        while (probe := search.next_probe()) is not None:
            self.findings.probes += 1
            found = len(self.findings.meters) + len(search.found)
            self._progress(protocol, search.pattern, self.findings.probes, found)
            linger_s = self._sought.linger_s if isinstance(search, AddressSearch) else 0.0
            search.heard(await ears.hear(probe, linger_s))

    async def _scan_addresses(self, ears: Ears, line: LineSettings, edition: str) -> None:
        search = AddressSearch(edition, tries=self._sought.tries, thorough=self._sought.thorough)
        try:
            await self._drive(ears, edition, search)
        finally:
            told = self.findings
            told.clashes += [(edition, one) for one in search.clashes]
            told.nameless += [(edition, one) for one in search.nameless]
            told.doubts += [(edition, one) for one in search.doubts]
            told.gave_up += [edition] * search.gave_up
        for address in search.found:
            self._progress(edition, address, self.findings.probes, len(self.findings.meters))
            meter = await _described(ears, line, edition, address, await _detected(ears, line, address))
            # who refuses the reads of one edition and answers those of the other is found by both searches
            if all(_place(one) != _place(meter) for one in self.findings.meters):
                self.findings.meters.append(meter)

    async def _scan_units(self, ears: Ears, line: LineSettings) -> None:
        search = UnitSearch(self._sought.units)
        await self._drive(ears, MODBUS, search)
        self.findings.clashes += [(MODBUS, str(unit)) for unit in search.clashes]
        for unit, keys in search.found.items():
            self.findings.meters.append(await _unit_described(ears, line, unit, keys))


def _place(meter: FoundMeter) -> tuple[str, str, int, str]:
    return meter.protocol, meter.address, meter.baud, meter.parity


async def registers_of(ears: Ears, meter: FoundMeter) -> tuple[int | None, tuple[int, ...]]:
    """Total and rates of a meter that was found, read now; None and nothing when it does not tell."""
    if meter.protocol != MODBUS:
        return await _energy(ears, meter.protocol, meter.address)
    line = LineSettings(meter.baud, meter.parity)
    return (await _unit_described(ears, line, int(meter.address), [meter.profile])).total_wh, ()


async def _detected(ears: Ears, line: LineSettings, address: str) -> Found | None:
    """Ask a meter what it is; None where nobody answers."""
    detection = Detection(address, (line.baud,))
    while (step := detection.next_step()) is not None:
        heard = await ears.hear(step.command)
        reply = next((frame for frame in heard.frames if step.command.match(frame)), None)
        if reply is None:
            detection.silent()
        else:
            detection.answered(reply, heard.latency_s)
    return detection.found


async def _described(
    ears: Ears, line: LineSettings, edition: str, address: str, found: Found | None
) -> FoundMeter:  # fmt: skip
    """A meter with what it has shown of itself; what it refuses stays unknown."""
    edition = edition if found is None else found.edition
    total_wh, rates_wh = await _energy(ears, edition, address)
    return FoundMeter(
        edition, address, line.baud, line.parity,
        profile=found.profile.name if found is not None else "",
        model=await _model(ears, address) if edition == EDITION_2007 else "",
        total_wh=total_wh, rates_wh=rates_wh,
        latency_ms=round(found.latency_s * 1000) if found is not None else 0,
        edition_known=found is None or found.edition_known,
    )  # fmt: skip


async def _energy(ears: Ears, edition: str, address: str) -> tuple[int | None, tuple[int, ...]]:
    """Total and rates in Wh, from the block where there is one."""
    asked: tuple[tuple[Command, Callable[[bytes], Sequence[Any]]], ...] = tuple(
        (Read(address, one), partial(di.decode_value, one)) for one in (di.ENERGY_BLOCK, di.ENERGY_TOTAL)
    )
    if edition == EDITION_1997:
        asked = tuple(
            (old.Read97(address, one), partial(old.decode_value_97, one))
            for one in (old.ENERGY_BLOCK_97, old.ENERGY_TOTAL_97)
        )
    for command, decode in asked:
        data = await _value(ears, command, edition)
        try:
            total, *rates = decode(data) if data is not None else (None,)
        except CoreError:
            continue
        if isinstance(total, int):
            known = [rate for rate in rates[:4] if isinstance(rate, int)]
            return total, tuple(known) if len(known) == 4 else ()
    return None, ()


async def _model(ears: Ears, address: str) -> str:
    """What the meter calls its model; blanks and control characters are cut off."""
    data = await _value(ears, Read(address, METER_MODEL), EDITION_2007)
    try:
        [text] = di.decode_value(METER_MODEL, data) if data is not None else ("",)
    except CoreError:
        return ""
    return "".join(one for one in str(text or "") if one.isprintable()).strip()


async def _value(ears: Ears, command: Command, edition: str) -> bytes | None:
    heard = await ears.hear(command)
    reply = next((frame for frame in heard.frames if command.match(frame)), None)
    if reply is None or reply.abnormal:
        return None
    return reply_value(command, reply) if edition == EDITION_2007 else old.reply_value_97(command, reply)


async def _unit_described(ears: Ears, line: LineSettings, unit: int, keys: Sequence[str]) -> FoundMeter:
    """A Modbus unit: its model where exactly one map fits, and the energy that this map has."""
    model = " / ".join(METERS[key].model for key in keys)
    total_wh = None
    if len(keys) == 1:
        meter = METERS[keys[0]]
        energy = next((one for want in (FORWARD, COMBINED) for one in meter.quantities if one.di == want), None)
        if energy is not None:
            command = read_of(unit, energy)
            heard = await ears.hear(command)
            reply = next((frame for frame in heard.frames if command.match(frame)), None)
            try:
                total_wh = values_of(meter, command, reply).get(energy) if reply is not None else None
            except CoreError:
                total_wh = None
    profile = keys[0] if len(keys) == 1 else ""
    return FoundMeter(MODBUS, str(unit), line.baud, line.parity, profile, model, total_wh)
