"""A server that is handled roughly, and five simulated dwellings that use their credit up within seconds.

Each dwelling draws 14 kW, so that a fen lasts four seconds: it is warned, cut, paid for and back within half a minute,
again and again. Payments are booked only while the server is dead or stopped, and a second after that: what was on the
wire has arrived by then, so whoever is cut with money left was cut by a frame that should not have been sent, or taken.
"""

import json
import signal
import time
from datetime import UTC, datetime

import httpx
import pysqlite3
import tomli_w

from server.clock import Now
from server.flows.estates import import_estate
from server.flows.payments import sell_at_counter
from server.intake.estate_file import read_estate
from server.store import schema
from server.store.engine import open_engine, upgrade
from server.store.writer import Writer
from sim.auditor.pricing import NF_PER_FEN, Pricing
from sim.auditor.truth_file import read_truth
from tests.e2e.processes import start, wait_until
from tests.server.estates import SIMULATED

HOMES = 5
POWER_W = 14_000
OPENING_FEN = 4
TTL_S = 6
START_WH = 1_000_000
WORLD_START = datetime.fromisoformat("2026-10-13T10:00:00+08:00")
ON_THE_WIRE_S = 1.0
ESTATE = "rough"


def meter(number):
    return f"2026000001{number:02d}"


def scenario():
    """The simulator's side; buttons are not needed, since the estate closes directly."""
    homes = [
        {
            "id": f"1-01{n:02d}", "meter": meter(n), "bus": f"bus-{n}", "load": "constant", "mean_power_w": POWER_W,
            "start_register_wh": START_WH, "resident": {"button": "never"},
        }
        for n in range(1, HOMES + 1)
    ]  # fmt: skip
    buses = [{"id": f"bus-{n}", "port": "pty", "baud": 2400, "reply_delay_ms": 150} for n in range(1, HOMES + 1)]
    site = {"id": ESTATE, "name": "Rough", "time_zone": "Asia/Shanghai"}
    return tomli_w.dumps({"estate": site, "tariff": {"id": "single"} | SIMULATED, "bus": buses, "household": homes})


def estate(ports):
    """The head-end's side."""
    return tomli_w.dumps({
        "estate": {
            "id": ESTATE, "name": "Rough", "time_zone": "Asia/Shanghai", "close_policy": "direct", "reading_cycle_s": 9,
            "billing_cycle_s": 5, "grace_s": 1, "command_ttl_s": TTL_S, "trips_per_hour_max": 100_000,
            "trips_per_day_max": 100_000,
        },
        "tariff": [{"id": "t", "name": "t", "versions": [{"valid_from": "2021-01-01", "kind": "single"} | SIMULATED]}],
        "bus": [
            {"id": f"bus-{n}", "url": str(ports / f"bus-{n}"), "baud": 2400, "parity": "N", "reply_delay_max_ms": 500}
            for n in range(1, HOMES + 1)
        ],
        "building": [{"id": "1", "name": "1"}],
        "room": [{"id": f"1-01{n:02d}", "building": "1", "floor": 1, "door": f"{n:02d}"} for n in range(1, HOMES + 1)],
        "household": [
            {
                "account": f"H{n}", "room": f"1-01{n:02d}", "holder": "x", "phone": "1", "tariff": "t",
                "meter": meter(n),
                "bus": f"bus-{n}", "start_wh": START_WH, "opening_balance": f"0.{OPENING_FEN:02d}", "final_notice_s": 0,
            }
            for n in range(1, HOMES + 1)
        ],
    })  # fmt: skip


class RoughEstate:
    """The server's folder, the server when it runs, and what was paid when."""

    def __init__(self, folder, simulator):
        self.folder, self.simulator = folder, simulator
        self.url = f"sqlite:///{folder / 'rough.db'}"
        self.server = None
        self.paid = {meter(n): [(0.0, OPENING_FEN)] for n in range(1, HOMES + 1)}
        self.sales = 0
        (folder / "anchor.json").write_text(json.dumps(simulator.ready["anchor"]))
        (folder / "estate.toml").write_text(estate(folder / "run"))
        (folder / "server.toml").write_text(
            tomli_w.dumps({"database_url": self.url, "port": 0, "clock_anchor": "anchor.json"})
        )
        engine = open_engine(self.url)
        upgrade(engine)
        engine.dispose()
        document = read_estate(folder / "estate.toml", int(WORLD_START.timestamp()))
        self.write(lambda unit: import_estate(unit, document, Now(int(WORLD_START.timestamp()), 0)) and None)
        self.write(lambda unit: unit.connection.execute(schema.estate.update().values(mode="armed")) and None)

    def write(self, work):
        """A unit of work beside a server that is dead or stopped."""
        engine = open_engine(self.url)
        writer = Writer(engine)
        try:
            return writer.run(work)
        finally:
            writer.stop()
            engine.dispose()

    def world_s(self):
        anchor = self.simulator.ready["anchor"]
        gone = datetime.now(UTC) - datetime.fromisoformat(anchor["machine_utc"])
        return (datetime.fromisoformat(anchor["world_utc"]) + gone * anchor["factor"]).timestamp()

    def start(self):
        ready = self.folder / "server.ready.json"
        ready.unlink(missing_ok=True)
        self.server = start("serve", "--config", self.folder / "server.toml", "--ready", ready, cwd=self.folder)
        url = wait_until(lambda: ready.exists() and json.loads(ready.read_text())["url"], "server ready")
        wait_until(lambda: httpx.get(f"{url}/livez").status_code == 200, "HTTP answers")

    def kill(self):
        self.server.kill()
        self.server.communicate()
        time.sleep(ON_THE_WIRE_S)

    def stop_for(self, seconds, meanwhile=lambda: None):
        """Stand still, as on a suspended machine or a starved host; not within a transaction, since others write."""
        self.server.send_signal(signal.SIGSTOP)
        while not self._can_write():
            self.server.send_signal(signal.SIGCONT)
            time.sleep(0.02)
            self.server.send_signal(signal.SIGSTOP)
        time.sleep(ON_THE_WIRE_S)
        meanwhile()
        time.sleep(seconds - ON_THE_WIRE_S)
        self.server.send_signal(signal.SIGCONT)

    def _can_write(self):
        connection = pysqlite3.connect(self.url.removeprefix("sqlite:///"), timeout=0.05, isolation_level=None)
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
        except pysqlite3.OperationalError:
            return False
        finally:
            connection.close()
        return True

    def pay_for_all(self, amount_fen):
        for number in range(1, HOMES + 1):
            self.sales += 1
            at_s, key = self.world_s(), f"sale-{self.sales:06d}"
            now = Now(int(at_s), int(time.time() * 1000))
            self.write(
                lambda unit, number=number, key=key, now=now: sell_at_counter(
                    unit, ESTATE, f"H{number}", amount_fen, actor="lin", idem_key=key, now=now
                )
            )
            self.paid[meter(number)].append((self.world_s(), amount_fen))

    def relays(self):
        """What the simulated relays are now."""
        return {one["meter"]: one["relay"] for one in self.simulator.get("/truth")["households"]}

    def judge(self):
        """How often relays opened, and each opening with money left by the simulator's truth."""
        path = self.folder / "truth.jsonl"
        path.write_text(json.dumps(self.simulator.get("/truth/export")))
        truth = read_truth(path)
        pricing, wrong, trips = Pricing(truth), [], 0
        for address, seen in truth.meters.items():
            for at_ms, to, _cause in seen.relay:
                if to != "open":
                    continue
                trips += 1
                paid_fen = sum(fen for at_s, fen in self.paid[address] if at_s <= truth.at_s(at_ms))
                left_fen = paid_fen - pricing.way_nf(seen, START_WH, seen.total_wh(at_ms)) / NF_PER_FEN
                if left_fen > 0:
                    wrong.append(f"{address} at {truth.said(truth.at_s(at_ms))}: {float(left_fen):.2f} fen were left")
        return trips, wrong
