"""One [[bus]] of a scenario: port, line settings, how its meters answer, and how a DTU dials."""

from sim.errors import PortError
from sim.estate import BAUDS, MISMATCHES, PARITIES, PARITY_ERRORS, WIRES, BusConfig, Dialling
from sim.ports.port import host_port
from sim.scenario.section import Section
from sim.timing.spans import HOUR_S
from sim.wire.delay import DelaySpread

DELAY_MAX_MS = 10_000

NETWORK = ("tcp://", "dtu://")
SCHEMES = (
    "pty",
    "tcp://HOST:PORT (PORT 0 takes a free one)",
    "dtu://HOST:PORT (dials in to a head-end)",
    "/dev/ttyUSB0 or another serial port",
    "memory",
)


def read_bus(section: Section, bus_id: str | None = None) -> BusConfig:
    """Read a bus; a generated one gets its id from outside."""
    port = section.text("port", "pty")
    if not _is_port(port):
        raise section.wrong("port", ", ".join(SCHEMES))
    baud = section.whole("baud", 600, 19200, 9600)
    if baud not in BAUDS:
        raise section.wrong("baud", ", ".join(map(str, BAUDS)))
    delay_ms, spread = _delay(section)
    bus = BusConfig(
        bus_id=_file_name(section, "id") if bus_id is None else bus_id,
        port=port,
        baud=baud,
        parity=section.choice("parity", PARITIES, "E"),
        reply_delay_ms=delay_ms,
        delay_spread=spread,
        preamble=section.whole("preamble", 0, 4, 4),
        byte_true=section.choice("wire", WIRES, "byte-true") == "byte-true",
        chunk_bytes=section.whole("chunk_bytes", 0, 255, 5),
        echo=section.flag("echo", False),
        stop_bits=section.whole("stop_bits", 1, 2, 1),
        bit_errors_ppm=section.whole("bit_errors_ppm", 0, 100_000, 0),
        parity_errors=section.choice("parity_errors", PARITY_ERRORS, "lost"),
        mismatch=section.choice("mismatch", MISMATCHES, "garble"),
        dialling=_dialling(section, port),
    )
    section.finish()
    return bus


def _is_port(port: str) -> bool:
    """Whether it names a kind of port, and over the network a host and a port too."""
    if not port.startswith(NETWORK):
        return port in ("pty", "memory") or port.startswith("/")
    try:
        host_port(port)
    except PortError:
        return False
    return True


def _delay(section: Section) -> tuple[tuple[int, int], DelaySpread | None]:
    """Td: a number, [least, most], or the figures of a spread."""
    if not isinstance(section.raw("reply_delay_ms"), dict):
        return section.span("reply_delay_ms", 0, DELAY_MAX_MS, (20, 20)), None
    inner = section.inner("reply_delay_ms")
    median_ms = inner.whole("median", 1, DELAY_MAX_MS)
    p95_ms = inner.whole("p95", median_ms, DELAY_MAX_MS)
    span_ms = inner.whole("least", 0, median_ms, min(20, median_ms)), inner.whole("most", p95_ms, DELAY_MAX_MS)
    inner.finish()
    return span_ms, DelaySpread(median_ms, p95_ms)


def _dialling(section: Section, port: str) -> Dialling:
    """The keys of a DTU, allowed only where the bus dials."""
    if not port.startswith("dtu://"):
        return Dialling()
    return Dialling(
        registration=_packet(section, "registration"),
        heartbeat=_packet(section, "heartbeat"),
        heartbeat_s=section.whole("heartbeat_s", 1, HOUR_S, 30),
        redial_s=section.whole("redial_s", 1, HOUR_S, 5),
    )


def _packet(section: Section, key: str) -> bytes:
    """Bytes written as text, or in hex behind `hex:`; nothing where the key is absent."""
    if not section.has(key):
        section.raw(key)
        return b""
    text = section.text(key)
    try:
        return bytes.fromhex(text.removeprefix("hex:")) if text.startswith("hex:") else text.encode("utf-8")
    except ValueError as error:
        raise section.wrong(key, 'a text, or bytes in hex such as "hex:FE FE 01"') from error


def _file_name(section: Section, key: str) -> str:
    """A bus is published as a file of its name."""
    name = section.name(key)
    if not all(c.isalnum() or c in "-_." for c in name) or name.startswith("."):
        raise section.wrong(key, "letters, digits, '-', '_' and '.', since the port is a file of that name")
    return name
