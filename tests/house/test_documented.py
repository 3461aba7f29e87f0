"""Settings, commands, options and pages are documented, or this fails."""

import argparse
import re

from bench.__main__ import BENCHES
from server.__main__ import build_parser
from server.config import SETTINGS
from sim.__main__ import COMMANDS as SIMULATOR_COMMANDS
from sim.__main__ import _parser as simulator_parser
from sim.control.api import ROUTES
from tests.house.sources import ROOT

REFERENCE = (ROOT / "docs" / "reference.md").read_text("utf-8")
READMES = [(ROOT / name).read_text("utf-8") for name in ("README.md", "README.zh-CN.md")]


def options_of(parser):
    return {option for action in parser._actions for option in action.option_strings if option.startswith("--")}


def test_every_setting_is_documented():
    assert [one.name for one in SETTINGS if f"| `{one.name}` |" not in REFERENCE] == []


def test_every_command_is_documented():
    [subparsers] = [a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction)]
    assert [name for name in subparsers.choices if f"`estate645 {name} " not in REFERENCE] == []


def test_every_option_of_the_simulator_is_documented():
    assert sorted(o for o in options_of(simulator_parser()) - {"--help"} if f"`{o}" not in REFERENCE) == []


def test_every_command_of_the_simulator_is_documented():
    assert [name for name in SIMULATOR_COMMANDS if f"`estate645-sim {name} " not in REFERENCE] == []


def test_every_bench_is_documented():
    assert [name for name in BENCHES if f"python -m bench {name}" not in READMES[0] + REFERENCE] == []


def test_both_readmes_show_the_same_commands_and_pictures():
    found = [
        sorted(set(re.findall(r"estate645 [a-z]+|make [a-z-]+|docs/[\w./-]+?(?=\.(?:en|zh)\.png)", text)))
        for text in READMES
    ]
    assert found[0] == found[1]


def test_every_route_of_the_control_api_is_documented():
    manual = (ROOT / "docs" / "simulator.md").read_text("utf-8")
    assert [f"{verb} {path}" for verb, path in ROUTES if f"| `{verb} {path}" not in manual] == []
