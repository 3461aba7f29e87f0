"""Revisions of the schema are one chain without gaps, each in the file of its number."""

import ast
import re

from tests.house.sources import ROOT


def test_revisions_are_one_chain():
    found = []
    for path in sorted((ROOT / "server/store/migrations/versions").glob("m*.py")):
        names = {
            node.targets[0].id: ast.literal_eval(node.value)
            for node in ast.parse(path.read_text("utf-8")).body
            if isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and "revision" in node.targets[0].id
        }
        number = re.match(r"m(\d{4})_", path.name)[1]
        found.append((number, names["revision"], names["down_revision"]))
    numbers = [f"{number:04d}" for number in range(1, len(found) + 1)]
    assert found == list(zip(numbers, numbers, [None, *numbers[:-1]], strict=True))
