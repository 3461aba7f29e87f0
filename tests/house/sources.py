"""The project's own sources as the house rules see them: what git tracks, or would track."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("core", "sim", "server", "bench", "tests")


def tracked(*suffixes: str) -> list[Path]:
    """Files of the working tree with one of `suffixes` that git does not ignore (all files when no git is there)."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
        paths = [ROOT / name for name in listed]
    except (OSError, subprocess.CalledProcessError):
        paths = [path for package in PACKAGES for path in (ROOT / package).rglob("*")]
    return sorted({path for path in paths if path.suffix in suffixes and path.is_file()})


def python_of(*packages: str) -> list[Path]:
    """Python files of the named top-level packages, or below a path such as `server/domain`."""
    return [
        path for path in tracked(".py") if any(path.relative_to(ROOT).as_posix().startswith(f"{p}/") for p in packages)
    ]


def name(path: Path) -> str:
    """Path relative to the root, for messages."""
    return path.relative_to(ROOT).as_posix()
