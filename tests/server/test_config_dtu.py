"""Settings of the DTU listener: from the file and from the environment, and what is refused."""

from ipaddress import ip_network

import pytest

from server.app import _dtus
from server.config import Config, load
from server.errors import ConfigError
from server.intake.estate_keys import bus_url


def test_from_the_file_and_from_the_environment(tmp_path):
    path = tmp_path / "server.toml"
    path.write_text(
        'dtu_listen = "0.0.0.0:9645"\ndtu_registration = "REG,(?P<id>[^,]+),"\n'
        'dtu_heartbeats = ["HB", "hex:FE 01"]\ndtu_allow = ["10.8.0.0/16"]\n'
    )
    config = load(path, {})
    assert (config.dtu_listen, config.dtu_heartbeats) == ("0.0.0.0:9645", (b"HB", b"\xfe\x01"))
    assert (config.dtu_registration, config.dtu_allow) == ("REG,(?P<id>[^,]+),", ("10.8.0.0/16",))
    config = load(path, {"ESTATE645_DTU_HEARTBEATS": "PING, hex:00", "ESTATE645_DTU_ALLOW": ""})
    assert (config.dtu_heartbeats, config.dtu_allow) == ((b"PING", b"\x00"), ())


@pytest.mark.parametrize(
    ("line", "allowed"),
    [
        ('dtu_listen = "9645"', "host:port"),
        ('dtu_listen = "0.0.0.0:70000"', "host:port"),
        ('dtu_registration = "REG"', "a group id"),
        ('dtu_registration = "("', "a group id"),
        ('dtu_heartbeats = [""]', "1 to 64 bytes"),
        ('dtu_heartbeats = ["hex:F"]', "1 to 64 bytes"),
        ('dtu_allow = ["10.8.0.1/16"]', "10.8.0.0/16"),
    ],
)
def test_what_is_wrong_is_refused_with_what_is_allowed(tmp_path, line, allowed):
    path = tmp_path / "server.toml"
    path.write_text(line)
    with pytest.raises(ConfigError, match=f"is wrong; allowed: .*{allowed}"):
        load(path, {})


def test_the_settings_become_a_listener():
    assert _dtus(Config(), local_only=False) is None
    config = Config(dtu_listen="[::1]:9645", dtu_registration="(?P<id>..)", dtu_allow=("10.8.0.0/16",))
    made = _dtus(config, local_only=True)
    assert (made.host, made.port, made.local_only) == ("::1", 9645, True)
    assert made.registration.match(b"AB").group("id") == b"AB"
    assert made.networks == (ip_network("10.8.0.0/16"),)


@pytest.mark.parametrize("url", ["dtu://DTU-1", "rfc2217://10.0.0.9:2217", "tcp://10.0.0.9:4001", "/dev/ttyUSB0"])
def test_an_estate_file_takes_every_kind_of_port(url):
    assert bus_url(url) == url
