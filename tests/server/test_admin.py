"""The admin socket: who is heard, what is refused, what is said when the server is gone, too old or another one."""

import os
import socket
import stat
from datetime import datetime
from time import sleep

import pytest

from core.dlt645.commands import Password, Read, ReadAddress, RelayAction, RelayControl, Write
from core.dlt645.frame import Frame, encode
from core.modbus.commands import ReadRegisters, WriteRegisters
from core.modbus.rtu import encode as encode_rtu
from server.admin import client, service
from server.admin.client import Admin, AdminError
from server.admin.service import AdminSocket
from server.admin.wire import question_of, send
from server.errors import ConfigError, Refused


@pytest.fixture
def serving(tmp_path):
    """A server beside a database of `tmp_path`; gives the URL."""
    made = []

    def serve(operations, folder=tmp_path, name="estate.db"):
        listener = AdminSocket(folder / f"{name}.admin", operations)
        listener.start()
        made.append(listener)
        return f"sqlite:///{folder / name}"

    yield serve
    for one in made:
        one.stop()


def echo(message):
    return {"done": message["text"]}


def test_a_question_and_its_answer(serving):
    admin = Admin.at(serving({"echo": echo}))
    assert admin.ask("echo", text="电表") == "电表"
    assert admin.ask("echo", text="twice") == "twice"
    admin.close()


def test_a_stream_ends_when_the_client_goes(serving):
    ended = []

    def count(_message):
        try:
            for number in range(10**9):
                yield {"number": number}
        finally:
            ended.append(True)

    admin = Admin.at(serving({"count": count}))
    stream = admin.stream("count")
    assert [next(stream)["number"] for _ in range(3)] == [0, 1, 2]
    admin.close()
    for _ in range(200):
        if ended:
            break
        sleep(0.01)
    assert ended


def test_the_socket_is_its_owners_alone(serving, tmp_path):
    serving({})
    assert stat.S_IMODE((tmp_path / "estate.db.admin").stat().st_mode) == 0o600


def test_another_user_is_not_heard(serving, monkeypatch):
    url = serving({"echo": echo})
    monkeypatch.setattr(service.os, "geteuid", lambda: 54321)
    monkeypatch.setattr(service, "ROOT", 54322)
    with pytest.raises(AdminError, match="hung up"):
        Admin.at(url)


def test_a_path_longer_than_a_socket_address(serving, tmp_path):
    folder = tmp_path / ("deep" * 30)
    folder.mkdir()
    admin = Admin.at(serving({"echo": echo}, folder))
    assert admin.ask("echo", text="far") == "far"
    admin.close()


def test_no_server_and_a_stale_socket_are_no_server(serving, tmp_path):
    assert Admin.at(f"sqlite:///{tmp_path / 'none.db'}") is None
    assert Admin.at("postgresql://user@/estate") is None
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "estate.db.admin"))
    url = f"sqlite:///{tmp_path / 'estate.db'}"
    assert Admin.at(url) is None
    serving({"echo": echo})
    admin = Admin.at(url)
    assert admin.ask("echo", text="new") == "new"
    admin.close()


def test_a_stopped_server_leaves_no_socket(tmp_path):
    listener = AdminSocket(tmp_path / "x.admin", {})
    listener.start()
    listener.stop()
    listener.stop()
    assert not (tmp_path / "x.admin").exists()


def test_what_is_no_socket_is_not_taken_away(tmp_path):
    (tmp_path / "x.admin").write_text("mine")
    with pytest.raises(ConfigError, match="in the way"):
        AdminSocket(tmp_path / "x.admin", {}).start()
    assert (tmp_path / "x.admin").read_text() == "mine"


def test_a_server_that_is_too_old_or_of_another_version_is_said(serving, monkeypatch):
    url = serving({"echo": echo})
    admin = Admin.at(url)
    with pytest.raises(AdminError, match="too old for `scan`"):
        admin.ask("scan")
    admin.close()
    monkeypatch.setattr(client, "VERSION", 2)
    with pytest.raises(AdminError, match=r"version 1 .* version 2"):
        Admin.at(url)


def test_errors_are_said_and_the_connection_goes_on(serving):
    def refuse(_message):
        raise Refused("not now")

    admin = Admin.at(serving({"refuse": refuse, "echo": echo}))
    with pytest.raises(AdminError, match="not now"):
        admin.ask("refuse")
    with pytest.raises(AdminError, match="'text' is missing"):
        admin.ask("echo")
    assert admin.ask("echo", text="on") == "on"
    admin.close()


def test_lines_that_are_no_json_end_the_connection_only(serving, tmp_path):
    url = serving({"echo": echo})
    with socket.socket(socket.AF_UNIX) as rude:
        rude.connect(str(tmp_path / "estate.db.admin"))
        rude.sendall(b"\xff\x00 not json\n[1]\n")
        while rude.recv(4096):
            pass
    admin = Admin.at(url)
    assert admin.ask("echo", text="still") == "still"
    admin.close()


def test_too_many_connections_are_hung_up(serving):
    url = serving({"echo": echo})
    held = [Admin.at(url) for _ in range(service.CONNECTIONS_MAX)]
    with pytest.raises(AdminError, match="hung up"):
        Admin.at(url)
    for one in held:
        one.close()


METER = "000023111202"


@pytest.mark.parametrize(
    "command", [Read(METER, 0x00010000), ReadAddress(), ReadRegisters(7, 0x2000, 2)], ids=lambda one: type(one).__name__
)
def test_reads_are_asked_for_others(command):
    frame = command.to_frame()
    assert question_of(frame.to_wire(0).hex()).to_frame() == frame


def test_no_control_code_but_those_of_reads_passes():
    for number in range(256):
        wire = encode(Frame(METER, number, bytes(4))).hex()
        if number in (0x01, 0x02, 0x11, 0x12, 0x13):
            assert question_of(wire).request.control == number
        else:
            with pytest.raises(Refused, match="only reads"):
                question_of(wire)


def test_nothing_that_changes_a_meter_is_asked_for_others():
    deadline = datetime(2026, 10, 13)  # noqa: DTZ001 - civil time of a meter
    trip = RelayControl(METER, RelayAction.TRIP, deadline, Password())
    write = Write(METER, 0x04000101, bytes(4), Password())
    for command in (trip, write):
        with pytest.raises(Refused, match="only reads"):
            question_of(encode(command.to_frame()).hex())
    with pytest.raises(Refused, match="no Modbus read"):
        question_of(encode_rtu(WriteRegisters(7, 0x1A, (1,)).to_frame()).hex())
    for nonsense in ("", "zz", "6868"):
        with pytest.raises(Refused):
            question_of(nonsense)


def test_the_servers_own_user_is_the_one_who_runs_it():
    assert os.geteuid() >= 0
    left, right = socket.socketpair(socket.AF_UNIX)
    with left, right:
        service._check_peer(left)
        send(left, {"heard": True})
        assert right.recv(100) == b'{"heard": true}\n'
