"""Reads and writes that keep the interpreter: the same bytes and the same errors as those of `os`."""

import os
import socket

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
