"""`verify` finds an edit of any one byte of the journal and of the balances, wherever it is made."""

import random
import string

import pytest
from sqlalchemy import Connection, Engine, func, select, update
from sqlalchemy.exc import DBAPIError

from server.domain.heads import Head
from server.flows.ledger import seal_batches
from server.flows.verification import verify
from server.store.engine import begin_writing, reader
from server.store.schema import account, batch, line, metadata, meter_cursor, seal
from server.store.writer import Writer
from tests.server.books import HOUR, agrees, charge, read, reading, top_up
from tests.server.estates import ESTATE, at, household, plant

SEED = 645
COVERED = {
    batch.name: tuple(batch.c.keys()),
    line.name: tuple(line.c.keys()),
    seal.name: tuple(seal.c.keys()),
    account.name: ("estate_id", "account_id", "balance_fen", "residue_nf", "version"),
    meter_cursor.name: ("estate_id", "meter_id", "install_no", "total_wh"),
}
WEIGHTS = {batch.name: 4, line.name: 10, seal.name: 3, account.name: 2, meter_cursor.name: 1}
GUARD = "its append-only trigger is gone or another"


@pytest.fixture
def sealed(engine: Engine, writer: Writer) -> Engine:
    """Three households, one priced by rates, some hours of charges and top-ups; sealed but for a last top-up."""
    plant(
        writer,
        [household(1), household(2), household(3, tariff_id="tou", start_rates_wh=(1000, 2000, 3000, 4000))],
    )
    for hour in range(1, 4):
        rates = (1000 + 40 * hour, 2000 + 30 * hour, 3000 + 20 * hour, 4000 + 10 * hour)
        read(
            writer,
            reading(1, hour * HOUR, 1_000_000 + 2000 * hour),
            reading(2, hour * HOUR, 1_000_000 + 10 * hour),
            reading(3, hour * HOUR, 1_000_000 + 100 * hour, rates),
        )
        charge(writer, hour * HOUR)
        top_up(writer, hour % 3 + 1, 100 * hour, f"key-{hour}")
    writer.run(lambda unit: seal_batches(unit, ESTATE, at()))
    top_up(writer, 1, 1, "after the last seal")
    assert agrees(engine).unsealed == 1
    with begin_writing(engine) as connection, connection.begin():
        for table in (batch, line, seal):
            if engine.dialect.name == "postgresql":
                connection.exec_driver_sql(f"DROP TRIGGER {table.name}_append_only ON {table.name}")
            else:
                connection.exec_driver_sql(f"DROP TRIGGER {table.name}_no_UPDATE")
    return engine


def head_of(connection: Connection) -> Head:
    """The end of the chain, as it was exported before anybody edited anything."""
    row = connection.execute(select(seal).order_by(seal.c.batch_seq.desc()).limit(1)).mappings().one()
    return Head(row["estate_id"], row["batch_seq"], row["hash"], 0)


def edited(value: object, random_: random.Random) -> object:
    """The value with one byte of it another."""
    if isinstance(value, int):
        number = (value % 2**64) ^ (random_.randrange(1, 256) << 8 * random_.randrange(8))
        return number - 2**64 if number >= 2**63 else number
    text = str(value)
    place = random_.randrange(len(text))
    other = random_.choice([letter for letter in string.ascii_letters + string.digits + "-,:" if letter != text[place]])
    return text[:place] + other + text[place + 1 :]


def change(engine: Engine, name: str, key: dict[str, object], column: str, value: object) -> bool:
    """Set one value behind everybody's back; False when the database itself refuses it."""
    table = metadata.tables[name]
    where = [table.c[part] == known for part, known in key.items()]
    try:
        with begin_writing(engine) as connection, connection.begin():
            connection.execute(update(table).where(*where).values({column: value}))
    except DBAPIError:
        return False
    return True


def edits_found(engine: Engine, count: int, seed: int) -> None:
    """Make and undo `count` edits of one byte; verify must find each, and nothing when all are undone."""
    random_ = random.Random(seed)
    with reader(engine) as connection:
        head = head_of(connection)
        newest = connection.execute(select(func.max(batch.c.batch_seq))).scalar_one()
        rows = {
            name: [dict(row) for row in connection.execute(select(metadata.tables[name])).mappings()]
            for name in COVERED
        }
    missed, refused = [], 0
    for _ in range(count):
        name = random_.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        row = random_.choice([row for row in rows[name] if row.get("batch_seq") != newest])
        column = random_.choice([column for column in COVERED[name] if row[column] not in (None, "")])
        value = edited(row[column], random_)
        key = {part.name: row[part.name] for part in metadata.tables[name].primary_key}
        if not change(engine, name, key, column, value):
            refused += 1
            continue
        if not tampered(engine, head):
            missed.append(f"{name}.{column}: {row[column]!r} became {value!r}")
        moved = {part: value if part == column else known for part, known in key.items()}
        assert change(engine, name, moved, column, row[column])
    assert missed == [], f"seed {seed}"
    assert refused < count // 2
    assert not tampered(engine, head)


def tampered(engine: Engine, head: Head) -> bool:
    """Whether verify finds anything but the triggers that this test took away."""
    with reader(engine) as connection:
        return any(one.detail != GUARD for one in verify(connection, ESTATE, [head]).mismatches)


def test_edits_of_one_byte_are_found(sealed: Engine) -> None:
    edits_found(sealed, 20, SEED)


@pytest.mark.ci
@pytest.mark.timeout(900)
def test_three_hundred_edits_of_one_byte_are_found(sealed: Engine) -> None:
    edits_found(sealed, 300, SEED + 1)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(SEED + 2, SEED + 7))
def test_ten_thousand_edits_of_one_byte_are_found(sealed: Engine, seed: int) -> None:
    edits_found(sealed, 2_000, seed)


def test_a_chain_that_was_forged_anew_does_not_lead_to_the_exported_head(sealed: Engine, writer: Writer) -> None:
    """Whoever can write can also drop all seals and let them be made again: only the head elsewhere shows it."""
    with reader(sealed) as connection:
        head = head_of(connection)
    assert change(sealed, "batch", {"batch_seq": 2}, "memo", "something else")
    with begin_writing(sealed) as connection, connection.begin():
        if sealed.dialect.name != "postgresql":
            connection.exec_driver_sql("DROP TRIGGER seal_no_DELETE")
        connection.exec_driver_sql("DELETE FROM seal")
    with reader(sealed) as connection:
        assert "is missing, but a signed head names it" in str(verify(connection, ESTATE, [head]).mismatches)
    writer.run(lambda unit: seal_batches(unit, ESTATE, at()))
    with reader(sealed) as connection:
        assert {one.detail for one in verify(connection, ESTATE).mismatches} == {GUARD}
        found = verify(connection, ESTATE, [head]).mismatches
    assert [one.subject for one in found if one.detail != GUARD] == [f"seal {head.batch_seq}"]
