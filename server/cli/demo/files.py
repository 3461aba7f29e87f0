"""Writes the demo plan twice: for `estate645 import` and for the simulator.

Bus names, addresses and opening registers agree because both come from one plan; the head-end is never told what only
the simulator may know (loads, habits of residents, faults). The daily registers of the two weeks before the start
stand for what an estate brings along from its former system.
"""

import csv
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Any

import tomli_w

from server.cli.demo.estate import BAUD, ESTATE_ID, FLOORS, SEED, TARIFF, Household, Trouble, bus_ids, gates

FIRST_DAY = date(2026, 10, 13)
HISTORY_DAYS = 14
DAILY_WH = {"family": 7200, "single": 4300, "heavy": 12500, "vacant": 300, "constant": 6400}
THIRD_PARTY = "wallet"
THIRD_PARTY_SECRET = "demo-secret-of-the-third-party-wallet"  # noqa: S105  # a demo on loopback
PASSWORD = "estate645"  # noqa: S105  # a demo on loopback
SCHEME = {
    "valid_from": "2021-10-01T00:00:00+08:00", "alarm1": "30.00", "alarm2": "0.00", "quiet_from": "22:00",
    "quiet_to": "08:00", "final_notice_s": 600,
}  # fmt: skip
NEIGHBOURS = ("1-0101", "2-0905")  # households outside the cast that also have a login; each costs a password hash
STAFF = (
    ("zhou", "operator", "周敏"),
    ("he", "operator", "何军"),
    ("lin", "cashier", "林燕"),
    ("admin", "admin", "管理员"),
)


def yuan(fen: int) -> str:
    """`1234` -> `"12.34"`, exact."""
    return f"{'-' if fen < 0 else ''}{abs(fen) // 100}.{abs(fen) % 100:02d}"


def write_head_end(folder: Path, run_dir: Path, plan: list[Household]) -> None:
    """Write the folder that `estate645 import` reads; `run_dir` holds the names of the ports."""
    folder.mkdir(parents=True, exist_ok=True)
    document = {
        "estate": {
            "id": ESTATE_ID,
            "name": "翠湖苑",
            "time_zone": "Asia/Shanghai",
            "close_policy": "allow",
            "reading_cycle_s": 1800,
            "status_cycle_s": 1800,
            "variables_cycle_s": 7200,
            "clock_cycle_s": 28_800,
            "billing_cycle_s": 3600,
            "grace_s": 1200,
            "command_ttl_s": 600,
            "protected_from": "17:00",
            "protected_to": "09:00",
            "spread_s": 0,
            "trips_per_hour_max": 6,
            "trips_per_day_max": 12,
            "phone": "020-8888 0645",
            "scheme": "cuihu",
        },
        "scheme": [{"id": "cuihu", "name": "翠湖苑预付费", "versions": [SCHEME]}],
        "tariff": [{"id": "gz", "name": "广州居民阶梯", **TARIFF}],
        "bus": [
            {"id": bus, "url": str(run_dir / bus), "baud": BAUD, "parity": "E", "reply_delay_max_ms": 500}
            for bus in bus_ids()
        ],
        "building": [{"id": b, "name": f"{b} 栋"} for b in FLOORS],
        "room": [{"id": h.room, "building": h.building, "floor": h.floor, "door": h.door} for h in plan],
        "household": [_head_end_household(h) for h in plan],
        "gate": [
            {"meter": g.meter, "bus": g.bus, "name": f"{g.building} 栋总表", "building": g.building, "start_wh": 0}
            for g in gates()
        ],
        "user": [{"login": login, "password": PASSWORD, "role": role, "name": name} for login, role, name in STAFF]
        + [{"login": "kiosk", "password": PASSWORD, "role": "kiosk", "name": "大厅终端"}],
        "api_client": [
            {
                "id": THIRD_PARTY,
                "name": "第三方钱包",
                "secret": THIRD_PARTY_SECRET,
                "scopes": ["topups.write", "households.list"],
            }
        ],
    }
    (folder / "estate.toml").write_text(tomli_w.dumps(document), "utf-8")
    with (folder / "history.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("meter", "day", "register_wh"))
        for household in plan:
            writer.writerows(_history(household))


def _history(h: Household) -> list[tuple[str, str, int]]:
    """Daily registers that end at the opening register, in register steps of 10 Wh."""
    random = Random(f"{SEED}:history:{h.room}")  # noqa: S311  # an invented world, not a secret
    mean_wh = DAILY_WH[h.load] * random.randrange(700, 1300) // 1000
    rows, register_wh = [], h.start_wh
    for back in range(1, HISTORY_DAYS + 1):
        rows.append((h.meter, (FIRST_DAY - timedelta(days=back)).isoformat(), register_wh))
        register_wh -= mean_wh * random.randrange(600, 1400) // 10_000 * 10
    return rows[::-1]


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
    } | ({"resident_login": h.room, "resident_password": PASSWORD} if h.part or h.room in NEIGHBOURS else {})


def write_simulator(path: Path, plan: list[Household], troubles: Sequence[Trouble]) -> None:
    """Write the scenario that `estate645-sim` reads."""
    document = {
        "estate": {"id": ESTATE_ID, "name": "翠湖苑", "time_zone": "Asia/Shanghai"},
        "tariff": TARIFF,
        "bus": [
            {"id": bus, "port": "pty", "baud": BAUD, "parity": "E", "reply_delay_ms": 20, "preamble": 4}
            for bus in bus_ids()
        ],
        "household": [_simulated_household(h) for h in plan],
        "gate": [
            {"id": g.gate_id, "meter": g.meter, "bus": g.bus, "prefix": f"{g.building}-", "loss_permille": 21}
            for g in gates()
        ],
        "fault": [_simulated_fault(trouble) for trouble in troubles],
    }
    path.write_text(tomli_w.dumps(document), "utf-8")


def _simulated_household(h: Household) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "id": h.room,
        "meter": h.meter,
        "bus": h.bus,
        "start_register_wh": h.start_wh,
        "load": h.load,
        "resident": {"button": "prompt", "button_delay_s": [900, 1200] if h.part and h.part.slow else [240, 360]},
    }
    if h.mean_power_w is not None:
        entry["mean_power_w"] = h.mean_power_w
    return entry


def _simulated_fault(trouble: Trouble) -> dict[str, Any]:
    entry = {"kind": trouble.kind, trouble.place: trouble.name, "at": trouble.at, **dict(trouble.sizes)}
    return entry if trouble.until is None else entry | {"until": trouble.until}
