"""The truth export: between its points the registers are those of the meters, at any instant, in few points."""

import json

import numpy as np

from core.dlt645.commands import RelayAction
from sim.auditor import read_truth
from sim.export import export_lines
from sim.meters import Meter
from tests.sim.fault_cases import estate
from tests.sim.rig import ADDRESS, GATE, OTHER


def exported(v, tmp_path, *meters):
    path = tmp_path / "truth.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in export_lines(v.world, meters)))
    return read_truth(path)


def test_registers_between_points_are_those_of_the_meters(tmp_path):
    v = estate()
    v.run_s(1234)
    for kind in ("fdi2", "evening_tap", "new_air_conditioner", "register_backwards"):
        v.fault(kind)
        v.run_s(5 * 3600 + 77)
    v.fault("gate_tap", "gate", "g")
    v.switch(RelayAction.TRIP)
    v.run_s(1000)
    v.switch(RelayAction.CLOSE)
    v.run_s(7777)
    truth = exported(v, tmp_path)
    rng = np.random.default_rng(1)
    instants = rng.integers(v.world.origin_ms, v.world.now_ms, 400).tolist()
    for index in range(3):
        meter = Meter(v.world.fleet, index)
        read = truth.meters[meter.config.address]
        for at_ms in instants:
            since_ms = at_ms - v.world.origin_ms
            assert read.total_wh(since_ms) == meter.register.steps_wh(at_ms)
            assert read.shown_wh(since_ms) == meter.register.shown_total_wh(at_ms)
    assert [to for _, to, _ in truth.meters[ADDRESS].relay] == ["open", "closed"]
    assert [to for _, to in truth.meters[ADDRESS].contacts] == ["open", "closed"]
    assert truth.meters[GATE].gate == truth.meters[ADDRESS].gate == "g"
    assert len(truth.meters[OTHER].times) == 2, "a constant load needs two points"


def test_what_happens_after_the_asked_time_is_not_in_it(tmp_path):
    v = estate()
    v.run_s(3600)
    lines = export_lines(v.world)
    first = next(lines)
    v.run_s(3600)
    v.fault("register_jump")
    v.household().meter.trip(v.world.now_ms)
    rest = {line.get("meter"): line for line in lines if line["what"] == "meter"}
    assert rest[ADDRESS]["relay"] == rest[ADDRESS]["contacts"] == []
    assert len(rest[ADDRESS]["lags_wh"]) == 1
    assert rest[ADDRESS]["energy"][-1][0] == 3_600_000
    assert first["until_s"] * 1000 == v.world.now_ms - 3_600_000


def test_some_meters_can_be_chosen(tmp_path):
    v = estate()
    v.run_s(60)
    assert set(exported(v, tmp_path, OTHER).meters) == {OTHER}
