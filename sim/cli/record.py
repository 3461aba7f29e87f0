"""`estate645-sim record URL BUS FILE`: record a bus of a running simulator, or end that with --stop."""

import argparse
import json
from pathlib import Path

from sim.cli.remote import Remote
from sim.errors import ScenarioError


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser(
        prog="estate645-sim record",
        description="Record a bus from now on to a new file, for Wireshark, replay and compare.",
    )
    made.add_argument("where", metavar="URL|READY_FILE", help="the simulator's control address, or its ready file")
    made.add_argument("bus", metavar="BUS", help="id of the bus")
    made.add_argument("file", metavar="FILE", type=Path, nargs="?", help="a new file that ends with .pcap")
    made.add_argument("--stop", action="store_true", help="end the recording")
    return made


def run(options: argparse.Namespace) -> int:
    """Tell the simulator, and say what it did."""
    if options.stop == (options.file is not None):
        raise ScenarioError("record: name a FILE, or say --stop")
    body = {"bus": options.bus, "file": None if options.stop else str(options.file.absolute())}
    print(json.dumps(Remote(options.where).post("/record", body)))
    return 0
