"""The files of `deploy/` hold what docs/deploy.md promises, and systemd itself has nothing against the unit."""

import configparser
import re
import shutil
import subprocess
import tomllib

import pytest

from server.config import load
from server.keyring import CREDENTIAL
from server.web.events import STREAM_S_MAX
from server.web.security import BODY_BYTES_MAX
from tests.house.sources import ROOT

DEPLOY = ROOT / "deploy"
UNIT = (DEPLOY / "estate645.service").read_text("utf-8")
NGINX = (DEPLOY / "nginx.conf").read_text("utf-8")
EXPOSURE_MAX = "20"  # of 100: what systemd calls OK


def service():
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str
    parser.read_string(UNIT)
    return parser["Service"]


def test_the_unit_hands_the_keys_over_and_shuts_the_rest():
    own = service()
    assert own["LoadCredential"] == f"{CREDENTIAL}:/etc/estate645/{CREDENTIAL}"
    assert own["User"] == "estate645"
    assert own["ExecStart"].endswith("estate645 serve --config /etc/estate645/estate645.toml")
    for name, value in {
        "NoNewPrivileges": "yes", "ProtectSystem": "strict", "CapabilityBoundingSet": "", "DevicePolicy": "closed",
        "StateDirectoryMode": "0700", "UMask": "0077", "MemoryDenyWriteExecute": "yes", "KillMode": "mixed",
    }.items():  # fmt: skip
        assert own[name] == value, name
    assert re.findall(r"DeviceAllow=char-(\w+) rw", UNIT) == ["ttyS", "ttyUSB", "ttyACM", "ttyAMA"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_has_nothing_against_the_unit(tmp_path):
    path = tmp_path / "estate645.service"
    path.write_text(UNIT.replace("/opt/estate645/bin/estate645", "/bin/true"), "utf-8")
    said = subprocess.run(["systemd-analyze", "verify", path], capture_output=True, text=True, check=False)
    assert (said.returncode, said.stdout, said.stderr) == (0, "", "")
    command = ["systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE_MAX}", path]
    rated = subprocess.run(command, capture_output=True, text=True, check=False)
    assert rated.returncode == 0, rated.stdout[-300:]


def test_the_settings_behind_a_proxy_are_those_that_the_server_needs():
    config = load(DEPLOY / "estate645.toml", {})
    assert (config.host, config.secure_cookies) == ("127.0.0.1", True)
    assert config.public_url.startswith("https://")
    port = config.port
    assert f"http://127.0.0.1:{port}" in NGINX
    assert f"127.0.0.1:{port}" in (DEPLOY / "Caddyfile").read_text("utf-8")


def test_nginx_passes_on_what_the_server_asks_of_a_proxy():
    for header, value in (
        ("Host", "$http_host"),
        ("X-Forwarded-For", "$remote_addr"),
        ("X-Forwarded-Proto", "$scheme"),
    ):
        assert f"proxy_set_header {header} {value};" in NGINX
    assert f"client_max_body_size {BODY_BYTES_MAX // 1024}k;" in NGINX
    events = NGINX.split("location = /events")[1]
    assert "proxy_buffering off;" in events
    assert int(re.search(r"proxy_read_timeout (\d+)s;", events)[1]) > STREAM_S_MAX


def test_both_proxies_show_the_page_of_a_restart_and_it_says_in_both_languages_not_to_pay_twice():
    page = (DEPLOY / "restarting.html").read_text("utf-8")
    assert "请勿重复付款" in page
    assert "do not pay twice" in page
    assert int(re.search(r'http-equiv="refresh" content="(\d+)"', page)[1]) < 30
    assert not re.search(r"(?:src|href)=|<script", page), "it must not ask the server that is away"
    assert re.search(r"error_page 502 504 /restarting\.html;\s+location = /restarting\.html \{\s+root (\S+);", NGINX)
    assert "rewrite * /restarting.html" in (DEPLOY / "Caddyfile").read_text("utf-8")


@pytest.mark.parametrize("name", ["deploy.md", "deploy.zh-CN.md"])
def test_both_guides_tell_of_every_file_and_the_same_commands(name):
    texts = [(ROOT / "docs" / one).read_text("utf-8") for one in (name, "deploy.md")]
    commands = [
        [
            line.split("#")[0].strip()
            for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
            for line in block.splitlines()
        ]
        for text in texts
    ]
    assert commands[0] == commands[1]
    for path in (
        "deploy/estate645.toml",
        "deploy/estate645.service",
        "deploy/nginx.conf",
        "deploy/Caddyfile",
        "deploy/restarting.html",
    ):
        assert path in texts[0]
    assert tomllib.loads((DEPLOY / "estate645.toml").read_text("utf-8"))
