"""One estate for both sides of the wire: a scenario for the simulator, an estate file for the head-end, same meters.

Buses have the same number of meters each, whole frames are paced as one write, and nobody owes anything: what is
measured is reading, not cutting. The simulator names the port of bus n `b<n>-1` in its run directory.
"""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from bench.bus_line import ROOT
from bench.report import BenchFailed
from server.store.engine import begin_writing, open_engine
from server.store.schema import estate

BITS_PER_BYTE = 11
PREAMBLE = 4
FIRST_METER = 645_000_000_000
PER_BUILDING = 10_000
FLOOR = 100
IMPORT_TIMEOUT_S = 300
VARIABLES_EVERY = 4  # reading cycles
SCENARIO = """
[estate]
id = "bench"
[tariff]
price = "0.4883"
[[generate]]
buildings = {buses}
floors = 1
rooms = {meters}
first_meter = "{first}"
bus = {{ baud = {baud}, preamble = 4, reply_delay_ms = {delay_ms}, chunk_bytes = 0 }}
"""
HEAD = """
[estate]
id = "bench"
name = "bench"
[[tariff]]
id = "flat"
name = "flat"
[[tariff.versions]]
valid_from = "2020-01-01T00:00:00+08:00"
kind = "single"
price = "0.4883"
tier_period = "none"
"""
BUS = """
[[building]]
id = "{number}"
name = "{number}"
[[bus]]
id = "{bus}"
url = "{url}"
baud = {baud}
frame_gap_ms = 0
"""
DOORS = 8  # of a floor
HOME = """
[[room]]
id = "{room}"
building = "{building}"
floor = {floor}
door = "{door}"
[[household]]
account = "H{meter}"
room = "{room}"
holder = "bench"
tariff = "flat"
meter = "{meter}"
bus = "{bus}"
start_wh = 0
opening_balance = "{opening}"
"""


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """So many buses with so many meters each; the head-end reads them again every `cycle_s` seconds if it can.

    The master leaves no gap between frames (`frame_gap_ms = 0`), since the limit of the wire has none either.
    """

    buses: int
    meters: int
    baud: int = 9600
    delay_ms: int = 20
    cycle_s: int = 1
    opening: str = "1000.00"

    def bus(self, number: int) -> str:
        """The id of a bus and of its port, from 0 on."""
        return f"b{number + 1}-1"

    def address(self, bus: int, meter: int) -> str:
        """The twelve digits of a meter, both from 0 on."""
        return f"{FIRST_METER + PER_BUILDING * bus + FLOOR + meter + 1:012d}"

    def scenario(self) -> str:
        """What the simulator is given."""
        return SCENARIO.format(
            buses=self.buses, meters=self.meters, first=FIRST_METER, baud=self.baud, delay_ms=self.delay_ms
        )

    def estate_file(self, ports: dict[str, str]) -> str:
        """What `estate645 import` is given; `ports` as the simulator told them."""
        text = [HEAD]
        for number in range(self.buses):
            bus = self.bus(number)
            text.append(BUS.format(number=number + 1, bus=bus, url=ports[bus], baud=self.baud))
            for meter in range(self.meters):
                address, (floor, door) = self.address(number, meter), divmod(meter, DOORS)
                place = {"building": number + 1, "floor": floor + 1, "door": f"{door + 1:02d}"}
                room = "{building}-{floor}{door}".format(**place)
                text.append(HOME.format(**place, room=room, meter=address, bus=bus, opening=self.opening))
        return "".join(text)

    def exchange_ms(self, reply_data_bytes: int) -> float:
        """The least time of one read of so many bytes of value, four FE both ways."""
        request_bytes = PREAMBLE + 16
        reply_bytes = PREAMBLE + 16 + reply_data_bytes
        return (request_bytes + reply_bytes) * BITS_PER_BYTE * 1000 / self.baud + self.delay_ms


def hurry(database_url: str, cycle_s: int) -> None:
    """Read everything again at once: a cycle that no bus can keep, which an import would refuse."""
    engine = open_engine(database_url)
    with begin_writing(engine) as connection, connection.begin():
        connection.execute(
            estate.update().values(
                reading_cycle_s=cycle_s, status_cycle_s=cycle_s, variables_cycle_s=VARIABLES_EVERY * cycle_s,
                daily_freeze=0,
            )
        )  # fmt: skip
    engine.dispose()


def import_estate(text: str, folder: Path) -> str:
    """A new SQLite database in `folder` with this estate in it, as `estate645 import` makes it; its URL."""
    path, url = folder / "estate-file.toml", f"sqlite:///{folder / 'bench.db'}"
    path.write_text(text, "utf-8")
    command = [sys.executable, "-P", "-m", "server", "import", str(path), "--database", url]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=IMPORT_TIMEOUT_S, check=False)
    if done.returncode != 0:
        raise BenchFailed(f"the estate was not taken in:\n{done.stderr}")
    return url
