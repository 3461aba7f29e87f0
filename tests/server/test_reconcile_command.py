"""`estate645 reconcile`: what would differ, without changing anything."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from server.__main__ import main
from server.domain.reconciliation import BillRow
from server.store.writer import Writer
from tests.server.books import rows
from tests.server.test_reconciliation import DAY, NOON_MS, Books, paid, returned


@pytest.fixture
def place(tmp_path, sqlite_engine):
    """A folder with settings, a database with one payment, and the way to run the command."""
    key = Ed25519PrivateKey.generate()
    (tmp_path / "own.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (tmp_path / "own.pem").chmod(0o600)
    (tmp_path / "their.pem").write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    config = tmp_path / "estate.toml"
    config.write_text(
        'sandbox_provider_url = "http://127.0.0.1:1"\nsandbox_merchant_key = "own.pem"\n'
        'sandbox_provider_public_key = "their.pem"\n'
    )
    writer = Writer(sqlite_engine)
    Books(writer, households=1, opening_fen=0).pays("t1")
    writer.stop()

    def run(*listed, day=DAY, provider="sandbox", more=()):
        file = tmp_path / "bill.json"
        file.write_text(json.dumps({"rows": [row_of(row) for row in listed]}))
        url = f"sqlite:///{sqlite_engine.url.database}"
        return main(
            [
                "reconcile",
                str(file),
                "--provider",
                provider,
                "--day",
                day,
                "--config",
                str(config),
                "--database",
                url,
                *more,
            ]
        )

    return run


def row_of(row: BillRow) -> dict[str, object]:
    return {name: value for name, value in row._asdict().items() if value != ""}


def test_a_day_that_agrees_is_no_news(place, capsys):
    assert place(paid("t1"), more=["--lang", "en"]) == 0
    assert capsys.readouterr().out == "0 differences that somebody has to look after, 0 of the day boundary\n"
    assert place(paid("t1"), more=["--lang", "zh"]) == 0
    assert capsys.readouterr().out == "须处理的差异0项，跨日0项\n"
    assert place(paid("t9"), more=["--lang", "zh"]) == 1
    said = capsys.readouterr().out
    assert "本系统缺" in said
    assert "须处理的差异2项，跨日0项" in said


def test_every_difference_is_told_with_whose_turn_it_is_and_nothing_is_changed(place, capsys, sqlite_engine):
    assert place(paid("t9"), returned("r9")) == 1
    said = capsys.readouterr().out
    assert said.count("missing_here") == 2
    assert "missing_there" in said
    assert "50.00" in said
    assert "3 differences" in said
    assert place(paid("t1", 5001), more=["--json"]) == 1
    [one] = json.loads(capsys.readouterr().out)["differences"]
    assert (one["kind"], one["here_fen"], one["there_fen"], one["owner"]) == ("amount", 5000, 5001, "provider")
    assert rows(sqlite_engine, "bill_file") == rows(sqlite_engine, "bill_difference") == []
    assert [row["kind"] for row in rows(sqlite_engine, "anomaly_case")] == []


@pytest.mark.parametrize(
    ("changes", "why"),
    [({"day": "2026-13-01"}, "no day"), ({"provider": "wechat"}, "not set up"), ({"day": "2026-11-25"}, "not of")],
)
def test_what_cannot_be_compared_is_said(place, capsys, changes, why):
    assert place(paid("t1", at_ms=NOON_MS), **changes) == 2
    assert why in capsys.readouterr().err
