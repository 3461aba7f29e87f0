"""A demo stage for tests and pictures: armed by two operators, the story running beside, some households left alone."""

import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from server.cli.demo import people
from server.cli.demo.people import Person
from server.cli.demo.stage import Stage, prepare, raise_curtain
from server.cli.demo.story import Story

LOOK_EVERY_S = 0.7
ENDS_WITHIN_S = 60


@dataclass
class Playing:
    """The running demo; `fault` is what ended the story too early, if anything did."""

    stage: Stage
    operator: Person
    ended: threading.Event = field(default_factory=threading.Event)
    fault: BaseException | None = None

    @property
    def url(self) -> str:
        """Where the head-end answers."""
        return self.stage.url

    def household(self, account: str) -> dict[str, Any]:
        """The household as the operator sees it through the API."""
        return people.household(self.operator, account)

    def topups(self, account: str) -> list[int]:
        """Amounts of all payments that the account was credited with, fen, newest first."""
        lines = self.operator.get(f"/api/v1/households/{account}/ledger?limit=200")["items"]
        return [line["amount_fen"] for line in lines if line["kind"] == "topup"]

    def wait_for_relay(self, account: str, relay: str, patience_s: float = 90) -> None:
        """Until the relay of `account` was read back as `relay`; AssertionError with what was seen last."""
        deadline = time.monotonic() + patience_s
        seen = ""
        while time.monotonic() < deadline:
            if self.fault is not None:
                raise AssertionError("the story of the demo failed") from self.fault
            seen = self.household(account)["relay"]
            if seen == relay:
                return
            time.sleep(0.3)
        raise AssertionError(f"{account}: relay is {seen}, not {relay}, after {patience_s:.0f} s")

    def play(self, story: Story) -> None:
        """Advance the story until the end is rung; runs in a thread of its own."""
        try:
            while not self.ended.wait(LOOK_EVERY_S):
                story.advance(time.monotonic())
        except BaseException as fault:  # the test that waits for the story tells it
            self.fault = fault


@contextlib.contextmanager
def playing(folder: Path, *, leave_alone: Sequence[str]) -> Iterator[Playing]:
    """Start the demo in `folder` on free ports, arm it, play; `leave_alone` names ways of paying, see `Part.pays`."""
    with contextlib.ExitStack() as ends:
        stage = ends.enter_context(contextlib.closing(prepare(folder)))
        raise_curtain(stage, 0)
        first, second = (ends.enter_context(Person(stage.url, login)) for login in ("zhou", "he"))
        people.arm(first, second)
        shown = Playing(stage, second)
        story = Story(stage.url, first, leave_alone=leave_alone)
        player = threading.Thread(target=shown.play, args=(story,), name="story", daemon=True)
        player.start()
        try:
            yield shown
        finally:
            shown.ended.set()
            player.join(ENDS_WITHIN_S)
