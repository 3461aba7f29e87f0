"""Signed heads: made by the command or every hour, checked by verify, refused when anybody changed them."""

import fcntl
import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pysqlite3
import pytest

from server import __main__
from server.__main__ import main
from server.clock import Clock, Now
from server.domain.heads import Head, chain_problems, heads_of, last_heads, sign
from server.errors import ConfigError
from server.flows.ledger import seal_batches
from server.jobs.heads import HeadsJob
from server.jobs.ledger_watch import EVERY_S, LedgerWatch
from server.signing.ed25519 import generate_key_pair, load_private_key, load_public_key
from server.store.engine import begin_writing, open_engine
from server.store.supply import update_estate
from server.store.writer import Writer
from tests.server.books import rows, top_up
from tests.server.estates import ESTATE, at, plant

HEAD = Head(ESTATE, 7, "ab" * 32, 1_700_000_000_000)


@pytest.fixture(autouse=True)
def only_these_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other commands need not be loaded."""
    monkeypatch.setattr(__main__, "COMMANDS", ("verify", "heads"))


@pytest.fixture
def url(tmp_path: Path, sqlite_template: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A small sealed estate."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DATABASE_URL", raising=False)
    shutil.copyfile(sqlite_template, tmp_path / "estate.db")
    engine = open_engine(f"sqlite:///{tmp_path / 'estate.db'}")
    writer = Writer(engine)
    plant(writer)
    writer.run(lambda unit: seal_batches(unit, ESTATE, at()))
    writer.stop()
    engine.dispose()
    return f"sqlite:///{tmp_path / 'estate.db'}"


def test_a_signed_head_is_read_back_and_any_change_of_it_is_refused(tmp_path: Path) -> None:
    key = load_private_key(generate_key_pair(tmp_path / "keys").private)
    text = sign(HEAD, key)
    assert heads_of(["", text], key.public_key(), "f") == [HEAD]
    for part, value in {"estate": "other", "batch": 8, "hash": "cd" * 32, "signed_ms": 1, "signature": "AAAA"}.items():
        with pytest.raises(ConfigError, match="f, line 1: the signature does not fit"):
            heads_of([json.dumps({**json.loads(text), part: value})], key.public_key(), "f")
    other = load_private_key(generate_key_pair(tmp_path / "others").private)
    with pytest.raises(ConfigError, match="not with"):
        heads_of([text], other.public_key(), "f")
    for broken in ("x", "{}", "[]", '{"estate": 1}'):
        with pytest.raises(ConfigError, match="no signed head"):
            heads_of([broken], key.public_key(), "f")


def test_heads_are_made_kept_and_followed(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["heads", "--new-key", "keys"]) == 0
    assert main(["heads", "--new-key", "keys"]) == 2, "a key is never overwritten"
    signing = ["heads", "--database", url, "--key", "keys/private.pem"]
    assert main(signing) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["batch"] == 3
    assert main([*signing, "--out", "heads.jsonl"]) == main([*signing, "--out", "heads.jsonl"]) == 0
    assert len(Path("heads.jsonl").read_text("utf-8").splitlines()) == 2
    checking = ["verify", "--database", url, "--heads", "heads.jsonl", "--public-key", "keys/public.pem"]
    assert main(checking) == 0
    assert "signed heads lead up to batch 3; after it only the database" in capsys.readouterr().out
    assert main(["verify", "--database", url]) == 0
    assert "no signed heads: only the database vouches" in capsys.readouterr().out
    engine = open_engine(url)
    with begin_writing(engine) as connection, connection.begin():
        connection.exec_driver_sql("DROP TRIGGER seal_no_DELETE")
        connection.exec_driver_sql("DELETE FROM seal WHERE batch_seq = 3")
    engine.dispose()
    assert main(checking) == 1
    assert "seal 3: is missing, but a signed head names it" in capsys.readouterr().out


def test_heads_of_a_file_are_numbered_and_name_the_one_before(url: str, tmp_path: Path) -> None:
    pair, path = generate_key_pair(tmp_path / "keys"), tmp_path / "heads.jsonl"
    engine = open_engine(url)
    writer = Writer(engine)
    job = HeadsJob(engine, writer, Clock(), load_private_key(pair.private), path)
    for _ in range(4):
        job.run_once()
    writer.stop()
    engine.dispose()
    heads = heads_of(path.read_text("utf-8").splitlines(), load_public_key(pair.public), "f")
    assert [head.number for head in heads] == [1, 2, 3, 4]
    assert chain_problems([HEAD, *heads, *heads[:2]]) == [], "a file may begin anew, and others have no number"
    assert chain_problems(heads[:3]) == [], "that the last ones are missing shows nowhere but in what they lead to"
    assert chain_problems([heads[0], heads[2], heads[3]]) == ["head 2 is missing"]
    assert chain_problems([heads[3]]) == ["heads 1 to 3 are missing"]
    assert chain_problems([heads[0], replace(heads[1], previous="ab")]) == [
        "head 2 does not follow from the one before it"
    ]
    with pytest.raises(ConfigError, match="append to another file"):
        last_heads(["x"], "f", "")


@pytest.mark.parametrize("torn", ["{", '{"estate": "\u5c0f', '{"estate": "a", "batch": 7, "ha', "\0\0\0\0"])
def test_a_torn_line_stops_no_head_and_is_named(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], torn: str
) -> None:
    pair, path = generate_key_pair(tmp_path / "keys"), tmp_path / "heads.jsonl"
    engine = open_engine(url)
    writer = Writer(engine)
    job = HeadsJob(engine, writer, Clock(), load_private_key(pair.private), path)
    job.run_once()
    with path.open("ab") as file:
        file.write(torn.encode()[:-1] if "\u5c0f" in torn else torn.encode())
    job.run_once()
    job.run_once()
    writer.stop()
    engine.dispose()
    assert main(["verify", "--database", url, "--heads", str(path), "--public-key", str(pair.public)]) == 0
    said = capsys.readouterr()
    assert f"{path}, line 2: a torn line" in said.err
    assert "signed heads lead up to batch 3" in said.out
    lines = path.read_text("utf-8", "replace").splitlines()
    assert [json.loads(text)["number"] for text in (lines[0], *lines[2:])] == [1, 2, 3]


def test_a_second_writer_of_the_file_waits_and_numbers_on(url: str, tmp_path: Path) -> None:
    key, path = load_private_key(generate_key_pair(tmp_path / "keys").private), tmp_path / "heads.jsonl"
    engine = open_engine(url)
    writer = Writer(engine)
    with path.open("a", encoding="utf-8") as first:
        fcntl.flock(first, fcntl.LOCK_EX)
        second = Thread(target=HeadsJob(engine, writer, Clock(), key, path).run_once)
        second.start()
        second.join(0.3)
        first.write(sign(replace(HEAD, number=1), key) + "\n")
    second.join(10)
    writer.stop()
    engine.dispose()
    assert [json.loads(text)["number"] for text in path.read_text("utf-8").splitlines()] == [1, 2]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["verify", "--heads", "heads.jsonl"], "belong together"),
        (["heads"], "no key"),
        (["heads", "--key", "absent.pem"], "absent.pem"),
    ],
)
def test_what_is_missing_is_named(
    url: str, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--database", url]) == 2
    assert said in capsys.readouterr().err


HOUR_MS = 3_600_000


class Exported:
    """A server that seals and exports heads at hours of its own, and the file of them."""

    def __init__(self, url: str, folder: Path) -> None:
        self.engine = open_engine(url)
        self.writer = Writer(self.engine)
        self.pair, self.path = generate_key_pair(folder / "keys"), folder / "heads.jsonl"
        self.hour, self.key = 0, load_private_key(self.pair.private)
        self.job = HeadsJob(self.engine, self.writer, self, self.key, self.path)  # type: ignore[arg-type]
        self.checking = ["verify", "--database", url, "--heads", str(self.path), "--public-key", str(self.pair.public)]

    def moves_to(self, url: str) -> None:
        """Go on with another database."""
        self.writer.stop()
        self.engine.dispose()
        self.engine = open_engine(url)
        self.writer = Writer(self.engine)
        self.job = HeadsJob(self.engine, self.writer, self, self.key, self.path)  # type: ignore[arg-type]

    def now(self) -> Now:
        return at(self.hour * 3600)

    def lives(self, hours: int, *, exports: bool = True) -> None:
        """Sell something and seal it each hour, and export its head."""
        for _ in range(hours):
            self.hour += 1
            top_up(self.writer, 1, 100, f"sale {self.hour}")
            self.writer.run(lambda unit: seal_batches(unit, ESTATE, self.now()))
            if exports:
                self.job.run_once()
        self.writer.run(lambda unit: seal_batches(unit, ESTATE, self.now()))

    def cut(self, count: int) -> None:
        """Take the newest heads out of the file."""
        self.path.write_text("".join(self.path.read_text("utf-8").splitlines(keepends=True)[:-count]), "utf-8")

    def breaker(self) -> str:
        """Why the watch opened the breaker; it is closed again."""
        [row] = rows(self.engine, "estate")
        self.writer.run(lambda unit: update_estate(unit.connection, ESTATE, breaker="closed", breaker_reason=""))
        return str(row["breaker_reason"])


@pytest.fixture
def exported(url: str, tmp_path: Path) -> Iterator[Exported]:
    server = Exported(url, tmp_path)
    yield server
    server.writer.stop()
    server.engine.dispose()


def test_the_server_exports_heads_and_says_so_in_the_chain(exported: Exported) -> None:
    exported.job.run_once()
    exported.lives(2)
    lines = exported.path.read_text("utf-8").splitlines()
    heads = heads_of(lines, load_public_key(exported.pair.public), "f")
    assert [head.batch_seq for head in heads] == [3, 5, 7]
    noted = [row for row in rows(exported.engine, "batch") if row["kind"] == "head"]
    assert [(row["memo"], row["payload_sha256"]) for row in noted] == [
        (f"head {head.number} of batch {head.batch_seq}", head.digest) for head in heads
    ]  # fmt: skip
    exported.job.run_once()
    exported.lives(0)
    exported.job.run_once()
    assert len([row for row in rows(exported.engine, "batch") if row["kind"] == "head"]) == 3, "a note is not noted"


def test_heads_that_were_cut_off_the_file_are_told(exported: Exported, capsys: pytest.CaptureFixture[str]) -> None:
    exported.lives(4)
    assert main(exported.checking) == 0
    exported.cut(1)
    assert main(exported.checking) == 3
    assert "NOT PROVEN: head 4 of batch 10 was exported but is not among" in capsys.readouterr().out
    exported.lives(2)  # new heads follow what was left
    assert main([*exported.checking, "--json"]) == 3
    [report] = json.loads(capsys.readouterr().out)["estates"]
    assert report["mismatches"] == []
    assert report["heads_missing"].startswith("head 4 of batch 10 was exported")
    exported.path.unlink()
    exported.lives(1)
    assert main(exported.checking) == 0, "a file may begin anew"


def test_a_head_that_is_overdue_is_told(exported: Exported, capsys: pytest.CaptureFixture[str]) -> None:
    exported.lives(2, exports=False)
    exported.lives(1)
    exported.hour += 30  # the server stood still
    exported.lives(3, exports=False)
    assert main(exported.checking) == 0
    exported.lives(2, exports=False)
    assert main(exported.checking) == 3
    assert "NOT PROVEN: batches were sealed for 5 hours after the newest signed head" in capsys.readouterr().out
    exported.lives(1)
    assert main(exported.checking) == 0


def test_a_new_key_begins_a_new_file(exported: Exported, tmp_path: Path) -> None:
    exported.lives(2)
    before, other = exported.path.read_text("utf-8"), load_private_key(generate_key_pair(tmp_path / "new").private)
    job = HeadsJob(exported.engine, exported.writer, exported, other, exported.path)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="a new key begins a new file"):
        job.run_once()
    assert exported.path.read_text("utf-8") == before, "a file of two keys could be checked with neither"
    exported.path.unlink()
    job.run_once()
    assert len(heads_of(exported.path.read_text("utf-8").splitlines(), other.public_key(), "f")) == 1


def test_the_watch_says_that_the_books_are_not_those_that_were_signed(exported: Exported) -> None:
    exported.lives(2)
    restored = exported.path.with_suffix(".db")
    file = exported.engine.url.database
    with closing(pysqlite3.connect(str(file))) as own, closing(pysqlite3.connect(str(restored))) as copy:
        own.backup(copy)
    exported.lives(2)
    exported.moves_to(f"sqlite:///{restored}")
    exported.lives(3)
    steady, heads = [0.0], (exported.path, exported.key.public_key())

    def looks() -> str:
        watch = LedgerWatch(exported.engine, exported.writer, Clock(), ESTATE, heads=heads, steady_s=lambda: steady[0])
        steady[0] += EVERY_S
        watch.run_once()
        return exported.breaker()

    assert looks() == "the journal is not the one that was signed"
    exported.path.rename(exported.path.with_suffix(".before"))
    exported.lives(2)
    assert looks() == ""
    with begin_writing(exported.engine) as connection, connection.begin():
        connection.exec_driver_sql("UPDATE account SET balance_fen = balance_fen + 1 WHERE kind = 'household'")
    assert looks().startswith("the ledger does not verify")


def test_heads_that_are_signed_by_hand_are_never_overdue(url: str, exported: Exported) -> None:
    out = ["heads", "--database", url, "--key", str(exported.pair.private), "--out", str(exported.path)]
    assert main(out) == 0
    exported.lives(9, exports=False)
    assert main(exported.checking) == 0


def test_the_watch_reads_the_exported_heads_too(exported: Exported) -> None:
    steady, key = [0.0], load_public_key(exported.pair.public)
    watch = LedgerWatch(
        exported.engine, exported.writer, Clock(), ESTATE, heads=(exported.path, key), steady_s=lambda: steady[0]
    )

    def looks() -> str:
        steady[0] += EVERY_S
        watch.run_once()
        return exported.breaker()

    assert looks() == ""
    exported.lives(3)
    assert looks() == looks() == ""
    whole = exported.path.read_text("utf-8")
    exported.cut(1)
    assert looks() == "the file of signed heads was cut"
    assert looks() == "the file of signed heads was cut", "the chain itself tells of the head"
    exported.path.write_text(whole.replace('"batch": 6', '"batch": 5'), "utf-8")
    assert looks() == "the file of signed heads was edited"
    exported.path.write_text(whole, "utf-8")
    assert looks() == ""
    exported.path.unlink()
    assert looks() == "the file of signed heads is gone"
    exported.lives(1)
    assert looks() == "the file of signed heads was cut", "it begins anew: told once"
    assert looks() == ""
