"""Without its compiled modules the package stops at import and names the command that builds them."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import core

SOURCES = Path(core.__file__).parent


def copy_without(folder, *left_out):
    """A copy of the package where the named compiled modules are missing."""
    shutil.copytree(SOURCES, folder / "core", ignore=shutil.ignore_patterns("__pycache__", "*.c"))
    for name in left_out:
        compiled = list((folder / "core").glob(f"{name}.*.so")) + list((folder / "core").glob(f"{name}.*.pyd"))
        assert compiled, f"{name} is not compiled at all"
        for file in compiled:
            file.unlink()


def import_core(folder):
    program = "import core; print(core.__file__)"
    return subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("missing", ["_crc", "_deduct", "_isa", "_scan"])
def test_a_missing_extension_fails_loudly(tmp_path, missing):
    copy_without(tmp_path, missing)
    result = import_core(tmp_path)
    assert result.returncode != 0
    assert f"core.{missing} is missing" in result.stderr
    assert "python setup.py build_ext --inplace" in result.stderr


def test_the_copy_works_when_nothing_is_missing(tmp_path):
    copy_without(tmp_path)
    result = import_core(tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == str(tmp_path / "core" / "__init__.py")
