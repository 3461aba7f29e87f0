"""Whether those are cut whom everything says to cut: a campaign in which nobody is cut proves nothing.

Whom to expect, says the simulator's truth. At noon of a working day a household is due when it owed in the morning and
owes now, its warning has run out, its contacts are closed, its meter was sound all along, and no switch of the estate
stops all cuts. In the evening it is dark, or has paid meanwhile, or it was missed.
"""

from server.domain.supply import LIMITS, QUARANTINED

HELD_BY_A_LIMIT = LIMITS | {QUARANTINED, "bus_limit"}
COST_OF_A_DAY_FEN = 1900  # 900 W for a day at the dearest tier, rounded up
DAY_MS = 86_400_000
NF_PER_FEN = 10**9


class Justice:
    """`cut` and `missed` count households that were due at a noon; `sentences` say who was missed."""

    def __init__(self, referee, meters):
        self._referee = referee
        self._meters = meters
        self._solvent_until_ms = dict.fromkeys(meters, 0)
        self._owed = set()
        self._due = set()
        self.cut = 0
        self.sentences = []

    @property
    def missed(self):
        """How many were due and were not cut."""
        return len(self.sentences)

    def look(self, now_ms, doubtful, *, first, possible):
        """Before the decisions of the morning (`first`) and of noon."""
        owing = {name for name in self._meters if name not in doubtful and self._owes(name, now_ms)}
        if first:
            self._owed, self._due = owing, set()
        elif possible and self._referee.is_working_day(now_ms):
            self._due = {name for name in owing & self._owed if self._is_warned(name, now_ms)}

    def spared(self, name):
        """Somebody has paid."""
        self._solvent_until_ms[name] = 0
        self._owed.discard(name)
        self._due.discard(name)

    def held(self):
        """Something stops all cuts for a while."""
        self._due.clear()

    def decided(self, words):
        """After noon: whom a limit holds back is not expected; `words` are those of the last decision."""
        self._due = {name for name in self._due if words(name) not in HELD_BY_A_LIMIT}
        dark = {name for name in self._due if self._meters[name].relay.shown_open}
        self.cut += len(dark)
        self._due -= dark

    def day_ends(self, now_ms, doubtful, words):
        """Count who was due; `words` say what the last decision said of a meter."""
        for name in sorted(self._due - doubtful):
            if self._meters[name].relay.shown_open:
                self.cut += 1
            else:
                self.sentences.append(f"{name} day {now_ms // DAY_MS}: {words(name) or 'no word'}")
        self._due.clear()

    def _is_warned(self, name, now_ms):
        """Of the present debt: no warning of before the last payment counts."""
        return self._referee.was_warned(name, now_ms, self._referee.paid_ms(name))

    def _owes(self, name, now_ms):
        if now_ms < self._solvent_until_ms[name] or self._meters[name].relay.shown_open:
            return False
        left_nf = self._referee.left_nf(name, now_ms)
        self._solvent_until_ms[name] = now_ms + int(left_nf * DAY_MS / (COST_OF_A_DAY_FEN * NF_PER_FEN))
        return left_nf <= 0
