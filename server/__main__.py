"""`estate645`: the command line of the head-end.

One file a command in `server.cli`; each offers `add_parser(subparsers)` and `run(args) -> int`. Errors that a
person can mend end with one line on standard error and exit code 2; numbers that do not agree end with 1. A command
that needs a package of the extra `server` says so when it is run; help and the others work without it.
"""

import argparse
import importlib
import os
import select
import sys
from collections.abc import Sequence
from importlib.metadata import version

OWN = ("core", "server")
INSTALL = "pip install 'estate645[server]'"
COMMANDS = (
    "demo", "serve", "import_", "verify", "heads", "migrate", "backup", "restore", "archive", "view", "scan", "read",
    "trace", "frame", "why", "explain", "reconcile", "doctor", "rekey",
)  # fmt: skip


class _Version(argparse.Action):
    """Looked up only when somebody asks, since other commands need not wait for it."""

    def __call__(self, parser: argparse.ArgumentParser, *_given: object) -> None:
        print(f"estate645 {version('estate645')}")
        parser.exit()


def build_parser(commands: Sequence[str] = COMMANDS) -> argparse.ArgumentParser:
    """The command line with one subparser for each of these commands: whoever runs one waits for no other to load."""
    parser = argparse.ArgumentParser(
        prog="estate645", description="Prepaid electricity for residential estates on DL/T 645 meters."
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version, and end")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in commands:
        try:
            importlib.import_module(f"server.cli.{name}").add_parser(subparsers)
        except ModuleNotFoundError as error:
            if (error.name or "").split(".")[0] in OWN:
                raise
            absent = subparsers.add_parser(name.strip("_"), help=f"needs {INSTALL}", add_help=False)
            absent.set_defaults(missing=error.name)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code. Ctrl-C at any moment, loading included, ends it without a traceback.

    So does a reader of the output who has seen enough, as `head` has: the exit code is then the one of SIGPIPE.
    """
    try:
        try:
            return _run(argv)
        finally:
            _flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        if _somebody_reads():
            raise
        return 141


def _flush() -> None:
    if sys.stdout is not None:
        sys.stdout.flush()


def _somebody_reads() -> bool:
    """Whether the output still goes somewhere; when not, what is left of it is thrown away instead of complained of."""
    try:
        output = sys.stdout.fileno()
    except (AttributeError, OSError):  # closed from the start, or something in memory
        return True
    poll = select.poll()
    poll.register(output, 0)
    if not poll.poll(0):
        return True
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, output)
    os.close(nowhere)
    return False


def _run(argv: Sequence[str] | None) -> int:
    given = sys.argv[1:] if argv is None else argv
    parser = build_parser([name for name in COMMANDS if name.strip("_") in given[:1]] or COMMANDS)
    arguments, rest = parser.parse_known_args(given)
    if missing := getattr(arguments, "missing", None):
        print(f"estate645 {arguments.command}: {missing} is missing; run: {INSTALL}", file=sys.stderr)
        return 2
    if rest:
        _usage_of(parser, arguments.command).error(f"unrecognized arguments: {' '.join(rest)}")
    from server.errors import EstateError

    try:
        return int(arguments.run(arguments))
    except EstateError as error:
        print(f"estate645 {arguments.command}: {_said(error, arguments)}", file=sys.stderr)
        return 2
    except OSError as error:
        if error.filename is None:
            raise
        print(f"estate645 {arguments.command}: {error.filename}: {error.strerror}", file=sys.stderr)
        return 2


def _usage_of(parser: argparse.ArgumentParser, command: str) -> argparse.ArgumentParser:
    """The parser that knows which arguments the command takes."""
    [subparsers] = [one for one in parser._actions if isinstance(one, argparse._SubParsersAction)]
    found: argparse.ArgumentParser = subparsers.choices[command]
    return found


def _said(error: Exception, arguments: argparse.Namespace) -> str:
    """The error in the language that was asked for, as far as it has more than one."""
    from server.cli.languages import error_in_chinese, said

    return said(str(error), error_in_chinese(error), getattr(arguments, "lang", "both"))


if __name__ == "__main__":
    sys.exit(main())
