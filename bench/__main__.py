"""`python -m bench NAME`: run one bench, exit 1 when it misses a floor."""

import argparse
import importlib
import inspect
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, cast

from bench.machine import Load
from bench.report import EXIT_FAILED, BenchFailed, Result, publish, unwritable

BENCHES = {
    "bus": "reads over a simulated RS-485 line, beside the limit of the wire and a raw echo",
    "codec": "DL/T 645 frames in a stream, in bulk and one a call, beside dlt645",
    "collect": "the whole collector against 256 buses: readings durable, as a share of the wire's limit",
    "crc": "checks of a million frames, beside fastcrc and NumPy, in every tier of the host",
    "deduct": "bulk deduction, beside vectorised NumPy and a Python loop",
    "ledger": "deduction, top-ups, both at once, verification and growth on both databases, beside the bare driver",
    "estate": "fifty thousand meters: memory, start, a month in virtual time, beside a dlt645 server a meter",
    "serve": "the whole server on 10,240 meters beside a working day of HTTP: wire, latency, payment to power",
}


class Bench(Protocol):
    """What a bench module offers."""

    def run(self, *, quick: bool, **options: object) -> tuple[list[Result], list[Load]]:
        """Measure; `quick` is a smoke test of the bench itself, without floors.

        A bench whose rows can be measured by themselves names them in ROWS and takes `rows` and `whole`; one that
        measures for a time on a size of its own takes `seconds` and `buses`.
        """


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and run one bench; the exit status."""
    listing = "\n".join(f"  {name:8} {text}" for name, text in BENCHES.items())
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure one part beside its peers, in the same run.",
        epilog=f"benches:\n{listing}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("bench", choices=sorted(BENCHES), metavar="NAME", help="which bench to run")
    parser.add_argument("--json", metavar="FILE", help="write the JSON document to FILE ('-': standard output)")
    parser.add_argument("--quick", action="store_true", help="small and without floors: does the bench work?")
    parser.add_argument("--rows", metavar="ROW,...", help="measure these rows only (ledger)")
    parser.add_argument("--whole", action="store_true", help="what takes long and much room, too (ledger: 10^7 lines)")
    parser.add_argument("--seconds", type=float, metavar="S", help="measure for so long (serve: 600)")
    parser.add_argument("--buses", type=int, metavar="N", help="on so many buses (serve: 160, with 100 requests/s)")
    options = parser.parse_args(arguments)
    if options.json not in (None, "-") and (wrong := unwritable(Path(options.json))):
        parser.error(f"--json {options.json}: {wrong}")
    try:
        module = cast("Bench", importlib.import_module(f"bench.{options.bench}"))
        results, loads = module.run(quick=options.quick, **_chosen(parser, module, options))
    except BenchFailed as failed:
        print(f"bench {options.bench}: {failed}", file=sys.stderr)
        return EXIT_FAILED
    except ModuleNotFoundError as missing:
        print(f'bench {options.bench}: {missing}; the peers come with: pip install -e ".[bench]"', file=sys.stderr)
        return EXIT_FAILED
    try:
        return publish(options.bench, results, loads, options.json)
    except OSError as error:
        print(f"bench {options.bench}: the results could not be written: {error.strerror}", file=sys.stderr)
        return EXIT_FAILED


def _chosen(parser: argparse.ArgumentParser, module: Bench, options: argparse.Namespace) -> dict[str, object]:
    """What a bench is told about its rows and its time; an error of the command line for what it has not."""
    known: Sequence[str] = getattr(module, "ROWS", ())
    rows = known if options.rows is None else options.rows.split(",")
    unknown = [row for row in rows if row not in known]
    if unknown or (options.whole and not known):
        parser.error(f"bench {options.bench} has the rows: {', '.join(known) or 'none that can be chosen'}")
    chosen: dict[str, object] = {"rows": rows, "whole": options.whole} if known else {}
    takes = inspect.signature(module.run).parameters
    if options.seconds is not None and "seconds" not in takes:
        parser.error(f"bench {options.bench} measures for no set time")
    if options.buses is not None and not ("buses" in takes and 1 <= options.buses <= takes["buses"].default):
        parser.error("--buses is for serve: 1 to 160")
    sized = {"seconds": options.seconds, "buses": options.buses}
    return chosen | {name: value for name, value in sized.items() if value is not None}


if __name__ == "__main__":
    sys.exit(main())
