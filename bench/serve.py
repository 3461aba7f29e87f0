"""The load test that the project exists for: `estate645 serve` as users start it, beside a working day of HTTP.

The simulator gives 10,240 meters on 160 ptys (9600 baud 8E1, Td 20 ms, 4 FE). The server, in its own processes, reads
them without a pause, charges, and answers people: 100 requests a second, begun at their appointed times, in the mix of
`MIX`. Once a second somebody who was cut pays at the counter, and the time to the read-back of his relay is the
server's own pay-to-power clock. The share of the wire is the ideal time of all answers over the time that the buses
had; what was read is in the database, or the bench fails.
"""

import asyncio
import json
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from time import monotonic, sleep
from typing import Any

import httpx
from sqlalchemy import func, select, update

from bench.bus_line import Child, running, simulator
from bench.head_end import Neighbourhood, hurry, import_estate
from bench.load import Load, Outcome, Request
from bench.machine import Load as MachineLoad
from bench.machine import LoadMeter, process_s
from bench.report import BenchFailed, Peer, Result, progress
from server.store.engine import begin_writing, open_engine, reader
from server.store.schema import payment_order, reading, supply

BUSES, METERS, RUN_S, WARM_UP_S = 160, 64, 600.0, 120.0
WARM_UP_LEAST_S = 40.0  # until every meter has been asked for everything once
QUICK_BUSES, QUICK_METERS, QUICK_RUN_S, QUICK_WARM_UP_S = 4, 8, 4.0, 3.0
RATE, QUICK_RATE = 100.0, 20.0
PAY_EVERY, QUICK_PAY_EVERY = 100, 20  # requests
FIRST_RATE = 10.0  # of the first request of each kind, before the measurement: the server is no longer at its start
SETTLE_S = 30.0
QUICK_SETTLE_S = 20.0
READY_TIMEOUT_S = 120.0
TIMEOUT_S = 60.0
WIRE_FLOOR, WIRE_GOAL = 0.90, 0.95
API_P99_MS, PAY_P95_S = 150.0, 10.0
DURABLE_MIN = 0.9
PAID_FEN = 5000
PASSWORD = "bench-bench-bench"  # noqa: S105  # a bench on loopback
MIX = (
    ("resident", "/me", 30), ("resident", "/me/usage", 6), ("resident", "/me/bills", 4),
    ("resident", "/api/v1/households/{own}", 15), ("operator", "/households/{any}", 8), ("operator", "/today", 4),
    ("operator", "/wall", 3), ("operator", "/cases", 2), ("operator", "/counter", 3),
    ("operator", "/api/v1/households?limit=50", 5), ("operator", "/api/v1/households/{any}/readings", 5),
    ("operator", "/api/v1/households/{any}/ledger", 4), ("operator", "/api/v1/households/{any}/notices", 3),
    ("operator", "/api/v1/households/{any}/relay", 3), ("nobody", "/livez", 4),
)  # fmt: skip
USERS = """
[[user]]
login = "operator"
password = "{password}"
role = "operator"
name = "operator"
[[user]]
login = "cashier"
password = "{password}"
role = "cashier"
name = "cashier"
"""
RESIDENT = """
[[user]]
login = "resident"
password = "{password}"
role = "resident"
name = "resident"
account = "{account}"
"""


@dataclass(frozen=True, slots=True)
class Mark:
    """What had been done at an instant: ideal seconds of the wire, answers, and readings in the database."""

    at_s: float
    ideal_s: float
    answers: int
    rows: int
    server_s: float  # CPU of all its processes
    web_s: float  # CPU of those that serve HTTP
    simulator_s: float


class Arrangement:
    """The running server, its database, and the simulator's control API."""

    def __init__(self, child: Child, server: dict[str, Any], control_url: str, database_url: str) -> None:
        """`server` is what the server's ready file says."""
        self.child, self.control_url, self.url = child, control_url, str(server["url"])
        self.web_pids: list[int] = server["web_pids"]
        self.server_pids = [int(server["pid"]), *self.web_pids]
        self.engine = open_engine(database_url)

    def mark(self) -> Mark:
        """Now."""
        buses = httpx.get(f"{self.control_url}/metrics", timeout=TIMEOUT_S).json()["buses"]
        with reader(self.engine) as connection:
            rows = int(connection.execute(select(func.count()).select_from(reading)).scalar_one())
        return Mark(
            monotonic(),
            sum(bus["ideal_s"] for bus in buses),
            sum(bus["answers"] for bus in buses),
            rows,
            sum(map(process_s, self.server_pids)),
            sum(map(process_s, self.web_pids)),
            process_s(self.child.pid),
        )

    def settled_s(self, most_s: float) -> list[float | None]:
        """`read_backs_s` once all are there, or after so long."""
        give_up = monotonic() + most_s
        while None in (found := self.read_backs_s()) and monotonic() < give_up:
            sleep(0.2)
        return found

    def read_backs_s(self) -> list[float | None]:
        """Seconds from each payment to its read-back; None where there was none."""
        query = select(payment_order.c.created_ms, payment_order.c.confirmed_ms)
        with reader(self.engine) as connection:
            return [None if row[1] is None else (row[1] - row[0]) / 1000 for row in connection.execute(query)]


def run(*, quick: bool, seconds: float = RUN_S, buses: int = BUSES) -> tuple[list[Result], list[MachineLoad]]:
    """Warm up, mark, load, mark, and wait for the last read-backs; people ask in proportion to the buses."""
    place = Neighbourhood(QUICK_BUSES if quick else buses, QUICK_METERS if quick else METERS)
    warm_up_s = QUICK_WARM_UP_S if quick else min(WARM_UP_S, max(WARM_UP_LEAST_S, seconds / 5))
    run_s = QUICK_RUN_S if quick else seconds
    rate, pay_every = (QUICK_RATE, QUICK_PAY_EVERY) if quick else (RATE * buses / BUSES, PAY_EVERY)
    dark = [account(place, number) for number in range(int(run_s * rate / pay_every))]
    with _arranged(place, dark) as arrangement:
        requests = _requests(arrangement.url, place, dark, int(run_s * rate), pay_every)
        progress("serve: warming up")
        sleep(warm_up_s)
        _load(arrangement.url, list({one.kind: one for one in requests if not one.body}.values()), FIRST_RATE)
        progress("serve: under load")
        with LoadMeter((arrangement.child.pid, *arrangement.server_pids)) as meter:
            before = arrangement.mark()
            outcome = _load(arrangement.url, requests, rate)
            after = arrangement.mark()
        paid = arrangement.settled_s(QUICK_SETTLE_S if quick else SETTLE_S)
        progress("")
        arrangement.engine.dispose()
    return _results(place, rate, before, after, outcome, paid, meter.load, quick=quick), [meter.load]


def account(place: Neighbourhood, number: int) -> str:
    """A household's account, spread over the buses."""
    return "H" + place.address(number % place.buses, number // place.buses)


@contextmanager
def _arranged(place: Neighbourhood, dark: Sequence[str]) -> Iterator[Arrangement]:
    with tempfile.TemporaryDirectory(prefix="bench-serve-") as name:
        folder = Path(name)
        with simulator(place.scenario(), folder) as child:
            control_url = json.loads((folder / "ready.json").read_text("utf-8"))["control_url"]
            progress("serve: taking the estate in")
            people = USERS.format(password=PASSWORD) + RESIDENT.format(password=PASSWORD, account=account(place, 0))
            database_url = import_estate(place.estate_file(child.ports) + people, folder)
            hurry(database_url, place.cycle_s)
            _darken(control_url, database_url, dark)
            ready = folder / "server.ready.json"
            (folder / "server.toml").write_text(f'database_url = "{database_url}"\nport = 0\n', "utf-8")
            command = [sys.executable, "-P", "-m", "server", "serve", "--config", str(folder / "server.toml")]
            command += ["--ready", str(ready)]
            with (folder / "server.log").open("wb") as log, running(command, stdout=log, stderr=log):
                yield Arrangement(child, _wait(ready, folder / "server.log"), control_url, database_url)


def _wait(ready: Path, log: Path) -> dict[str, Any]:
    """What the server says of itself once it serves."""
    give_up = monotonic() + READY_TIMEOUT_S
    while not ready.exists():
        if monotonic() > give_up:
            raise BenchFailed(f"the server did not start:\n{log.read_text('utf-8', 'replace')[-2000:]}")
        sleep(0.1)
    said: dict[str, Any] = json.loads(ready.read_text("utf-8"))
    return said


def _darken(control_url: str, database_url: str, dark: Sequence[str]) -> None:
    """These households were cut for arrears before the bench: at the meter, and in the books."""
    for one in dark:
        told = httpx.post(f"{control_url}/fault", json={"meter": one[1:], "fault": "disconnection"}, timeout=TIMEOUT_S)
        told.raise_for_status()
    values = {"desired": "open", "cause": "arrears", "command": "confirmed", "relay": "open"}
    engine = open_engine(database_url)
    with begin_writing(engine) as connection, connection.begin():
        connection.execute(update(supply).where(supply.c.meter_id.in_([one[1:] for one in dark])).values(**values))
    engine.dispose()


def _headers(url: str, login: str) -> str:
    """What a signed-in person's requests carry."""
    with httpx.Client(
        base_url=url, headers={"Origin": url, "Sec-Fetch-Site": "same-origin"}, timeout=TIMEOUT_S
    ) as http:
        answer = http.post("/login", data={"login": login, "password": PASSWORD, "next": "/"})
        if answer.status_code != httpx.codes.SEE_OTHER:
            raise BenchFailed(f"{login} cannot sign in: {answer.status_code} {answer.text[:200]}")
        csrf = http.get("/api/v1/session").json()["csrf"]
        cookies = "; ".join(f"{name}={value}" for name, value in http.cookies.items())
    return f"Cookie: {cookies}\r\nX-CSRF-Token: {csrf}\r\nOrigin: {url}\r\nSec-Fetch-Site: same-origin\r\n"


def _requests(url: str, place: Neighbourhood, dark: Sequence[str], count: int, pay_every: int) -> list[Request]:
    """So many requests of the mix in a fixed order, one in `pay_every` a payment."""
    random = Random(645)
    who = {"nobody": ""} | {login: _headers(url, login) for login in ("operator", "resident", "cashier")}
    kinds = random.choices(MIX, [weight for *_, weight in MIX], k=count)
    made = []
    for number, (login, path, _) in enumerate(kinds):
        if number % pay_every == pay_every // 2:
            sale = {"account_id": dark[number // pay_every], "amount_fen": PAID_FEN, "sale_id": f"bench{number:027d}"}
            made.append(Request("payment", "/api/v1/counter/sales", who["cashier"], json.dumps(sale).encode()))
            continue
        anybody = account(place, random.randrange(place.buses * place.meters))
        made.append(Request(path, path.format(own=account(place, 0), any=anybody), who[login]))
    return made


def _load(url: str, requests: Sequence[Request], rate: float) -> Outcome:
    host, _, port = url.removeprefix("http://").partition(":")
    return asyncio.run(Load(host, int(port)).run(requests, rate))


def percentile(values: Sequence[float], percent: int) -> float:
    """The value below which so many percent lie."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, len(ranked) * percent // 100)]


def _results(
    place: Neighbourhood, rate: float, before: Mark, after: Mark, outcome: Outcome, paid: Sequence[float | None],
    load: MachineLoad, *, quick: bool,
) -> list[Result]:  # fmt: skip
    elapsed_s = after.at_s - before.at_s
    share = (after.ideal_s - before.ideal_s) / place.buses / elapsed_s
    rows, answers = after.rows - before.rows, after.answers - before.answers
    least = 1 if quick else DURABLE_MIN * answers * energy_share()  # seconds are less than a batch may take
    if rows < least:
        raise BenchFailed(f"meters answered {answers} times and only {rows} readings are in the database")
    latencies = outcome.all_ms()
    late_only = load.void and all(": TimeoutError" in one for one in outcome.errors)  # others had the machine
    if not latencies or (len(outcome.errors) * 1000 > len(latencies) and not late_only):
        raise BenchFailed(f"{len(outcome.errors)} requests failed: {outcome.errors[:5]}")
    back = [one for one in paid if one is not None]
    if not back:
        raise BenchFailed("no payment was followed by a read-back")
    p99, p95 = percentile(latencies, 99), percentile(back, 95)
    line = f"{place.buses * place.meters} meters on {place.buses} buses at {place.baud} baud"
    wire = f"{line} beside {rate:g} requests/s"
    kept = _result("p99 of HTTP from the appointed time", p99, "ms", load)
    slow = _result("payment to read-back, p95", p95, "s", load)
    return [
        Result(
            name=f"{wire}: answers",
            value=answers / elapsed_s,
            unit="1/s",
            peer=Peer("limit of the wire", answers / elapsed_s / share if share else 0.0),
            ratio=share,
            floor=None if quick else WIRE_FLOOR,
            goal=WIRE_GOAL,
            void=load.void,
        ),
        _result("durable energy readings among them", rows / elapsed_s, "1/s", load),
        _allowed(kept, API_P99_MS, quick=quick),
        _result("cores in use by the server", (after.server_s - before.server_s) / elapsed_s, "cores", load),
        _result("cores in use by its web processes", (after.web_s - before.web_s) / elapsed_s, "cores", load),
        _result("cores in use by the simulator", (after.simulator_s - before.simulator_s) / elapsed_s, "cores", load),
        _result("p50 of HTTP", statistics.median(latencies), "ms", load),
        _allowed(slow, PAY_P95_S, quick=quick),
        _result("payments without a read-back", len(paid) - len(back), "of them", load),
        _result("requests that failed", len(outcome.errors), "of them", load),
    ]


def energy_share() -> float:
    """Of 22 answers on a busy line 8 are energy, 8 status words and 6 variables, at the least."""
    return 8 / 22


def _result(name: str, value: float, unit: str, load: MachineLoad) -> Result:
    return Result(name=name, value=value, unit=unit, void=load.void)


def _allowed(result: Result, most: float, *, quick: bool) -> Result:
    """As a ratio: how many times better than what is allowed."""
    ratio = most / result.value if result.value else 0.0
    return replace(result, peer=Peer("allowed", most), ratio=ratio, floor=None if quick else 1.0)
