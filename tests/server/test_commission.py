"""`doctor --commission` against the simulator on a pty: what it proves, on what ground, and what it never touches."""

import argparse
import json
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from server.admin.operations import Operations
from server.admin.service import AdminSocket
from server.cli import commission, doctor
from server.cli.commission.proofs import Ground, Proof, ground_of
from server.collect.passwords import Passwords
from server.collect.work import as_stored
from server.errors import ConfigError, Refused
from server.flows.estates import import_estate
from server.jobs.refusals import KeptRefusals
from server.keyring import Keyring
from server.store.engine import open_engine, upgrade
from server.store.writer import Writer
from tests.e2e.hall import SCENARIO, home, simulated
from tests.server.books import rows
from tests.server.estates import ESTATE, at, document, household

ZONE = ZoneInfo("Asia/Shanghai")
SPARE, LIVED_IN, KEPT, LATE_CLOCK, OLD = (f"20260001010{n}" for n in range(1, 6))
COUNTED = ("202600010106", "202600010107", "202600010108")  # a spare meter each, since they count wrong passwords too


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    """The bus of a simulator: a spare meter, one in use, one of 1997."""
    homes = home(1, SPARE, 1, more='password = "112233"\n') + home(2, LIVED_IN, 1500)
    homes += home(3, OLD, 1, more='protocol = "dlt645-1997"\n')
    homes += "".join(home(n, name, 1, more='password = "112233"\n') for n, name in enumerate(COUNTED, 4))
    with simulated(tmp_path_factory.mktemp("commission"), SCENARIO + homes) as path:
        yield path


@pytest.fixture(autouse=True)
def no_settings(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret").write_text("112233\n", "ascii")


def walk(capsys, *arguments):
    parser = argparse.ArgumentParser()
    doctor.add_parser(parser.add_subparsers())
    parsed = parser.parse_args(["doctor", "--commission", "--baud", "9600", *map(str, arguments)])
    code = parsed.run(parsed)
    return code, capsys.readouterr().out


def planted(url, *homes):
    """The database of an estate at `url`."""
    engine = open_engine(url)
    upgrade(engine)
    writer = Writer(engine)
    writer.run(lambda unit: import_estate(unit, document(list(homes)), at()))
    writer.stop()
    return engine


def outcomes(report, subject):
    return {one["question"]: one["outcome"] for one in report["proofs"] if one["subject"] == subject}


def test_the_whole_checklist_and_its_report(port, capsys, tmp_path):
    code, out = walk(
        capsys, port, "--meters", f"{OLD}:1997", "--spare-meter", SPARE, "--password-file", "secret", "--yes",
        "--wait-ms", 300, "--out", tmp_path / "report.md",
    )  # fmt: skip
    report = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert (code, report["failed"], report["ground"]) == (0, False, "pty")
    assert outcomes(report, SPARE) == dict.fromkeys(
        ("register", "clock", "status", "timing", "late_command", "trip", "close"), "passed"
    )
    assert outcomes(report, OLD) == {"register": "passed", "clock": "open", "status": "open", "timing": "passed"}
    assert outcomes(report, str(port)) == {"port": "passed", "parity": "open"}
    [timing] = [one["figures"] for one in report["proofs"] if (one["question"], one["subject"]) == ("timing", SPARE)]
    assert 10 <= timing["least_ms"] <= 200
    text = (tmp_path / "report.md").read_text("utf-8")
    hardware, simulated = text.split("## Proven on hardware")[1].split("## Proven only on a simulation")
    assert "nothing / 无" in hardware
    assert (
        f"a trip opens the relay, read back / 跳闸后继电器断开（回读） ({SPARE})" in simulated.split("## Not proven")[0]
    )
    assert {one["proven_on"] for one in report["proofs"]} == {"simulation", None}
    assert "112233" not in text + out + json.dumps(report)


def test_a_meter_in_use_is_not_cut_even_if_it_is_named_and_confirmed(port, capsys):
    code, out = walk(capsys, port, "--spare-meter", LIVED_IN, "--yes", "--json", "--wait-ms", 300)
    report = json.loads(out)
    assert code == 0
    assert {name: outcomes(report, LIVED_IN)[name] for name in ("late_command", "trip", "close")} == dict.fromkeys(
        ("late_command", "trip", "close"), "open"
    )
    assert "power flows through it (15" in out


def test_a_wrong_password_fails_the_trip_and_leaves_the_power_on(port, capsys):
    code, out = walk(capsys, port, "--spare-meter", SPARE, "--yes", "--json", "--wait-ms", 300)
    found = outcomes(json.loads(out), SPARE)
    assert (code, found["trip"], found["close"], found["late_command"]) == (1, "failed", "open", "open")


def wrong_password(port, capsys, spare, *more):
    """A run with another password than the meter's; the outcome of the trip, and what was said of it."""
    _, out = walk(capsys, port, "--spare-meter", spare, "--yes", "--json", "--wait-ms", 300, *more)
    [trip] = [one for one in json.loads(out)["proofs"] if (one["question"], one["subject"]) == ("trip", spare)]
    return trip["outcome"], trip["seen"], trip["seen_zh"]


def test_wrong_passwords_are_counted_over_all_runs_in_a_file_until_one_is_right(port, capsys, tmp_path):
    spare = COUNTED[0]
    kept = tmp_path / "password-tries.json"
    for times in (2, 4):
        outcome, seen, _ = wrong_password(port, capsys, spare)
        assert (outcome, f"makes {times} times today (counted in password-tries.json)" in seen) == ("failed", True)
        assert json.loads(kept.read_text("utf-8"))[spare]["times"] == times
    outcome, seen, chinese = wrong_password(port, capsys, spare, "--out", tmp_path / "report.md")
    assert (outcome, "has refused a password 4 times today" in seen) == ("open", True)
    assert f"计数在{kept}" in chinese
    assert "112233" not in kept.read_text("utf-8")
    count = json.loads(kept.read_text("utf-8"))
    count[spare] |= {"at": count[spare]["at"] - 86_400}
    kept.write_text(json.dumps(count), "utf-8")
    code, _ = walk(capsys, port, "--spare-meter", spare, "--password-file", "secret", "--yes", "--wait-ms", 300)
    assert (code, kept.exists()) == (0, False), "the next day, and with the right one, nothing is counted"


def test_the_count_is_the_one_of_the_estate_where_there_is_a_database(port, capsys, tmp_path):
    spare = COUNTED[1]
    url = f"sqlite:///{tmp_path / 'x.db'}"
    engine = planted(url)
    writer = Writer(engine)
    served = Passwords(as_stored, lambda: datetime.now(ZONE), KeptRefusals(engine, writer, ESTATE, ZONE))
    for _ in range(2):
        served.refused(spare, "999999")
    writer.stop()
    outcome, seen, _ = wrong_password(port, capsys, spare, "--database", url)
    assert (outcome, f"makes 4 times today (counted in {url})" in seen) == ("failed", True)
    assert wrong_password(port, capsys, spare, "--database", url)[0] == "open"
    [row] = rows(engine, "password_refusal")
    assert (row["meter_id"], row["day_times"]) == (spare, 4)
    assert not (tmp_path / "password-tries.json").exists()
    engine.dispose()


def test_the_count_is_the_one_of_the_running_server(port, capsys, tmp_path):
    spare = COUNTED[2]
    url = f"sqlite:///{tmp_path / 'x.db'}"
    planted(url).dispose()
    passwords = Passwords(as_stored, lambda: datetime.now(ZONE))
    operations = Operations(None, None, None, ESTATE, None, Keyring(None), passwords)
    serving = AdminSocket(tmp_path / "x.db.admin", {**operations.all(), "buses": lambda _: {"done": []}})
    serving.start()
    try:
        for times in (2, 4):
            assert wrong_password(port, capsys, spare, "--database", url)[0] == "failed"
            assert passwords.today(spare) == times
        assert wrong_password(port, capsys, spare, "--database", url)[0] == "open"
        passwords.accepted(spare)
        walk(capsys, port, "--spare-meter", spare, "--password-file", "secret", "--yes", "--database", url)
        assert passwords.today(spare) == 0
    finally:
        serving.stop()


def test_a_file_of_another_kind_is_not_taken_for_the_count(port, capsys, tmp_path):
    (tmp_path / "password-tries.json").write_text("[]", "utf-8")
    with pytest.raises(ConfigError, match="cannot be read as the count of refused passwords"):
        wrong_password(port, capsys, SPARE)


@pytest.mark.parametrize(("outcome", "hinted"), [("failed", True), ("passed", False)])
def test_where_no_meter_answers_the_line_is_named_and_what_finds_another(monkeypatch, capsys, outcome, hinted):
    async def look(_arguments, _refusal, _secret, proofs, _tries):
        proofs += [Proof("port", "/dev/null", "passed", ""), Proof("register", SPARE, outcome, "")]

    monkeypatch.setattr(commission, "_walk", look)
    code, out = walk(capsys, "/dev/null", "--meters", SPARE)
    assert code == hinted
    assert ("no meter answered at 9600 8E1; estate645 scan /dev/null finds" in out) == hinted


def test_without_a_person_or_yes_nothing_is_switched(port, capsys, monkeypatch):
    monkeypatch.setattr(commission.sys.stdin, "isatty", lambda: False, raising=False)
    _, out = walk(capsys, port, "--spare-meter", SPARE, "--json", "--wait-ms", 300)
    assert outcomes(json.loads(out), SPARE)["trip"] == "open"
    assert "nobody was there to confirm it" in out


@pytest.mark.parametrize(("typed", "refused"), [(SPARE, False), (LIVED_IN, True), ("", True)])
def test_the_number_must_be_typed_once_more(monkeypatch, typed, refused):
    monkeypatch.setattr(commission.sys.stdin, "isatty", lambda: True, raising=False)
    arguments = argparse.Namespace(spare_meter=SPARE, yes=False, lang="en")
    assert (commission._allowed(arguments, lambda _: "", lambda _: typed) is not None) == refused


def test_a_meter_that_feeds_a_household_of_the_database_is_refused(tmp_path, capsys):
    url = f"sqlite:///{tmp_path / 'x.db'}"
    planted(url, household(1, meter_id=SPARE)).dispose()
    with pytest.raises(Refused, match=f"meter {SPARE} feeds 1-0001"):
        walk(capsys, "/dev/null", "--spare-meter", SPARE, "--yes", "--database", url)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--meters", SPARE), "takes one PORT"),
        (("/dev/null",), "takes one PORT"),
        (("/dev/null", "--spare-meter", "12"), "12 digits"),
        (("/dev/null", "--meters", SPARE, "--time-zone", "Mars"), "--time-zone"),
        (("/dev/null", "--spare-meter", SPARE, "--password-file", "absent"), "six digits"),
    ],
)
def test_what_makes_no_sense_is_said(capsys, arguments, said):
    with pytest.raises(ConfigError, match=said):
        walk(capsys, *arguments)


def test_what_lies_between_is_told_by_the_port(port):
    assert ground_of(str(port)) == Ground.PTY
    assert not ground_of(str(port)).is_hardware
    assert ground_of("/dev/null") == Ground.UART
    assert ground_of("tcp://127.0.0.1:4001") == Ground.LOOPBACK
    assert ground_of("tcp://10.0.0.9:4001").is_hardware


def test_a_port_of_our_own_server_is_not_merely_busy_and_says_how_to_go_on(tmp_path, capsys, monkeypatch):
    url = f"sqlite:///{tmp_path / 'x.db'}"
    opened = []
    monkeypatch.setattr(commission, "_walk", lambda *_: opened.append(1))
    buses = {"done": [{"bus": "bus-7", "url": "/dev/ttyUSB7"}]}
    listener = AdminSocket(tmp_path / "x.db.admin", {"buses": lambda _: buses})
    listener.start()
    try:
        with pytest.raises(ConfigError) as held:
            walk(capsys, "/dev/ttyUSB7", "--meters", SPARE, "--database", url)
    finally:
        listener.stop()
    assert "our own running server holds it as bus bus-7" in str(held.value)
    assert f"admin socket {tmp_path / 'x.db.admin'}" in str(held.value)
    assert "estate645 read bus-7" in str(held.value)
    assert "总线 bus-7" in held.value.__notes__[0]
    assert opened == []
