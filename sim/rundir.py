"""The run directory: where a simulator publishes its ports, alone and without leaving anything behind.

A lock file held for the life of the process says that the directory is taken; the kernel frees it even after
a kill, so what a killed simulator left is recognised as stale and swept by the next one. Only what a
simulator makes (symlinks to pseudo-terminals) is ever removed.
"""

import fcntl
import os
from pathlib import Path

from sim.errors import PortError

LOCK_NAME = ".estate645-sim.lock"


class RunDirectory:
    """A directory that this process owns until `close`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._made = not path.exists()
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(path / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise PortError(
                f"--run-dir {path}: cannot be used: {error.strerror}; name a directory that can be written"
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise PortError(
                f"--run-dir {path}: another simulator is running there; stop it or name another directory"
            ) from error
        self._sweep()

    def _sweep(self) -> None:
        """Remove links that a killed simulator left."""
        for entry in self.path.iterdir():
            if entry.is_symlink() and os.readlink(entry).startswith("/dev/pts/"):
                entry.unlink(missing_ok=True)

    def close(self) -> None:
        """Free the directory; remove it if it was made here and holds nothing else."""
        self._sweep()
        (self.path / LOCK_NAME).unlink(missing_ok=True)
        os.close(self._lock)
        if self._made and not any(self.path.iterdir()):
            self.path.rmdir()
