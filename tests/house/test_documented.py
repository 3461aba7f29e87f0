"""What there is, is documented, and what is documented, is there: settings, commands, options, keys, pages, files."""

import argparse
import re
import tomllib

from fastapi.routing import APIRoute

from bench.__main__ import BENCHES
from server.__main__ import build_parser
from server.config import SETTINGS
from server.intake import estate_keys, estate_limits
from server.intake.estate_file import TABLES
from server.web.site import ROUTERS, routes_of
from sim.__main__ import COMMANDS as SIMULATOR_COMMANDS
from sim.__main__ import _parser as simulator_parser
from sim.control.api import ROUTES
from tests.house.sources import ROOT

REFERENCE = (ROOT / "docs" / "reference.md").read_text("utf-8")
EXAMPLE = (ROOT / "docs" / "estate.example.toml").read_text("utf-8")
READMES = [(ROOT / name).read_text("utf-8") for name in ("README.md", "README.zh-CN.md")]
OPTION = re.compile(r"--[a-z][a-z-]+")


def options_of(parser):
    return {option for action in parser._actions for option in action.option_strings if option.startswith("--")}


def commands():
    [subparsers] = [a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction)]
    return subparsers.choices


def codes(text):
    return re.findall(r"`([^`\n]+)`", text)


def section(heading):
    """From a heading of the second level to the next one."""
    return re.split(r"^## ", REFERENCE.split(f"\n## {heading}\n", 1)[1], maxsplit=1, flags=re.M)[0]


def test_every_setting_is_documented_and_no_other():
    told = re.findall(r"^\| `(\w+)` \|", section("Settings of the server"), re.M)
    assert sorted(told) == sorted(one.name for one in SETTINGS)


def test_every_command_is_documented_and_no_other():
    told = set(re.findall(r"^\| `estate645 (\w+) ", section("Commands"), re.M))
    assert told ^ set(commands()) == set()


def test_every_option_of_every_command_is_documented_and_no_other():
    told = {name: set() for name in commands()}
    for found in (re.match(r"(?:estate645 )?(\w+) (.*)", code) for code in codes(REFERENCE)):
        if found and found[1] in told:
            told[found[1]] |= set(OPTION.findall(found[2]))
    real = {name: options_of(parser) - {"--help"} for name, parser in commands().items()}
    assert {name: sorted(told[name] ^ real[name]) for name in real if told[name] != real[name]} == {}


def test_every_option_of_the_simulator_is_documented_and_no_other():
    told = {
        option
        for row in re.findall(r"^\| (`--[^|]*(?:\\\|[^|]*)*)", section("Simulator"), re.M)
        for option in OPTION.findall(row)
    }
    assert told ^ (options_of(simulator_parser()) - {"--help"}) == set()


def test_every_command_of_the_simulator_is_documented_and_no_other():
    assert set(re.findall(r"^\| `estate645-sim ([a-z]+) ", REFERENCE, re.M)) ^ set(SIMULATOR_COMMANDS) == {
        "audit",
        "replay",
        "compare",
    }


def test_every_bench_is_documented():
    told = {
        name
        for found in re.findall(r"^\| `python -m bench ([a-z\\|]+)", REFERENCE, re.M)
        for name in found.split("\\|")
    }
    assert told == set(BENCHES)


def test_every_key_of_an_estate_file_is_in_the_reference_or_in_the_example_and_every_table_in_the_example():
    named = set(re.findall(r"\w+", " ".join(codes(REFERENCE)))) | set(re.findall(r"^#? ?(\w+) = ", EXAMPLE, re.M))
    tables = [value for value in vars(estate_keys).values() if isinstance(value, tuple)] + [estate_limits.LIMITS]
    keys = {one.name for table in tables for one in table if isinstance(one, estate_keys.Key)}
    assert sorted(keys - named) == []
    assert {name for name in TABLES if not re.search(rf"^(?:# )?\[\[?{name}\]", EXAMPLE, re.M)} == set()
    assert tomllib.loads(re.sub(r"^# (?=\[|\w+ = )", "", EXAMPLE, flags=re.M))


def test_every_address_of_the_reference_is_served():
    served = [
        re.sub(r"\{[^}]*\}", "[^/]+", one.path) for one in routes_of(list(all_routes())) if isinstance(one, APIRoute)
    ]
    told = {
        code.removeprefix("GET ").removeprefix("POST ").removeprefix("PUT ").split("?")[0]
        for code in codes(section("Pages and API"))
        if re.fullmatch(r"(?:(?:GET|POST|PUT) )?/[\w/.-]+(?:\?.*)?", code)
    }
    assert len(told) > 20
    assert [path for path in sorted(told) if not any(re.fullmatch(one, path) for one in served)] == []


def all_routes():
    for router in ROUTERS:
        yield from router.routes


def test_both_readmes_show_the_same_commands_and_pictures():
    found = [
        sorted(set(re.findall(r"estate645 [a-z]+|make [a-z-]+|docs/[\w./-]+?(?=\.(?:en|zh)\.png)", text)))
        for text in READMES
    ]
    assert found[0] == found[1]


def test_every_route_of_the_control_api_is_documented():
    manual = (ROOT / "docs" / "simulator.md").read_text("utf-8")
    assert [f"{verb} {path}" for verb, path in ROUTES if f"| `{verb} {path}" not in manual] == []


def test_every_file_that_the_walk_through_the_code_names_is_there_and_has_what_it_says():
    walk = (ROOT / "docs" / "how-it-works.md").read_text("utf-8")
    paths = {one for one in codes(walk) if re.fullmatch(r"(?:core|sim|server|tests)/[\w./-]*", one)}
    assert len(paths) > 40
    assert [one for one in sorted(paths) if not (ROOT / one).exists()] == []
    pairs = re.findall(r"`(\w+)`\s+of\s+`([\w/]+\.py)`", walk)
    assert len(pairs) > 10
    text = {path: (ROOT / path).read_text("utf-8") for _, path in pairs}
    assert [
        pair for pair in pairs if not re.search(rf"(?:def|class) {pair[0]}\b|^{pair[0]}\b", text[pair[1]], re.M)
    ] == []
