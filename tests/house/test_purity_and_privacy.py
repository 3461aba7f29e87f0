"""No clock and no randomness in core and server/domain; compiled modules stay behind core; the tree is ours."""

import ast
import tomllib

import pytest

import core
import server
import sim
from tests.house.sources import ROOT, name, python_of, tracked

IMPURE_MODULES = {"time", "random", "secrets", "socket", "asyncio", "logging", "os", "subprocess", "threading", "uuid"}
IMPURE_CALLS = {"now", "utcnow", "today"}


def impurities(text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] in IMPURE_MODULES)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in IMPURE_MODULES:
            yield node.module
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in IMPURE_CALLS
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id in ("datetime", "date")
        ):
            yield f"{node.func.value.id}.{node.func.attr}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("open", "print"):
            yield node.func.id


@pytest.mark.parametrize("path", python_of("core", "server/domain"), ids=name)
def test_no_clock_randomness_or_io(path):
    assert list(impurities(path.read_text("utf-8"))) == []


def test_the_check_finds_a_clock():
    assert list(impurities("import time\nfrom datetime import datetime\ndatetime.now()\nopen('x')")) == [
        "time",
        "datetime.now",
        "open",
    ]


def imported_names(text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", python_of("sim", "server", "bench"), ids=name)
def test_compiled_modules_stay_private_behind_core(path):
    private = {"core._crc", "core._deduct", "core._isa", "core._scan"} & set(imported_names(path.read_text("utf-8")))
    assert private == set()


def closure(module, seen):
    """Modules of ours that `module` reaches by import statements."""
    path = ROOT / (module.replace(".", "/") + ".py")
    path = path if path.is_file() else ROOT / module.replace(".", "/") / "__init__.py"
    if module in seen or not path.is_file():
        return seen
    seen.add(module)
    for wanted in imported_names(path.read_text("utf-8")):
        if wanted.split(".")[0] in ("core", "sim"):
            closure(wanted, seen)
            seen.add(wanted)
    return seen


def test_the_truth_reaches_nothing_that_it_judges():
    reached = closure("sim.truth", set())
    assert reached & {"core", "core.tariff", "core.reading", "core._deduct"} == set()
    assert "core.tariff" in closure("core.tariff", set())


def test_the_auditor_reaches_nothing_but_itself():
    reached = closure("sim.auditor", set())
    strange = {module for module in reached if not module.startswith("sim.auditor")}
    assert strange == {"sim.errors", "sim.errors.RecordingError"}
    assert "sim.auditor.pricing" in reached


def test_the_packages_come_from_this_tree():
    assert [module.__file__ for module in (core, sim, server)] == [
        str(ROOT / package / "__init__.py") for package in ("core", "sim", "server")
    ]


def test_each_compiled_module_has_a_stub():
    for path in tracked(".pyx"):
        assert path.with_suffix(".pyi").is_file(), f"{name(path)} has no .pyi beside it"


def test_every_dependency_has_a_reason():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = [*project["dependencies"], *(d for group in project["optional-dependencies"].values() for d in group)]
    reasons = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    names = {d.split(";")[0].split("[")[0].split(">")[0].split("<")[0].split("=")[0].strip() for d in wanted}
    assert sorted(n for n in names if f"`{n}`" not in reasons) == []
