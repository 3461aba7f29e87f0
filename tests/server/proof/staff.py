"""The people of the head-end in a campaign: they mend what stops all cuts, and decide about readings that are held."""

from sqlalchemy import select

from server.errors import EstateError
from server.flows import acceptance, approvals
from server.store import schema
from server.store.approvals import get
from server.store.estates import get_estate
from tests.server.estates import ESTATE


class Staff:
    """Two people of one head-end; `tally` counts what they did."""

    def __init__(self, whole, tally):
        self._whole = whole
        self._tally = tally

    def start_again(self):
        """After the red button; whether it had been pressed."""
        if not self._site()["stopped"]:
            return False
        now = self._whole.clock.now()
        self._by_two(lambda unit: approvals.request_start_again(unit, ESTATE, actor="anna", now=now))
        return True

    def close_breaker(self):
        """With a reason, if it is open."""
        if self._site()["breaker"] == "closed":
            return
        now, reason = self._whole.clock.now(), "the households were looked at"
        self._by_two(lambda unit: approvals.request_breaker_reset(unit, ESTATE, actor="anna", reason=reason, now=now))

    def release_jumps(self, doubtful):
        """The newest reading of each sound meter that jumped, as after our own clock did."""
        live, reading = schema.meter_live.c, schema.reading.c
        waiting = select(live.meter_id).where(live.pending_wh.is_not(None)).order_by(live.meter_id)
        held = self._ask(lambda connection: list(connection.execute(waiting).scalars()))
        for meter_id in (one for one in held if one not in doubtful):
            newest = select(reading.read_at).where(reading.meter_id == meter_id, reading.verdict == "jump")
            read_at = self._ask(
                lambda connection, query=newest: connection.execute(query.order_by(reading.read_at.desc())).scalar()
            )
            if read_at is not None:
                self._release(meter_id, read_at)

    def _release(self, meter_id, read_at):
        now = self._whole.clock.now()
        try:
            self._whole.writer.run(
                lambda unit: acceptance.release(
                    unit, ESTATE, meter_id, read_at, actor="anna", reason="looked at it on site", now=now
                )
            )
        except EstateError:  # what ran backwards stays held
            return
        self._tally["released"] += 1

    def _by_two(self, ask):
        now = self._whole.clock.now()
        asked = self._whole.writer.run(ask)
        payload = self._ask(lambda connection: get(connection, ESTATE, asked)["payload_sha256"])
        self._whole.writer.run(lambda unit: approvals.approve(unit, ESTATE, asked, payload, actor="ben", now=now))
        self._tally["agreed"] += 1

    def _site(self):
        return self._ask(lambda connection: get_estate(connection, ESTATE))

    def _ask(self, question):
        return self._whole.look(question)
