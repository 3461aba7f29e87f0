"""`scan`, `read`, `trace` and `import` beside a running server, and on a port of one's own, against the simulator."""

import json
import sqlite3
from contextlib import closing

import pytest

from tests.e2e.hall import METERS, SCENARIO, STRANGER, estate, home, served, simulated
from tests.e2e.processes import estate645, start, wait_until


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A simulator with three meters and a server that knows two of them."""
    folder = tmp_path_factory.mktemp("site")
    homes = "".join(home(n, name) for n, name in enumerate([*METERS, STRANGER]))
    with simulated(folder, SCENARIO + homes) as port:
        write_estate(folder, port, METERS)
        assert estate645("import", "estate.toml", cwd=folder).returncode == 0
        with served(folder):
            yield folder, port
        assert not (folder / "estate645.db.admin").exists()


def write_estate(folder, port, meters):
    (folder / "estate.toml").write_text(estate(port, meters), "utf-8")


def test_the_bus_of_a_running_server_is_read_by_its_name_and_by_its_port(site):
    folder, port = site
    for name in ("bus-1", port):
        answer = estate645("read", name, STRANGER, "0001FF00", cwd=folder)
        assert answer.returncode == 0, answer.stderr
        assert "forward active energy, total / 当前正向有功总电能" in answer.stdout
        assert len(answer.stdout.splitlines()) == 6


@pytest.mark.ci
def test_refusal_and_silence_come_through_the_server(site):
    folder, _ = site
    refused = estate645("read", "bus-1", STRANGER, "0FFFFFFF", cwd=folder)
    assert (refused.returncode, "no such data" in refused.stderr) == (1, True)
    silent = estate645("read", "bus-1", "999900000001", "00010000", cwd=folder)
    assert (silent.returncode, "did not answer in time" in silent.stderr) == (1, True)


@pytest.mark.ci
def test_a_bus_that_the_server_does_not_have_is_said_with_those_it_has(site):
    folder, _ = site
    answer = estate645("read", "bus-9", STRANGER, "00010000", cwd=folder)
    assert answer.returncode == 2
    assert "no bus 'bus-9'; it has: bus-1" in answer.stderr


@pytest.mark.ci
def test_every_frame_of_the_running_server_is_shown(site):
    folder, _ = site
    trace = start("trace", "bus-1", "--json", "--for", "6", cwd=folder)
    while trace.poll() is None:  # however long the two take to start
        assert estate645("read", "bus-1", STRANGER, "02010100", cwd=folder).returncode == 0
    shown = [json.loads(line) for line in trace.communicate(timeout=60)[0].splitlines()]
    mine = [one for one in shown if one["identifier"] == "02010100" and one["address"] == STRANGER]
    assert {one["sent"] for one in mine} == {True, False}
    assert all(one["sound"] for one in mine if one is not shown[-1])  # the end of the trace may cut a frame
    assert any("电压" in one["text_zh"] for one in mine if not one["sent"])


@pytest.mark.ci
def test_a_scan_beside_the_server_finds_the_meter_that_it_does_not_know_and_import_takes_it_in(site):
    folder, port = site
    answer = estate645("scan", "bus-1", "--protocols", "2007", "--out", "found.toml", cwd=folder, timeout_s=120)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    found = [line.split()[1] for line in answer.stdout.splitlines() if line.startswith("2007")]
    assert found == [*METERS, STRANGER]
    write_estate(folder, port, found)
    answer = estate645("import", "estate.toml", cwd=folder)
    assert answer.returncode == 0, answer.stderr
    assert "3 households (1 new)" in answer.stdout
    assert "taken in by the running server" in answer.stdout
    wait_until(lambda: status_of(folder, STRANGER) is not None, "the new meter is read")


def status_of(folder, meter):
    """The status word that the server last read of a meter."""
    with closing(sqlite3.connect(f"file:{folder / 'estate645.db'}?mode=ro", uri=True)) as books:
        row = books.execute("SELECT status3 FROM meter_live WHERE meter_id = ?", (meter,)).fetchone()
    return row and row[0]


@pytest.mark.ci
def test_an_estate_of_another_name_is_refused_by_the_running_server(site):
    folder, port = site
    write_estate(folder, port, METERS)
    other = (folder / "estate.toml").read_text("utf-8").replace('id = "hall"', 'id = "other"')
    (folder / "other.toml").write_text(other, "utf-8")
    answer = estate645("import", "other.toml", cwd=folder)
    assert answer.returncode == 2
    assert "serves estate 'hall'" in answer.stderr
