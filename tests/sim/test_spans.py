"""A span of time has one name, in one place."""

import ast
from pathlib import Path

from sim.timing import spans

ROOT = Path(__file__).parents[2] / "sim"
NAMES = {name for name in vars(spans) if name.isupper()}
FIGURES = {86_400, 86_400_000, 3_600_000, 1440}


def test_the_spans_are_what_they_say():
    assert (spans.MINUTE_MS, spans.HOUR_MS, spans.DAY_MS) == (60_000, 3_600_000, 86_400_000)
    assert (spans.MINUTE_S, spans.HOUR_S, spans.DAY_S, spans.WEEK_S) == (60, 3600, 86_400, 604_800)
    assert (spans.DAY_MINUTES, spans.MONTH_S, spans.YEAR_S_MAX) == (1440, 2_592_000, 31_622_400)


def test_no_other_module_of_the_simulator_makes_its_own():
    """But for the auditor, which shares nothing with what it judges."""
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        if "auditor" in path.parts or path.name == "spans.py":
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            targets = node.targets if isinstance(node, ast.Assign) else []
            named = {one.id for target in targets for one in ast.walk(target) if isinstance(one, ast.Name)}
            if named & NAMES or (isinstance(node, ast.Constant) and node.value in FIGURES):
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert found == []
