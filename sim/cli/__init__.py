"""The commands of `estate645-sim` beside running an estate, one module each."""

import argparse
from typing import Protocol


class Command(Protocol):
    """What each module offers."""

    def parser(self) -> argparse.ArgumentParser:
        """The command's options."""

    def run(self, options: argparse.Namespace) -> int:
        """Do it; the exit status."""
