"""Acts of isolation on a stage of the supply tests: asking, agreeing, carrying out, releasing."""

from server.domain.supply import HAZARD_RULES, SAFETY
from server.flows import approvals, isolation
from server.store import schema
from tests.server.estates import ESTATE, meter_id
from tests.server.supply_acts import clears
from tests.server.supply_stage import OPEN, Stage

FOUND = "a burnt neutral in the meter box"


def by_day(writer):
    """Outside of the protected hours, for which tampering waits."""
    stage = Stage(writer, households=6)
    stage.wait(3600)
    return stage


def act(stage, flow, *args, actor="anna", **kwargs):
    return stage.writer.run(lambda unit: flow(unit, ESTATE, *args, actor=actor, now=stage.now, **kwargs))


def ask(stage, number=1, cause=SAFETY, *, reason=FOUND, clock_sane=True, **kwargs):
    return act(
        stage, isolation.request, meter_id(number), cause, reason=reason, clock_sane=clock_sane, **kwargs
    )  # fmt: skip


def agree(stage, approval_id, actor="bert", *, clock_sane=True, **kwargs):
    [row] = stage.rows(schema.approval, schema.approval.c.approval_id == approval_id)
    return act(
        stage, approvals.approve, approval_id, row["payload_sha256"], actor=actor, clock_sane=clock_sane, **kwargs
    )  # fmt: skip


def seen(stage, *numbers):
    for number in numbers or (1,):
        stage.status(number)


def isolate(stage, number=1, cause=SAFETY):
    """Wanted open, by two people; nothing is sent yet."""
    agree(stage, ask(stage, number, cause))


def carried_out(stage, number=1, cause=SAFETY):
    """The frame had leave, was sent, and the relay was read back open."""
    seen(stage, number)
    isolate(stage, number, cause)
    stage.wait(1)
    assert clears(stage, number, sending=True)
    stage.attempt(number, "sent")
    stage.attempt(number, "accepted")
    stage.wait(2)
    stage.status(number, OPEN)


def ask_release(stage, number=1, reason="the neutral is renewed", **kwargs):
    return act(stage, isolation.request_release, meter_id(number), reason=reason, **kwargs)


def state(stage, number=1):
    row = stage.supply(number)
    return row["desired"], row["cause"], row["command"], row["relay"]


def without(name, cause):
    """The checks of a hazard but one."""
    return tuple(one for one in HAZARD_RULES[cause] if one.__name__ != name)
