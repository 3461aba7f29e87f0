"""Sets the demo up: a fresh folder, keys, estate, database, clock; then the three processes that play it.

Simulator, payment provider and head-end are processes of their own that meet on pseudo-terminals and HTTP only.
The folder `.demo` keeps the last database until the next start; ports are symlinks that vanish with the simulator.
"""

import fcntl
import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import httpx
import tomli_w

from server.cli.demo import interrupt, processes
from server.cli.demo.estate import FACTOR, SEED, STORY, WORLD_START, Play, households
from server.cli.demo.files import write_head_end, write_simulator
from server.clock import Now
from server.errors import ConfigError
from server.flows.estates import import_estate
from server.intake.estate_file import read_estate
from server.intake.secrets import without_passwords
from server.keyring import Keyring
from server.signing.ed25519 import generate_key_pair
from server.store.engine import open_engine, upgrade
from server.store.writer import Writer

LOCK = "lock"
START_AHEAD_S = 0.2


@dataclass(slots=True)
class Stage:
    """The running demo: where everything is, and the children in the order in which they are stopped."""

    folder: Path
    lock: IO[str]
    url: str = ""
    simulator_url: str = ""
    children: list[processes.Child] = field(default_factory=list)

    @property
    def database_url(self) -> str:
        """The demo's database."""
        return database_url(self.folder)

    def head_end(self) -> processes.Child:
        """The server's process."""
        return next(child for child in self.children if child.name == "server")

    def truth(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Ask the simulator for the truth."""
        url = f"{self.simulator_url}{path}"
        answer = httpx.get(url, timeout=30) if body is None else httpx.post(url, json=body, timeout=60)
        answer.raise_for_status()
        return answer.json()

    def start(self, name: str, command: Sequence[str]) -> processes.Child:
        """Start a child that `close` stops before those that it may need; Ctrl-C never falls between the two."""
        with interrupt.held():
            child = processes.start(name, command, self.folder)
            self.children.insert(0, child)
        return child

    def close(self) -> dict[str, int]:
        """Stop every child, the server first; returns exit codes."""
        codes = processes.stop_all(self.children)
        self.lock.close()
        return codes


def database_url(folder: Path) -> str:
    """The database of a demo folder."""
    return f"sqlite:///{(folder / 'estate645.db').resolve()}"


def raise_curtain(stage: Stage, port: int, play: Play = STORY) -> None:
    """Start everything and wait until the server answers; whoever closes the stage stops what runs by then."""
    folder = stage.folder
    ports, keys = folder / "ports", folder / "keys"
    provider = stage.start(
        "provider",
        [
            "-m", "server.pay.sandbox_provider", "--port", "0",
            "--private-key", str(keys / "provider" / "private.pem"),
            "--merchant-key", str(keys / "merchant" / "public.pem"),
        ],
    )  # fmt: skip
    plan = households(cast=play.cast)
    write_simulator(folder / "simulator.toml", plan, play.troubles)
    write_head_end(folder / "estate", ports.resolve(), plan)
    _import(folder)
    pay_url = provider.wait_ready()["url"]
    write_anchor(folder / "anchor.json")
    simulator = stage.start(
        "simulator",
        [
            "-m", "sim", str(folder / "simulator.toml"), "--seed", str(SEED), "--run-dir", str(ports),
            "--anchor", str(folder / "anchor.json"),
        ],
    )  # fmt: skip
    stage.simulator_url = simulator.wait_ready()["control_url"]
    _write_settings(folder, pay_url, port)
    server = stage.start("server", ["-m", "server", "serve", "--config", str(folder / "server.toml")])
    stage.url = server.wait_ready()["url"]
    _wait_for_http(stage.url)


def prepare(folder: Path) -> Stage:
    """Lock the folder against a second demo and empty it; a folder that no demo has made is left as it is."""
    _refuse_foreign(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / LOCK).open("w", encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"{folder}: cannot be written ({error.strerror}); run the demo where you may write"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise ConfigError(f"a demo is running in {folder.resolve()} already; stop it with Ctrl-C there") from error
    for path in folder.iterdir():
        if path.name != LOCK:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    for name in ("merchant", "provider"):
        generate_key_pair(folder / "keys" / name)
    return Stage(folder, lock)


def _refuse_foreign(folder: Path) -> None:
    """ConfigError for a folder with somebody's files: each start of the demo empties its own."""
    try:
        foreign = folder.exists() and any(folder.iterdir()) and not (folder / LOCK).is_file()
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be read ({error.strerror}); name a folder of its own") from error
    if foreign:
        raise ConfigError(
            f"{folder} holds files that are not the demo's; it would delete them, so name a new or an empty folder"
        )


def _import(folder: Path) -> None:
    """Take the estate in, as `estate645 import` does, at the instant at which the world begins."""
    begin = Now(int(datetime.fromisoformat(WORLD_START).timestamp()), int(time.time() * 1000))
    document = read_estate(folder / "estate", begin.world_s)
    engine = open_engine(database_url(folder))
    try:
        upgrade(engine)
        ready = without_passwords(engine, Keyring(None), document)
        writer = Writer(engine)
        try:
            writer.run(lambda unit: import_estate(unit, ready, begin))
        finally:
            writer.stop()
    finally:
        engine.dispose()


def write_anchor(path: Path) -> None:
    """The world begins in a moment: Tuesday 09:05, at the demo's speed."""
    machine = datetime.fromtimestamp(time.time() + START_AHEAD_S, UTC)
    world = datetime.fromisoformat(WORLD_START).astimezone(UTC)
    text = json.dumps({"machine_utc": machine.isoformat(), "world_utc": world.isoformat(), "factor": FACTOR})
    path.write_text(text, "utf-8")


def _write_settings(folder: Path, pay_url: str, port: int) -> None:
    settings = {
        "database_url": database_url(folder),
        "port": port,
        "clock_anchor": "anchor.json",
        "sandbox_provider_url": pay_url,
        "sandbox_merchant_key": "keys/merchant/private.pem",
        "sandbox_provider_public_key": "keys/provider/public.pem",
    }
    (folder / "server.toml").write_text(tomli_w.dumps(settings), "utf-8")


def _wait_for_http(url: str, timeout_s: float = 30) -> None:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{url}/livez", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise ConfigError(f"{url} does not answer; see server.log in the demo folder")
