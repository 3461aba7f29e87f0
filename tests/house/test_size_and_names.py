"""Small things with good names: file and function size, banned words, module docstrings."""

import ast
import re

import pytest

from tests.house.sources import ROOT, name, python_of, tracked

LINES_OF_A_FILE_MAX = 400
LINES_OF_A_FUNCTION_MAX = 70
BANNED_NAMES = {"utils", "helpers", "manager", "base", "common"}
UNFINISHED = re.compile(r"\b(TOD[O]|FIXM[E]|XX[X]|HAC[K])\b|raise NotImplementedErro[r]")
MACHINE_PATHS = re.compile(r"/(work|root|farm)/[a-z]")


@pytest.mark.parametrize("path", tracked(".py", ".pyx", ".js", ".css", ".html", ".pxd"), ids=name)
def test_file_is_not_too_long(path):
    if path.name == "package-lock.json":
        return
    assert len(path.read_text("utf-8").splitlines()) <= LINES_OF_A_FILE_MAX


def functions(path):
    tree = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, node.end_lineno - node.lineno + 1


@pytest.mark.parametrize("path", python_of("core", "sim", "server", "bench", "tests"), ids=name)
def test_functions_are_not_too_long(path):
    assert {f: n for f, n in functions(path) if n > LINES_OF_A_FUNCTION_MAX} == {}


def cython_functions(path):
    lines = path.read_text("utf-8").splitlines()
    starts = [i for i, text in enumerate(lines) if re.match(r"(cdef|cpdef|def) .*\(", text)]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        body = end
        for index in range(start + 1, end):
            if lines[index] and not lines[index][0].isspace() and lines[index][0] not in ")#":
                body = index
                break
        yield lines[start], body - start


@pytest.mark.parametrize("path", tracked(".pyx"), ids=name)
def test_cython_functions_are_not_too_long(path):
    assert {f: n for f, n in cython_functions(path) if n > LINES_OF_A_FUNCTION_MAX} == {}


def test_no_file_has_a_name_that_says_nothing():
    offenders = [
        name(path)
        for path in python_of("core", "sim", "server", "bench", "tests")
        if BANNED_NAMES & set(path.relative_to(ROOT).with_suffix("").parts)
    ]
    assert offenders == []


@pytest.mark.parametrize("path", python_of("core", "sim", "server", "bench"), ids=name)
def test_module_says_its_model(path):
    assert ast.get_docstring(ast.parse(path.read_text("utf-8")))


def test_nothing_is_left_unfinished():
    offenders = [
        f"{name(path)}:{number}"
        for path in tracked(".py", ".pyx", ".js", ".html", ".toml", ".md")
        for number, text in enumerate(path.read_text("utf-8").splitlines(), 1)
        if UNFINISHED.search(text)
    ]
    assert offenders == []


def test_no_machine_path_in_the_tree():
    offenders = [
        f"{name(path)}:{number}"
        for path in tracked(".py", ".pyx", ".js", ".html", ".toml", ".md", ".json", ".css")
        for number, text in enumerate(path.read_text("utf-8").splitlines(), 1)
        if MACHINE_PATHS.search(text) and path.name != "test_size_and_names.py"
    ]
    assert offenders == []
