"""The view of our own server, judged by the auditor of a simulated estate that it has read for a day."""

import json

import pytest

from core.dlt645 import identifiers as di
from core.dlt645.commands import RelayAction
from server.__main__ import main
from server.cli import view as command
from server.domain.readings import ContactFailure, MeterReading, StatusRead
from server.flows import billing, cases, readings, relays
from server.store.engine import open_engine
from server.store.writer import Writer
from server.web.words import CASES
from sim.__main__ import main as simulator
from sim.export import export_lines
from tests.server.estates import ESTATE, SIMULATED, START_S, at, meter_id, plant
from tests.sim.rig import Virtual, household, table

HALF_HOUR_S = 1800
FIRST_S = 900
ONE, TWO = meter_id(1), meter_id(2)


class Day:
    """A simulated estate of two dwellings, and our head-end that reads it each half-hour over the wire."""

    def __init__(self, writer: Writer, url: str):
        homes = [
            household(f"1-{n:04d}", name, load="constant", mean_power_w=power_w, start_register_wh=1_000_000)
            for n, name, power_w in ((1, ONE, 900), (2, TWO, 500))
        ]
        self.world = Virtual(table(homes, tariff={"id": "single"} | SIMULATED))
        self.writer, self.url = writer, url
        plant(writer, 2)
        self.next_s = -FIRST_S

    def live(self, hours: int, silent: tuple[str, ...] = ()) -> None:
        for _ in range(2 * hours):
            self.next_s += HALF_HOUR_S
            self.world.run_s(START_S + self.next_s - self.world.world.now_ms / 1000)
            for meter in (ONE, TWO):
                if meter not in silent:
                    self._read(meter)
                else:
                    lost = [ContactFailure(meter, self.now.world_s, self.now.machine_ms, "no reply")] * 3
                    self.writer.run(lambda unit, lost=lost: readings.note_failures(unit, ESTATE, lost, self.now))
            self.writer.run(lambda unit: billing.charge_due(unit, ESTATE, self.now))
            self.writer.run(lambda unit: cases.detect(unit, ESTATE, self.now))

    @property
    def now(self):
        return at(self.world.world.now_ms // 1000 - START_S)

    def _read(self, meter: str) -> None:
        total_wh, status3 = self.world.read(di.ENERGY_TOTAL, meter)[0], self.world.read(di.STATUS_WORD_3, meter)[0]
        item = MeterReading(meter, self.now.world_s, self.now.machine_ms, total_wh)
        seen = StatusRead(meter, self.now.world_s, self.now.machine_ms, status3)
        self.writer.run(lambda unit: readings.record(unit, ESTATE, [item], self.now))
        self.writer.run(lambda unit: relays.record_status(unit, ESTATE, [seen], self.now))

    def audit(self, tmp_path, capsys, change=lambda row: [row]):
        """What the auditor says of our view, after `change`."""
        truth, view = tmp_path / "truth.jsonl", tmp_path / "view.jsonl"
        truth.write_text("".join(json.dumps(line) + "\n" for line in export_lines(self.world.world)))
        assert main(["view", "--database", self.url, "--out", str(view)]) == 0
        rows = [json.loads(line) for line in view.read_text().splitlines()]
        view.write_text("".join(json.dumps(one) + "\n" for row in rows for one in change(row)))
        code = simulator(["audit", str(truth), str(view)])
        *findings, summary = capsys.readouterr().out.splitlines()
        assert code == bool(findings)
        return rows, findings, summary


@pytest.fixture
def day(database_url):
    engine = open_engine(database_url)
    writer = Writer(engine)
    yield Day(writer, database_url)
    writer.stop()
    engine.dispose()


def test_the_auditor_finds_nothing_wrong_with_a_day_of_faults(day, tmp_path, capsys):
    day.live(14)
    day.world.switch(RelayAction.TRIP, ONE)
    day.live(2)
    day.world.fault("silent", name="1-0001")
    day.live(10, silent=(ONE,))
    day.world.fault("register_jump", name="1-0002", jump_wh=90_000)
    day.live(4, silent=(ONE,))
    rows, findings, summary = day.audit(tmp_path, capsys)
    assert findings == []
    assert summary.endswith("nothing is wrong")
    assert {row["what"] for row in rows} == {"view", "reading", "held", "charge", "relay", "alarm"}
    assert [row["state"] for row in rows if row["what"] == "relay" and row["meter"] == ONE] == ["open"]
    alarms = [(row["class"], row["meter"]) for row in rows if row["what"] == "alarm"]
    assert alarms == [("silent", ONE), ("register_jump", TWO)]
    assert rows[0] | {"from_s": START_S, "every_s": 1800, "tolerance_s": 60} == rows[0]


def spoilt(kind, **changes):
    """Change the third row of a kind."""
    seen = []

    def change(row):
        if row["what"] != kind:
            return [row]
        seen.append(row)
        if len(seen) != 3:
            return [row]
        return [] if not changes else [row | {key: new(row[key]) for key, new in changes.items()}]

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (spoilt("charge"), "were never charged"),
        (spoilt("charge", charge_fen=lambda fen: fen + 2), "off by 2 fen, too much"),
        (spoilt("charge", charge_nf=lambda nf: str(int(nf) - 1)), "off by 1e-09 fen, too little"),
        (spoilt("reading", register_wh=lambda wh: wh + 500), "Wh too much"),
        (spoilt("reading", what=lambda _: "held"), "nothing was wrong with this meter"),
    ],
)
@pytest.mark.parametrize("backend", ["sqlite"])
def test_the_auditor_sees_whatever_is_not_so(day, tmp_path, capsys, change, said):
    day.live(6)
    findings = day.audit(tmp_path, capsys, change)[1]
    assert any(said in line for line in findings), findings


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_span_leaves_out_what_lies_before_and_after_it(day, tmp_path, capsys):
    day.live(5)
    cut = [f"2026-10-13T{clock}:00+08:00" for clock in ("11:10", "13:10")]
    assert main(["view", "--database", day.url, "--from", cut[0], "--until", cut[1]]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (rows[0]["from_s"], rows[0]["until_s"]) == (START_S + 7500, START_S + 14_700)
    times = {row["at_s"] - START_S for row in rows if row["what"] in ("reading", "charge")}
    assert min(times) > 7500
    assert max(times) <= 14_700
    assert len(times) >= 4


def test_a_database_that_is_not_there_is_said_and_not_made(tmp_path, capsys):
    assert main(["view", "--database", f"sqlite:///{tmp_path / 'none.db'}"]) == 2
    assert "there is no database" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_every_kind_of_case_about_a_meter_has_a_class_of_alarm():
    about_money = {"refund_open", "refund_unknown", "refund_contradicted", "bill_difference"}
    assert set(command.CLASSES) == set(CASES) - {"breaker", "server_clock", "message_gateway"} - about_money
