"""The story of the demo: the cast is warned, cut, pays each in its own way, presses the button and is back.

`Story.advance` looks at each household of the cast through the operator's API and lets its resident act when the
moment has come; calling it a few times a second plays the demo. It only ever does what a person could do.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from server.cli.demo import people
from server.cli.demo.estate import STORY, Part, Play
from server.cli.demo.people import Person
from server.cli.languages import mark as _
from server.cli.languages import told

log = logging.getLogger("estate645.demo")
TOPUP_FEN = 2000
WAIT_BEFORE_PAYING_S = 1.0  # nobody pays in the very second in which the light goes out
RELAY_WORDS = {"open": _("has no power"), "permitted": _("may press the button"), "closed": _("has power again")}
PAY_WORDS = {
    "early": _("pays before the cut"), "counter": _("pays at the counter"), "kiosk": _("pays at the kiosk in the hall"),
    "third_party": _("pays with another program"),
}  # fmt: skip


@dataclass(slots=True)
class Thread:
    """What has happened to one household of the cast so far; times are machine seconds."""

    part: Part
    account: str
    events: list[str] = field(default_factory=list)
    cut_s: float | None = None
    paid_s: float | None = None
    order_no: str | None = None
    back: bool = False
    warned: bool = False
    relay: str = "closed"


class Story:
    """Plays the cast against a running server."""

    def __init__(self, url: str, operator: Person, play: Play = STORY, *, leave_alone: Sequence[str] = ()) -> None:
        """`leave_alone` names ways of paying (see `Part.pays`) whose households act by themselves never."""
        self.url = url
        self.operator = operator
        self.threads = [Thread(part, f"H{part.room.replace('-', '')}") for part in play.cast]
        self._leave_alone = frozenset(leave_alone)

    def advance(self, now_s: float) -> None:
        """Look once at everybody and act where it is time; `now_s` is the machine's monotonic clock."""
        for thread in self.threads:
            seen = people.household(self.operator, thread.account)
            self._note(thread, seen["relay"] or "unknown", seen["level"], now_s)
            if thread.paid_s is None and self._wants_to_pay(thread, now_s):
                thread.paid_s = now_s
                thread.order_no = self._pay(thread)

    def _note(self, thread: Thread, relay: str, level: int, now_s: float) -> None:
        if level == 3 and not thread.warned and relay == "closed":
            thread.warned = True
            self._tell(thread, _("is overdrawn and is being warned"))
        if relay == thread.relay or relay not in RELAY_WORDS:
            return
        if relay == "open":
            thread.cut_s = now_s
        elif relay == "closed" and thread.cut_s is not None:
            thread.back = True
        thread.relay = relay
        self._tell(thread, RELAY_WORDS[relay])

    def _wants_to_pay(self, thread: Thread, now_s: float) -> bool:
        if thread.part.pays in ("never", *self._leave_alone):
            return False
        if thread.part.pays == "early":
            return thread.warned
        return thread.cut_s is not None and now_s - thread.cut_s >= WAIT_BEFORE_PAYING_S

    def _pay(self, thread: Thread) -> str | None:
        self._tell(thread, PAY_WORDS.get(thread.part.pays, _("pays with the phone")))
        if thread.part.pays == "counter":
            return people.pay_at_counter(self.url, thread.account, TOPUP_FEN)
        if thread.part.pays == "third_party":
            people.pay_by_third_party(self.url, thread.account, TOPUP_FEN)
            return None
        if thread.part.pays == "kiosk":
            return people.pay_online(self.url, "kiosk", thread.account, TOPUP_FEN)
        return people.pay_online(self.url, thread.part.room, thread.account, TOPUP_FEN)

    def _tell(self, thread: Thread, words: str) -> None:
        thread.events.append(words)
        log.info("%s %s", thread.part.room, told(words, "both"))

    def over(self, rooms: Sequence[str]) -> bool:
        """Whether these households have been cut and are back, and the early payer has paid."""
        early = [thread for thread in self.threads if thread.part.pays == "early"]
        return all(thread.back for thread in self.threads if thread.part.room in rooms) and all(
            thread.paid_s is not None for thread in early
        )
