"""The import command: TOML and CSV, and mistakes named with file, key and allowed values."""

import csv
import re
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from sqlalchemy import Engine

from server import __main__
from server.__main__ import main
from server.errors import ConfigError
from server.intake import estate_keys
from server.intake.estate_file import read_estate
from server.intake.estate_limits import LIMITS
from server.languages import told
from tests.server.books import rows

NOW_S = 1_791_853_500  # 2026-10-13 09:05 +08:00
HOUSEHOLD = {
    "account": "H1", "room": "1-101", "holder": "王伟", "tariff": "gz", "meter": "000000000001", "bus": "b1",
    "start_wh": 1230, "opening_balance": "12.34", "alarm1": "20.00", "resident_login": "wang",
    "resident_password": "pw",
}  # fmt: skip


@pytest.fixture(autouse=True)
def only_this_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other commands need not be loaded."""
    monkeypatch.setattr(__main__, "COMMANDS", ("import_",))


def estate(**changes: Any) -> dict[str, Any]:
    """A complete small document; `changes` replace tables."""
    return {
        "estate": {"id": "plum", "name": "梅园", "protected_from": "18:30", "mode": "observe"},
        "tariff": [{"id": "gz", "name": "广州", "valid_from": "2021-10-01", "price": "0.58886875"}],
        "bus": [{"id": "b1", "url": "tcp://10.0.0.9:4001", "baud": 9600}],
        "building": [{"id": "1", "name": "1 栋"}],
        "room": [{"id": "1-101", "building": "1", "floor": 1, "door": "01"}],
        "household": [HOUSEHOLD],
        "gate": [{"meter": "000000000900", "bus": "b1", "name": "总表", "building": "1", "start_wh": 0}],
        "user": [{"login": "op", "password": "pw", "role": "operator"}],
        "api_client": [{"id": "wallet", "name": "钱包", "secret": "s", "scopes": "topups.write,households.list"}],
        **changes,
    }


def write(folder: Path, document: dict[str, Any]) -> Path:
    """Write estate.toml."""
    path = folder / "estate.toml"
    path.write_text(tomli_w.dumps(document), "utf-8")
    return path


def test_the_command_takes_a_file_in_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from server.store.engine import open_engine

    path, url = write(tmp_path, estate()), f"sqlite:///{tmp_path / 'x.db'}"
    assert main(["import", str(path), "--database", url]) == 0
    assert "1 households (1 new)" in capsys.readouterr().out
    engine = open_engine(url)
    hashes = {row["login"]: row["password_hash"] for row in rows(engine, "app_user")}
    assert set(hashes) == {"op", "wang"}
    assert all(str(value).startswith("$argon2id$") for value in hashes.values())
    meters = {row["meter_id"]: row["gate_id"] for row in rows(engine, "meter")}
    assert meters == {"000000000001": "000000000900", "000000000900": None}
    assert rows(engine, "estate")[0]["protected_from_min"] == 1110
    assert main(["import", str(path), "--database", url]) == 0
    assert "(0 new)" in capsys.readouterr().out
    assert {row["login"]: row["password_hash"] for row in rows(engine, "app_user")} == hashes
    engine.dispose()


def test_a_folder_with_csv_says_the_same(tmp_path: Path) -> None:
    given = estate()
    expected = read_estate(write(tmp_path, given), NOW_S)
    folder = tmp_path / "folder"
    folder.mkdir()
    write(folder, {name: table for name, table in given.items() if name != "household"})
    with (folder / "households.csv").open("w", encoding="utf-8", newline="") as file:
        sheet = csv.DictWriter(file, [*HOUSEHOLD, "phone"])
        sheet.writeheader()
        sheet.writerow(HOUSEHOLD)
    assert read_estate(folder, NOW_S) == expected
    (folder / "history.csv").write_text("meter,day,register_wh\n000000000001,2026-10-01,1200\n", "utf-8")
    assert [(one.day, one.register_wh) for one in read_estate(folder, NOW_S).history] == [("2026-10-01", 1200)]


def changed(**values: Any) -> list[dict[str, Any]]:
    """The household with other values; None removes a key."""
    merged = {**HOUSEHOLD, **values}
    return [{name: value for name, value in merged.items() if value is not None}]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (estate(estate={"id": "plum"}), r"\[estate\]: key 'name' is missing; allowed: quoted text"),
        (estate(estate={"id": "p", "name": "n", "mode": "armed"}), r"mode = 'armed' is wrong; allowed: observe"),
        (estate(estate={"id": "p", "name": "n", "colour": 1}), r"unknown key 'colour'; allowed keys: id, name"),
        (estate(estate={"id": "p", "name": "n", "command_ttl_s": 601}), "command_ttl_s = 601 .* 1 to 600 seconds"),
        (estate(estate={"id": "p", "name": "n", "time_zone": "Mars/X"}), "time_zone = 'Mars/X' is wrong"),
        (estate(estate={"id": "p", "name": "n", "protected_to": "25:00"}), "protected_to = '25:00' is wrong"),
        (estate(pump=[]), "unknown table 'pump'; allowed tables: estate, tariff"),
        (estate(bus=[{"id": "b1", "url": "x", "parity": "Q"}]), r"bus 1 \(b1\): parity = 'Q' .* E, N or O"),
        (estate(bus={"id": "b1", "url": "x"}), r"bus must be written as \[\[bus\]\]"),
        (estate(household=changed(meter="12345")), r"household 1 \(H1\): meter = '12345' .* 12 digits"),
        (estate(household=changed(protocol="knx")), "protocol = 'knx' is wrong; allowed: 2007, 1997 or modbus"),
        (estate(household=changed(protocol="modbus", unit=3)), "model and unit are missing"),
        (estate(household=changed(protocol="modbus", model="chint-ddsu666", unit=248)), "unit = 248 .* 1 to 247"),
        (estate(household=changed(unit=3)), "model and unit are for protocol modbus; this meter speaks 2007"),
        (estate(household=changed(protocol="modbus", model="x", unit=3)), "model = 'x' .* chint-ddsu666, eastron"),
        (estate(household=changed(opening_balance=12.5)), "opening_balance = 12.5 is wrong; allowed: yuan as quoted"),
        (estate(household=changed(opening_balance="1.234")), "opening_balance = '1.234' is wrong"),
        (estate(household=changed(alarm1="99999999.00")), "alarm1 = '99999999.00' is wrong"),
        (estate(household=changed(start_wh=10**9)), "start_wh = 1000000000 .* 0 to 999999990"),
        (estate(household=changed(start_wh=1235)), "start_wh = 1235 .* a multiple of 10 Wh, 0 to 999999990"),
        (estate(household=changed(start_rates_wh="10,20,35,40")), "start_rates_wh = .* four multiples of 10 Wh"),
        (estate(bus=[{"id": "b1", "url": "foo://x"}]), "url = 'foo://x' is wrong; allowed: /dev/ttyUSB0"),
        (estate(bus=[{"id": "b1", "url": "tcp://10.0.0.17"}]), "url = 'tcp://10.0.0.17' is wrong; .* tcp://host:port"),
        (estate(bus=[{"id": "b1", "url": "tcp://10.0.0.17:99999"}]), "url = 'tcp://10.0.0.17:99999' is wrong"),
        (estate(bus=[{"id": "b1", "url": ""}]), "url = '' is wrong"),
        (estate(bus=[{"id": "b1", "url": "/dev/tty\0"}]), "url = .* is wrong"),
        (
            estate(tariff=[{"id": "gz", "valid_from": "2090-10-01T00:00:00+08:00", "price": "0.58"}]),
            r"tariff gz: valid_from = 2090-10-01T00:00:00\+08:00 is wrong; .* 2026-10-13T09:05:00\+08:00, .* H1 begins",
        ),
        (estate(household=changed(installed_at="2021-09-30T23:59:59+08:00")), "tariff gz: valid_from = 2021-10-01"),
        (estate(household=changed(start_wh=None)), "key 'start_wh' is missing"),
        (
            estate(api_client=[{"id": "w", "name": "n", "secret": "s", "scopes": ["topup.write"]}]),
            r"scopes = \['topup.write'\] is wrong; .* topup.sell, topups.write",
        ),
        (estate(household=changed(bus="b9")), "household H1: bus = 'b9' is not declared; allowed: b1"),
        (estate(household=changed(room="9-9")), "room = '9-9' is not declared; allowed: 1-101"),
        (
            estate(household=changed(account="revenue")),
            "revenue, opening, cash, suspense, meter_credit and ':' are reserved",
        ),
        (estate(household=[HOUSEHOLD, HOUSEHOLD]), "household account 'H1' is given twice"),
        (estate(tariff=[{"id": "gz", "valid_from": "2021-10-01", "price": 0.58}]), "price = 0.58 must be quoted"),
        (estate(gate=[{"meter": "000000000001", "bus": "b1", "name": "g", "building": "1", "start_wh": 0}]), "twice"),
        (estate(gate=[{"meter": "000000000900", "bus": "b1", "name": "g", "start_wh": 0}]), "exactly one of meters"),
        (estate(user=[{"login": "op", "password": "p", "role": "god"}]), "role = 'god' .* admin, operator"),
        (estate(user=[{"login": "op", "password": "", "role": "admin"}]), "password = '' .* not empty"),
        (estate(user=[{"login": "li", "password": "p", "role": "resident"}]), "user li: account is missing"),
        (estate(household=changed(password="12345")), "password = '12345' .* 6 digits"),
        (estate(household=changed(overdraft="-5.00")), "household H1: overdraft is negative"),
        (estate(household=changed(alarm2="20.01")), "household H1: alarm1 must be at least alarm2"),
        (estate(household=changed(alarm2="-0.01")), "household H1: an alarm must not lie beyond the overdraft"),
        (estate(household=changed(alarm1="20 per cent")), 'alarm1 = \'20 per cent\' is wrong; .* "20%", or "7 days"'),
        (
            estate(household=changed(quiet_from="22:00")),
            "household H1: quiet_from_min and quiet_to_min belong together",
        ),
        (
            estate(household=changed(scheme="none")),
            "household H1: scheme = 'none' is not declared; .* state-grid-hunan",
        ),
        (estate(household=changed(close_allowed="-1.00")), "household H1: close_allowed lies beyond the overdraft"),
        (estate(bus=[{"id": "b1", "url": "x", "baud": 2401}]), r"baud = 2401 is wrong; allowed: 600, 1200, 2400"),
        (estate(bus=[{"id": "b1", "url": "x"}, {"id": "b2", "url": "x"}]), "bus url 'x' is given twice"),
    ],
)
def test_mistakes_name_file_key_and_allowed_values(tmp_path: Path, document: dict[str, Any], message: str) -> None:
    path = write(tmp_path, document)
    with pytest.raises(ConfigError, match=message) as caught:
        read_estate(path, NOW_S)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("content", [b"[estate", b"\xff\xfe", None])
def test_a_file_that_is_no_toml_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "estate.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=str(path)):
        read_estate(path, NOW_S)


def test_a_ragged_csv_is_named_with_its_line(tmp_path: Path) -> None:
    write(tmp_path, estate(household=[], user=[]))
    (tmp_path / "households.csv").write_text("account,room\nH1\n", "utf-8")
    with pytest.raises(ConfigError, match=r"households.csv, line 2: .* as many cells"):
        read_estate(tmp_path, NOW_S)


def test_the_command_ends_with_2_and_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, estate(estate={"id": "plum"}))
    assert main(["import", str(path), "--database", f"sqlite:///{tmp_path / 'x.db'}"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_history_is_kept_by_day(engine: Engine) -> None:
    from dataclasses import replace

    from server.domain.estate_document import DayRegister
    from server.flows.estates import import_estate
    from server.store.writer import Writer
    from tests.server.estates import at, document, meter_id

    writer = Writer(engine)
    days = tuple(DayRegister(meter_id(1), f"2026-10-0{n}", 1000 * n) for n in (2, 1))
    writer.run(lambda unit: import_estate(unit, replace(document(), history=days), at()))
    writer.stop()
    found = sorted(
        (row["day"], row["first_wh"], row["total_wh"], row["source"]) for row in rows(engine, "register_day")
    )
    assert found == [("2026-10-01", 1000, 1000, "import"), ("2026-10-02", 1000, 2000, "import")]


@pytest.mark.parametrize(("lang", "shown"), [("en", (True, False)), ("zh", (False, True)), ("both", (True, True))])
def test_a_mistake_is_said_in_the_language_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], lang: str, shown: tuple[bool, bool]
) -> None:
    path = write(tmp_path, estate(household=changed(opening_balance=12.5)))
    assert main(["import", str(path), "--database", f"sqlite:///{tmp_path / 'x.db'}", "--lang", lang]) == 2
    said = capsys.readouterr().err
    assert ("is wrong; allowed: yuan as quoted text" in said, "有误；允许：加引号的元" in said) == shown


SAME = re.compile(r"[\w.-]+(?:, [\w.-]+)*")  # words that are the same in every language


@pytest.mark.parametrize(
    "key",
    [
        key
        for table in [*vars(estate_keys).values(), LIMITS]
        if isinstance(table, tuple) and table and all(isinstance(one, estate_keys.Key) for one in table)
        for key in table
    ],
    ids=lambda key: key.name,
)
def test_what_a_key_allows_is_said_in_chinese(key: estate_keys.Key) -> None:
    english, chinese = (told("%(allowed)s", lang, allowed=estate_keys.said_of(key)) for lang in ("en", "zh"))
    assert english == key.allowed
    assert re.search(r"[\u4e00-\u9fff]", chinese) or SAME.fullmatch(chinese)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (estate(household=changed(ratio=0)), "ratio = 0有误；允许：1至1048576"),
        (estate(household=changed(quiet_from="25:00")), '允许：一天中的时刻，如"22:00"，须与quiet_to一起写'),
        (estate(household=changed(overdraft="-1.00")), "household H1：overdraft不能为负"),
        (estate(household=changed(alarm2="50.00")), "household H1: 一级报警（alarm1）不能低于二级报警（alarm2）"),
        (estate(tariff=[{"id": "gz", "valid_from": "2021-10-01", "price": 1}]), "电价“gz”，第1版：price = 1 须写成"),
        (estate(tariff=[{"published": "moon"}]), "published = 'moon'：没有这份价目表；现有："),
    ],
)
def test_mistakes_are_said_in_chinese(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], document: dict[str, Any], said: str
) -> None:
    path, url = write(tmp_path, document), f"sqlite:///{tmp_path / 'x.db'}"
    assert main(["import", str(path), "--database", url, "--lang", "zh"]) == 2
    assert said in capsys.readouterr().err
