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
from sqlalchemy import Connection

from server.cli.languages import LANGUAGES, Paired, Word, heard, said
from server.cli.languages import mark as _
from server.cli.languages import told as say
from server.cli.verify import existing
from server.config import load
from server.domain.evidence import Replay, replay
from server.errors import NotFound
from server.store import supply as kept
from server.store.books import against_books
from server.store.direct import Row
from server.store.engine import reader
from server.store.estates import get_estate, list_estates
from server.store.household import RelayWish, relay_history
from server.store.meters import get_meter
from server.web.actors import SYSTEM
from server.web.details import detail_said
from server.web.formats import Formats, kwh, yuan
from server.web.i18n import translations
from server.web.operator.decisions import check_in_words
from server.web.words import APPROVALS, CAUSES, CHANNELS, GIVEN_WAYS, SOURCES

HISTORY_MAX = 1000
_TONGUES = {"en": "en", "zh": "zh_CN"}
_STEPS = {
    "cleared": _("may be sent"), "sent": _("sent"), "accepted": _("accepted by the meter"), "refused": _("refused"),
    "no_reply": _("no reply"),
    "read_back": _("read back"), "expired": _("expired"), "superseded": _("superseded"),
}  # fmt: skip
YES, NO = _("yes"), _("NO")
_ACTIONS = {"trip": _("cut"), "allow": _("allow to close"), "close": _("close")}


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
    with existing(url) as engine, reader(engine) as connection:
        for site in list_estates(connection):
            if kept.get_supply(connection, site["estate_id"], meter_id) is not None:
                return told_of(connection, site["estate_id"], meter_id, int(number) if number else None)
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
    site: Row = get_estate(connection, estate_id)
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
    yield say(
        _(
            "meter %(meter)s, account %(account)s, room %(room)s: %(action)s, command %(gen)d, decided %(at)s by "
            "%(actor)s, because %(reason)s"
        ),
        lang, meter=told.meter_id, account=told.account_id, room=told.room_id, gen=wish.gen,
        reason=_paged(CAUSES, wish.reason),
        action=Word(_ACTIONS.get(wish.action, wish.action)), at=_at(told, wish.decided_at), actor=_actor(wish.actor),
    )  # fmt: skip
    if told.replay is not None:
        yield from _replayed(told, told.replay, lang)
    yield say(_("what was done:"), lang)
    for step in wish.steps:
        done = say(_STEPS.get(step.step, step.step), lang)
        yield f"  {_at(told, step.world_at)}  {done}  {_detail(told, step.detail, lang)}".rstrip()
    if not wish.steps:
        yield "  " + say(_("nothing was sent"), lang)


def _replayed(told: Told, again: Replay, lang: str) -> Iterator[str]:
    yield say(_("as it was decided:"), lang)
    for check in again.stored:
        words = [_check(check.name, check.passed, check.detail, check.waiting, tongue, told) for tongue in ("en", "zh")]
        mark = say(YES if check.passed else NO, lang)
        yield f"  {mark:8}  {said(words[0], words[1], lang)}"
    if order := told.evidence.get("order"):
        yield say(
            _("order of two people: %(reason)s (asked by %(asked)s, agreed by %(agreed)s)"), lang,
            asked=order["asked_by"], agreed=order["agreed_by"], reason=order["reason"],
        )  # fmt: skip
    yield from _sources(told, again, lang)
    for name in again.missing:
        yield say(_("MISSING in the evidence: %(name)s"), lang, name=name)
    for one in again.differences:
        yield say(_("DIFFERS: %(name)s was stored as %(stored)s, the replay gives %(replayed)s"), lang, **asdict(one))
    for wrong in told.disagreements:
        yield say(_("BOOKS DISAGREE: %(wrong)s"), lang, wrong=heard(wrong))
    if told.holds:
        yield say(_("replayed: the same decision, and the books bear it out"), lang)
    elif again.decision is None:
        yield say(_("cannot be replayed: the evidence is not complete"), lang)


def _sources(told: Told, again: Replay, lang: str) -> Iterator[str]:
    """Where the facts came from, as far as the evidence says."""
    evidence, facts = told.evidence, again.facts
    if facts is None or again.missing:
        return
    ledger = evidence["ledger"]
    if ledger is not None:
        yield "  " + say(
            _("ledger: %(balance)s after line %(line)s, version %(version)d"), lang, balance=yuan(facts.balance_fen),
            line=f"{ledger['batch_seq']}/{ledger['line_no']}", version=ledger["account_version"],
        )  # fmt: skip
    for one in evidence["readings"]:
        yield "  " + say(_("reading: %(at)s %(total)s (%(source)s)"), lang, at=_at(told, one["read_at"]),
                         total=kwh(one["total_wh"]), source=_paged(SOURCES, one["source"]))  # fmt: skip
    for one in evidence["notices"]:
        when = "-" if one["delivered_at"] is None else _at(told, one["delivered_at"])
        yield "  " + say(_("notice: %(channel)s, delivered %(when)s"), lang, channel=_paged(CHANNELS, one["channel"]),
                         when=when)  # fmt: skip
        if "given" in one:
            yield "    " + _given(one["given"], lang)
    for one in evidence["approvals"]:
        who = f"{one['requested_by']} + {one['approved_by']}"
        yield "  " + say(_("approval: %(kind)s by %(who)s"), lang, kind=_paged(APPROVALS, one["kind"]), who=who)
    yield "  " + say(_("clocks: world %(world)s, machine %(machine_ms)d ms"), lang, world=_at(told, evidence["now_s"]),
                     machine_ms=evidence["now_ms"])  # fmt: skip


def _given(given: Mapping[str, str], lang: str) -> str:
    """Who of the staff gave a notice to whom, and how."""
    return say(_("given by %(given_by)s to %(recipient)s (%(way)s)"), lang,
               **{**given, "way": _paged(GIVEN_WAYS, given["way"])})  # fmt: skip


def _paged(words: Mapping[str, str], name: str) -> Paired:
    """What the pages call this, in both languages."""
    en, zh = (translations(_TONGUES[tongue]).gettext(words.get(name, name)) for tongue in ("en", "zh"))
    return Paired(en, zh)


def _actor(name: str) -> Paired:
    """Who decided; people by their logins, as everywhere in commands."""
    return Paired(name, translations("zh_CN").gettext(SYSTEM.get(name, name)))


def _check(name: str, passed: bool, detail: str, waiting: bool, tongue: str, told: Told) -> str:
    gettext = translations(_TONGUES[tongue]).gettext
    check = check_in_words(name, passed, detail, waiting, _formats(tongue, told), gettext)
    detail_said = Markup.escape(check.detail).striptags()
    return f"{check.word}: {detail_said}" if detail_said else check.word


def _detail(told: Told, detail: str, lang: str) -> str:
    """What was noted at a step, in the words of the pages."""
    en, zh = (
        Markup.escape(detail_said(detail, _formats(tongue, told), translations(_TONGUES[tongue]).gettext)).striptags()
        for tongue in ("en", "zh")
    )
    return said(en, zh, lang)


def _at(told: Told, at_s: int) -> str:
    """An instant in the estate's time, to the second."""
    return f"{datetime.fromtimestamp(at_s, ZoneInfo(told.time_zone)):%Y-%m-%d %H:%M:%S}"


def _formats(tongue: str, told: Told) -> Formats:
    return Formats(translations(_TONGUES[tongue]).gettext, told.time_zone, told.wish.decided_at)
