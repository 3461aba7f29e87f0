"""The campaigns of a night, from the first to the last: `python -m tests.long_run [PART ...]`, or `make test-long`.

Every piece of a campaign is a pytest process of its own, so many at once as there are cores, the longest first; those
that must not be disturbed come last, one after another. A failure stops nothing. What has passed for the same sources
is not run again, so that a night that was cut short goes on where it ended. In `.long`: the output of each piece,
`results.jsonl` with one line for each piece that ended, `summary.txt`.
"""

import argparse
import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.long_plan import ROOT, campaign_of, marked

FOLDER = ROOT / ".long"
SOURCES = ("core", "sim", "server", "bench", "tests", "setup.py", "pyproject.toml")
MEMORY_BYTES_MIN = 4 << 30  # for the databases of pieces that need no disk
HANGS_AFTER = 12  # times its estimate, and never before two hours
HANGS_S_MIN = 7200
LOOK_S = 0.2
PYTEST = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout", "0")
PASSED, FAILED, SKIPPED, HUNG = "passed", "failed", "skipped", "hung"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a piece."""

    sources: str
    piece: str
    outcome: str
    wall_s: float
    cpu_s: float
    ended: str


class Night:
    """Runs pieces and tells of them."""

    def __init__(self, sources: str, expected_s: dict[str, float], jobs: int) -> None:
        self.outcomes: list[Outcome] = []
        self._sources, self._expected_s, self._jobs = sources, expected_s, jobs
        self._lock, self._stopped = threading.Lock(), threading.Event()
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def run(self, pieces: list[str]) -> None:
        """All pieces; returns early only when it is stopped."""
        order = sorted(pieces, key=lambda piece: -self._expected_s[piece])
        for jobs, alone in ((self._jobs, False), (1, True)):
            waiting = [piece for piece in order if campaign_of(piece).alone is alone]
            workers = [threading.Thread(target=self._work, args=(waiting,)) for _ in range(min(jobs, len(waiting)))]
            for worker in workers:
                worker.start()
            for worker in workers:
                while worker.is_alive():
                    worker.join(LOOK_S)  # so that a signal is heard

    def stop(self) -> None:
        """End what runs and begin nothing more."""
        self._stopped.set()

    def _work(self, waiting: list[str]) -> None:
        while not self._stopped.is_set():
            with self._lock:
                if not waiting:
                    return
                piece = waiting.pop(0)
            outcome = self._piece(piece)
            if outcome is not None:
                self._note(outcome)

    def _piece(self, piece: str) -> Outcome | None:
        """Run one piece to its end; None when it was stopped."""
        began, log = time.monotonic(), log_of(piece)
        limit_s = max(HANGS_S_MIN, HANGS_AFTER * self._expected_s[piece])
        with room(on_disk=campaign_of(piece).alone) as folder, log.open("wb") as output:
            child = subprocess.Popen(
                [*PYTEST, f"--basetemp={folder}/pieces", piece], cwd=ROOT, stdout=output,
                stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
            hung = False
            while True:
                pid, status, used = os.wait4(child.pid, os.WNOHANG)
                if pid:
                    child.returncode = os.waitstatus_to_exitcode(status)
                    break
                hung = time.monotonic() - began > limit_s
                if hung or self._stopped.is_set():
                    _, _, used = _end(child)
                    break
                time.sleep(LOOK_S)
        if self._stopped.is_set() and child.returncode != 0:
            return None
        word = HUNG if hung else _word(child.returncode, log)
        wall_s, cpu_s = time.monotonic() - began, used.ru_utime + used.ru_stime
        ended = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        return Outcome(self._sources, piece, word, round(wall_s, 1), round(cpu_s, 1), ended)

    def _note(self, outcome: Outcome) -> None:
        with self._lock:
            self.outcomes.append(outcome)
            with (FOLDER / "results.jsonl").open("a") as file:
                print(json.dumps(asdict(outcome)), file=file)
            done = {one.piece for one in self.outcomes}
            left_s = sum(takes_s for piece, takes_s in self._expected_s.items() if piece not in done)
            print(
                f"[{len(done)}/{len(self._expected_s)}] {outcome.outcome:7} {outcome.wall_s:8.0f} s  "
                f"{short(outcome.piece)}  (about {spelled(left_s / self._jobs)} to go)",
                flush=True,
            )


def _end(child: "subprocess.Popen[bytes]") -> tuple[int, int, Any]:
    """Kill a piece with all that it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    ended = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(ended[1])
    return ended


def _word(code: int, log: Path) -> str:
    if code:
        return FAILED
    last = log.read_text("utf-8", "replace").rstrip().rpartition("\n")[2]
    return PASSED if re.search(r"\d+ passed", last) else SKIPPED


@contextlib.contextmanager
def room(*, on_disk: bool) -> Iterator[Path]:
    """A folder for the files of a piece, in memory where that is allowed and there is room."""
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > MEMORY_BYTES_MIN
    folder = Path(tempfile.mkdtemp(prefix="e645long", dir=memory if roomy and not on_disk else None))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def log_of(piece: str) -> Path:
    """Where the output of a piece goes."""
    return FOLDER / f"{re.sub(r'[^A-Za-z0-9.-]+', '_', short(piece))}.log"


def short(piece: str) -> str:
    """A piece without the folders of its file."""
    return piece.rpartition("/")[2]


def spelled(seconds: float) -> str:
    """Hours and minutes."""
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"


def collected() -> list[str]:
    """The pieces of all campaigns, as pytest names them."""
    files = sorted({str(path.relative_to(ROOT)) for path in marked().values()})
    listed = subprocess.run(
        [*PYTEST, "--collect-only", "-m", "long", *files], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        raise SystemExit(f"the campaigns cannot be collected:\n{listed.stdout}{listed.stderr}")
    return [line for line in listed.stdout.splitlines() if "::" in line]


def sources_key() -> str:
    """What the sources are: the same key, the same results; without git never the same."""
    digest = hashlib.sha256()
    for command in (("ls-files", "-s", "--", *SOURCES), ("diff", "HEAD", "--", *SOURCES)):
        done = subprocess.run(["git", *command], cwd=ROOT, capture_output=True, check=False)
        digest.update(done.stdout if not done.returncode else os.urandom(16))
    return digest.hexdigest()[:16]


def results() -> list[Outcome]:
    """All that ever ended here, oldest first."""
    path = FOLDER / "results.jsonl"
    return [Outcome(**json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []


def summary(pieces: list[str], outcomes: dict[str, Outcome]) -> tuple[str, bool]:
    """What a reader in the morning wants to know, and whether all of it passed."""
    words = [outcomes[piece].outcome if piece in outcomes else "not run" for piece in pieces]
    counts = ", ".join(f"{words.count(word)} {word}" for word in dict.fromkeys(words))
    cpu_s = sum(outcomes[piece].cpu_s for piece in pieces if piece in outcomes)
    lines = [f"{len(pieces)} pieces: {counts}; {spelled(cpu_s)} of CPU"]
    for piece, word in zip(pieces, words, strict=True):
        if word != PASSED:
            lines.append(f"  {word}: {piece}" + ("" if word == "not run" else f", see {log_of(piece)}"))
    campaigns: dict[str, list[str]] = {}
    for piece in pieces:
        campaigns.setdefault(short(piece).partition("[")[0], []).append(piece)
    for campaign, own in campaigns.items():
        ended = [outcomes[piece] for piece in own if piece in outcomes]
        passed = sum(one.outcome == PASSED for one in ended)
        lines.append(f"  {passed} of {len(own)}, {sum(one.cpu_s for one in ended):.0f} s of CPU: {campaign}")
    return "\n".join(lines), set(words) <= {PASSED}


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.long_run", description=__doc__)
    parser.add_argument("part", nargs="*", help="only pieces whose name holds one of these words, such as fuzz or cuts")
    parser.add_argument("--list", action="store_true", help="print the plan and run nothing")
    parser.add_argument("--again", action="store_true", help="run also what has passed for these sources")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="pieces at once (default: one a core)")
    arguments = parser.parse_args()
    pieces = [one for one in collected() if not arguments.part or any(part in one for part in arguments.part)]
    if not pieces:
        parser.error(f"no campaign is called {' or '.join(arguments.part)}; --list shows all")
    FOLDER.mkdir(exist_ok=True)
    sources, known = sources_key(), results()
    passed = {one.piece: one for one in known if one.sources == sources and one.outcome == PASSED}
    held = {} if arguments.again else {piece: passed[piece] for piece in pieces if piece in passed}
    walls_s: dict[str, list[float]] = {}
    for one in known:
        if one.outcome == PASSED:
            walls_s.setdefault(one.piece, []).append(one.wall_s)
    todo = {
        piece: min(walls_s.get(piece, [float(campaign_of(piece).takes_s)])) for piece in pieces if piece not in held
    }
    plan(pieces, todo, arguments.jobs)
    if arguments.list:
        return 0
    night = Night(sources, todo, arguments.jobs)
    before = {number: signal.signal(number, lambda *_: night.stop()) for number in (signal.SIGINT, signal.SIGTERM)}
    night.run(list(todo))
    for number, handler in before.items():
        signal.signal(number, handler)
    told, sound = summary(pieces, held | {one.piece: one for one in night.outcomes})
    (FOLDER / "summary.txt").write_text(f"{told}\n")
    print(f"\n{told}")
    return 0 if sound else 1


def plan(pieces: list[str], todo: dict[str, float], jobs: int) -> None:
    """Say what will be run and how long it may take."""
    if len(pieces) > len(todo):
        print(
            f"{len(pieces) - len(todo)} of {len(pieces)} pieces have passed for these sources (--again runs them too)"
        )
    campaigns: dict[str, list[float]] = {}
    for piece, takes_s in todo.items():
        campaigns.setdefault(short(piece).partition("[")[0], []).append(takes_s)
    for campaign, costs in sorted(campaigns.items(), key=lambda item: -sum(item[1])):
        print(f"{spelled(sum(costs)):>12}  {len(costs):3} x {campaign}")
    together = [takes_s for piece, takes_s in todo.items() if not campaign_of(piece).alone]
    alone_s = sum(todo.values()) - sum(together)
    about_s = max(sum(together) / jobs, max(together, default=0.0)) + alone_s
    print(f"{len(todo)} pieces of {spelled(sum(todo.values()))}; about {spelled(about_s)} with {jobs} at once")


if __name__ == "__main__":
    sys.exit(main())
