"""Copies of `core` and the tests with compiled modules built to be watched, away from the normal build.

`sanitized` has AddressSanitizer and UndefinedBehaviorSanitizer, which stop the process at the first finding, and edge
counters for the fuzzer. `traced` tells coverage about every line of the `.pyx` files. A copy is built again only when
its sources changed, by one process at a time. `python -m tests.instrumented KIND` prints the folder of a copy.
"""

import argparse
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COPIES = ROOT / ".fuzz"
SOURCES = (".pyx", ".pxd", ".h")
SANITIZERS = ("-fsanitize=address,undefined",)
CC = os.environ.get("CC", "cc")


@dataclass(frozen=True, slots=True)
class Kind:
    """How to compile, and what Cython is told."""

    compile_args: tuple[str, ...]
    link_args: tuple[str, ...] = ()
    directives: dict[str, bool] = field(default_factory=dict)


KINDS = {
    "sanitized": Kind(
        (
            "-O1",
            "-g",
            "-fno-omit-frame-pointer",
            *SANITIZERS,
            "-fno-sanitize-recover=all",
            "-fsanitize-coverage=trace-pc",
        ),
        SANITIZERS,
    ),
    "traced": Kind(("-O0", "-DCYTHON_TRACE_NOGIL=1", "-DCYTHON_USE_SYS_MONITORING=0"), directives={"linetrace": True}),
}


def copy(kind: str) -> Path:
    """The folder of an up-to-date copy: core (compiled), tests and pyproject.toml."""
    COPIES.mkdir(exist_ok=True)
    with (COPIES / f"{kind}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _up_to_date(kind)


def _up_to_date(kind: str) -> Path:
    folder = COPIES / kind
    stamp, key = folder / "built", _key(kind)
    if not stamp.exists() or stamp.read_text() != key:
        shutil.rmtree(folder, ignore_errors=True)
        _refresh(folder)
        subprocess.run(
            [sys.executable, str(folder / "tests/instrumented.py"), kind, "--compile"],
            cwd=folder,
            check=True,
            env=_env(),
        )
        if kind == "sanitized":
            _library(folder, "counters", ("-O2",))
            _library(folder, "probe", KINDS[kind].compile_args)
        stamp.write_text(key)
    _refresh(folder)
    _renew(
        ROOT / "pyproject.toml", folder / "pyproject.toml"
    )  # pytest's settings; setuptools would take it for its own
    return folder


def _library(folder: Path, name: str, arguments: tuple[str, ...]) -> None:
    source, library = folder / f"tests/fuzz/{name}.c", folder / f"{name}.so"
    subprocess.run([CC, *arguments, "-shared", "-fPIC", str(source), "-o", str(library)], check=True)


def environment(folder: Path) -> dict[str, str]:
    """What a child needs to run inside a copy; a sanitized one needs its run-time library before all others."""
    child = {**_env(), "PYTHONPATH": str(folder)}
    if folder.name == "sanitized":
        counters = str(folder / "counters.so")
        child |= {
            "LD_PRELOAD": f"{sanitizer_library()} {counters}",
            "E645_COUNTERS": counters,
            # the interpreter frees little at its end; only accesses and arithmetic are judged
            "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0:quarantine_size_mb=16",
            "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
        }
    return child


def sanitizer_library() -> str:
    """Where GCC keeps AddressSanitizer; an empty text when the compiler has none."""
    shown = subprocess.run([CC, "-print-file-name=libasan.so"], capture_output=True, text=True, check=False).stdout
    return str(Path(shown.strip()).resolve()) if os.path.isabs(shown.strip()) else ""


def _env() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in ("CFLAGS", "LDFLAGS", "LD_PRELOAD")}


def _key(kind: str) -> str:
    digest = hashlib.sha256(f"{KINDS[kind]} {sys.version} {CC}".encode())
    sources = [path for path in (ROOT / "core").iterdir() if path.suffix in SOURCES]
    for path in sorted([*sources, *(ROOT / "tests/fuzz").glob("*.c")]):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def _refresh(folder: Path) -> None:
    """Bring the Python files and tests up to date; what is compiled stays."""
    skip = shutil.ignore_patterns("*.so", "_*.c", "__pycache__", ".*")
    for name in ("core", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=skip, dirs_exist_ok=True, copy_function=_renew)


def _renew(source: str | Path, target: str | Path) -> None:
    """Copy what has changed; what has not may be read by somebody else right now."""
    was, now = Path(target), os.stat(source)
    if not was.exists() or (was.stat().st_mtime_ns, was.stat().st_size) != (now.st_mtime_ns, now.st_size):
        shutil.copy2(source, target)


def compile_here(kind: str) -> None:
    """Compile every module of the current folder's `core` in place."""
    from Cython.Build import cythonize
    from setuptools import Extension, setup

    chosen = KINDS[kind]
    modules = [
        Extension(
            f"core.{path.stem}",
            [str(path)],
            include_dirs=["core"],
            extra_compile_args=list(chosen.compile_args),
            extra_link_args=list(chosen.link_args),
        )
        for path in sorted(Path("core").glob("*.pyx"))
    ]
    directives = {"language_level": "3", "freethreading_compatible": True, **chosen.directives}
    setup(
        name="watched",
        packages=["core"],
        script_args=["-q", "build_ext", "--inplace"],
        ext_modules=cythonize(modules, compiler_directives=directives, quiet=True),
    )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=sorted(KINDS))
    parser.add_argument("--compile", action="store_true", help="compile the current folder, which is a copy")
    arguments = parser.parse_args()
    if arguments.compile:
        compile_here(arguments.kind)
    else:
        print(copy(arguments.kind))


if __name__ == "__main__":
    main()
