"""The simulator's control API: small JSON over HTTP on the loopback interface.

GET  /health                             alive, seed, world time
GET  /truth, /truth/labels, /truth/export  `sim.control.streamed`
GET  /truth/charge, POST /truth/charges   `sim.control.charges`
GET  /faults                             what goes on now, without its energy
GET  /metrics                            lag of the loop, counters of every bus, both also of the last seconds
POST /fault {"meter", "fault"}           begin a fault ("none" ends all there); or "gate" or "bus"; lasts_s, sizes
POST /button {"meter"}                   press the button now
POST /stop                               end the simulator
GET, POST /time                          `sim.control.time`
POST /record                             `sim.control.record`
POST /exchange, /advance                 `sim.control.stepped`

Requests are answered by threads, but whatever touches the estate runs on the wire's own loop, in slices
between its events: truth is consistent, and the wire never waits for it. A request that a browser sends for some page
names its origin, and is refused.
"""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np

from sim.control.charges import charge, charges
from sim.control.recent import Recent
from sim.control.record import record
from sim.control.stepped import advance, exchange
from sim.control.streamed import STREAMED, Pieces, gathered
from sim.control.time import get_time, post_time
from sim.errors import PortError, ScenarioError, SimError, UnknownMeter
from sim.estate import FaultConfig
from sim.faults import BUS, GATE, HOUSEHOLD, KINDS, StillRunning
from sim.fleet.fleet import SHOWN_OPEN
from sim.scenario.faults import NONE, read_sizes
from sim.scenario.section import Section
from sim.timing.clock import ServedEnvironment
from sim.timing.jobs import Call, Later
from sim.timing.pace import Pace, Publish
from sim.timing.spans import YEAR_S_MAX
from sim.timing.stepped import SteppedEnvironment
from sim.world import World

ANSWER_WITHIN_S = 30.0
PASSING_WITHIN_S = 600.0
"""For requests that let much time pass."""
SENT_WITHIN_S = 2.0
"""At the end, for answers that are under way."""
BUSES_NAMED_MAX = 8
BUSES_PER_SLICE = 32
BODY_BYTES_MAX = 1 << 20
LASTS_S_MAX = 10 * YEAR_S_MAX
Steps = Iterator[Any]


class Control:
    """HTTP server of one world; `url` is known once it exists."""

    def __init__(self, world: World, env: ServedEnvironment, publish: Publish, host: str, port: int) -> None:
        self.world = world
        self.env = env
        self.clock_name = "stepped" if isinstance(env, SteppedEnvironment) else "machine"
        self.pace = Pace(world, env, publish)
        self.recent = Recent(env, world.buses)
        handler = type("Handler", (_Handler,), {"control": self})
        try:
            self._server = ThreadingHTTPServer((host, port), handler)
        except OSError as error:
            raise PortError(
                f"--control {host}:{port}: cannot listen: {error.strerror}; stop whoever holds the port, or use port 0"
            ) from error
        self._server.daemon_threads = True
        self._answers, self._answered = 0, threading.Condition()
        self.url = f"http://{host}:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="control", daemon=True)

    def start(self) -> None:
        """Answer from now on."""
        if self.clock_name == "machine":
            self.recent.keep_sampling()
        self._thread.start()

    def close(self) -> None:
        """Stop answering, see what is being answered on its way, and give the port back."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        with self._answered:
            self._answered.wait_for(lambda: self._answers == 0, SENT_WITHIN_S)
        self._server.server_close()

    @contextmanager
    def answering(self) -> Iterator[None]:
        """While a request is answered: who asks for the end hears of it before the process is gone."""
        with self._answered:
            self._answers += 1
        try:
            yield
        finally:
            with self._answered:
                self._answers -= 1
                self._answered.notify()

    def on_loop(self, steps: Steps, within_s: float = ANSWER_WITHIN_S) -> Any:
        """Run steps on the wire's loop and wait for their last value."""
        call = Call(steps)
        self.env.submit(call.job())
        result = call.wait(within_s)
        if not isinstance(result, Later):
            return result
        if not result.event.wait(PASSING_WITHIN_S):
            raise TimeoutError("still on the way; GET /time says how far")
        return self.on_loop(result.steps())

    def piece(self, pieces: Pieces) -> str:
        """The next piece of a long answer; an empty one at its end."""
        return str(self.on_loop(gathered(pieces)))

    def bus_names(self) -> str:
        """Some of the buses, for a message."""
        names = list(self.world.buses)
        more = f" and {len(names) - BUSES_NAMED_MAX} more" if len(names) > BUSES_NAMED_MAX else ""
        return ", ".join(names[:BUSES_NAMED_MAX]) + more

    def health(self, _query: dict[str, str], _body: Any) -> Steps:
        """Alive."""
        yield {"ok": True, "seed": self.world.seed, "world_s": self.world.now_ms / 1000}

    def faults(self, _query: dict[str, str], _body: Any) -> Steps:
        """What is wrong now."""
        yield self.world.faults.going_on()

    def metrics(self, _query: dict[str, str], _body: Any) -> Steps:
        """Lag and counters, since the start and recent."""
        world, elapsed_s = self.world, self.env.wall_s()
        if self.clock_name == "stepped":
            yield from self.recent.sampling()
        buses = []
        for number, (bus_id, bus) in enumerate(world.buses.items(), start=1):
            buses.append({**bus.summary(elapsed_s), "recent": self.recent.of_bus(bus_id, elapsed_s)})
            if number % BUSES_PER_SLICE == 0:
                yield None
        flags = np.frombuffer(world.fleet.flags, np.uint8)
        yield {
            "estate": world.scenario.name,
            "seed": world.seed,
            "households": len(world.households),
            "meters": len(world.fleet),
            "relays_open": int(np.count_nonzero(flags & SHOWN_OPEN)),
            "elapsed_s": round(elapsed_s, 3),
            "lag": self.env.lag.summary_ms(),
            "recent": self.recent.summary(elapsed_s),
            "transactions": sum(bus.counters.answers for bus in world.buses.values()),
            "ports_down": sum(not bus.port.state.up for bus in world.buses.values()),
            "ideal_wire_s": round(sum(bus.counters.ideal_s for bus in world.buses.values()), 6),
            "buses": buses,
        }

    def fault(self, _query: dict[str, str], body: Any) -> Steps:
        """Begin or end a fault."""
        section = Section("/fault", "body", body)
        where, name = self._place(section)
        kind = section.choice("fault", [NONE, *(name for name, kind in KINDS.items() if where in kind.where)])
        lasts_s = section.whole("lasts_s", 1, LASTS_S_MAX) if section.has("lasts_s") else section.raw("lasts_s")
        for size in KINDS[kind].keys if kind != NONE else ():
            section.raw(size.name)
        sizes = () if kind == NONE else read_sizes(section, kind)
        section.finish()
        now_ms = self.world.now_ms
        fault_id = None
        if kind == NONE:
            self.world.faults.clear(where, name, now_ms)
        else:
            until_ms = None if lasts_s is None else now_ms + lasts_s * 1000
            config = FaultConfig(kind, now_ms, until_ms, where, name, sizes)
            fault_id = self.world.faults.start(config, now_ms).fault_id
        place = "meter" if where == HOUSEHOLD else where
        yield {place: body[place], "fault": kind, "at_s": now_ms / 1000, "id": fault_id}

    def _place(self, section: Section) -> tuple[str, str]:
        """The household of a meter, or the gate or bus that a body names."""
        for where in (GATE, BUS):
            if section.has(where):
                return where, section.text(where)
        return HOUSEHOLD, self.world.household(section.text("meter")).household_id

    def button(self, _query: dict[str, str], body: Any) -> Steps:
        """Press now."""
        household = self.world.household(Section("/button", "body", body).text("meter"))
        now_ms = self.world.now_ms
        closed = household.meter.press_button(now_ms)
        yield {"meter": household.meter.address, "closed": closed, "at_s": now_ms / 1000}

    def stop(self, _query: dict[str, str], _body: Any) -> Steps:
        """End the simulator."""
        yield {"stopping": True}
        self.env.stop()


Route = Callable[[Control, dict[str, str], Any], Steps]
ROUTES: dict[tuple[str, str], Route] = {
    ("GET", "/health"): Control.health,
    ("GET", "/truth/charge"): charge,
    ("GET", "/faults"): Control.faults,
    ("GET", "/metrics"): Control.metrics,
    ("GET", "/time"): get_time,
    ("POST", "/time"): post_time,
    ("POST", "/record"): record,
    ("POST", "/exchange"): exchange,
    ("POST", "/advance"): advance,
    ("POST", "/truth/charges"): charges,
    ("POST", "/fault"): Control.fault,
    ("POST", "/button"): Control.button,
    ("POST", "/stop"): Control.stop,
}


class _Handler(BaseHTTPRequestHandler):
    """Parses, calls one route, renders."""

    control: Control
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def log_message(self, format: str, *args: Any) -> None:
        """Stay silent: standard error belongs to the simulator's own lines."""

    def _serve(self, method: str) -> None:
        try:
            with self.control.answering():
                self._route(method)
        except ConnectionError:
            self.close_connection = True  # the client has hung up; there is nobody to tell

    def _route(self, method: str) -> None:
        if self.headers.get("Origin") is not None:
            self.close_connection = True
            self._answer(HTTPStatus.FORBIDDEN, {"error": "not for pages in a browser: leave out the header Origin"})
            return
        try:
            raw = self._raw_body()
        except (ValueError, TimeoutError) as error:
            self.close_connection = True  # where the next request begins is not known
            self._answer(HTTPStatus.BAD_REQUEST, {"error": f"{type(error).__name__}: {error}"})
            return
        url = urlsplit(self.path)
        route, streamed = ROUTES.get((method, url.path)), STREAMED.get(url.path) if method == "GET" else None
        if route is None and streamed is None:
            known = ", ".join([*(f"{verb} {path}" for verb, path in ROUTES), *(f"GET {path}" for path in STREAMED)])
            self._answer(HTTPStatus.NOT_FOUND, {"error": f"no {method} {url.path}; there are {known}"})
            return
        query = {key: values[-1] for key, values in parse_qs(url.query).items()}
        try:
            if streamed is not None:
                pieces = streamed(self.control, query, {})
                self._stream(self.control.piece(pieces), pieces)
                return
            assert route is not None
            within_s = PASSING_WITHIN_S if route in (exchange, advance) else ANSWER_WITHIN_S
            result = self.control.on_loop(route(self.control, query, _json(raw)), within_s)
        except UnknownMeter as error:
            self._answer(HTTPStatus.NOT_FOUND, {"error": str(error)})
        except StillRunning as error:
            self._answer(HTTPStatus.CONFLICT, {"error": str(error)})
        except SimError as error:
            self._answer(HTTPStatus.BAD_REQUEST, {"error": str(error)})
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            self._answer(HTTPStatus.BAD_REQUEST, {"error": f"{type(error).__name__}: {error}"})
        except TimeoutError as error:
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, {"error": str(error)})
        else:
            self._answer(HTTPStatus.OK, result)

    def _stream(self, piece: str, pieces: Pieces) -> None:
        """Send a long answer in chunks, asking for the next when one is away."""
        chunked = self.request_version != "HTTP/1.0"
        self.close_connection |= not chunked
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "application/json")
        self.send_header(*(("Transfer-Encoding", "chunked") if chunked else ("Connection", "close")))
        self.end_headers()
        while piece:
            data = piece.encode()
            self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data) if chunked else data)
            try:
                piece = self.control.piece(pieces)
            except TimeoutError:  # the head is away; without a last chunk the client knows that this is not all
                self.close_connection = True
                return
        if chunked:
            self.wfile.write(b"0\r\n\r\n")

    def _raw_body(self) -> bytes:
        """The body, read whatever the route, or its bytes would be taken for the next request."""
        if self.headers.get("Transfer-Encoding") is not None:
            raise ValueError("no Transfer-Encoding here: send a Content-Length")
        lengths = set(self.headers.get_all("Content-Length") or ["0"])
        length = lengths.pop()
        if lengths or not (length.isascii() and length.isdecimal()) or int(length) > BODY_BYTES_MAX:
            raise ValueError(f"a body has at most {BODY_BYTES_MAX} bytes, and says once how many")
        return self.rfile.read(int(length))

    def _answer(self, status: HTTPStatus, result: Any) -> None:
        payload = json.dumps(result).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(payload)


def _json(raw: bytes) -> Any:
    """A request's body; nothing is an empty table."""
    try:
        return json.loads(raw) if raw else {}
    except ValueError as error:
        raise ScenarioError(f"the body is not JSON: {error}") from error
