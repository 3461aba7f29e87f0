"""`estate645`: the command line of the head-end.

One file a command in `server.cli`; each offers `add_parser(subparsers)` and `run(args) -> int`. Errors that a
person can mend end with one line on standard error and exit code 2; numbers that do not agree end with 1.
"""

import argparse
import importlib
import sys
from collections.abc import Sequence

COMMANDS = ("demo", "serve", "import_", "verify", "read", "frame")


def build_parser() -> argparse.ArgumentParser:
    """The whole command line, with one subparser a command."""
    parser = argparse.ArgumentParser(
        prog="estate645", description="Prepaid electricity for residential estates on DL/T 645 meters."
    )
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in COMMANDS:
        importlib.import_module(f"server.cli.{name}").add_parser(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code. Ctrl-C at any moment, loading included, ends it without a traceback."""
    try:
        return _run(argv)
    except KeyboardInterrupt:
        return 130


def _run(argv: Sequence[str] | None) -> int:
    try:
        parser = build_parser()
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] in ("core", "server"):
            raise
        print(f"estate645: {error.name} is missing; run: pip install 'estate645[server]'", file=sys.stderr)
        return 2
    arguments = parser.parse_args(argv)
    from server.errors import EstateError

    try:
        return int(arguments.run(arguments))
    except EstateError as error:
        print(f"estate645 {arguments.command}: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
