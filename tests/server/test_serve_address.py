"""The address that a server tells of itself can be opened, IPv6 included."""

import json
from dataclasses import replace

import httpx
import pytest

from server.cli.serve import _url, _write_ready
from server.config import Config


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "::"])
def test_an_address_of_either_kind_is_a_url(host):
    assert (httpx.URL(_url(host, 8645)).host, httpx.URL(_url(host, 8645)).port) == (host, 8645)


def test_the_ready_file_holds_it(tmp_path):
    _write_ready(tmp_path / "ready.json", replace(Config("sqlite:///x"), host="::1", port=1), [])
    assert json.loads((tmp_path / "ready.json").read_text("utf-8"))["url"] == "http://[::1]:1"
