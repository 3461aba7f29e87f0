"""The run directory: where a simulator publishes its ports, alone and without leaving anything behind.

A lock file held for the life of the process says that the directory is taken; the kernel frees it even after
a kill, so what a killed simulator left is recognised as stale and swept by the next one. The lock file names the
links before they are made, and only links of those names are ever removed: the directory may hold other people's.

Without --run-dir each run makes a directory of its own, and first sweeps those that killed runs of the same user left.
"""

import fcntl
import json
import os
import stat
import tempfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Self

from sim.errors import PortError

LOCK_NAME = ".estate645-sim.lock"
TEMPORARY_PREFIX = "estate645-sim-"


class RunDirectory:
    """A directory that this process owns until `close`."""

    def __init__(self, path: Path, names: Iterable[str] = (), *, made: bool = False) -> None:
        """`names` are the links that will be made; PortError where the directory or a name belongs to others.

        One that was just made waits for its lock: only `sweep_dead` of another start can have it, to look inside.
        """
        self.path = path
        self._made = made or not path.exists()
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(path / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise PortError(
                f"--run-dir {path}: cannot be used: {error.strerror}; name a directory that can be written"
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX if made else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise PortError(
                f"--run-dir {path}: another simulator is running there; stop it or name another directory"
            ) from error
        self._sweep()
        self._claim(list(names))

    @classmethod
    def chosen(cls, path: Path | None, names: Iterable[str] = ()) -> Self:
        """The directory of --run-dir, or a new temporary one after those of killed simulators have been swept."""
        if path is not None:
            return cls(path, names)
        sweep_dead()
        try:
            made = Path(tempfile.mkdtemp(prefix=TEMPORARY_PREFIX))
        except OSError as error:
            raise PortError(f"no temporary directory: {error.strerror}; name one with --run-dir") from error
        return cls(made, names, made=True)

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
        return _claimed(self._lock) or ()

    def _sweep(self) -> None:
        """Remove the links that the lock file names."""
        _unlink_ports(self.path, self._claimed())
        os.ftruncate(self._lock, 0)

    def close(self) -> None:
        """Free the directory; remove it if it was made here and holds nothing else."""
        self._sweep()
        (self.path / LOCK_NAME).unlink(missing_ok=True)
        os.close(self._lock)
        if self._made and not any(self.path.iterdir()):
            self.path.rmdir()


def sweep_dead() -> None:
    """Remove what killed simulators of this user left among the temporary directories.

    A directory is dead when nobody holds its lock. One without a lock file, or with an empty one, is in the making;
    one of another user, or a link in its place, is none of our business.
    """
    for path in Path(tempfile.gettempdir()).glob(f"{TEMPORARY_PREFIX}*"):
        with suppress(OSError):
            if _is_ours(path.lstat(), stat.S_ISDIR):
                _sweep_if_dead(path)


def _sweep_if_dead(path: Path) -> None:
    lock = os.open(path / LOCK_NAME, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if not _is_ours(os.fstat(lock), stat.S_ISREG):
            return
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        names = _claimed(lock)
        if names is None:
            return
        _unlink_ports(path, names)
        (path / LOCK_NAME).unlink(missing_ok=True)
        path.rmdir()
    finally:
        os.close(lock)


def _is_ours(status: os.stat_result, is_kind: Callable[[int], bool]) -> bool:
    return status.st_uid == os.geteuid() and is_kind(status.st_mode)


def _claimed(lock: int) -> tuple[str, ...] | None:
    """The names in a lock file; None where it was not finished, for then nothing was made."""
    with suppress(ValueError):
        names = json.loads(os.pread(lock, os.fstat(lock).st_size, 0))
        if isinstance(names, list):
            return tuple(filter(None, map(str, names)))
    return None


def _unlink_ports(path: Path, names: tuple[str, ...]) -> None:
    """Remove the links of these names, also one on its way to its place."""
    for entry in path.iterdir():
        ours = entry.name in names or entry.name.startswith(tuple(f".{name}." for name in names))
        if ours and entry.is_symlink() and os.readlink(entry).startswith("/dev/pts/"):
            entry.unlink(missing_ok=True)
