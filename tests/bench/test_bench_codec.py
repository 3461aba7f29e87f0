"""The crc and codec benches: peers agree, and quick runs give complete documents without floors."""

import json
import subprocess
import sys

import pytest

from bench.codec import Scan, peer_scan, replies


@pytest.mark.parametrize("bench", ["crc", "codec"])
def test_a_quick_run_writes_only_the_document(bench):
    command = [sys.executable, "-m", "bench", bench, "--quick", "--json", "-"]
    document = json.loads(subprocess.run(command, capture_output=True, text=True, timeout=100, check=True).stdout)
    assert document["bench"] == bench
    assert document["machine"]["isa"] in document["machine"]["isa_available"]
    assert document["results"]
    assert {result["floor"] for result in document["results"]} == {None}
    assert all(result["ratio"] > 0 for result in document["results"])


def test_scanner_and_peer_find_every_frame():
    wires = replies(300)
    assert Scan(b"".join(wires), 300)() == peer_scan(b"".join(wires)) == 300
