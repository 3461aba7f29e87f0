"""The run directory: where a simulator publishes its ports, alone and without leaving anything behind.

A lock file held for the life of the process says that the directory is taken; the kernel frees it even after
a kill, so what a killed simulator left is recognised as stale and swept by the next one. The lock file names the
links before they are made, and only links of those names are ever removed: the directory may hold other people's.
"""

import fcntl
import json
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from sim.errors import PortError

LOCK_NAME = ".estate645-sim.lock"


class RunDirectory:
    """A directory that this process owns until `close`."""

    def __init__(self, path: Path, names: Iterable[str] = ()) -> None:
        """`names` are the links that will be made; PortError where the directory or a name belongs to others."""
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
        self._claim(list(names))

    def _claim(self, names: list[str]) -> None:
        """Write down what will be made here, before it is."""
        taken = [name for name in names if (self.path / name).is_symlink()]
        if taken:
            self.close()
            raise PortError(
                f"--run-dir {self.path}: {taken[0]} is a link of somebody else; name another directory, or remove it"
            )
        try:
            os.pwrite(self._lock, json.dumps(names).encode(), 0)
        except OSError as error:
            self.close()
            raise PortError(f"--run-dir {self.path}: {LOCK_NAME} cannot be written: {error.strerror}") from error

    def _claimed(self) -> tuple[str, ...]:
        """The names in the lock file; none where it was not finished, for then nothing was made."""
        with suppress(ValueError):
            names = json.loads(os.pread(self._lock, os.fstat(self._lock).st_size, 0))
            if isinstance(names, list):
                return tuple(filter(None, map(str, names)))
        return ()

    def _sweep(self) -> None:
        """Remove the links that the lock file names, also one on its way to its place."""
        names = self._claimed()
        for entry in self.path.iterdir():
            ours = entry.name in names or entry.name.startswith(tuple(f".{name}." for name in names))
            if ours and entry.is_symlink() and os.readlink(entry).startswith("/dev/pts/"):
                entry.unlink(missing_ok=True)
        os.ftruncate(self._lock, 0)

    def close(self) -> None:
        """Free the directory; remove it if it was made here and holds nothing else."""
        self._sweep()
        (self.path / LOCK_NAME).unlink(missing_ok=True)
        os.close(self._lock)
        if self._made and not any(self.path.iterdir()):
            self.path.rmdir()
