"""A terminal as a picture that is redrawn in place, and its keys one by one; given back as it was, whatever happens.

Only rows that changed are sent, so that a slow line keeps up. The alternate screen leaves what was there before.
"""

import os
import re
import select
import sys
import termios
import tty
from collections.abc import Sequence
from types import TracebackType
from typing import Self

ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J"
LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l"
BEGIN, END = "\x1b[?2026h", "\x1b[?2026l"
"""A terminal that knows it shows a picture only when it is whole."""
LOCAL = 3
SEQUENCE = re.compile(r"\x1b[\[O][0-9;]*[A-Za-z~]")
KEYS = {
    "\x1b[A": "up",
    "\x1b[B": "down",
    "\x1bOA": "up",
    "\x1bOB": "down",
    "\x1b[5~": "page up",
    "\x1b[6~": "page down",
    "\x03": "q",
    "\x04": "q",
}


class Terminal:
    """The controlling terminal on standard input and output, for the length of a `with`."""

    def __init__(self) -> None:
        self._input = sys.stdin.fileno()
        self._before = termios.tcgetattr(self._input)
        self._shown: list[str] = []
        self._typed = ""
        self._size = (0, 0)

    def __enter__(self) -> Self:
        tty.setcbreak(self._input)
        attributes = termios.tcgetattr(self._input)
        attributes[LOCAL] &= ~termios.ISIG  # Ctrl-C is a key here, and Ctrl-Z must not leave the picture standing
        termios.tcsetattr(self._input, termios.TCSANOW, attributes)
        self._write(ENTER)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._write(LEAVE)
        termios.tcsetattr(self._input, termios.TCSAFLUSH, self._before)

    def size(self) -> tuple[int, int]:
        """Columns and rows."""
        return os.get_terminal_size(self._input)

    def draw(self, rows: Sequence[str]) -> None:
        """Show these rows, each as wide as the terminal; those that stand there already are not sent again."""
        if self.size() != self._size:
            self._size, self._shown = self.size(), []
        changed = [
            f"\x1b[{number};1H{row}"
            for number, row in enumerate(rows, 1)
            if number > len(self._shown) or self._shown[number - 1] != row
        ]
        self._shown = list(rows)
        if changed:
            self._write(BEGIN + "".join(changed) + END)

    def key(self, within_s: float) -> str:
        """The next key by its name or character, or nothing when none came in time; "q" when the terminal is gone."""
        if not self._typed:
            if not select.select([self._input], [], [], within_s)[0]:
                return ""
            self._typed = os.read(self._input, 64).decode("utf-8", "replace") or "q"
        sequence = SEQUENCE.match(self._typed)
        said = sequence[0] if sequence else self._typed[0]
        self._typed = self._typed[len(said) :]
        return KEYS.get(said, said)

    def _write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()
