"""Recordings: the file as others read it, replay against a head-end, and two runs compared."""

import struct
import subprocess
import sys

import pytest

from core.dlt645.commands import Read
from core.dlt645.frame import FrameDecoder, encode
from core.dlt645.identifiers import ENERGY_BLOCK, ENERGY_TOTAL
from sim.errors import RecordingError
from sim.wire.recording import MASTER, METERS, Packet, Recorder, exchanges, read_recording
from tests.sim.rig import ADDRESS, OTHER, PtyMaster, Virtual, bus, household, simulator, table

ESTATE = """
[estate]
id = "cuihu"
[tariff]
price = "0.5"
[[bus]]
id = "bus-1"
baud = 19200
[[household]]
id = "1-0101"
meter = "202600010101"
bus = "bus-1"
"""
REQUESTS = [Read(ADDRESS, ENERGY_TOTAL), Read(OTHER, ENERGY_TOTAL), Read(ADDRESS, ENERGY_BLOCK)]


def tool(*words):
    command = [sys.executable, "-P", "-m", "sim", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def record_virtual(path, seed=1, **keys):
    virtual = Virtual(table([household()], [bus(**keys)]), seed=seed)
    virtual.world.buses["bus-1"].record(path, virtual.world.origin_ms * 1000)
    for request in REQUESTS:
        virtual.ask(request.to_frame())
    virtual.world.close()
    return path


def test_the_file_is_pcap_of_link_type_250_with_nanoseconds(tmp_path):
    """Read with struct alone, by the published layout, not by our own reader."""
    path = tmp_path / "bus.pcap"
    recorder = Recorder(path, 1_791_853_500_000_000)
    recorder.note(1.5, MASTER, b"\x68\x01")
    recorder.note(2.000_000_001, METERS, b"\x16")
    recorder.close()
    content = path.read_bytes()
    assert struct.unpack_from("<I", content)[0] == 0xA1B23C4D
    assert struct.unpack_from("<I", content, 20)[0] == 250
    assert struct.unpack_from("<4I", content, 24) == (1_791_853_501, 500_000_000, 14, 14)
    assert struct.unpack_from(">2I2BH", content, 40) == (1_791_853_501, 500_000, 1, 0, 0)
    assert content[52:54] == b"\x68\x01"
    assert struct.unpack_from("<4I", content, 54) == (1_791_853_502, 1, 13, 13)
    assert content[70 + 8] == 2
    assert content.endswith(b"\x16")


def test_a_packet_that_was_not_finished_is_left_out(tmp_path):
    path = record_virtual(tmp_path / "bus.pcap")
    whole = read_recording(path)
    path.write_bytes(path.read_bytes()[:-1])
    assert read_recording(path) == whole[:-1]


@pytest.mark.parametrize(
    "content", [b"", b"not a recording at all, but long enough", struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 0, 1)]
)
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "x.pcap"
    path.write_bytes(content)
    with pytest.raises(RecordingError, match="not a recording"):
        read_recording(path)


def test_exchanges_hold_requests_with_their_answers(tmp_path):
    found = exchanges(read_recording(record_virtual(tmp_path / "bus.pcap")))
    assert [e.request for e in found] == [encode(request.to_frame()) for request in REQUESTS]
    answered, foreign, block = found
    assert foreign.answer == ()
    (reply,) = FrameDecoder().feed(answered.answer_bytes)
    assert reply.identifier == ENERGY_TOTAL
    assert len(FrameDecoder().feed(block.answer_bytes)) == 1
    assert answered.answer[-1].at_ns - answered.asked_ns == pytest.approx(70.4e6, abs=0.1e6), "as the line needs"


def test_a_request_in_pieces_is_one_and_two_without_answer_are_two():
    wire = encode(REQUESTS[0].to_frame())
    pieces = [Packet(n * 1_000_000, MASTER, wire[n : n + 1]) for n in range(len(wire))]
    again = Packet(50_000_000, MASTER, wire)
    answer = Packet(90_000_000, METERS, b"\x01")
    found = exchanges([Packet(0, METERS, b"\xff"), *pieces, again, answer])
    assert [(e.request, len(e.answer)) for e in found] == [(wire, 0), (wire, 1)]


def test_two_virtual_runs_of_one_seed_give_the_same_file(tmp_path):
    keys = {"reply_delay_ms": [20, 500], "bit_errors_ppm": 2000}
    first = record_virtual(tmp_path / "a.pcap", **keys).read_bytes()
    assert record_virtual(tmp_path / "b.pcap", **keys).read_bytes() == first
    assert record_virtual(tmp_path / "c.pcap", seed=2, **keys).read_bytes() != first


def test_compare_says_what_differs(tmp_path):
    ours, same = (record_virtual(tmp_path / f"{name}.pcap") for name in ("ours", "same"))
    slow = record_virtual(tmp_path / "slow.pcap", reply_delay_ms=60)
    done = tool("compare", ours, same, "--tolerance-ms", 0)
    assert (done.returncode, done.stdout) == (0, "3 exchanges, no difference\n")
    done = tool("compare", ours, slow, "--tolerance-ms", 20)
    assert done.returncode == 1
    assert "exchange 1: time differs" in done.stdout
    assert "70.417 ms" in done.stdout
    assert "110.417 ms" in done.stdout
    packets = read_recording(ours)
    Recorder(tmp_path / "short.pcap", 0).close()
    done = tool("compare", ours, tmp_path / "short.pcap")
    assert "exchange 1: missing differs" in done.stdout
    assert packets


def test_a_running_bus_is_recorded_and_its_recording_answers_a_head_end_alike(tmp_path):
    with (
        simulator(tmp_path, ESTATE, "--record", str(tmp_path / "tapes")) as sim,
        PtyMaster(sim.ready["ports"]["bus-1"]) as line,
    ):
        frames = [line.ask(request, 1.0) for request in REQUESTS]
    assert frames[1] is None
    tape = tmp_path / "tapes" / "bus-1.pcap"
    assert len(exchanges(read_recording(tape))) == len(REQUESTS)
    command = [sys.executable, "-P", "-m", "sim", "replay", str(tape), "--run-dir", str(tmp_path / "again")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert "3 exchanges on" in process.stderr.readline()
            with PtyMaster(tmp_path / "again" / "replay") as line:
                for request, frame in zip(REQUESTS, frames, strict=True):
                    assert line.ask(request, 1.0) == frame
                assert line.ask(Read("000000000001", ENERGY_TOTAL), 0.3) is None, "what was never asked"
        finally:
            process.terminate()
        said = process.stderr.read()
    assert "answered 2, silent as recorded 1, never asked 0, bytes that were no recorded request" in said


def test_replay_and_record_name_what_is_wrong(tmp_path):
    assert "nothing.pcap: cannot be read" in tool("replay", tmp_path / "nothing.pcap").stderr
    path = tmp_path / "empty.pcap"
    Recorder(path, 0).close()
    done = tool("replay", path, "--run-dir", tmp_path / "run")
    assert done.returncode == 2
    assert "holds no request" in done.stderr


@pytest.mark.parametrize("requests", [1, 200])
def test_a_full_disk_ends_the_recording_once_and_never_the_wire(tmp_path, capsys, requests):
    """/dev/full takes nothing."""
    virtual = Virtual(table([household()], [bus()]))
    line = virtual.world.buses["bus-1"]
    line.record(full_disk(tmp_path), 0)
    for _ in range(requests):
        assert virtual.ask(REQUESTS[0].to_frame(), wait_s=0.2)
    assert line.recording is None
    virtual.world.close()
    said = capsys.readouterr().err
    assert said.count("\n") == 1, said
    assert "bus-1: recording ended" in said
    assert "No space left" in said
    assert line.summary(1.0)["recordings_failed"] == 1


def test_a_simulator_whose_disk_is_full_goes_on_and_ends_well(tmp_path):
    full_disk(tmp_path)
    with simulator(tmp_path, ESTATE, "--record", tmp_path) as sim:
        with PtyMaster(sim.ready["ports"]["bus-1"]) as line:
            assert line.ask(REQUESTS[0]) is not None
        sim.post("/record", {"bus": "bus-1", "file": None})
        assert sim.get("/metrics")["buses"][0]["recordings_failed"] == 1


def full_disk(folder):
    path = folder / "bus-1.pcap"
    path.symlink_to("/dev/full")
    return path


def test_whoever_kills_the_simulator_finds_what_was_said_until_then(tmp_path):
    path = tmp_path / "bus-1.pcap"
    recorder = Recorder(path, 0)
    assert read_recording(path) == []
    recorder.note(1.0, MASTER, b"asked")
    assert [packet.data for packet in read_recording(path)] == [b"asked"]
    recorder.close()


def test_a_full_disk_is_told_even_if_nobody_spoke(tmp_path, capsys):
    line = Virtual(table([household()], [bus()])).world.buses["bus-1"]
    line.record(full_disk(tmp_path), 0)
    line.stop_recording()
    assert "No space left" in capsys.readouterr().err
