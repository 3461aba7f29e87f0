"""Reads and writes that keep the interpreter: the same bytes and the same errors as those of `os`."""

import os
import socket
import sys
import threading

import pytest

from server.collect import held_io


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield ours, theirs


def fill(fd):
    while held_io.write(fd, bytes(4096)):
        pass


def test_bytes_come_and_go_unchanged(pair):
    ours, theirs = pair
    everything = bytes(range(256)) * 8
    theirs.sendall(everything)
    assert held_io.read(ours.fileno()) == everything
    assert held_io.write(ours.fileno(), everything) == len(everything)
    assert theirs.recv(4096) == everything


def test_what_was_read_before_does_not_show_through(pair):
    ours, theirs = pair
    theirs.sendall(b"long ago")
    first = held_io.read(ours.fileno())
    theirs.sendall(b"now")
    assert (first, held_io.read(ours.fileno())) == (b"long ago", b"now")


def test_nothing_there_and_a_full_buffer_are_blocking_errors(pair):
    ours, _ = pair
    with pytest.raises(BlockingIOError):
        held_io.read(ours.fileno())
    with pytest.raises(BlockingIOError):
        fill(ours.fileno())


def test_the_end_is_no_bytes(pair):
    ours, theirs = pair
    theirs.close()
    assert held_io.read(ours.fileno()) == b""


@pytest.mark.parametrize("call", [held_io.read, lambda fd: held_io.write(fd, b"x")])
def test_a_closed_descriptor_is_an_error_with_its_number(call):
    ours, theirs = os.pipe()
    os.close(ours)
    os.close(theirs)
    with pytest.raises(OSError, match="Bad file descriptor") as error:
        call(ours)
    assert error.value.errno == 9


def test_threads_that_read_at_the_same_time_never_get_each_others_bytes():
    interval, mixed = sys.getswitchinterval(), []

    def listen(sign):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            for _ in range(2000):
                theirs.send(sign * 64)
                got = held_io.read(ours.fileno())
                if got != sign * 64:
                    mixed.append(got)

    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=listen, args=(bytes([number]),)) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert mixed == []
