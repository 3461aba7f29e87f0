"""What a commissioning shows: one `Proof` a question, and the ground that it stands on.

A question is answered by passed or failed, or left open with the reason. What was answered over a pseudo-terminal or a
loopback address is proven on a simulation alone, whatever the answer; only a line that leaves the machine is hardware.
"""

import os
import stat
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal
from urllib.parse import urlsplit

from server.cli.languages import mark as _
from server.cli.languages import told
from server.collect.serial_port import UNIX98_MAJORS

Outcome = Literal["passed", "failed", "open"]
LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Ground(StrEnum):
    """What lies between the question and the meter."""

    UART = "uart"
    NETWORK = "network"
    PTY = "pty"
    LOOPBACK = "loopback"

    @property
    def is_hardware(self) -> bool:
        """Whether the line leaves this machine."""
        return self in (Ground.UART, Ground.NETWORK)


GROUNDS = {
    Ground.UART: _("a serial port of this machine"),
    Ground.NETWORK: _("a serial server in the network; its line settings are its own"),
    Ground.PTY: _("a pseudo-terminal: a simulation, or a program in between"),
    Ground.LOOPBACK: _("an address of this machine: a simulation, or a program in between"),
}
QUESTIONS = {
    "port": _("the port opens"),
    "parity": _("parity is on, read back from the driver"),
    "register": _("the register is read twice and does not run backwards"),
    "clock": _("the meter's clock is right enough for commands"),
    "status": _("status word 3 tells relay and keep-power"),
    "timing": _("replies are complete and in time"),
    "late_command": _("a trip that comes after its deadline is refused"),
    "trip": _("a trip opens the relay, read back"),
    "close": _("a close gives power back, read back"),
}


@dataclass(frozen=True, slots=True)
class Proof:
    """One question, its outcome, and what was seen: a message of the catalogue with its figures."""

    question: str
    subject: str
    outcome: Outcome
    message: str
    figures: dict[str, int | str] = field(default_factory=dict)

    def said(self, lang: str) -> str:
        """What was seen, in words."""
        return told(self.message, lang, **self.figures)

    def asked(self, lang: str) -> str:
        """The question in words."""
        return told(QUESTIONS[self.question], lang)


def ground_of(url: str) -> Ground:
    """What kind of line a port is."""
    if "://" in url:
        return Ground.LOOPBACK if urlsplit(url).hostname in LOOPBACK else Ground.NETWORK
    found = os.stat(url)
    return Ground.PTY if stat.S_ISCHR(found.st_mode) and os.major(found.st_rdev) in UNIX98_MAJORS else Ground.UART
