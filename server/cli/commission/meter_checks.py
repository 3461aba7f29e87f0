"""What is asked of every meter at commissioning: register, clock, status word, and how it keeps time on the line.

Reads only. A meter that does not answer one question is still asked the others.
"""

from collections.abc import AsyncIterator
from statistics import quantiles

from core.dlt645 import identifiers as di
from core.errors import CoreError
from server.cli.commission.proofs import Proof
from server.cli.languages import heard
from server.cli.languages import mark as _
from server.collect.control import describe
from server.collect.line import BusLine
from server.collect.readout import MeterState, Readout

CLOCK_OFF_MAX_S = 60  # half of the usual lifetime of a command
SAMPLES = 20
WAKING_BYTES = 4  # FE before each of our requests
ATTEMPTS = 3
MARGIN = 2  # the longest delay that was measured, times this, is what a bus should wait
NOT_ANSWERED = _("not answered: %(reason)s")


async def look_at(line: BusLine, readout: Readout, meter: MeterState, wait_ms: int) -> AsyncIterator[Proof]:
    """Ask one meter everything that needs no password."""
    for question, check in (("register", _register), ("clock", _clock), ("status", _status)):
        try:
            yield await check(readout, meter)
        except CoreError as error:
            yield Proof(question, meter.meter_id, "failed", NOT_ANSWERED, {"reason": heard(str(error))})
    yield await _timing(line, meter, wait_ms)


async def _register(readout: Readout, meter: MeterState) -> Proof:
    first = await readout.energy(meter, ATTEMPTS)
    second = await readout.energy(meter, ATTEMPTS)
    figures: dict[str, int | str] = {"first": first.total_wh, "second": second.total_wh}
    if second.total_wh < first.total_wh:
        return Proof("register", meter.meter_id, "failed", _("%(first)d Wh, then %(second)d Wh"), figures)
    figures["rates"] = " ".join(map(str, second.rates_wh or ())) or "-"
    text = _("%(second)d Wh, rates in Wh: %(rates)s; compare with the display")
    return Proof("register", meter.meter_id, "passed", text, figures)


async def _clock(readout: Readout, meter: MeterState) -> Proof:
    if not meter.dialect.has_deadline:
        return Proof("clock", meter.meter_id, "open", _("its commands have no deadline, so its clock does not matter"))
    off_s = await readout.clock_offset(meter, ATTEMPTS)
    if off_s is None:
        return Proof("clock", meter.meter_id, "failed", _("it shows no time; commands to it are refused"))
    text = _("it is %(off_s)d s off; allowed are %(most_s)d s")
    outcome = "passed" if abs(off_s) <= CLOCK_OFF_MAX_S else "failed"
    return Proof("clock", meter.meter_id, outcome, text, {"off_s": off_s, "most_s": CLOCK_OFF_MAX_S})  # type: ignore[arg-type]


async def _status(readout: Readout, meter: MeterState) -> Proof:
    status = await readout.status(meter, ATTEMPTS)
    if status is None:
        return Proof("status", meter.meter_id, "open", _("it has no such word; it can be read, never cut"))
    return Proof("status", meter.meter_id, "passed", "%(word)s", {"word": heard(describe(status.status3))})


async def _timing(line: BusLine, meter: MeterState, wait_ms: int) -> Proof:
    """Ask the same register again and again; what is left of the time without the bytes on the line is Td."""
    command = meter.dialect.command(di.ENERGY_TOTAL)
    timing = line.timing
    delays_ms: list[float] = []
    lost = 0
    for _number in range(SAMPLES):
        heard = await line.hear(command) if command is not None else None
        reply = next((one for one in heard.frames if command.match(one)), None) if heard and command else None
        if heard is None or reply is None or command is None:
            lost += 1
            continue
        on_line_s = timing.wire_time_s(len(command.to_frame().to_wire(WAKING_BYTES)) + len(reply.to_wire(0)))
        delays_ms.append(max(0.0, heard.latency_s - on_line_s) * 1000)
    if len(delays_ms) < 2:  # of fewer no spread can be told
        return Proof("timing", meter.meter_id, "failed", _("%(lost)d of %(asked)d replies are missing"),
                     {"lost": lost, "asked": SAMPLES})  # fmt: skip
    figures: dict[str, int | str] = {
        "lost": lost, "asked": SAMPLES, "least_ms": round(min(delays_ms)),
        "p95_ms": round(quantiles(delays_ms, n=20)[-1]), "most_ms": round(max(delays_ms)), "set_ms": wait_ms,
        "should_ms": max(200, -(-round(max(delays_ms) * MARGIN) // 100) * 100),
    }  # fmt: skip
    text = _(
        "Td %(least_ms)d to %(most_ms)d ms, 95 %% within %(p95_ms)d ms, %(lost)d of %(asked)d lost; "
        "reply_delay_max_ms = %(should_ms)d suffices (asked with %(set_ms)d)"
    )
    return Proof("timing", meter.meter_id, "failed" if lost else "passed", text, figures)
