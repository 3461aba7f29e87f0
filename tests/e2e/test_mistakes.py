"""Mistakes of newcomers: each command says what is wrong, where, and what to do, and never shows a traceback."""

import signal
import socket

import pytest

import server.__main__
from tests.e2e.processes import ROOT, estate645, start, wait_until


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


def test_the_demo_leaves_a_folder_alone_that_is_not_its_own(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    (tmp_path / "photos").mkdir()
    refused(estate645("demo", "--folder", tmp_path, cwd=tmp_path), str(tmp_path), "empty folder")
    refused(estate645("demo", "--folder", tmp_path / "thesis.txt", cwd=tmp_path), "thesis.txt")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos", "thesis.txt"]


@pytest.mark.timeout(120)
def test_the_demo_ignores_the_settings_of_a_real_server(tmp_path, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'real.db'}")
    monkeypatch.setenv("ESTATE645_PORT", "99999")
    demo = start("demo", "--port", "0", "--folder", tmp_path / "demo", cwd=tmp_path)
    try:
        wait_until(lambda: (tmp_path / "demo" / "server.ready.json").exists(), "the server is ready")
    finally:
        demo.send_signal(signal.SIGINT)
        demo.communicate(timeout=60)
    assert not (tmp_path / "real.db").exists()


def test_ctrl_c_while_the_command_is_still_loading(monkeypatch, capsys):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(server.__main__, "build_parser", interrupted)
    assert server.__main__.main(["verify"]) == 130
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("command", ["demo", "serve", "import", "verify", "read"])
def test_every_command_has_help(command, tmp_path):
    answer = estate645(command, "--help", cwd=tmp_path)
    assert answer.returncode == 0
    assert "usage: estate645" in answer.stdout
