"""`estate645-sim replay FILE`: answer a head-end from a recording."""

import argparse
import signal
import sys
from contextlib import ExitStack
from pathlib import Path

from sim.control.rundir import RunDirectory
from sim.estate import BusConfig
from sim.ports import make_port
from sim.timing.clock import RealEnvironment
from sim.wire.recording import exchanges, read_recording
from sim.wire.replay import Replay


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser(prog="estate645-sim replay", description="Answer a head-end from a recording.")
    made.add_argument("recording", type=Path, help="a file that --record has written")
    made.add_argument("--port", default="pty", help="pty (default), tcp://HOST:PORT, dtu://HOST:PORT or a device")
    made.add_argument("--bus", default="replay", help="name of the port in the run directory")
    made.add_argument("--run-dir", type=Path, help="where the pty appears (default: a temporary directory)")
    return made


def run(options: argparse.Namespace) -> int:
    """Serve until told to stop, then say what was asked."""
    recorded = exchanges(read_recording(options.recording))
    with ExitStack() as cleanup:
        env = RealEnvironment()
        cleanup.callback(env.close)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda _number, _frame: env.stop())
        directory = RunDirectory.chosen(options.run_dir, [options.bus] if options.port == "pty" else [])
        cleanup.callback(directory.close)
        port = make_port(BusConfig(options.bus, options.port, mismatch="ignore"), directory.path)
        replay = Replay(env, port, recorded)
        cleanup.callback(port.close)
        replay.open()
        print(f"estate645-sim: {len(recorded)} exchanges on {port.name}", file=sys.stderr, flush=True)
        env.serve()
    counters = replay.counters
    print(
        f"estate645-sim: answered {counters.answered}, silent as recorded {counters.unanswered_as_recorded}, "
        f"never asked {replay.never_asked}, bytes that were no recorded request {counters.unknown_bytes}",
        file=sys.stderr,
    )
    return 0
