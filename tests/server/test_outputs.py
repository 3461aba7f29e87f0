"""What a command cannot write is said before its work, and a file that fails later is named without a traceback."""

import argparse
import os

import pytest

from server import __main__
from server.cli import scan
from server.cli.outputs import refuse_unwritable
from server.errors import ConfigError


def test_a_file_that_cannot_be_written_is_refused_in_both_languages(tmp_path, monkeypatch):
    refuse_unwritable(None)
    refuse_unwritable(tmp_path / "new.toml")
    with pytest.raises(ConfigError, match="there is no folder") as missing:
        refuse_unwritable(tmp_path / "none" / "new.toml")
    assert "没有文件夹" in missing.value.__notes__[0]
    with pytest.raises(ConfigError, match="is a folder"):
        refuse_unwritable(tmp_path)
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)  # root may write anywhere
    with pytest.raises(ConfigError, match="cannot be written by this user"):
        refuse_unwritable(tmp_path / "new.toml")
    assert list(tmp_path.iterdir()) == []


def test_a_scan_asks_nobody_when_its_file_cannot_be_written(tmp_path, monkeypatch):
    monkeypatch.setattr(scan, "_scan", lambda *_: pytest.fail("it was asked"))
    with pytest.raises(ConfigError, match="there is no folder"):
        scan.run(argparse.Namespace(tries=1, wait_ms=1, out=tmp_path / "none" / "found.toml"))


def test_a_file_of_a_command_that_fails_is_named_without_a_traceback(tmp_path, capsys, monkeypatch):
    def fail(given):
        parser = argparse.ArgumentParser()
        parser.set_defaults(command="scan", run=lambda _: (tmp_path / "none" / "x").write_text(""))
        return parser

    monkeypatch.setattr(__main__, "build_parser", fail)
    assert __main__.main([]) == 2
    assert capsys.readouterr().err == f"estate645 scan: {tmp_path}/none/x: No such file or directory\n"
