"""The demo estate: 200 invented households in three buildings, told once to the head-end and once to the simulator.

Both files come from the same plan, so that bus names, addresses and opening registers agree; the head-end is never
told what only the simulator may know (loads, habits of residents, faults). The cast (see `CAST`) are households
whose balance runs out soon after the start, so that the whole story is seen within two minutes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import tomli_w

ESTATE_ID = "cuihu"
WORLD_START = "2026-10-13T09:05:00+08:00"
FACTOR = 120
SEED = 645
DOORS = 8
FLOORS = {"1": 9, "2": 9, "3": 7}
BUSES_OF_BUILDING = {"1": (1, 2, 3), "2": (4, 5, 6), "3": (7, 8)}
BAUD = 9600
TARIFF = {
    "kind": "single",
    "time_zone": "Asia/Shanghai",
    "versions": [
        {
            "valid_from": "2021-10-01T00:00:00+08:00",
            "kind": "single",
            "price": "0.58886875",
            "tier_period": "month",
            "tier_steps": ["0.05", "0.25"],
            "seasons": [
                {"months": [5, 6, 7, 8, 9, 10], "tier_limits_kwh": [260, 600]},
                {"months": [11, 12, 1, 2, 3, 4], "tier_limits_kwh": [200, 400]},
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
    button: str = "prompt"
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
    Part("1-0601", 150, 1000, "visitor", button="slow"),
)
FAULTS = {"2-0808": "silent", "3-0105": "register_backwards"}
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


def households(seed: int = SEED) -> list[Household]:
    """All households, the same for the same seed."""
    cast = {part.room: part for part in CAST}
    return [_household(cast.get(room), *place, seed) for place in _places() for room in (place[0],)]


def _places() -> Iterator[tuple[str, str, int, int]]:
    for building, floors in FLOORS.items():
        for floor in range(1, floors + 1):
            for door in range(1, DOORS + 1):
                yield f"{building}-{floor:02d}{door:02d}", building, floor, door


def _household(part: Part | None, room: str, building: str, floor: int, door: int, seed: int) -> Household:
    random = Random(f"{seed}:{room}")  # noqa: S311  # an invented world, not a secret
    buses = BUSES_OF_BUILDING[building]
    bus = buses[(floor - 1) * len(buses) // FLOORS[building]]
    opening_fen = part.opening_fen if part else random.randrange(4000, 42000)
    if part is None and random.random() < 0.08:
        opening_fen = random.randrange(1100, 2900)
    return Household(
        room=room,
        building=building,
        floor=floor,
        door=f"{door:02d}",
        meter=f"2026{int(building):02d}{floor:02d}{door:04d}",
        bus=f"bus-{bus}",
        holder=random.choice(SURNAMES) + "".join(random.sample(GIVEN, random.choice((1, 2)))),
        phone=f"13{random.randrange(10)}{random.randrange(10**8):08d}",
        opening_fen=opening_fen,
        start_wh=random.randrange(20_000, 900_000) * 10,
        part=part,
        mean_power_w=part.mean_power_w if part else None,
        load="constant" if part else random.choices(("family", "single", "heavy", "vacant"), (60, 25, 9, 6))[0],
    )


def gates() -> list[dict[str, Any]]:
    """One gate meter a building, on the first bus of the building."""
    return [
        {"id": f"gate-{b}", "meter": f"20269900000{b}", "bus": f"bus-{BUSES_OF_BUILDING[b][0]}", "building": b}
        for b in FLOORS
    ]


def yuan(fen: int) -> str:
    """`1234` -> `"12.34"`, exact."""
    return f"{'-' if fen < 0 else ''}{abs(fen) // 100}.{abs(fen) % 100:02d}"


def write_head_end(path: Path, run_dir: Path, plan: list[Household], users: list[dict[str, Any]]) -> None:
    """Write the file that `estate645 import` reads; `run_dir` holds the names of the ports."""
    document = {
        "estate": {
            "id": ESTATE_ID,
            "name": "翠湖苑",
            "time_zone": "Asia/Shanghai",
            "close_policy": "allow",
            "reading_cycle_s": 600,
            "billing_cycle_s": 3600,
            "grace_s": 1200,
            "command_ttl_s": 600,
            "protected_from": "17:00",
            "protected_to": "09:00",
            "trips_per_hour_max": 6,
            "trips_per_day_max": 12,
            "phone": "020-8888 0645",
        },
        "tariff": [{"id": "gz", "name": "广州居民阶梯", **TARIFF}],
        "bus": [
            {"id": f"bus-{n}", "url": str(run_dir / f"bus-{n}"), "baud": BAUD, "parity": "E", "reply_delay_max_ms": 500}
            for n in range(1, 9)
        ],
        "building": [{"id": b, "name": f"{b} 栋"} for b in FLOORS],
        "room": [{"id": h.room, "building": h.building, "floor": h.floor, "door": h.door} for h in plan],
        "household": [_head_end_household(h) for h in plan],
        "gate": [
            {"meter": g["meter"], "bus": g["bus"], "name": f"{g['building']} 栋总表", "building": g["building"]}
            | {"start_wh": 0}
            for g in gates()
        ],
        "user": users,
        "api_client": [
            {
                "id": "wallet",
                "name": "第三方钱包",
                "secret": THIRD_PARTY_SECRET,
                "scopes": "topups:write,households:read",
            }
        ],
    }
    path.write_text(tomli_w.dumps(document), "utf-8")


THIRD_PARTY_SECRET = "demo-secret-of-the-third-party-wallet"  # noqa: S105  # a demo on loopback


def _head_end_household(h: Household) -> dict[str, Any]:
    return {
        "account": h.account,
        "room": h.room,
        "holder": h.holder,
        "phone": h.phone,
        "tariff": "gz",
        "meter": h.meter,
        "bus": h.bus,
        "start_wh": h.start_wh,
        "opening_balance": yuan(h.opening_fen),
        "alarm1": "30.00",
        "alarm2": "10.00",
        "overdraft": "0.00",
        "protected": bool(h.part and h.part.protected),
        "reason": "家有呼吸机" if h.part and h.part.protected else "",
    }


def write_simulator(path: Path, plan: list[Household]) -> None:
    """Write the scenario that `estate645-sim` reads."""
    document = {
        "estate": {"id": ESTATE_ID, "name": "翠湖苑", "time_zone": "Asia/Shanghai"},
        "tariff": TARIFF,
        "bus": [
            {"id": f"bus-{n}", "port": "pty", "baud": BAUD, "parity": "E", "reply_delay_ms": 20, "preamble": 4}
            for n in range(1, 9)
        ],
        "household": [_simulated_household(h) for h in plan],
        "gate": [
            {"id": g["id"], "meter": g["meter"], "bus": g["bus"], "building": f"{g['building']}-", "loss_permille": 21}
            for g in gates()
        ],
    }
    path.write_text(tomli_w.dumps(document), "utf-8")


def _simulated_household(h: Household) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "id": h.room,
        "meter": h.meter,
        "bus": h.bus,
        "start_register_wh": h.start_wh,
        "load": h.load,
        "resident": {"button": h.part.button if h.part else "prompt"},
    }
    if h.mean_power_w is not None:
        entry["mean_power_w"] = h.mean_power_w
    if h.room in FAULTS:
        entry["fault"] = FAULTS[h.room]
        entry["at"] = "2026-10-13T09:50"
    return entry
