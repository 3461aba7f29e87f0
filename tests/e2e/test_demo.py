"""The demo as people start it: the check agrees with the truth, and nothing survives the end."""

import json
import signal
import time

import httpx
import pytest

from tests.e2e.processes import estate645, processes_of, start, wait_until

CHECK_LIMIT_S = 90  # promised are 45 s on a quiet machine; tests share theirs


@pytest.mark.timeout(240)
def test_the_check_agrees_with_the_truth_and_verify_with_the_check(tmp_path):
    began = time.monotonic()
    played = estate645("demo", "--check", cwd=tmp_path)
    took_s = time.monotonic() - began
    assert played.returncode == 0, played.stdout + played.stderr
    outcome = json.loads(played.stdout.splitlines()[-1])
    assert list(outcome) == ["reads", "charges", "trips", "restores", "pay_to_power_s", "mismatches"]
    assert outcome["mismatches"] == 0
    assert outcome["reads"] >= 200
    assert outcome["charges"] > 0
    assert outcome["trips"] >= outcome["restores"] >= 3, "on a slow machine one more runs out before the end"
    assert 0 < outcome["pay_to_power_s"] < 15
    assert took_s < CHECK_LIMIT_S
    verified = estate645("verify", cwd=tmp_path)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert processes_of(tmp_path) == []


@pytest.mark.ci
@pytest.mark.timeout(240)
def test_the_check_with_faults_is_audited_and_finds_no_wrong_trip_and_no_wrong_charge(tmp_path):
    played = estate645("demo", "--check", "--faults", cwd=tmp_path)
    assert played.returncode == 0, played.stdout + played.stderr
    outcome = json.loads(played.stdout.splitlines()[-1])
    assert {name: outcome[name] for name in ("wrong_trips", "wrong_charges", "mismatches")} == dict.fromkeys(
        ("wrong_trips", "wrong_charges", "mismatches"), 0
    )
    assert outcome["faults"] >= 20
    assert outcome["cases"] >= 6
    assert outcome["audited"] > 1000
    assert outcome["trips"] > outcome["restores"] >= 3, "somebody whose relay shows it stays dark"
    assert processes_of(tmp_path) == []


@pytest.mark.timeout(240)
def test_ctrl_c_leaves_no_process_port_or_symlink_and_a_second_start_works(tmp_path):
    ready = tmp_path / "demo" / "server.ready.json"
    for _ in range(2):
        ready.unlink(missing_ok=True)  # the last demo's folder stays until the next start
        demo = start("demo", "--port", "0", "--folder", tmp_path / "demo", cwd=tmp_path)
        try:
            url = wait_until(lambda: ready.exists() and json.loads(ready.read_text())["url"], "server ready", 100)
            wait_until(lambda url=url: httpx.get(f"{url}/livez").status_code == 200, "HTTP answers")
            assert len(processes_of(tmp_path / "demo")) >= 4
        finally:
            demo.send_signal(signal.SIGINT)
            output, _ = demo.communicate(timeout=60)
        assert demo.returncode in (0, 130), output
        assert processes_of(tmp_path / "demo") == []
        assert [path for path in (tmp_path / "demo").rglob("*") if path.is_symlink()] == []
        assert (tmp_path / "demo" / "estate645.db").exists()
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{url}/livez")


def test_a_second_demo_in_the_same_folder_is_refused_with_words(tmp_path):
    demo = start("demo", "--port", "0", "--folder", tmp_path / "demo", cwd=tmp_path)
    try:
        wait_until(lambda: (tmp_path / "demo" / "provider.ready.json").exists(), "first demo started")
        second = estate645("demo", "--folder", tmp_path / "demo", cwd=tmp_path)
        assert second.returncode == 2
        assert "is running" in second.stderr
        assert "Traceback" not in second.stderr
    finally:
        demo.send_signal(signal.SIGINT)
        demo.communicate(timeout=60)
