"""Starts the project's own commands as users do, and looks at what they leave behind."""

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def estate645(*arguments, cwd, timeout_s=150):
    """Run `estate645 ARGUMENTS` to its end in `cwd`."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "server", *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def start(*arguments, cwd):
    """Start `estate645 ARGUMENTS` in a session of its own."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "server", *map(str, arguments)],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def processes_of(folder):
    """Command lines of live processes that name `folder`, this one excepted."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            state = (entry / "stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            continue
        if str(folder) in command and state != "Z":
            found.append(command)
    return found


def wait_until(condition, what, timeout_s=60):
    """Poll `condition` until it is true; AssertionError naming `what`."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        result = condition()
        if result:
            return result
        time.sleep(0.1)
    raise AssertionError(f"not within {timeout_s} s: {what}")
