"""Isolation in the random histories of supply: two acts of two people, and what the model thinks of them.

After every step a household that two people have isolated is wanted open in the same generation, whoever paid and
whatever was switched meanwhile. Before a frame of it had leave to go out the order may have been taken back; from then
on, or once the relay was read open, only a release ends it.
"""

from collections import Counter
from datetime import datetime
from zoneinfo import ZoneInfo

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from server.errors import Conflict, Refused
from server.flows import approvals, isolation
from server.store import schema
from tests.server.estates import ESTATE, account_id, meter_id
from tests.server.supply_stage import CLOSED, GRACE_S, OPEN

LATE_S = 1200
HAZARD_OBSTACLES = (None, None, "status", "keep", "clock", "jump", "protected", "night", "mode", "stop", "breaker")
TAKEN_BACK = {"trip_expired", "stopped", "breaker", "mode", "clock", "bulk_stopped"}
TALLY: Counter[str] = Counter()
Number = st.sampled_from((1, 2, 3))
Cause = st.sampled_from(("safety", "tamper"))


class IsolationActs(RuleBasedStateMachine):
    """A part of the supply machine, whose stage and story it uses."""

    def __init__(self) -> None:
        super().__init__()
        self.isolated: dict[int, tuple[str, int]] = {}  # cause and generation
        self.left: dict[int, int] = {}  # world time at which a frame of it had leave to go out last

    @rule(number=Number, cause=Cause)
    def two_people_isolate(self, number, cause):
        self._isolate(number, cause, clock_sane=True)

    @rule(number=Number, cause=Cause, missing=st.sampled_from(HAZARD_OBSTACLES), sends=st.booleans())
    def somebody_finds_a_hazard(self, number, cause, missing, sends):
        self.everything_is_switched_on()
        self.the_next_working_morning_comes()
        self.two_people_release(number)
        self.stage.wait(GRACE_S)  # by then its turn after the protected hours has come
        self._status(number, {"keep": 1 << 12}.get(missing, CLOSED), 100 if missing == "clock" else 0)
        if missing == "status":
            self.stage.wait(1801)
        self._obstruct(number, missing)
        if missing == "night":
            self._status(number, CLOSED)
        self._isolate(number, cause, clock_sane=missing != "jump")
        if sends:
            self.collector_sends(number)
        if number in self.left:
            self.stage.wait(2)
            self._status(number, OPEN)

    @initialize(cause=Cause, missing=st.sampled_from(HAZARD_OBSTACLES), sends=st.booleans())
    def a_hazard_is_found(self, cause, missing, sends):
        self.somebody_finds_a_hazard(3, cause, missing, sends)

    def _isolate(self, number, cause, *, clock_sane):
        self.stage.wait(1)
        site = self.stage.site()
        try:
            self._agree(isolation.request, meter_id(number), cause, reason="found", clock_sane=clock_sane)
        except (Refused, Conflict):
            TALLY["isolations refused"] += 1
            return
        TALLY["isolations"] += 1
        assert number not in self.isolated
        assert clock_sane
        self._agree_on_switches(site)
        self._agree_on_hazard(number, cause)
        seen_at, *_ = self.status_seen[number]
        assert self.stage.now.world_s - seen_at <= 1800
        row = self.stage.supply(number)
        assert (row["desired"], row["cause"]) == ("open", cause)
        self.isolated[number] = (cause, row["gen"])
        self.left.pop(number, None)

    def _agree(self, flow, *args, **kwargs):
        """Anna asks and Bert agrees, in one unit, so that a refusal leaves nothing behind."""
        now = self.stage.now

        def both(unit):
            asked = flow(unit, ESTATE, *args, actor="anna", now=now, **kwargs)
            row = approvals.kept.get(unit.connection, ESTATE, asked)
            approvals.approve(unit, ESTATE, asked, row["payload_sha256"], actor="bert", now=now, clock_sane=True)

        self.stage.writer.run(both)

    def _agree_on_hazard(self, number, cause):
        [row] = self.stage.rows(schema.account, schema.account.c.account_id == account_id(number))
        assert row["protected"] == 0
        _, _, status3, offset_s = self.status_seen[number]
        assert not status3 & 1 << 12
        assert abs(offset_s) <= 60
        local = datetime.fromtimestamp(self.stage.now.world_s, ZoneInfo("Asia/Shanghai"))
        assert cause == "safety" or (local.weekday() < 5 and 9 <= local.hour < 17)

    @rule(number=Number)
    def two_people_release(self, number):
        if number not in self.isolated:
            return
        self.stage.wait(1)
        self._agree(isolation.request_release, meter_id(number), reason="mended")
        TALLY["releases"] += 1
        row = self.stage.supply(number)
        assert (row["desired"], row["gen"]) == ("closed", self.isolated[number][1] + 1)
        del self.isolated[number]
        self.left.pop(number, None)

    @invariant()
    def only_two_people_end_an_isolation(self):
        for number, (cause, gen) in list(self.isolated.items()):
            row = self.stage.supply(number)
            if row["desired"] == "open":
                assert (row["gen"], row["cause"]) == (gen, cause)
                continue
            reason = self.stage.wishes(number)[gen]["reason"]
            TALLY["orders taken back"] += 1
            assert reason in TAKEN_BACK
            assert self.relay[number] in ("closed", "permitted")
            too_late = number in self.left and self.stage.now.world_s - self.left[number] > LATE_S
            assert number not in self.left or (reason == "trip_expired" and too_late)
            del self.isolated[number]
