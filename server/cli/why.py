"""`estate645 why COMMAND`: why a relay was switched, decided once more from the evidence that was stored then.

COMMAND is METER:GEN, a meter's address and the number of the wish, or METER alone for its newest cut. The stored facts
go through the same rules again, check by check; what they say of ledger, readings, notices and approvals is compared
with the rows. Exit code 1 when evidence is missing, the replay differs or the books disagree; 2 when there is no such
command.
"""

import argparse
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from markupsafe import Markup
from sqlalchemy import Connection, RowMapping, make_url
from sqlalchemy.exc import DBAPIError

from server.cli.languages import LANGUAGES, said
from server.config import load
from server.domain.evidence import Replay, replay
from server.errors import ConfigError, NotFound, StorageUnavailable
from server.store import supply as kept
from server.store.books import against_books
from server.store.engine import open_engine, reader, unavailable
from server.store.estates import get_estate, list_estates
from server.store.household import RelayWish, relay_history
from server.store.meters import get_meter
from server.web.formats import Formats, kwh, yuan
from server.web.i18n import translations
from server.web.operator.decisions import check_in_words

HISTORY_MAX = 1000
_TONGUES = {"en": "en", "zh": "zh_CN"}
_STEPS = {
    "sent": "已发送", "accepted": "表已应答", "refused": "表拒绝", "no_reply": "无应答", "read_back": "已回读",
    "expired": "已过期", "superseded": "已被取代",
}  # fmt: skip
_ACTIONS = {"trip": "跳闸", "allow": "允许合闸", "close": "直接合闸"}


@dataclass(frozen=True, slots=True)
class Told:
    """One command, what its evidence gives again, and what the books do not bear out."""

    meter_id: str
    account_id: str
    room_id: str
    wish: RelayWish
    time_zone: str
    evidence: Mapping[str, Any]
    replay: Replay | None
    disagreements: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether a cut is borne out by its evidence; a command that gives power back needs none."""
        return self.replay is None or (self.replay.same and not self.disagreements)


def add_parser(subparsers: Any) -> None:
    """Describe the command."""
    parser = subparsers.add_parser("why", help="replay the decision behind a cut", description=__doc__)
    parser.add_argument("wish", metavar="COMMAND", help="METER:GEN, or METER for its newest cut")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings of the server")
    parser.add_argument("--database", metavar="URL", help="database to ask, instead of the configured one")
    parser.add_argument("--lang", choices=LANGUAGES, default="both", help="both unless given")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Look the command up, replay it, print it."""
    told = look_up(arguments.database or load(arguments.config).database_url, arguments.wish)
    if arguments.json:
        print(json.dumps(_as_json(told), ensure_ascii=False, indent=2))
    else:
        for line in _lines(told, arguments.lang):
            print(line)
    return 0 if told.holds else 1


def look_up(url: str, wish: str) -> Told:
    """The command from the database; NotFound, ConfigError or StorageUnavailable."""
    meter_id, _, number = wish.partition(":")
    if number and not number.isdecimal():
        raise NotFound(f"{wish!r} names no command; write METER:GEN, such as 000023111202:3")
    engine = open_engine(url)
    path = make_url(url).database
    if engine.dialect.name == "sqlite" and not Path(path or "").is_file():
        raise ConfigError(f"there is no database {path}; name one with --database URL or --config FILE")
    try:
        with reader(engine) as connection:
            for site in list_estates(connection):
                if kept.get_supply(connection, site["estate_id"], meter_id) is not None:
                    return told_of(connection, site["estate_id"], meter_id, int(number) if number else None)
    except DBAPIError as error:
        raise StorageUnavailable(str(unavailable(engine, error))) from error
    finally:
        engine.dispose()
    raise NotFound(f"no estate of this database has a household meter {meter_id!r}")


def told_of(connection: Connection, estate_id: str, meter_id: str, gen: int | None) -> Told:
    """The wish `gen` of a meter, or its newest cut, replayed."""
    history = relay_history(connection, estate_id, meter_id, limit=HISTORY_MAX)
    wish = next((one for one in history if (one.action == "trip" if gen is None else one.gen == gen)), None)
    if wish is None:
        known = ", ".join(str(one.gen) for one in history[:10]) or "none"
        what = "was never wanted cut" if gen is None else f"has no command {gen}"
        raise NotFound(f"meter {meter_id} {what}; its newest commands: {known}")
    meter = get_meter(connection, estate_id, meter_id)
    evidence = json.loads(wish.evidence)
    again = replay(evidence) if wish.action == "trip" else None
    wrong: list[str] = []
    if again is not None and again.facts is not None and not again.missing:
        wrong = against_books(connection, estate_id, meter.account_id or "", meter_id, evidence, again.facts)
    site: RowMapping = get_estate(connection, estate_id)
    return Told(
        meter_id, meter.account_id or "", meter.room_id or "", wish, site["time_zone"], evidence, again, tuple(wrong)
    )


def _as_json(told: Told) -> dict[str, Any]:
    again = told.replay
    return {
        "meter": told.meter_id, "gen": told.wish.gen, "account": told.account_id, "room": told.room_id,
        "action": told.wish.action, "reason": told.wish.reason, "actor": told.wish.actor,
        "decided_at": told.wish.decided_at, "holds": told.holds, "evidence": told.evidence,
        "replayed": None if again is None or again.decision is None else [c.as_json() for c in again.decision.checks],
        "missing": [] if again is None else again.missing,
        "differences": [] if again is None else [asdict(one) for one in again.differences],
        "books": told.disagreements,
        "steps": [asdict(step) for step in told.wish.steps],
    }  # fmt: skip


def _lines(told: Told, lang: str) -> Iterator[str]:
    wish = told.wish
    at = _at(told, wish.decided_at)
    yield said(
        f"meter {told.meter_id}, account {told.account_id}, room {told.room_id}: {wish.action}, command {wish.gen}, "
        f"decided {at} by {wish.actor}, because {wish.reason}",
        f"电表{told.meter_id}，账户{told.account_id}，房间{told.room_id}：{_ACTIONS.get(wish.action, wish.action)}，"
        f"第{wish.gen}号命令，{at}由{wish.actor}决定，原因{wish.reason}",
        lang,
    )
    if told.replay is not None:
        yield from _replayed(told, told.replay, lang)
    yield said("what was done:", "执行经过：", lang)
    for step in wish.steps:
        done = said(step.step, _STEPS.get(step.step, step.step), lang)
        yield f"  {_at(told, step.world_at)}  {done}  {step.detail}".rstrip()
    if not wish.steps:
        yield "  " + said("nothing was sent", "未发送任何命令", lang)


def _replayed(told: Told, again: Replay, lang: str) -> Iterator[str]:
    yield said("as it was decided:", "决定时的各项检查：", lang)
    for check in again.stored:
        words = [_check(check.name, check.passed, check.detail, check.waiting, tongue, told) for tongue in ("en", "zh")]
        yield f"  {'yes' if check.passed else 'NO '}  {said(words[0], words[1], lang)}"
    yield from _sources(told, again, lang)
    for name in again.missing:
        yield said(f"MISSING in the evidence: {name}", f"证据缺少：{name}", lang)
    for one in again.differences:
        yield said(
            f"DIFFERS: {one.name} was stored as {one.stored}, the replay gives {one.replayed}",
            f"不一致：{one.name}，当时{one.stored}，重算{one.replayed}",
            lang,
        )
    for wrong in told.disagreements:
        yield said(f"BOOKS DISAGREE: {wrong}", f"与账簿不符：{wrong}", lang)
    if told.holds:
        yield said("replayed: the same decision, and the books bear it out", "重算结果：决定相同，且与账簿一致", lang)
    elif again.decision is None:
        yield said("cannot be replayed: the evidence is not complete", "证据不完整，无法重算", lang)


def _sources(told: Told, again: Replay, lang: str) -> Iterator[str]:
    """Where the facts came from, as far as the evidence says."""
    evidence, facts = told.evidence, again.facts
    if facts is None or again.missing:
        return
    ledger = evidence["ledger"]
    if ledger is not None:
        where = f"{ledger['batch_seq']}/{ledger['line_no']}"
        yield said(
            f"  ledger: {yuan(facts.balance_fen)} after line {where}, version {ledger['account_version']}",
            f"  账簿：第{where}行后余额{yuan(facts.balance_fen)}，版本{ledger['account_version']}",
            lang,
        )
    for one in evidence["readings"]:
        at, total = _at(told, one["read_at"]), kwh(one["total_wh"])
        yield said(f"  reading: {at} {total} ({one['source']})", f"  抄表：{at} {total}（{one['source']}）", lang)
    for one in evidence["notices"]:
        when = "-" if one["delivered_at"] is None else _at(told, one["delivered_at"])
        yield said(f"  notice: {one['channel']}, delivered {when}", f"  通知：{one['channel']}，送达{when}", lang)
    for one in evidence["approvals"]:
        who = f"{one['requested_by']} + {one['approved_by']}"
        yield said(f"  approval: {one['kind']} by {who}", f"  双人批准：{one['kind']}，{who}", lang)
    yield said(
        f"  clocks: world {_at(told, evidence['now_s'])}, machine {evidence['now_ms']} ms",
        f"  时钟：世界时{_at(told, evidence['now_s'])}，机器时{evidence['now_ms']}毫秒",
        lang,
    )


def _check(name: str, passed: bool, detail: str, waiting: bool, tongue: str, told: Told) -> str:
    gettext = translations(_TONGUES[tongue]).gettext
    check = check_in_words(name, passed, detail, waiting, _formats(tongue, told), gettext)
    detail_said = Markup.escape(check.detail).striptags()
    return f"{check.word}: {detail_said}" if detail_said else check.word


def _at(told: Told, at_s: int) -> str:
    """An instant in the estate's time, to the second."""
    return f"{datetime.fromtimestamp(at_s, ZoneInfo(told.time_zone)):%Y-%m-%d %H:%M:%S}"


def _formats(tongue: str, told: Told) -> Formats:
    return Formats(translations(_TONGUES[tongue]).gettext, told.time_zone, told.wish.decided_at)
