"""Old lines in files: the chain stays whole with and without them, and no line is ever nowhere."""

import random
import shutil
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import ColumnElement, Engine, Table, func, select

from server.domain import settlement
from server.domain.archive import Archived
from server.errors import Conflict, NotFound, Refused, StorageUnavailable
from server.flows import archive as flow
from server.flows import verification
from server.flows.bills import explain
from server.flows.ledger import seal_batches
from server.store.archive import acts
from server.store.archive_file import About, about_of, sha256_of
from server.store.copying import copy_in, copy_out
from server.store.doubts import _owing_since_ms
from server.store.engine import begin_writing, open_engine, reader
from server.store.ledger import balance_at
from server.store.schema import account, archive_account, archive_meter, batch, rerate, seal
from server.store.schema import archive as archive_table
from server.store.statements import lines_in
from server.store.writer import Writer
from tests.server.archived import (
    DAY,
    DECEMBER,
    JANUARY,
    NOVEMBER,
    NOW,
    archive,
    checked,
    clear,
    close,
    live,
    pay,
    restore,
    sound,
    steps,
    write,
)
from tests.server.books import charge, read, reading, rows
from tests.server.estates import ESTATE, START_S, account_id, at


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the files go."""
    return made(tmp_path / "archives")


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Path:
    """Some months, of which December is closed, in a file that tests copy."""
    path = tmp_path_factory.mktemp("lived") / "lived.db"
    shutil.copyfile(sqlite_template, path)
    engine = open_engine(f"sqlite:///{path}")
    writer = Writer(engine)
    live(writer)
    close(writer, engine, "2026-12", "2026-12-31")
    writer.stop()
    copy_out(engine, path.with_name("backup"))
    engine.dispose()
    return path.with_name("backup")


@pytest.fixture
def old(lived: Path, engine: Engine) -> Engine:
    """The same on either database."""
    copy_in(lived, engine, lambda _connection: None)
    return engine


def keyed(engine: Engine) -> dict[tuple[object, object], dict[str, object]]:
    """All lines of the database."""
    return {(row["batch_seq"], row["line_no"]): row for row in rows(engine, "line")}


def test_lines_go_into_the_file_and_the_chain_stays_whole(old: Engine, writer: Writer, folder: Path) -> None:
    before, whole = keyed(old), sound(old)
    path = archive(old, steps(writer), folder, DECEMBER)
    about = about_of(path)
    left = keyed(old)
    assert 0 < len(left) < len(before)
    assert all(before[key] == row for key, row in left.items())
    assert {key for key in before if key[0] <= about.last_seq} == set(before) - set(left)  # type: ignore[operator]
    alone, beside = sound(old), sound(old, path)
    assert (alone.archived, beside.archived) == (about.lines, 0) == (len(before) - len(left), 0)
    assert alone.charges < beside.charges == whole.charges
    assert (alone.batches, alone.sealed) == (beside.batches, beside.sealed) == (whole.batches + 1, whole.sealed)
    assert (beside.lines, beside.settlements) == (whole.lines, 2)


def test_life_goes_on_after_an_archive_and_another_follows(old: Engine, writer: Writer, folder: Path) -> None:
    first = archive(old, steps(writer), folder, NOVEMBER)
    live(writer, 110, 130)
    second = archive(old, steps(writer), folder, JANUARY)
    assert about_of(second).first_seq == about_of(first).last_seq + 1
    for files in ((), (first,), (second,), (first, second)):
        lines = sum(about_of(path).lines for path in {first, second} - set(files))
        assert sound(old, *files).archived == lines
    live(writer, 130, 150)
    assert sound(old).unsealed == 0


def test_balances_at_old_instants_say_that_they_are_archived(old: Engine, writer: Writer, folder: Path) -> None:
    instants = [START_S - 1, START_S + 20 * DAY, DECEMBER - 1, DECEMBER, START_S + 80 * DAY, NOW.world_s]
    with reader(old) as connection:
        known = [balance_at(connection, ESTATE, account_id(1), instant) for instant in instants]
    archive(old, steps(writer), folder, DECEMBER)
    with reader(old) as connection:
        for instant, balance in zip(instants, known, strict=True):
            if instant < DECEMBER:
                with pytest.raises(Archived, match=f"before {DECEMBER}"):
                    balance_at(connection, ESTATE, account_id(1), instant)
            else:
                assert balance_at(connection, ESTATE, account_id(1), instant) == balance
        assert balance_at(connection, ESTATE, "suspense", NOW.world_s) == (0, 0)


def test_what_reads_lines_says_that_they_are_archived_or_goes_on_from_where_they_stood(
    old: Engine, writer: Writer, folder: Path
) -> None:
    """Bills (a yearly tier counts across the end of the archive), statements, and since when somebody owes."""
    newest = {number: _line_numbers(old, account_id(number)) for number in (1, 2, 3)}
    with reader(old) as connection:
        november = settlement.Settlement("month", "2026-11", NOVEMBER, DECEMBER, 1, 0, 0, "{}", "", "{}", "", 0, 0, "")
        known = {
            (number, version): explain(connection, ESTATE, f"{account_id(number)}:{version}")
            for number, versions in newest.items()
            for version in versions
        }
    path = archive(old, steps(writer), folder, DECEMBER)
    with reader(old) as connection:
        for (number, version), bill in known.items():
            name = f"{account_id(number)}:{version}"
            if bill.lines[0].booked.batch_seq <= about_of(path).last_seq:
                with pytest.raises(Archived, match=f"bill {name} is archived"):
                    explain(connection, ESTATE, name)
            else:
                assert repr(explain(connection, ESTATE, name)) == repr(bill)
                assert bill.differences == ()
        with pytest.raises(Archived, match="2026-11 are archived"):
            lines_in(connection, ESTATE, november, [account_id(1)])
        own = [account_id(1)]
        assert _owing_since_ms(connection, ESTATE, own)[own[0]] > 0
    with begin_writing(old) as connection, connection.begin():
        connection.execute(account.update().values(overdraft_fen=-(10**12)))  # below it on every line
        ended = connection.execute(select(batch.c.created_ms).where(batch.c.batch_seq == about_of(path).last_seq))
        assert _owing_since_ms(connection, ESTATE, own) == {own[0]: ended.scalar_one()}


def _line_numbers(engine: Engine, name: str) -> list[int]:
    return [int(str(row["account_version"])) for row in rows(engine, "line") if row["account_id"] == name]


def test_an_archive_comes_back_whole_and_only_in_order(old: Engine, writer: Writer, folder: Path) -> None:
    before, step = keyed(old), steps(writer)
    first, second = (archive(old, step, folder, until) for until in (NOVEMBER, DECEMBER))
    with pytest.raises(Conflict, match=second.name):
        restore(old, step, first)
    changed = made(folder / "copy") / second.name
    changed.write_bytes(second.read_bytes()[:-1] + b"x")
    with pytest.raises(Conflict, match="was changed"):
        restore(old, step, changed)
    restore(old, step, second)
    with pytest.raises(NotFound, match="put back already"):
        restore(old, step, second)
    assert sound(old).archived == about_of(first).lines
    restore(old, step, first)
    assert keyed(old) == before
    assert sound(old).archived == 0
    again = archive(old, step, folder / "copy", DECEMBER)
    assert sound(old, again).lines == len(before)
    assert [act.act for act in _acts(old)] == ["moved", "moved", "restored", "restored", "moved"]


def _acts(engine: Engine):
    with reader(engine) as connection:
        return acts(connection, ESTATE)


class Stop(Exception):
    """Somebody pulled the plug."""


def stopping(step, after: int):
    """Steps of which all after the first few never happen."""
    left = [after]

    def one(**message):
        if not left[0]:
            raise Stop
        left[0] -= 1
        return step(**message)

    return one


@pytest.mark.parametrize("after", [1, 2, 4])
def test_stopped_at_any_step_nothing_is_lost_and_the_next_run_goes_on(
    old: Engine, writer: Writer, folder: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    monkeypatch.setattr("server.flows.archive.LINES_A_UNIT", 8)
    before, step = keyed(old), steps(writer)
    with pytest.raises(Stop):
        archive(old, stopping(step, after), folder, DECEMBER)
    files = list(folder.glob("*.archive"))
    assert [one.name for one in folder.iterdir()] == [one.name for one in files]
    assert sound(old).archived + len(keyed(old)) == len(before)
    sound(old, *files)
    path = archive(old, step, folder, DECEMBER) if after < 2 else files[0]
    clear(step)
    assert sound(old, path).lines == len(before)
    assert sound(old).archived == about_of(path).lines
    with suppress(Stop):
        restore(old, stopping(step, after), path)
    assert sound(old).archived + len(keyed(old)) == len(before)
    restore(old, step, path)
    assert keyed(old) == before
    sound(old)


def test_what_is_young_open_unsealed_or_wrong_is_not_archived(old: Engine, writer: Writer, folder: Path) -> None:
    with pytest.raises(Refused, match="90 days"):
        write(old, folder, NOW.world_s - 89 * DAY)
    with pytest.raises(Refused, match="close every day and month"):
        write(old, folder, JANUARY + 1)
    with pytest.raises(Refused, match="no sealed batch"):
        write(old, folder, START_S - DAY)
    with begin_writing(old) as connection, connection.begin():
        connection.exec_driver_sql("UPDATE account SET balance_fen = balance_fen + 1 WHERE account_id = 'H0001'")
    with pytest.raises(StorageUnavailable, match="account H0001"):
        write(old, folder, DECEMBER)
    assert list(folder.iterdir()) == []


def test_only_sealed_batches_of_before_the_date_are_archived(engine: Engine, writer: Writer, folder: Path) -> None:
    live(writer, 0, 20)
    with reader(engine) as connection:
        sealed = connection.execute(select(func.max(seal.c.batch_seq))).scalar_one()
    read(writer, reading(1, 30 * DAY, 1_000_000 + 1900 * 30))
    charge(writer, 30 * DAY)
    pay(writer, 110)
    close(writer, engine, "2026-12", "2026-12-31")
    assert about_of(write(engine, folder, DECEMBER)).last_seq == sealed
    writer.run(lambda unit: seal_batches(unit, ESTATE, at(110 * DAY)))
    with reader(engine) as connection:
        late = connection.execute(select(func.min(batch.c.batch_seq)).where(batch.c.event_at >= DECEMBER)).scalar_one()
    assert about_of(write(engine, made(folder / "later"), DECEMBER)).last_seq == late - 1 > sealed


def test_lines_that_a_re_rating_still_corrects_are_not_archived(old: Engine, writer: Writer, folder: Path) -> None:
    values = {
        "estate_id": ESTATE, "rerate_id": "r1", "tariff_id": "single", "definition": "{}", "from_at": START_S,
        "until_at": DECEMBER, "until_batch": 3, "reason": "a wrong price", "status": "running", "actor": "olga",
        "created_ms": 0, "preview": "{}",
    }  # fmt: skip
    path = folder / "x.archive"
    path.write_bytes(b"")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flow, "about_of", lambda _: About(ESTATE, 1, 2, DECEMBER, 0, "", "", "", 0, ""))
        writer.run(lambda unit: unit.connection.execute(rerate.insert().values(**values)) and None)
        with pytest.raises(Conflict, match="re-rating"):
            writer.run(lambda unit: flow.move(unit, ESTATE, path, "sha", "test", NOW))


def test_another_file_in_its_place_is_never_taken_for_it(old: Engine, writer: Writer, folder: Path) -> None:
    path = write(old, folder, DECEMBER)
    assert write(old, folder, DECEMBER) == path, "what a stopped run has written is taken"
    other = write(old, made(folder / "other"), NOVEMBER)
    shutil.copyfile(other, path)
    with pytest.raises(Conflict, match="is not this archive"):
        write(old, folder, DECEMBER)
    later = write(old, made(folder / "later"), DECEMBER)
    steps(writer)(step="move", file=str(other))
    with pytest.raises(Conflict, match="not the next archive"):
        steps(writer)(step="move", file=str(later))


def edited(value: object, luck: random.Random) -> object:
    """The value with something else in it."""
    if isinstance(value, int):
        return value ^ (1 << luck.randrange(20, 40))  # no key that another row has
    return str(value)[:-1] + ("x" if not str(value).endswith("x") else "y")


def bytes_found(old: Engine, path: Path, count: int, seed: int) -> None:
    luck, good = random.Random(seed), path.read_bytes()
    for _ in range(count):
        place = luck.randrange(len(good))
        broken = bytearray(good)
        broken[place] ^= luck.randrange(1, 256)
        path.write_bytes(broken)
        found = checked(old, path).mismatches
        assert [one.subject for one in found] == [f"archive {path.name}"], f"seed {seed}, byte {place}"
    path.write_bytes(good)
    sound(old, path)


def test_an_edited_byte_of_a_file_is_found(old: Engine, writer: Writer, folder: Path) -> None:
    bytes_found(old, archive(old, steps(writer), folder, DECEMBER), 10, 645)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(646, 651))
def test_ten_thousand_edited_bytes_of_a_file_are_found(old: Engine, writer: Writer, folder: Path, seed: int) -> None:
    bytes_found(old, archive(old, steps(writer), folder, DECEMBER), 2_000, seed)


def test_an_edit_of_what_stays_behind_is_found_without_the_file(old: Engine, writer: Writer, folder: Path) -> None:
    """Every value of an archived batch, of its seal, of the act and of where everything stood."""
    path = archive(old, steps(writer), folder, DECEMBER)
    last = about_of(path).last_seq
    luck = random.Random(645)
    guarded = (archive_table, archive_account, archive_meter, batch, seal)
    with begin_writing(old) as connection, connection.begin():
        for table in guarded:
            trigger = f"{table.name}_append_only" if old.dialect.name == "postgresql" else f"{table.name}_no_UPDATE"
            on = f" ON {table.name}" if old.dialect.name == "postgresql" else ""
            connection.exec_driver_sql(f"DROP TRIGGER {trigger}{on}")
    missed = []
    for table in guarded:
        for column in sorted(set(table.columns.keys()) - {"estate_id", "file"}):
            own = [row for row in rows(old, table.name) if row.get("batch_seq", 0) <= last]
            row = luck.choice([one for one in own if one[column] not in (None, "")] or [{}])
            if row:
                where = [table.c[part.name] == row[part.name] for part in table.primary_key]
                put(old, table, where, column, edited(row[column], luck))
                if not any("trigger" not in one.detail for one in checked(old).mismatches):
                    missed.append(f"{table.name}.{column}")
                same = [table.c[name] == value for name, value in row.items() if name != column and value is not None]
                put(old, table, same, column, row[column])
    assert missed == []
    assert {one.detail for one in checked(old).mismatches} == {"its append-only trigger is gone or another"}


def put(engine: Engine, table: Table, where: list[ColumnElement[bool]], column: str, value: object) -> None:
    """Set one value behind everybody's back."""
    with begin_writing(engine) as connection, connection.begin():
        assert connection.execute(table.update().where(*where).values({column: value})).rowcount == 1


def test_lines_archived_while_the_books_are_read_are_no_alarm(
    old: Engine, writer: Writer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lines of SQLite, and months of PostgreSQL, leave under a transaction: that must not look like wrong books."""
    path = write(old, folder, DECEMBER)
    real = verification.money_rules.rules

    def meanwhile(connection, estate_id):
        monkeypatch.setattr(verification.money_rules, "rules", real)
        steps(writer)(step="move", file=str(path))
        clear(steps(writer))
        return real(connection, estate_id)

    monkeypatch.setattr(verification.money_rules, "rules", meanwhile)
    with pytest.raises(StorageUnavailable, match="verify again"):
        checked(old)
    sound(old)


def test_the_file_is_as_documented(old: Engine, writer: Writer, folder: Path) -> None:
    path = archive(old, steps(writer), folder, DECEMBER)
    about = about_of(path)
    assert (about.estate, about.first_seq, about.until_at) == (ESTATE, 1, DECEMBER)
    [act] = _acts(old)
    assert (act.file, act.file_sha256, act.lines) == (path.name, sha256_of(path), about.lines)
    assert (act.hash, act.standing_sha256) == (about.hash, about.standing_sha256)
    assert path.name == f"{ESTATE}-000000001-{about.last_seq:09d}.archive"
