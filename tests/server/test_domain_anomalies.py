"""The anomaly rules by themselves: what opens a case, what does not, and what the evidence says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.units import REGISTER_MODULUS_WH
from server.domain.anomalies import (
    Contact,
    GateBalance,
    HeldReading,
    OpenRelay,
    Register,
    backwards,
    gate_loss,
    open_relay_energy,
    silent,
    step_wh,
)


def relay(*registers_wh, opened_at=1000):
    registers = tuple(Register(opened_at + 60 * number, wh) for number, wh in enumerate(registers_wh))
    return OpenRelay("202600000001", "1-0001", opened_at, registers)


@pytest.mark.parametrize(
    ("registers_wh", "found"),
    [
        ((), False),
        ((5000,), False),
        ((5000, 5000), False),
        ((5000, 5010), False),
        ((5000, 5020), True),
        ((5000, 5010, 5020), True),
        ((REGISTER_MODULUS_WH - 10, 0), False),
        ((REGISTER_MODULUS_WH - 10, 10), True),
    ],
)
def test_energy_through_an_open_relay_needs_two_register_steps(registers_wh, found):
    assert (open_relay_energy(relay(*registers_wh)) is not None) == found


def test_the_evidence_of_an_open_relay_names_both_registers_and_lists_the_readings():
    finding = open_relay_energy(relay(5000, 5010, 5030))
    assert (finding.kind, finding.subject, finding.room_id) == ("open_relay_energy", "202600000001", "1-0001")
    assert finding.severity == "high"
    assert finding.evidence == {
        "energy_wh": 30,
        "open_at": 1000,
        "register_then_wh": 5000,
        "register_now_wh": 5030,
        "read_at": 1120,
        "readings": [[1000, 5000], [1060, 5010], [1120, 5030]],
    }


def test_long_evidence_keeps_the_newest_readings():
    finding = open_relay_energy(relay(*range(0, 1000, 10)))
    assert len(finding.evidence["readings"]) == 20
    assert finding.evidence["readings"][-1][1] == finding.evidence["register_now_wh"] == 990
    assert finding.evidence["register_then_wh"] == 0


def test_the_evidence_of_a_step_back_names_what_was_held():
    held = HeldReading("202600000001", None, Register(10, 900), Register(20, 400), "went back by 500 Wh")
    finding = backwards(held)
    assert (finding.kind, finding.severity) == ("backwards", "high")
    assert finding.evidence == {
        "step_back_wh": 500,
        "register_accepted_wh": 900,
        "accepted_at": 10,
        "register_read_wh": 400,
        "read_at": 20,
    }


def test_a_rate_that_went_back_is_named_when_the_total_did_not():
    held = HeldReading("202600000001", None, Register(10, 900), Register(20, 950), "rate 3: went back")
    assert backwards(held).evidence == {"reason": "rate 3: went back", "register_read_wh": 950, "read_at": 20}


@pytest.mark.parametrize(
    ("quiet_s", "failures", "since_s", "found"),
    [
        (2701, 3, 0, True),
        (2700, 3, 0, False),
        (2701, 2, 0, False),
        (10_000, 3, 9_000, False),
        (10_000, 3, 2_000, True),
    ],
)
def test_silence_needs_more_than_three_cycles_and_three_failures(quiet_s, failures, since_s, found):
    seen = Contact("202600000001", None, 0, failures)
    assert (silent(seen, since_s, quiet_s, 900) is not None) == found


def balance(gate_wh, *meters_wh, steps_wh=0):
    meters = tuple((f"{number:012d}", wh) for number, wh in enumerate(meters_wh))
    return GateBalance("202699000001", 0, 86_400, gate_wh, meters, steps_wh)


@pytest.mark.parametrize(
    ("gate_wh", "sum_wh", "steps_wh", "found"),
    [
        (100_000, 94_000, 0, False),  # 6000 allowed: 5 % and 1 kWh
        (100_000, 93_999, 0, True),
        (100_000, 93_999, 30, False),
        (1_000, 0, 0, False),
        (1_060, 0, 0, True),
        (100_000, 110_000, 0, False),
        (0, 0, 0, False),
    ],
)
def test_a_gate_may_lose_five_percent_and_one_kilowatt_hour(gate_wh, sum_wh, steps_wh, found):
    assert (gate_loss(balance(gate_wh, sum_wh, steps_wh=steps_wh)) is not None) == found


def test_the_evidence_of_a_gate_adds_up():
    evidence = gate_loss(balance(100_000, 30_000, 40_000)).evidence
    assert evidence["loss_wh"] == evidence["gate_wh"] - evidence["meters_wh"] == 30_000
    assert evidence["loss_permille"] == 300
    assert evidence["meters_wh"] == sum(wh for _, wh in evidence["meters"])


@given(st.integers(0, REGISTER_MODULUS_WH - 1), st.integers(0, REGISTER_MODULUS_WH - 1))
def test_a_step_leads_from_one_register_to_the_other(earlier, later):
    energy_wh = step_wh(Register(0, earlier), Register(1, later))
    assert 0 <= energy_wh < REGISTER_MODULUS_WH
    assert (earlier + energy_wh) % REGISTER_MODULUS_WH == later
