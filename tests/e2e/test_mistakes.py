"""Mistakes of newcomers: each command says what is wrong, where, and what to do, and never shows a traceback."""

import signal
import socket
import subprocess
import sys

import pytest

import server.__main__
from server.store.engine import open_engine, upgrade
from server.store.ownership import claim
from tests.e2e.processes import ROOT, estate645, start, wait_until


def refused(answer, *words):
    assert answer.returncode == 2, answer.stdout + answer.stderr
    assert "Traceback" not in answer.stderr
    for word in words:
        assert word in answer.stderr
    assert len(answer.stderr.strip().splitlines()) <= 3


def test_serve_without_an_estate_says_how_to_import_one(tmp_path):
    refused(estate645("serve", "--port", "0", cwd=tmp_path), "no estate yet", "estate645 import")
    assert list(tmp_path.iterdir()) == []


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


def test_verify_of_a_database_without_an_estate(tmp_path):
    engine = open_engine(f"sqlite:///{tmp_path / 'estate645.db'}")
    upgrade(engine)
    engine.dispose()
    refused(estate645("verify", cwd=tmp_path), "holds no estate")
    refused(estate645("serve", "--port", "0", cwd=tmp_path), "no estate yet", "estate645 import")


def test_an_import_beside_a_running_server(tmp_path):
    example = ROOT / "docs" / "estate.example.toml"
    assert estate645("import", example, cwd=tmp_path).returncode == 0
    engine = open_engine(f"sqlite:///{tmp_path / 'estate645.db'}")
    give_back = claim(engine)
    try:
        refused(estate645("import", example, cwd=tmp_path), "a server runs", "stop the server")
    finally:
        give_back()
        engine.dispose()


def test_a_postgresql_that_is_not_there(tmp_path):
    answer = estate645("verify", "--database", "postgresql://a:b@127.0.0.1:1/none", cwd=tmp_path)
    refused(answer, "that the server runs and can be reached")
    assert "folder" not in answer.stderr


BASE_INSTALL = """
import builtins, sys
real = builtins.__import__
def without_the_extra(name, *rest):
    if name.split(".")[0] in ("sqlalchemy", "uvicorn", "httpx", "pydantic", "fastapi", "alembic"):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name.split(".")[0])
    return real(name, *rest)
builtins.__import__ = without_the_extra
from server.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--help"], 0, "explain a DL/T 645 "),
        (["frame", "68 AA AA AA AA AA AA 68 13 00 DF 16"], 0, "AAAAAAAAAAAA"),
        (["serve", "--port", "0"], 2, "is missing; run: pip install 'estate645[server]'"),
        (["import", "estate.toml"], 2, "is missing; run: pip install 'estate645[server]'"),
        (["verify", "--help"], 2, "is missing; run: pip install 'estate645[server]'"),
        (["frame", "--nonsense"], 2, "unrecognized arguments: --nonsense"),
    ],
)
def test_help_and_what_needs_no_server_work_without_the_extra(tmp_path, arguments, code, words):
    answer = subprocess.run(
        [sys.executable, "-P", "-c", BASE_INSTALL, *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == code, answer.stdout + answer.stderr
    assert words in answer.stdout + answer.stderr
    assert "Traceback" not in answer.stderr


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
    def interrupted(_commands):
        raise KeyboardInterrupt

    monkeypatch.setattr(server.__main__, "build_parser", interrupted)
    assert server.__main__.main(["verify"]) == 130
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("command", ["demo", "serve", "import", "verify", "read"])
def test_every_command_has_help(command, tmp_path):
    answer = estate645(command, "--help", cwd=tmp_path)
    assert answer.returncode == 0
    assert "usage: estate645" in answer.stdout
