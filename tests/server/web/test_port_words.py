"""Troubles of ports are said in both languages, on pages and by commands, whatever port it is."""

import pytest

from server.cli.languages import error_in_chinese
from server.collect import serial_port
from server.collect.port import LineSettings, PortError
from server.collect.ports import open_port
from server.errors import ConfigError
from server.web.i18n import translations
from server.web.port_words import CAUSES, port_said

CHINESE = translations("zh_CN").gettext


def test_every_trouble_of_a_serial_port_is_known():
    assert set(serial_port._CAUSES.values()) <= set(CAUSES)


@pytest.mark.parametrize("url", ["tcp://host", "rfc2217://host:0", "udp://host:1"])
def test_what_names_no_port_is_said_in_chinese(url):
    with pytest.raises(PortError) as caught:
        open_port(url, LineSettings())
    said = error_in_chinese(caught.value)
    assert said.startswith(f"{url}: ")
    assert "请写" in said


def test_the_cause_is_said_and_the_port_stays():
    assert port_said("/dev/ttyUSB9: not connected", CHINESE) == "/dev/ttyUSB9: 未连接"
    assert port_said("something else", CHINESE) is None
    assert error_in_chinese(ConfigError("something else")) == "something else"
