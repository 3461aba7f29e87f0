"""The campaigns of `make test-long`: which there are, what they cost, and which must not run beside others.

Costs are seconds that one piece (a test with one set of parameters) takes on a core of its own, good enough to plan a
night; the quickest run on this machine counts instead. A campaign without an entry fails `tests/house`.
"""

import ast
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
UNKNOWN_S = 300


@dataclass(frozen=True, slots=True)
class Campaign:
    """One function marked `long`."""

    takes_s: int
    alone: bool = False  # on the disk as in service, with nobody beside it: it waits a minute at most for others


CAMPAIGNS = {
    "test_a_hundred_thousand_histories_agree_with_the_rules": Campaign(90),
    "test_twenty_thousand_steps_of_refunds_end_as_the_bank_has_it": Campaign(60),
    "test_no_wrong_value_is_charged_in_a_million_noisy_reads_without_parity": Campaign(15),
    "test_a_day_of_ten_thousand_meters_is_whole_after_healing": Campaign(400),
    "test_nobody_is_cut_wrongly_in_a_million_meter_days": Campaign(75),
    "test_five_thousand_kills": Campaign(120, alone=True),
    "test_two_hundred_kills": Campaign(60, alone=True),
    "test_fifty_thousand_cuts": Campaign(25),
    "test_ten_thousand_edits_of_one_byte_are_found": Campaign(40),
    "test_ten_thousand_edited_bytes_of_a_file_are_found": Campaign(50),
    "test_a_million_executions_under_the_sanitizers_find_nothing": Campaign(120),
    "test_a_long_campaign_guided_by_the_branches_of_the_decoders_finds_nothing": Campaign(120),
}


def marked() -> dict[str, Path]:
    """Every function of the tests that is marked `long`, and its file."""
    found = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        source = path.read_text("utf-8")
        if "mark.long" in source:
            functions = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef))
            found.update({one.name: path for one in functions if any(_is_long(mark) for mark in one.decorator_list)})
    return found


def _is_long(mark: ast.expr) -> bool:
    return ast.unparse(mark) == "pytest.mark.long"


def campaign_of(piece: str) -> Campaign:
    """The campaign that a piece (a pytest node id) belongs to."""
    return CAMPAIGNS.get(piece.rpartition("::")[2].partition("[")[0], Campaign(UNKNOWN_S))
