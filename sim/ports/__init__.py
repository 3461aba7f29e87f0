"""Where the bytes of a bus come out: a pseudo-terminal, a TCP server, a DTU that dials in, a UART, or memory."""

from pathlib import Path

from sim.estate import BusConfig
from sim.ports.dial_out import DialOutPort
from sim.ports.memory import MemoryPort
from sim.ports.port import Port
from sim.ports.pty import PtyPort
from sim.ports.serial import SerialPort
from sim.ports.tcp import TcpPort

__all__ = ["DialOutPort", "MemoryPort", "Port", "PtyPort", "SerialPort", "TcpPort", "make_port"]


def make_port(bus: BusConfig, run_path: Path) -> Port:
    """The port that a bus asks for; it is not open yet."""
    if bus.port == "pty":
        return PtyPort(run_path / bus.bus_id, bus.line)
    if bus.port.startswith("tcp://"):
        return TcpPort(bus.port)
    if bus.port.startswith("dtu://"):
        return DialOutPort(bus.port, bus.dialling)
    if bus.port.startswith("/"):
        return SerialPort(bus.port, bus.line)
    return MemoryPort(bus.bus_id)
