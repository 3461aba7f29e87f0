"""The smallest head-end: one register of one meter, over a serial port. Put your own program in its place."""

import serial

ENERGY_TOTAL = bytes.fromhex("00010000")


class MeterSilent(Exception):
    """No answer came in time."""


def request(meter: str) -> bytes:
    """DL/T 645-2007, command 11H: read the total of forward active energy."""
    body = bytes.fromhex(meter)[::-1]
    data = bytes((byte + 0x33) & 0xFF for byte in ENERGY_TOTAL[::-1])
    frame = b"\x68" + body + b"\x68\x11" + bytes([len(data)]) + data
    return b"\xfe" * 4 + frame + bytes([sum(frame) & 0xFF]) + b"\x16"


def read_energy_wh(port: str, meter: str, timeout_s: float = 2.0) -> int:
    """The register in Wh; MeterSilent when the meter does not answer."""
    with serial.Serial(port, 9600, timeout=timeout_s) as line:
        line.write(request(meter))
        answer = line.read_until(b"\x16", 64).lstrip(b"\xfe")
        while answer and len(answer) < 12 + answer[9]:
            answer += line.read(12 + answer[9] - len(answer))
    if not answer:
        raise MeterSilent(f"{meter} on {port} did not answer within {timeout_s} s")
    return energy_wh(answer)


def energy_wh(answer: bytes) -> int:
    """The register that a whole answer carries, in Wh."""
    value = bytes((byte - 0x33) & 0xFF for byte in answer.lstrip(b"\xfe")[14:18])
    return int(value[::-1].hex()) * 10
