"""Reads one simulated meter with the PyPI package `python-dlt645`, inside that package's own environment.

Run as `python python_dlt645_reader.py PORT IDENTIFIER...`, PORT being a pty or `tcp://HOST:PORT`; prints one line of
JSON with the address that the package found and what it read.
"""

import json
import socket
import sys

import dlt645
import serial


class Stream:
    """A socket as the file-like object that the package wants."""

    def __init__(self, port):
        host, _, number = port.removeprefix("tcp://").partition(":")
        self._socket = socket.create_connection((host, int(number)), 20)

    def read(self, count):
        return self._socket.recv(count)

    def write(self, data):
        self._socket.sendall(data)


def main(port, *identifiers):
    stream = Stream(port) if port.startswith("tcp://") else serial.Serial(port, 9600, parity="N", timeout=20)
    address = dlt645.get_addr(stream)
    read = {}
    for identifier in identifiers:
        frame = dlt645.Frame(address)
        frame.data = identifier
        dlt645.write_frame(stream, frame)
        read[identifier] = dlt645.read_frame(dlt645.iogen(stream)).data
    print(json.dumps({"address": address, "read": read}))


if __name__ == "__main__":
    main(*sys.argv[1:])
