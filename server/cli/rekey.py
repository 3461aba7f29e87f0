"""`estate645 rekey`: lock the meter passwords of the database with the current key, and change keys.

`--new` puts a new key above the others in the key file first, and makes the file where there is none; `--forget` takes
out, last, the keys that nothing is locked with any more. `estate645 rekey --new --forget` is a whole rotation; whenever
it is interrupted, the file still has every key that is needed. A running server locks for us, since it writes alone.
Exit code 1 when a password could not be opened.
"""

import argparse
from pathlib import Path
from typing import Any

from server.admin.client import Admin
from server.cli.languages import LANGUAGES, told
from server.cli.languages import mark as _
from server.clock import Clock
from server.config import load
from server.errors import ConfigError
from server.flows.passwords import relock_passwords
from server.keyring import Keyring, key_path, new_key, read_keys, write_keys
from server.store.engine import open_engine, upgrade
from server.store.ownership import claim_writing
from server.store.writer import Writer


def add_parser(subparsers: Any) -> None:
    """Describe the command."""
    parser = subparsers.add_parser("rekey", help="lock meter passwords with the current key", description=__doc__)
    parser.add_argument("--new", action="store_true", help="put a new key into the key file first")
    parser.add_argument("--forget", action="store_true", help="take the older keys out of the file at the end")
    parser.add_argument("--keys", type=Path, metavar="FILE", help="key file, instead of the configured meter_keys")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings of the server")
    parser.add_argument("--database", metavar="URL", help="database to lock, instead of the configured one")
    parser.add_argument("--lang", choices=LANGUAGES, default="both", help="both unless given")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Change the key file and the database in the order in which nothing can be lost."""
    config = load(arguments.config)
    path = arguments.keys or key_path(config.meter_keys)
    if path is None:
        raise ConfigError("no key file is named; set meter_keys in the settings, or name one with --keys FILE")
    if arguments.new:
        write_keys(path, (new_key(), *(read_keys(path) if path.exists() else ())))
    keyring = Keyring(path)
    if keyring.trouble:
        raise ConfigError(keyring.trouble)
    done = _locked(arguments.database or config.database_url, keyring)
    say = _Say(arguments.lang)
    say(_("passwords locked with key %(key)s: %(locked)d, of them now: %(changed)d"), done | {"key": keyring.names[0]})
    for meter_id in done["unopened"]:
        say(_("meter %(meter)s: its password does not open with any key of the file; import it again"),
            {"meter": meter_id})  # fmt: skip
    if done["unopened"]:
        return 1
    if arguments.forget and len(keyring.names) > 1:
        write_keys(path, read_keys(path)[:1])
        say(_("older keys taken out of %(path)s: %(count)d"), {"count": len(keyring.names) - 1, "path": path})
    return 0


class _Say:
    """Prints one line in the languages asked for."""

    def __init__(self, lang: str) -> None:
        self._lang = lang

    def __call__(self, message: str, fields: dict[str, Any]) -> None:
        print(told(message, self._lang, **fields))


def _locked(url: str, keyring: Keyring) -> dict[str, Any]:
    """Lock in the running server, or alone where none runs."""
    admin = Admin.at(url)
    if admin is not None:
        try:
            return dict(admin.ask("rekey", key=keyring.names[0]))
        finally:
            admin.close()
    engine = open_engine(url)
    if engine.dialect.name == "sqlite" and not Path(engine.url.database or "").is_file():
        engine.dispose()
        return {"locked": 0, "changed": 0, "unopened": []}
    give_back = claim_writing(engine)
    try:
        upgrade(engine)
        writer = Writer(engine)
        try:
            done = writer.run(lambda unit: relock_passwords(unit, keyring.relock, Clock().now()))
        finally:
            writer.stop()
    finally:
        give_back()
        engine.dispose()
    return {"locked": done.locked, "changed": done.changed, "unopened": list(done.unopened)}
