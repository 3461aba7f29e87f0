"""`estate645 doctor`: look at settings, database, ports, clock and limits; say what is wrong and how to mend it.

Without a database it looks at what is there; ports are those of the estate, and each PORT that is named. It changes
nothing and asks no meter, unless `--commission` walks through a checklist on PORT. Exit code 1 when something is wrong;
warnings and what this machine does not tell leave 0.
"""

import argparse
import json
import time
from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pysqlite3
from sqlalchemy import Connection, Engine, RowMapping, make_url
from sqlalchemy.exc import DBAPIError

from server.admin.client import Admin, AdminError
from server.cli import checkup, commission, gateway_checks
from server.cli.checkup import Finding
from server.cli.doctor_words import state_said, subject_said
from server.cli.languages import LANGUAGES, error_in_chinese, in_chinese, said
from server.cli.lines import refuse_served
from server.clock import Clock, anchor_from_file
from server.collect.port import LineSettings
from server.collect.serial_port import BAUDS, PARITY_FLAGS
from server.config import Config, load
from server.domain.anomalies import MESSAGE_GATEWAY
from server.errors import ConfigError, StorageUnavailable
from server.keyring import Keyring, key_path, looked_at
from server.store import notices
from server.store.cases import live_evidence
from server.store.condition import Condition, condition
from server.store.engine import open_engine, reader, unavailable, wal_reset_warning
from server.store.estates import list_buses, list_estates
from server.store.meters import MeterRow, list_meters
from server.store.months import waiting
from server.store.passwords import stored_passwords
from server.store.privileges import privileges
from server.store.statistics import queue

Buses = list[tuple[str, str, LineSettings]]


@dataclass(frozen=True, slots=True)
class Found:
    """What the database tells the later checks; empty without one."""

    buses: Buses
    condition: Condition | None = None
    estate_ids: tuple[str, ...] = ()
    waiting: tuple[gateway_checks.Waiting, ...] = ()


Looked = Generator[Finding, None, Found]


def add_parser(subparsers: Any) -> None:
    """Describe the command."""
    parser = subparsers.add_parser("doctor", help="say what is wrong and how to mend it", description=__doc__)
    parser.add_argument("ports", metavar="PORT", nargs="*", help="ports to look at beside those of the estate")
    parser.add_argument("--baud", type=int, choices=BAUDS, default=2400, help="of the ports named, default 2400")
    parser.add_argument("--parity", choices=tuple(PARITY_FLAGS), default="E", help="of the ports named, default E")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings of the server")
    parser.add_argument("--database", metavar="URL", help="database to look at, instead of the configured one")
    parser.add_argument("--lang", choices=LANGUAGES, default="both", help="both unless given")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    commission.add_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Look at everything and print it, or walk through the commissioning; 1 when something is wrong."""
    if arguments.commission:
        url = arguments.database or load(arguments.config).database_url
        for port in arguments.ports:
            refuse_served(port, url)
        return commission.run(arguments, commission.feeding(_known_meters(arguments)), url)
    findings = []
    for one in examine(arguments):
        findings.append(one)
        if not arguments.json:
            _show(one, arguments.lang)
    if arguments.json:
        print(json.dumps([asdict(one) for one in findings], ensure_ascii=False, indent=2))
    return 1 if any(one.state == "wrong" for one in findings) else 0


def examine(arguments: argparse.Namespace) -> Iterator[Finding]:
    """Every finding, in the order in which things are needed."""
    try:
        config = load(arguments.config)
    except ConfigError as error:
        yield Finding("settings", "wrong", str(error), f"设置有误：{error_in_chinese(error)}")
        return
    yield from checkup.settings(config, arguments.config)
    line = LineSettings(arguments.baud, arguments.parity)
    named: Buses = [(port, port, line) for port in arguments.ports]
    keyring = Keyring(key_path(config.meter_keys))
    url, now_ms = arguments.database or config.database_url, time.time_ns() // 1_000_000
    found = yield from _database(url, keyring, _world_s(config))
    yield from checkup.ports([*found.buses, *named], _held(url))
    yield from gateway_checks.message_gateway(config, found.estate_ids)
    yield from gateway_checks.waiting_notices(found.waiting)
    yield from checkup.clock(now_ms, None if found.condition is None else found.condition.newest_ms)
    yield from checkup.limits(len(found.buses) + len(named))


def _world_s(config: Config) -> int:
    """The time of the world that the server serves; that of this machine where its anchor cannot be read."""
    try:
        anchor = anchor_from_file(Path(config.clock_anchor)) if config.clock_anchor else None
    except ConfigError:
        anchor = None
    return Clock(anchor).now().world_s


def _database(url: str, keyring: Keyring, world_s: int) -> Looked:
    """Findings on the database."""
    try:
        engine = open_engine(url)
    except ConfigError as error:
        yield Finding("database", "wrong", str(error), f"数据库有误：{error_in_chinese(error)}")
        return Found([])
    try:
        path = Path(make_url(url).database or "")
        if engine.dialect.name == "sqlite":
            yield from checkup.disk(path)
            if not path.is_file():
                yield Finding(
                    "database", "warning", f"there is no database {path} yet", f"尚无数据库{path}",
                    "estate645 import estate.toml makes it", "执行 estate645 import estate.toml 即可创建",
                )  # fmt: skip
                return Found([])
        return (yield from _opened(engine, keyring, world_s))
    finally:
        engine.dispose()


def _opened(engine: Engine, keyring: Keyring, world_s: int) -> Looked:
    try:
        with reader(engine) as connection:
            found = condition(connection)
            known = found.revision is not None and found.revision == found.newest_revision
            held = privileges(connection) if known else None
            rest = waiting(connection) if known and (held is None or not held.lacking) else {}
            sites = list_estates(connection) if known else []
            buses: Buses = [
                (row["bus_id"], row["url"], LineSettings(row["baud"], row["parity"], row["stop_bits"]))
                for site in sites
                for row in list_buses(connection, site["estate_id"])
            ]
            waits = tuple(_waiting(connection, site, world_s) for site in sites)
            doubts = [live_evidence(connection, site["estate_id"]) for site in sites]
            looks = [
                looked_at(stored_passwords(connection, name), partial(keyring.unlock, name))
                for name in (site["estate_id"] for site in sites)
            ]
    except (DBAPIError, StorageUnavailable) as error:
        text = str(unavailable(engine, error) if isinstance(error, DBAPIError) else error)
        yield Finding("database", "wrong", text, f"数据库无法使用：{in_chinese(text)}")
        return Found([])
    yield from _condition(engine, found)
    if held is not None:
        yield from checkup.rewriting(held)
        yield from checkup.months(rest)
    for look in looks:
        yield from checkup.passwords(look, keyring)
    for evidence in filter(None, doubts):
        yield from checkup.clock_doubt(json.loads(evidence))
    for site in sites:
        yield from checkup.zone(site["time_zone"], int(time.time()))
    return Found(buses, found, tuple(site["estate_id"] for site in sites), waits)


def _waiting(connection: Connection, site: RowMapping, world_s: int) -> gateway_checks.Waiting:
    """Messages that wait, and those that have reached nobody."""
    name, now_ms = site["estate_id"], time.time_ns() // 1_000_000
    messages, since = notices.waiting_messages(connection, name, world_s)
    warnings, _ = notices.waiting_warnings(connection, name, world_s)
    evidence = live_evidence(connection, name, MESSAGE_GATEWAY)
    why = json.loads(evidence)["reason"] if evidence else ""
    failed = queue(connection, name, now_ms).undelivered
    return gateway_checks.Waiting(site["time_zone"], messages, warnings, since, failed, why)


def _condition(engine: Engine, found: Condition) -> Iterator[Finding]:
    where = engine.url.render_as_string(hide_password=True)
    if found.revision == found.newest_revision:
        yield Finding("database", "ok", f"{where}, revision {found.revision}", f"{where}，版本{found.revision}")
    elif found.revision is None or found.revision < (found.newest_revision or ""):
        yield Finding(
            "database", "warning", f"revision {found.revision}, the newest is {found.newest_revision}",
            f"版本{found.revision}，最新为{found.newest_revision}",
            "back it up; `estate645 serve` brings it to the newest", "请先备份；estate645 serve 会自动升级",
        )  # fmt: skip
    else:
        yield Finding(
            "database", "wrong", f"revision {found.revision} is newer than this program ({found.newest_revision})",
            f"数据库版本{found.revision}比程序（{found.newest_revision}）新",
            "use the release that wrote it, or a newer one", "请使用写入它的版本或更新的版本",
        )  # fmt: skip
    if engine.dialect.name != "sqlite":
        return
    if found.journal != "wal":
        yield Finding(
            "database", "warning", f"journal mode is {found.journal}, not WAL", f"日志模式为{found.journal}而非WAL",
            "keep it on a local disk, not on a network share; `estate645 serve` sets WAL",
            "请放在本地磁盘而非网络共享；estate645 serve 会设为WAL",
        )  # fmt: skip
    warning = wal_reset_warning(pysqlite3.sqlite_version_info)
    if warning:
        yield Finding("SQLite", "warning", warning, f"SQLite版本有缺陷：{in_chinese(warning)}")


def _known_meters(arguments: argparse.Namespace) -> list[MeterRow]:
    """The meters of the database, if there is one that can be read."""
    url = arguments.database or load(arguments.config).database_url
    engine = open_engine(url)
    try:
        if engine.dialect.name == "sqlite" and not Path(make_url(url).database or "").is_file():
            return []
        with reader(engine) as connection:
            found = condition(connection)
            if found.revision != found.newest_revision:
                raise ConfigError("the database is of another revision, so it cannot be asked whom a meter feeds; "
                                  "name the right one with --database URL")  # fmt: skip
            return [one for site in list_estates(connection) for one in list_meters(connection, site["estate_id"])]
    except DBAPIError as error:
        raise StorageUnavailable(str(unavailable(engine, error))) from error
    finally:
        engine.dispose()


def _held(url: str) -> dict[str, checkup.ServedBus]:
    """The buses that a running server has, and how they do; none where none runs or it may not be asked."""
    try:
        admin = Admin.at(url)
    except (AdminError, ConfigError):
        return {}
    if admin is None:
        return {}
    try:
        return {str(bus["bus"]): checkup.ServedBus.told(bus) for bus in admin.ask("buses")}
    except AdminError:
        return {}
    finally:
        admin.close()


def _show(one: Finding, lang: str) -> None:
    print(f"{state_said(one.state, lang)} {subject_said(one.subject, lang)}: {said(one.en, one.zh, lang)}")
    if one.mend_en:
        print(f"{'':8}-> {said(one.mend_en, one.mend_zh, lang)}")
