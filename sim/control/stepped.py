"""Routes of the control API by which a client lets time pass: `--clock stepped`.

POST /exchange {"bus", "hex", "wait_s", "quiet_s"}   send, and wait for the answer
POST /advance {"seconds", "send", "until_bytes"}     let time pass, on all buses at once

Seconds are machine seconds, as on the wire: bytes and Td take their time, and `--factor` world seconds pass in each.
An exchange ends with the last byte of a whole DL/T 645 reply, or when some bytes have come and the line has then been
quiet for `quiet_s`, or after `wait_s`. What comes on a bus that nobody waits for is kept there until it is asked for,
as in the buffer of a serial port.
"""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from core import crc16_modbus
from core.dlt645.frame import FrameDecoder
from sim.control.time import time_now
from sim.errors import ScenarioError
from sim.ports import MemoryPort
from sim.scenario.section import Section
from sim.timing.spans import DAY_S

if TYPE_CHECKING:
    from sim.control.api import Control

WAIT_S_MAX = 600
WAIT_S = 2.0
ADVANCE_S_MAX = 3660 * DAY_S
SLICE_EVENTS = 256
RTU_SHORTEST = 5


def exchange(control: "Control", _query: dict[str, str], body: Any) -> Iterator[Any]:
    """POST /exchange."""
    env = control.env
    section = Section("/exchange", "body", body)
    port = _port(control, section, section.text("bus"))
    request = _bytes(section, "hex", section.text("hex"))
    wait_s = _number(section, "wait_s", WAIT_S_MAX, WAIT_S)
    quiet_s = _number(section, "quiet_s", WAIT_S_MAX, math.inf)
    section.finish()
    port.feed(request)
    until_s = end_s = env.now + wait_s
    heard, decoder = bytearray(), FrameDecoder()
    while True:
        came = port.take()
        if came:
            heard += came
            end_s = min(until_s, env.now + quiet_s)
            if any(frame.is_reply for frame in decoder.feed(came)) or _is_rtu_reply(request, bytes(heard)):
                break
        if env.peek() > end_s:
            yield from env.passing(end_s)
            break
        env.step()
    yield {"hex": heard.hex(), **time_now(control)}


def advance(control: "Control", _query: dict[str, str], body: Any) -> Iterator[Any]:
    """POST /advance."""
    env = control.env
    section = Section("/advance", "body", body)
    until_s = env.now + _number(section, "seconds", ADVANCE_S_MAX)
    orders = section.inner("send")
    told = [(_port(control, orders, bus), _bytes(orders, bus, orders.text(bus))) for bus in section.raw("send", {})]
    until_bytes = section.flag("until_bytes", False)
    section.finish()
    ports = _ports(control)
    for port, data in told:
        port.feed(data)
    stepped = 0
    while env.peek() <= until_s and not (until_bytes and any(port.sent for port in ports.values())):
        env.step()
        stepped += 1
        if stepped % SLICE_EVENTS == 0:
            yield None
    if not (until_bytes and any(port.sent for port in ports.values())):
        yield from env.passing(until_s)
    received = {bus: data.hex() for bus, port in ports.items() if (data := port.take())}
    yield {"received": received, **time_now(control)}


def _ports(control: "Control") -> dict[str, MemoryPort]:
    """The buses' ports; ScenarioError where time passes by itself."""
    ports = {bus_id: bus.port for bus_id, bus in control.world.buses.items()}
    memory = {bus_id: port for bus_id, port in ports.items() if isinstance(port, MemoryPort)}
    if control.clock_name != "stepped" or len(memory) < len(ports):
        raise ScenarioError("this estate's time passes by itself; start it with --clock stepped")
    return memory


def _port(control: "Control", section: Section, bus_id: str) -> MemoryPort:
    ports = _ports(control)
    if bus_id not in ports:
        raise section.refuse(bus_id, f"there is no bus {bus_id}; allowed: {control.bus_names()}")
    return ports[bus_id]


def _bytes(section: Section, key: str, text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise section.wrong(key, "bytes in hexadecimal, such as 68 01 01 01 26 20 20 68") from error


def _number(section: Section, key: str, most: float, default: float | None = None) -> float:
    """A number from 0 to `most`."""
    value = section.raw(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not (value == default or 0 <= value <= most):
        raise section.wrong(key, f"a number of seconds from 0 to {most}")
    return float(value)


def _is_rtu_reply(request: bytes, heard: bytes) -> bool:
    """Whether `heard` is one sound Modbus frame of the unit and function that were asked, and not the echo."""
    if min(len(heard) - RTU_SHORTEST, len(request) - 2) < 0 or heard == request:
        return False
    same = heard[0] == request[0] and heard[1] & 0x7F == request[1]
    return same and crc16_modbus(heard[:-2]) == int.from_bytes(heard[-2:], "little")
