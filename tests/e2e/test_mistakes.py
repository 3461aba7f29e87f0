"""Mistakes of newcomers: each command says what is wrong, where, and what to do, and never shows a traceback."""

import socket

import pytest

from tests.e2e.processes import ROOT, estate645


def refused(answer, *words):
    assert answer.returncode == 2, answer.stdout + answer.stderr
    assert "Traceback" not in answer.stderr
    for word in words:
        assert word in answer.stderr
    assert len(answer.stderr.strip().splitlines()) <= 3


def test_serve_without_an_estate_says_how_to_import_one(tmp_path):
    refused(estate645("serve", "--port", "0", cwd=tmp_path), "no estate yet", "estate645 import")


def test_serve_on_a_port_that_is_taken(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused(estate645("serve", "--port", port, cwd=tmp_path), str(port), "another port")


def test_an_unknown_setting_is_named_with_the_allowed_ones(tmp_path):
    (tmp_path / "server.toml").write_text("prot = 1\n")
    answer = estate645("serve", "--config", "server.toml", cwd=tmp_path)
    refused(answer, "server.toml", "'prot'", "port")


def test_a_wrong_value_is_named_with_what_is_allowed(tmp_path):
    (tmp_path / "server.toml").write_text('port = "many"\n')
    refused(estate645("serve", "--config", "server.toml", cwd=tmp_path), "server.toml", "port", "0 to 65535")


def test_a_settings_file_that_is_missing(tmp_path):
    refused(estate645("serve", "--config", "nowhere.toml", cwd=tmp_path), "nowhere.toml", "cannot be read")


def test_an_import_file_that_is_missing_or_wrong(tmp_path):
    refused(estate645("import", "nowhere.toml", cwd=tmp_path), "nowhere.toml")
    example = (ROOT / "docs" / "estate.example.toml").read_text("utf-8")
    (tmp_path / "estate.toml").write_text(example.replace('parity = "E"', 'parity = "X"'), "utf-8")
    refused(estate645("import", "estate.toml", cwd=tmp_path), "estate.toml", "parity", "E, N or O")


def test_the_documented_example_imports_and_verifies(tmp_path):
    done = estate645("import", ROOT / "docs" / "estate.example.toml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "1 households" in done.stdout
    verified = estate645("verify", cwd=tmp_path)
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_a_database_that_cannot_be_written(tmp_path):
    answer = estate645(
        "import", ROOT / "docs" / "estate.example.toml", "--database", "sqlite:////proc/estate645.db", cwd=tmp_path
    )
    refused(answer, "/proc/estate645.db")


def test_verify_without_any_database(tmp_path):
    refused(estate645("verify", cwd=tmp_path), "estate645 demo")


@pytest.mark.parametrize("command", ["demo", "serve", "import", "verify", "read"])
def test_every_command_has_help(command, tmp_path):
    answer = estate645(command, "--help", cwd=tmp_path)
    assert answer.returncode == 0
    assert "usage: estate645" in answer.stdout
