"""What a simulator tells others in files: that it is ready, where its ports are, and how its world's time goes.

The ready file and the anchor file are replaced whole, never written into, so that whoever reads one sees the old or
the new. Both get every new anchor while the simulator runs; the ready file is taken away at the end.
"""

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from sim.errors import PortError
from sim.timing.anchor import Anchor


class Announcement:
    """The ready file and the anchor file of one run; either may be missing."""

    def __init__(self, ready: Path | None, anchor: Path | None) -> None:
        self._ready = ready
        self._anchor = anchor
        self._said: dict[str, Any] = {}
        self.withdraw()

    def ready(self, said: dict[str, Any]) -> None:
        """Everything is open."""
        self._said = said
        if self._ready is not None:
            write_atomically(self._ready, json.dumps(said, indent=1) + "\n")

    def tie(self, anchor: Anchor) -> None:
        """The world goes by another anchor from now on."""
        if self._anchor is not None:
            write_atomically(self._anchor, json.dumps(anchor.to_json()) + "\n")
        if self._said:
            self.ready({**self._said, "anchor": anchor.to_json()})

    def withdraw(self) -> None:
        """Take away the ready file: a killed simulator's, which would announce ports that are gone, or our own."""
        self._said = {}
        if self._ready is None:
            return
        if is_special(self._ready):
            raise PortError(f"--ready {self._ready}: cannot be replaced: it is no file; name one")
        try:
            self._ready.unlink(missing_ok=True)
        except OSError as error:
            raise PortError(f"--ready {self._ready}: cannot be replaced: {error.strerror}") from error


def write_atomically(path: Path, text: str) -> None:
    """Put a text in place whole."""
    write_lines(path, [text.removesuffix("\n")])


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Put a file in place whole, however long it is; PortError when it cannot be written.

    What is no file, such as /dev/stdout, is written into, for it must stay what it is.
    """
    written = path if is_special(path) else path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with written.open("w", encoding="utf-8") as out:
            out.writelines(f"{line}\n" for line in lines)
        if written is not path:
            written.replace(path)
    except OSError as error:
        if written is not path:
            with suppress(OSError):
                written.unlink(missing_ok=True)
        raise PortError(f"{path}: cannot be written: {error.strerror}") from error


def refuse_unwritable(path: Path) -> None:
    """PortError at the start about a place where nothing could be written at the end, when all would be lost."""
    if path.is_dir():
        raise PortError(f"{path}: cannot be written: Is a directory")
    if not path.parent.is_dir():
        raise PortError(f"{path}: cannot be written: No such file or directory")
    if not os.access(path if is_special(path) else path.parent, os.W_OK):
        raise PortError(f"{path}: cannot be written: Permission denied")


def is_special(path: Path) -> bool:
    """Whether there is something other than a file: a device, a pipe, a directory."""
    return path.exists() and not path.is_file()
