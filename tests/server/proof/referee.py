"""Whether a simulated relay opened rightly, by the simulator's truth and by what people did; never by our own books.

The true balance is what was paid up to the instant minus the exact cost of what the meter had counted by then. Only the
delivery of a warning is taken from the notices, whose delivery the campaign itself made true.
"""

from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import select

from server.store import schema
from sim.truth import charge_to_nf

NF_PER_FEN = 10**9
ZONE = ZoneInfo("Asia/Shanghai")
ALLOWED_HOURS = range(9, 17)
FRIDAY = 4


class Referee:
    """Looks at every move of every relay once; `wrong` are sentences, `trips` counts the openings judged."""

    def __init__(self, whole, opening_fen, grace_s):
        self._whole = whole
        self._grace_s = grace_s
        self._paid = {name: [(0, fen)] for name, fen in opening_fen.items()}
        self._seen = dict.fromkeys(opening_fen, 0)
        self._stopped_s = None
        self.wrong = []
        self.trips = 0
        self.closings = 0

    def paid(self, name, amount_fen):
        """Somebody has paid at this moment of true world time."""
        self._paid[name].append((self._whole.world.now_ms, amount_fen))

    def stopped(self, on):
        """The red button was pressed, or two people started again."""
        self._stopped_s = self._whole.world.now_ms / 1000 if on else None

    def look(self):
        """Judge what has moved since the last look."""
        fleet = self._whole.world.fleet
        for index in list(fleet.remembering()):
            memory = fleet.recall(index)
            name = f"{fleet.address[index]:012d}"
            for event in memory.relay_events[self._seen[name] :]:
                self._seen[name] += 1
                if event.to == "open":
                    self.trips += 1
                    self.wrong += [f"{name} {self._said(event.at_ms)}: {why}" for why in self._why(name, event.at_ms)]
                else:
                    self.closings += 1

    def is_working_day(self, at_ms):
        """Whether cuts are allowed at all on this day; no holiday falls into a campaign."""
        return datetime.fromtimestamp(at_ms / 1000, ZONE).weekday() <= FRIDAY

    def _why(self, name, at_ms):
        local = datetime.fromtimestamp(at_ms / 1000, ZONE)
        minute_past = (local.hour, local.minute, local.second) == (17, 0, 0)
        if local.weekday() > FRIDAY or (local.hour not in ALLOWED_HOURS and not minute_past):
            yield "in the protected time"
        left_nf = self.left_nf(name, at_ms)
        if left_nf > 0:
            yield f"{float(left_nf / NF_PER_FEN):.2f} fen were left"
        if not self.was_warned(name, at_ms):
            yield "no warning was delivered in time"
        if self._stopped_s is not None and at_ms / 1000 > self._stopped_s:
            yield "the red button had been pressed"
        if self._wanted(name) != "open":
            yield "the frame was superseded"

    def left_nf(self, name, at_ms):
        """The true balance, in nanofen: what was paid until then, less what the meter had counted."""
        world = self._whole.world
        register = world.household(name).meter.register
        cost_nf = charge_to_nf(register, world.calendar, register.steps_wh(at_ms), world.now_ms)
        return sum(fen for paid_ms, fen in self._paid[name] if paid_ms <= at_ms) * NF_PER_FEN - cost_nf

    def paid_ms(self, name):
        """When somebody last paid; 0 for never."""
        return self._paid[name][-1][0]

    def was_warned(self, name, at_ms, since_ms=0):
        """Whether a cut warning that was delivered after `since_ms` was so at least the grace before."""
        query = (
            select(schema.notice.c.delivered_at)
            .join(schema.meter, schema.meter.c.account_id == schema.notice.c.account_id)
            .where(schema.meter.c.meter_id == name, schema.notice.c.kind == "cut_warning")
        )
        delivered = self._whole.look(lambda connection: list(connection.execute(query).scalars()))
        return any(at_s is not None and since_ms / 1000 < at_s <= at_ms / 1000 - self._grace_s for at_s in delivered)

    def _wanted(self, name):
        query = select(schema.supply.c.desired).where(schema.supply.c.meter_id == name)
        return self._whole.look(lambda connection: connection.execute(query).scalar_one())

    def _said(self, at_ms):
        return f"{datetime.fromtimestamp(at_ms / 1000, ZONE):%a %m-%d %H:%M:%S}"
