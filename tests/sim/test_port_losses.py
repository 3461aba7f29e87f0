"""Ports that go and come back: a pulled adapter, a serial server with too many or too slow clients, a reboot."""

import contextlib
import os
import pty
import re
import socket
import time
import tty

import pytest

from core.dlt645.commands import Read
from core.dlt645.frame import FrameDecoder, encode
from core.dlt645.identifiers import ENERGY_TOTAL
from sim.errors import PortError
from sim.ports import TcpPort
from sim.ports.tcp import BACKLOG_BYTES_MAX, CLIENTS_MAX, RELISTEN_S
from sim.timing.clock import RealEnvironment
from tests.sim.rig import ADDRESS, PtyMaster, simulator
from tests.sim.test_ports import scenario

REQUEST = encode(Read(ADDRESS, ENERGY_TOTAL).to_frame())


def soon(true, within_s=20.0):
    """Wait until something is so."""
    end_s = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end_s
        time.sleep(0.02)


def bus_of(sim):
    return sim.get("/metrics")["buses"][0]


class Adapter:
    """A pty pair under a name of its own, as udev names an adapter; the master is the other end of the cable."""

    def __init__(self, link):
        self.master, slave = pty.openpty()
        tty.setraw(slave)
        link.unlink(missing_ok=True)
        link.symlink_to(os.ttyname(slave))
        self.slave = slave
        self.link = link

    def pull(self):
        self.link.unlink()
        os.close(self.master)
        os.close(self.slave)

    def answers(self):
        os.write(self.master, REQUEST)
        line = PtyMaster.__new__(PtyMaster)
        line.fd, line.decoder = self.master, FrameDecoder()
        return line.frame(20) is not None


def test_a_pulled_adapter_is_told_once_shown_and_opened_again_when_it_is_back(tmp_path):
    link = tmp_path / "ttyUSB0"
    adapter = Adapter(link)
    with simulator(tmp_path, scenario(port=str(link), parity="N")) as sim:
        assert adapter.answers()
        assert bus_of(sim)["port_up"] is True
        adapter.pull()
        soon(lambda: not bus_of(sim)["port_up"])
        assert sim.get("/metrics")["ports_down"] == 1
        time.sleep(1.2)  # it is looked for at least once in vain
        adapter = Adapter(link)
        soon(lambda: bus_of(sim)["port_up"])
        assert adapter.answers()
        assert bus_of(sim)["port_losses"] == 1
        said = sim.stop()
    assert said.count(f"{link}: gone (") == 1
    assert f"{link}: back" in said
    assert "plug it in again" in said
    adapter.pull()


@contextlib.contextmanager
def served(host="127.0.0.1"):
    """A TCP port, and how to let its loop run for a while."""
    env, port, heard = RealEnvironment(), TcpPort(f"tcp://{host}:0"), []
    port.open(env, heard.append)

    def run(seconds=0.05):
        env.call_at(env.wall_s() + seconds, env.stop)
        env._running = True
        env.serve()

    with contextlib.closing(env), contextlib.closing(port), contextlib.ExitStack() as clients:

        def connect():
            client = clients.enter_context(
                socket.create_connection((host.strip("[]"), int(port.name.rpartition(":")[2])))
            )
            client.settimeout(5)
            run()
            return client

        yield port, run, connect


def test_one_client_too_many_is_refused_and_told_once_until_one_has_gone(capfd):
    with served() as (port, run, connect):
        clients = [connect() for _ in range(CLIENTS_MAX)]
        for _ in range(3):
            assert connect().recv(1) == b""
        port.write(b"to all")
        assert {client.recv(6) for client in clients} == {b"to all"}
        assert port.state.refused_clients == 3
        clients[0].close()
        run()
        port.write(b"more")
        late = connect()
        port.write(b"late")
        assert late.recv(4) == b"late"
    said = capfd.readouterr().err
    assert said.count("one more from 127.0.0.1 is refused") == 1
    assert f"{CLIENTS_MAX} clients are connected" in said


def test_a_client_that_reads_nothing_is_disconnected_and_keeps_nobody_from_hearing(capfd):
    with served() as (port, _run, connect):
        deaf, good = connect(), connect()
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        chunk, heard, sent = bytes(1024), 0, 0
        while not port.state.dropped_bytes:
            port.write(chunk)
            sent += len(chunk)
            while heard < sent:
                heard += len(good.recv(sent - heard))
            assert sent < 8 * BACKLOG_BYTES_MAX, "what is kept for one client has no end"
        port.write(b"on")
        assert good.recv(2) == b"on"
        assert len(port._clients) == 1
    told = re.search(r"has left (\d+) bytes or more unread and is disconnected", capfd.readouterr().err)
    assert 0 < int(told[1]) <= sent
    assert int(told[1]) != BACKLOG_BYTES_MAX, "not the size of the buffer"


@pytest.fixture
def head_end():
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(20)
    with server:
        yield server


def reboot(sim, lasts_s=None):
    sim.post("/fault", {"bus": "bus-1", "fault": "concentrator_reboot"} | ({"lasts_s": lasts_s} if lasts_s else {}))


def test_a_reboot_hangs_up_a_dtu_which_dials_registers_and_says_its_banner_afterwards(tmp_path, head_end):
    url = f"dtu://127.0.0.1:{head_end.getsockname()[1]}"
    with simulator(tmp_path, scenario(port=url, registration="REG", redial_s=1)) as sim:
        line, _ = head_end.accept()
        line.settimeout(20)
        assert line.recv(3, socket.MSG_WAITALL) == b"REG"
        reboot(sim)
        assert line.recv(1) == b"", "the connection is cut"
        head_end.settimeout(1.3)
        with pytest.raises(TimeoutError):
            head_end.accept()
        assert bus_of(sim)["port_up"] is False
        head_end.settimeout(20)
        sim.post("/fault", {"bus": "bus-1", "fault": "none"})
        again, _ = head_end.accept()
        again.settimeout(20)
        assert again.recv(14, socket.MSG_WAITALL) == b"REGDTU READY\r\n"
        again.sendall(REQUEST)
        assert again.recv(4, socket.MSG_WAITALL) == b"\xfe\xfe\xfe\xfe"
        line.close()
        again.close()


def test_a_reboot_hangs_up_the_clients_of_a_tcp_port_and_refuses_others_until_it_is_over(tmp_path):
    with simulator(tmp_path, scenario(port="tcp://127.0.0.1:0")) as sim:
        where = ("127.0.0.1", int(sim.ready["ports"]["bus-1"].rpartition(":")[2]))
        line = socket.create_connection(where)
        line.settimeout(20)
        line.sendall(REQUEST)
        assert line.recv(4, socket.MSG_WAITALL) == b"\xfe\xfe\xfe\xfe"
        reboot(sim)
        while line.recv(64):
            pass
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(where)
        sim.post("/fault", {"bus": "bus-1", "fault": "none"})
        with socket.create_connection(where) as again:
            again.settimeout(20)
            assert again.recv(11, socket.MSG_WAITALL) == b"DTU READY\r\n"
        line.close()


def speaks_ipv6():
    """Whether the host has the loopback of IPv6; many containers have not."""
    try:
        with socket.socket(socket.AF_INET6) as tried:
            tried.bind(("::1", 0))
    except OSError:
        return False
    return True


def test_a_tcp_port_of_ipv6_is_heard_cut_and_mended():
    if not speaks_ipv6():
        with pytest.raises(PortError, match="cannot listen"), served("[::1]"):
            pass
        return
    with served("[::1]") as (port, _run, connect):
        assert re.fullmatch(r"tcp://\[::1\]:[1-9]\d*", port.name)
        connect()
        port.cut()
        with pytest.raises(ConnectionRefusedError):
            connect()
        with socket.socket(socket.AF_INET6) as other, pytest.raises(OSError, match="in use"):
            other.bind(("::1", int(port.name.rpartition(":")[2])))
        port.mend()
        port.write(b"READY")
        assert connect().recv(5) == b"READY"


def test_a_port_that_cannot_listen_at_once_keeps_its_banner(capfd):
    with served() as (port, run, connect):
        port.cut()
        where = port._server.getsockname()
        port._server.close()
        with socket.create_server(where):
            port.mend()
            port.write(b"READY")
            assert not port.state.up
        run(RELISTEN_S + 0.3)
        assert port.state.up
        assert connect().recv(5) == b"READY"
    assert "cannot listen again" in capfd.readouterr().err


def test_a_second_reboot_is_not_ended_by_the_attempts_of_the_first():
    with served() as (port, run, connect):
        port.cut()
        where = port._server.getsockname()
        port._server.close()
        with socket.create_server(where):
            port.mend()
            port.write(b"FIRST")
        port.cut()
        run(RELISTEN_S + 0.3)
        assert not port.state.up
        with pytest.raises(ConnectionRefusedError):
            connect()
        port.mend()
        port.write(b"SECOND")
        assert connect().recv(6) == b"SECOND"
        assert port.state.losses == 1, "it was down all the time"


def test_an_address_of_another_machine_is_not_somebody_to_stop():
    port = TcpPort("tcp://203.0.113.1:0")
    with contextlib.closing(RealEnvironment()) as env, pytest.raises(PortError, match="an address and a port of this"):
        port.open(env, print)
