"""Longer acts on a stage of the supply tests."""

from server.flows import relays, supply
from tests.server.estates import ESTATE, meter_id


def ready(stage, *numbers):
    stage.overdraw(*numbers)
    stage.be_ready(*numbers)


def wanted(stage, *numbers):
    ready(stage, *numbers)
    stage.decide()
    assert [stage.supply(number)["desired"] for number in numbers] == ["open"] * len(numbers)


def clears(stage, number, *, clock_sane=True, sending=False):
    gen = int(stage.supply(number)["gen"])
    return stage.writer.run(
        lambda unit: relays.clear_trip(
            unit, ESTATE, meter_id(number), gen, stage.now, clock_sane=clock_sane, sending=sending
        )
    )


def by_hand(stage, number):
    stage.writer.run(
        lambda unit: supply.close_by_hand(unit, ESTATE, meter_id(number), actor="anna", reason="ill", now=stage.now)
    )


def again(stage, number):
    """Everything that a decision needs, once more."""
    for _ in range(2):
        stage.wait(600)
        stage.read(number)
    stage.status(number)
    stage.charge()
