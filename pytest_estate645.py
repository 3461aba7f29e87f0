"""A pytest plugin: a simulated estate of DL/T 645 meters for the tests of any head-end.

    def test_reads(estate645_estate):
        port = estate645_estate.ports["bus-1"]          # a pseudo-terminal; tcp://... where the scenario says so
        reading_wh = my_head_end.read(port, "202600010101")
        assert reading_wh <= estate645_estate.household("202600010101")["register_wh"]

The simulator runs as a child of its own Python (`-P` and no PYTHONPATH: nothing of your repository reaches it, not
even a folder called `sim`; `pip install --user` does), one for each test, and is gone afterwards. What it printed is
shown when a test fails. Choose the estate with the marker, or override the fixture `estate645_scenario`:

    @pytest.mark.estate645("estate.toml", seed=7, factor=60, world_start="2026-10-13T09:05:00+08:00")

`estate645_virtual` is an estate without ports whose time stands still until the test lets it pass, so that a month
takes a second and every run is the same:

    def test_a_day_is_a_day(estate645_virtual):
        first = my_head_end.parse(estate645_virtual.exchange("bus-1", my_head_end.request("202600010101")))
        estate645_virtual.advance(86_400)
        ...

This file imports nothing of estate645.
"""

import http.client
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest

READY_WITHIN_S = 60.0
STOP_WITHIN_S = 20.0
POLL_S = 0.01
ANSWER_WITHIN_S = 60.0
DIED_WITHIN_S = 2.0
"""A process whose connection has just been cut may take a moment to be gone."""
LAST_LINES = 20
SMALL_ESTATE = """\
[estate]
id = "small"
name = "Three flats"
time_zone = "Asia/Shanghai"

[tariff]
id = "beijing"
price = "0.4883"
tier_limits_wh = [240000, 400000]
tier_steps = ["0.05", "0.25"]
tier_period = "month"

[[bus]]
id = "bus-1"
port = "pty"
baud = 9600
parity = "N"

[[household]]
id = "1-0101"
meter = "202600010101"
bus = "bus-1"
start_register_wh = 1234560
load = "family"

[[household]]
id = "1-0102"
meter = "202600010102"
bus = "bus-1"
load = "single"

[[household]]
id = "1-0103"
meter = "202600010103"
bus = "bus-1"
load = "constant"
mean_power_w = 1000
"""


VIRTUAL_START = "2026-10-01T00:00:00+08:00"
Kind = TypeVar("Kind")


class EstateError(AssertionError):
    """The simulator did not start, or refused a request; the message is its own."""


class Estate:
    """A running simulator. `ports` maps each bus to the port on which a head-end reads it."""

    def __init__(self, scenario: Path, run_dir: Path, options: Sequence[str]) -> None:
        self.scenario = scenario
        self._log = run_dir / "simulator.log"
        ready = run_dir / "ready.json"
        command = [sys.executable, "-P", "-m", "sim", str(scenario), "--run-dir", str(run_dir / "ports")]
        command += ["--ready", str(ready), *options]
        world = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        with self._log.open("w") as log:
            self._process = subprocess.Popen(command, stderr=log, stdout=log, env=world)
        said = self._await(ready)
        self.ports: Mapping[str, str] = said["ports"]
        self.control_url: str = said["control_url"]

    @property
    def now(self) -> datetime:
        """World time, aware: what the meters' clocks are set by."""
        return _world(self._ask("/time"))

    def set_speed(self, speed: int | str) -> datetime:
        """World seconds in each machine second from now on: 0 to 3600, or "pause", "resume", "real"; world time now."""
        return _world(self._ask("/time", {"speed": speed}))

    def step(self, seconds: int) -> datetime:
        """Let so much world time pass at once, with all that happens in it; world time afterwards."""
        return _world(self._ask("/time", {"step_s": seconds}))

    def truth(self) -> Any:
        """Every household and main meter as it really is."""
        return self._ask("/truth")

    def household(self, meter: str) -> Any:
        """The truth about the household behind one meter."""
        for household in self.truth()["households"]:
            if household["meter"] == meter:
                return household
        raise EstateError(f"{self.scenario}: no household has the meter {meter}")

    def charges(self, cursors: Sequence[Mapping[str, Any]]) -> Any:
        """What a head-end that stands at these cursors should have charged."""
        return self._ask("/truth/charges", {"cursors": list(cursors)})

    def labels(self) -> Any:
        """Every fault and theft so far, with its span and energy."""
        return self._ask("/truth/labels")

    def metrics(self) -> Any:
        """Lag of the simulator and the counters of every bus."""
        return self._ask("/metrics")

    def fault(
        self, *words: str, meter: str | None = None, gate: str | None = None, bus: str | None = None, **sizes: int | str
    ) -> Any:
        """Begin a fault now: fault("silent", meter=...), or gate= or bus=; fault(meter, "silent") is the same.

        Sizes are keywords, such as lasts_s=60; the household or meter of `with` is given as with_=. `clear_faults`
        ends it.
        """
        if not 1 <= len(words) <= 2 or (len(words) == 2) + sum(p is not None for p in (meter, gate, bus)) != 1:
            raise EstateError('fault: name one place, as fault("silent", meter="..."), or gate= or bus=')
        meter = words[0] if len(words) == 2 else meter
        place = {name: value for name, value in (("meter", meter), ("gate", gate), ("bus", bus)) if value is not None}
        return self._ask("/fault", {**place, "fault": words[-1], **{key.rstrip("_"): sizes[key] for key in sizes}})

    def clear_faults(self, meter: str | None = None, *, gate: str | None = None, bus: str | None = None) -> Any:
        """End every fault of one meter, gate or bus."""
        return self.fault("none", meter=meter, gate=gate, bus=bus)

    def press_button(self, meter: str) -> Any:
        """The resident presses the button of the meter now."""
        return self._ask("/button", {"meter": meter})

    def record(self, bus: str, file: Path | None) -> Any:
        """Record a bus to a new file.pcap from now on; None ends it."""
        return self._ask("/record", {"bus": bus, "file": None if file is None else str(file.absolute())})

    def log(self) -> str:
        """What the simulator has printed."""
        return self._log.read_text("utf-8", "replace")

    def stop(self) -> None:
        """End it; no port or process is left."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def _await(self, ready: Path) -> Any:
        end_s = time.monotonic() + READY_WITHIN_S
        while not ready.exists():
            if self._process.poll() is not None:
                raise EstateError(f"the simulator ended with status {self._process.returncode}:\n{self.log()}")
            if time.monotonic() > end_s:
                self.stop()
                raise EstateError(f"the simulator was not ready within {READY_WITHIN_S:.0f} s:\n{self.log()}")
            time.sleep(POLL_S)
        return json.loads(ready.read_text("utf-8"))

    def _ask(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.control_url + path, data=data)  # noqa: S310  the simulator's own address
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_WITHIN_S) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                raise EstateError(f"{path}: {json.load(error)['error']}") from None
        except (OSError, http.client.HTTPException) as error:
            raise EstateError(f"{path}: {self._why_silent(error)}") from error

    def _why_silent(self, error: Exception) -> str:
        """What to say when no answer came: that the simulator has died, with its last words, or what else it was."""
        try:
            status = self._process.wait(DIED_WITHIN_S)
        except subprocess.TimeoutExpired:
            return f"no answer ({getattr(error, 'reason', error)}), though the simulator runs"
        how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        last = "\n".join(self.log().splitlines()[-LAST_LINES:])
        return f"the simulator {how}; it said last:\n{last}"


class VirtualEstate(Estate):
    """A simulator whose time only passes in `exchange` and `advance`; seconds are those of the wire."""

    def exchange(self, bus: str, request: bytes, wait_s: float = 2.0, quiet_s: float | None = None) -> bytes:
        """Send, and wait for the answer; what has come by then, which may be nothing or a part.

        It ends with a whole DL/T 645 reply, or after `wait_s`; for other protocols once the line was quiet for
        `quiet_s`. What was left over from before comes first, as from the buffer of a serial port.
        """
        body: dict[str, Any] = {"bus": bus, "hex": request.hex(), "wait_s": wait_s}
        body |= {} if quiet_s is None else {"quiet_s": quiet_s}
        return bytes.fromhex(self._ask("/exchange", body)["hex"])

    def advance(
        self, seconds: float | timedelta, send: Mapping[str, bytes] | None = None, *, until_bytes: bool = False
    ) -> dict[str, bytes]:
        """Send on any buses, then let time pass on all; what came, by bus. `until_bytes` stops as soon as any came."""
        seconds = seconds.total_seconds() if isinstance(seconds, timedelta) else seconds
        orders = {bus: data.hex() for bus, data in (send or {}).items()}
        came = self._ask("/advance", {"seconds": seconds, "send": orders, "until_bytes": until_bytes})["received"]
        return {bus: bytes.fromhex(data) for bus, data in came.items()}

    @property
    def now_s(self) -> float:
        """Machine seconds of the wire since the start."""
        return float(self._ask("/time")["now_s"])


def _world(told: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(told["world_utc"])


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers",
        "estate645(scenario=None, *, seed=1, factor=None, world_start=None, options=()): "
        "the estate that `estate645_estate` runs; a file or the text of a scenario",
    )


@pytest.fixture
def estate645_scenario() -> str | Path:
    """The scenario, a file or its text; override it, or use the marker."""
    return SMALL_ESTATE


@pytest.fixture
def estate645_start(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A function that starts an estate.

    (scenario, *, seed=1, factor=None, world_start=None, options=(), virtual=False) -> Estate or VirtualEstate
    """
    with ExitStack() as stack:
        started: list[Estate] = []

        def start(
            scenario: str | Path,
            *,
            seed: int = 1,
            factor: int | None = None,
            world_start: str | None = None,
            options: Sequence[str] = (),
            virtual: bool = False,
        ) -> Estate:
            folder = tmp_path_factory.mktemp("estate645")
            words = ["--seed", str(seed), *options]
            words += [] if factor is None else ["--factor", str(factor)]
            words += [] if world_start is None else ["--world-start", world_start]
            words += ["--clock", "stepped"] if virtual else []
            kind = VirtualEstate if virtual else Estate
            estate = kind(_scenario_file(scenario, folder, request), folder, words)
            stack.callback(estate.stop)
            started.append(estate)
            return estate

        request.node.estate645_started = started
        yield start


@pytest.fixture
def estate645_estate(
    estate645_start: Callable[..., Estate], estate645_scenario: str | Path, request: pytest.FixtureRequest
) -> Estate:
    """A running estate of this test alone."""
    return _marked(request, estate645_start, estate645_scenario)


@pytest.fixture
def estate645_virtual(
    estate645_start: Callable[..., VirtualEstate], estate645_scenario: str | Path, request: pytest.FixtureRequest
) -> VirtualEstate:
    """An estate of this test alone in which time stands still; it always begins at the same world time."""
    return _marked(request, estate645_start, estate645_scenario, world_start=VIRTUAL_START, virtual=True)


def _marked(request: pytest.FixtureRequest, start: Callable[..., Kind], scenario: str | Path, **keys: Any) -> Kind:
    """Start what the marker says."""
    marker = request.node.get_closest_marker("estate645")
    if marker is None:
        return start(scenario, **keys)
    return start(marker.args[0] if marker.args else scenario, **(keys | marker.kwargs))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Show what the simulators of a failed test have printed."""
    report = yield
    if report.when == "call" and report.failed:
        for estate in getattr(item, "estate645_started", ()):
            report.sections.append((f"estate645-sim {estate.scenario.name}", estate.log()))
    return report


def _scenario_file(scenario: str | Path, folder: Path, request: pytest.FixtureRequest) -> Path:
    """The scenario as a file; a relative name is looked for beside the test."""
    if isinstance(scenario, str) and "\n" in scenario:
        path = folder / "estate.toml"
        path.write_text(scenario, "utf-8")
        return path
    path = request.path.parent / os.fspath(scenario)
    if not path.exists():
        raise EstateError(f"{path}: no such scenario; give a file beside the test, or the text of one")
    return path
