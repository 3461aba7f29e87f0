"""Signed heads: made by the command or every hour, checked by verify, refused when anybody changed them."""

import fcntl
import json
import shutil
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest

from server import __main__
from server.__main__ import main
from server.clock import Clock
from server.domain.heads import Head, chain_problems, heads_of, last_heads, sign
from server.errors import ConfigError
from server.flows.ledger import seal_batches
from server.jobs.heads import HeadsJob
from server.pay.signing import generate_key_pair, load_private_key, load_public_key
from server.store.engine import begin_writing, open_engine
from server.store.writer import Writer
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
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["batch"] == 2
    assert main([*signing, "--out", "heads.jsonl"]) == main([*signing, "--out", "heads.jsonl"]) == 0
    assert len(Path("heads.jsonl").read_text("utf-8").splitlines()) == 2
    checking = ["verify", "--database", url, "--heads", "heads.jsonl", "--public-key", "keys/public.pem"]
    assert main(checking) == 0
    assert "signed heads lead up to batch 2; after it only the database" in capsys.readouterr().out
    assert main(["verify", "--database", url]) == 0
    assert "no signed heads: only the database vouches" in capsys.readouterr().out
    engine = open_engine(url)
    with begin_writing(engine) as connection, connection.begin():
        connection.exec_driver_sql("DROP TRIGGER seal_no_DELETE")
        connection.exec_driver_sql("DELETE FROM seal WHERE batch_seq = 2")
    engine.dispose()
    assert main(checking) == 1
    assert "seal 2: is missing, but a signed head names it" in capsys.readouterr().out


def test_heads_of_a_file_are_numbered_and_name_the_one_before(url: str, tmp_path: Path) -> None:
    pair, path = generate_key_pair(tmp_path / "keys"), tmp_path / "heads.jsonl"
    engine = open_engine(url)
    job = HeadsJob(engine, Clock(), load_private_key(pair.private), path)
    for _ in range(4):
        job.run_once()
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
        last_heads(["x"], "f")


@pytest.mark.parametrize("torn", ["{", '{"estate": "\u5c0f', '{"estate": "a", "batch": 7, "ha', "\0\0\0\0"])
def test_a_torn_line_stops_no_head_and_is_named(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], torn: str
) -> None:
    pair, path = generate_key_pair(tmp_path / "keys"), tmp_path / "heads.jsonl"
    engine = open_engine(url)
    job = HeadsJob(engine, Clock(), load_private_key(pair.private), path)
    job.run_once()
    with path.open("ab") as file:
        file.write(torn.encode()[:-1] if "\u5c0f" in torn else torn.encode())
    job.run_once()
    job.run_once()
    engine.dispose()
    assert main(["verify", "--database", url, "--heads", str(path), "--public-key", str(pair.public)]) == 0
    said = capsys.readouterr()
    assert f"{path}, line 2: a torn line" in said.err
    assert "signed heads lead up to batch 2" in said.out
    lines = path.read_text("utf-8", "replace").splitlines()
    assert [json.loads(text)["number"] for text in (lines[0], *lines[2:])] == [1, 2, 3]


def test_a_second_writer_of_the_file_waits_and_numbers_on(url: str, tmp_path: Path) -> None:
    key, path = load_private_key(generate_key_pair(tmp_path / "keys").private), tmp_path / "heads.jsonl"
    engine = open_engine(url)
    with path.open("a", encoding="utf-8") as first:
        fcntl.flock(first, fcntl.LOCK_EX)
        second = Thread(target=HeadsJob(engine, Clock(), key, path).run_once)
        second.start()
        second.join(0.3)
        first.write(sign(replace(HEAD, number=1), key) + "\n")
    second.join(10)
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


def test_the_server_exports_heads(url: str, tmp_path: Path) -> None:
    pair = generate_key_pair(tmp_path / "keys")
    engine = open_engine(url)
    HeadsJob(engine, Clock(), load_private_key(pair.private), tmp_path / "heads.jsonl").run_once()
    engine.dispose()
    lines = (tmp_path / "heads.jsonl").read_text("utf-8").splitlines()
    assert [head.batch_seq for head in heads_of(lines, load_public_key(pair.public), "f")] == [2]
