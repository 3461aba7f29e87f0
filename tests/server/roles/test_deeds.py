"""What the web writes can travel to the process that writes: flows by name, never a function made inside another."""

import ast
from importlib import import_module

from server.transport.parcel import pack, unpack
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


def flows_of(path):
    """The functions that the web hands to the writer in this file."""
    module = import_module(name(path).removesuffix("/__init__.py").removesuffix(".py").replace("/", "."))
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("Deed", "state.writer.submit_alike"):
            first, _, rest = ast.unparse(node.args[0]).partition(".")
            found = getattr(module, first, None)
            if found is not None:
                yield getattr(found, rest) if rest else found


def test_the_writer_takes_every_flow_that_the_web_hands_over():
    found = {flow for path in python_of("server/web") for flow in flows_of(path)}
    assert len(found) > 50
    assert [flow for flow in found if unpack(pack(flow)) is not flow] == []
