"""What the web writes can travel to the process that writes: flows by name, never a function made inside another."""

import ast

from tests.house.sources import name, python_of


def nameless_works(text):
    """Lines of lambdas and inner functions that take a unit."""
    tree = ast.parse(text)
    outer = {id(node) for node in tree.body}
    for node in ast.walk(tree):
        is_inner = isinstance(node, ast.Lambda) or (isinstance(node, ast.FunctionDef) and id(node) not in outer)
        if is_inner and [one.arg.removeprefix("_") for one in node.args.args][:1] == ["unit"]:
            yield node.lineno


def test_the_web_writes_by_names():
    found = {name(path): list(nameless_works(path.read_text("utf-8"))) for path in python_of("server/web")}
    assert {path: lines for path, lines in found.items() if lines} == {}, "write Deed(flow, ...) instead of lambda unit"


def test_a_function_without_a_name_is_found():
    assert list(nameless_works("def f():\n    def work(unit): ...\n    run(lambda unit: 1)\ndef g(unit): ...")) == [
        2,
        3,
    ]
