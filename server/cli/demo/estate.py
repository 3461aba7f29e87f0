"""The plan of the demo estate: 200 invented households in three buildings on eight buses.

The cast (see `CAST`) are households whose balance runs out soon after the start, so that the whole story is seen
within two minutes; each names how its resident pays. The same seed gives the same plan. `files` tells it once to the
head-end and once to the simulator.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

ESTATE_ID = "cuihu"
WORLD_START = "2026-10-13T09:05:00+08:00"
FACTOR = 120
SEED = 645
DOORS = 8
FLOORS = {"1": 9, "2": 9, "3": 7}
BUSES_OF_BUILDING = {"1": (1, 2, 3), "2": (4, 5, 6), "3": (7, 8)}
BAUD = 9600
TARIFF = {
    "time_zone": "Asia/Shanghai",
    "versions": [
        {
            "valid_from": "2021-10-01T00:00:00+08:00",
            "kind": "single",
            "price": "0.58886875",
            "tier_period": "month",
            "tier_steps": ["0.05", "0.25"],
            "seasons": [
                {"months": [5, 6, 7, 8, 9, 10], "tier_limits_wh": [260_000, 600_000]},
                {"months": [11, 12, 1, 2, 3, 4], "tier_limits_wh": [200_000, 400_000]},
            ],
        }
    ],
}


@dataclass(frozen=True, slots=True)
class Part:
    """A household of the cast: who pays how, and what its resident does at the meter."""

    room: str
    opening_fen: int
    mean_power_w: int
    pays: str  # online | kiosk | counter | third_party | early | never
    slow: bool = False
    protected: bool = False


CAST = (
    Part("1-0802", 3, 900, "online"),
    Part("2-0503", 4, 1100, "counter"),
    Part("3-0604", 5, 1000, "third_party"),
    Part("2-0301", 4, 950, "early"),
    Part("1-0405", 3, 800, "never", protected=True),
    Part("1-0207", 1004, 900, "never"),
    Part("3-0308", 3008, 1200, "never"),
    Part("2-0706", 60, 1000, "kiosk"),
    Part("1-0601", 150, 1000, "visitor", slow=True),
)


@dataclass(frozen=True, slots=True)
class Trouble:
    """One fault of the simulated world; `at` and `until` count from its start."""

    kind: str
    place: str  # household | gate | bus
    name: str
    at: str
    until: str | None = None
    sizes: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Play:
    """Who plays, and what goes wrong meanwhile."""

    cast: tuple[Part, ...]
    troubles: tuple[Trouble, ...]


STORY = Play(
    CAST,
    (
        Trouble("silent", "household", "2-0808", "+45m"),
        Trouble("register_backwards", "household", "3-0105", "+45m"),
    ),
)
SURNAMES = "陈林黄张李王吴刘蔡杨许郑谢郭洪曾周叶赵徐孙马朱胡何高"
GIVEN = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华玉兰红梅国建文志"


@dataclass(frozen=True, slots=True)
class Household:
    """One flat of the plan; `start_wh` is what the register shows when the world begins."""

    room: str
    building: str
    floor: int
    door: str
    meter: str
    bus: str
    holder: str
    phone: str
    opening_fen: int
    start_wh: int
    part: Part | None
    mean_power_w: int | None
    load: str

    @property
    def account(self) -> str:
        """Account number of the household."""
        return f"H{self.room.replace('-', '')}"


def households(seed: int = SEED, cast: Sequence[Part] = CAST) -> list[Household]:
    """All households, the same for the same seed and cast."""
    parts = {part.room: part for part in cast}
    return [_household(parts.get(place[0]), *place, seed) for place in _places()]


def meter_of(room: str) -> str:
    """The address of a room's meter."""
    building, flat = room.split("-")
    return f"2026{int(building):02d}{int(flat[:2]):02d}{int(flat[2:]):04d}"


def _places() -> Iterator[tuple[str, str, int, int]]:
    for building, floors in FLOORS.items():
        for floor in range(1, floors + 1):
            for door in range(1, DOORS + 1):
                yield f"{building}-{floor:02d}{door:02d}", building, floor, door


def _household(part: Part | None, room: str, building: str, floor: int, door: int, seed: int) -> Household:
    random = Random(f"{seed}:{room}")  # noqa: S311  # an invented world, not a secret
    buses = BUSES_OF_BUILDING[building]
    flat = (floor - 1) * DOORS + door - 1
    bus = buses[flat * len(buses) // (FLOORS[building] * DOORS)]  # at most 28 meters and a gate on one bus
    opening_fen = part.opening_fen if part else random.randrange(4000, 42000)
    if part is None and random.random() < 0.08:
        opening_fen = random.randrange(1100, 2900)
    return Household(
        room=room,
        building=building,
        floor=floor,
        door=f"{door:02d}",
        meter=meter_of(room),
        bus=f"bus-{bus}",
        holder=random.choice(SURNAMES) + "".join(random.sample(GIVEN, random.choice((1, 2)))),
        phone=f"13{random.randrange(10)}{random.randrange(10**8):08d}",
        opening_fen=opening_fen,
        start_wh=random.randrange(20_000, 900_000) * 10,
        part=part,
        mean_power_w=part.mean_power_w if part else None,
        load="constant" if part else random.choices(("family", "single", "heavy", "vacant"), (60, 25, 9, 6))[0],
    )


@dataclass(frozen=True, slots=True)
class Gate:
    """The gate meter of a building."""

    gate_id: str
    meter: str
    bus: str
    building: str


def gates() -> list[Gate]:
    """One gate meter a building, on the first bus of the building."""
    return [Gate(f"gate-{b}", f"20269900000{b}", f"bus-{BUSES_OF_BUILDING[b][0]}", b) for b in FLOORS]


def bus_ids() -> list[str]:
    """Names of the buses."""
    return [f"bus-{number}" for numbers in BUSES_OF_BUILDING.values() for number in numbers]
