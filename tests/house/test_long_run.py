"""`make test-long` knows every campaign, goes on after a failure, and goes on where a night was cut short."""

import sys
import threading
import time

import pytest

from tests import long_plan, long_run

PLAY = """
import sys, time
piece = sys.argv[-1]
if "sleeps" in piece:
    time.sleep(60)
print({"skips": "1 skipped in 0.01s", "fails": "1 failed in 0.01s"}.get(piece, "1 passed, 2 warnings in 0.01s"))
sys.exit(piece == "fails")
"""


@pytest.fixture(autouse=True)
def own_folder(monkeypatch, tmp_path):
    monkeypatch.setattr(long_run, "FOLDER", tmp_path)
    monkeypatch.setattr(long_run, "PYTEST", (sys.executable, "-S", "-c", PLAY))
    monkeypatch.setattr(long_run, "LOOK_S", 0.01)


def night(*pieces, jobs=2):
    return long_run.Night("key", dict.fromkeys(pieces, 1.0), jobs)


def test_every_campaign_has_its_cost_and_every_cost_its_campaign():
    assert set(long_plan.marked()) == set(long_plan.CAMPAIGNS)


def test_a_night_goes_on_after_a_failure_and_says_in_the_end_what_became_of_each():
    pieces = ["fails", "skips", "passes"]
    this = night(*pieces)
    this.run(pieces)
    outcomes = {one.piece: one for one in long_run.results()}
    assert {piece: one.outcome for piece, one in outcomes.items()} == {
        "fails": "failed", "skips": "skipped", "passes": "passed",
    }  # fmt: skip
    told, sound = long_run.summary([*pieces, "never"], outcomes)
    assert not sound
    assert "4 pieces: 1 failed, 1 skipped, 1 passed, 1 not run" in told
    assert f"failed: fails, see {long_run.log_of('fails')}" in told
    assert "1 failed in" in long_run.log_of("fails").read_text()
    assert long_run.summary(["passes"], outcomes)[1]


def test_a_piece_that_never_ends_is_ended(monkeypatch):
    monkeypatch.setattr(long_run, "HANGS_S_MIN", 0)
    monkeypatch.setattr(long_run, "HANGS_AFTER", 0.2)
    night("sleeps").run(["sleeps"])
    assert [one.outcome for one in long_run.results()] == ["hung"]


def test_a_night_that_is_stopped_keeps_what_has_ended():
    this = night("passes", "sleeps", jobs=1)
    runner = threading.Thread(target=this.run, args=(["passes", "sleeps"],))
    runner.start()
    deadline = time.monotonic() + 20
    while not long_run.results() and time.monotonic() < deadline:
        time.sleep(0.01)
    this.stop()
    runner.join(10)
    assert not runner.is_alive()
    assert [one.piece for one in long_run.results()] == ["passes"]


def test_what_has_passed_for_the_same_sources_is_not_run_again(monkeypatch, capsys):
    monkeypatch.setattr(long_run, "collected", lambda: ["passes", "passes too", "fails"])
    monkeypatch.setattr(long_run, "sources_key", lambda: "key")

    def play(*arguments):
        monkeypatch.setattr(sys, "argv", ["long_run", *arguments])
        return long_run.main()

    assert play("passes") == 0
    assert play() == 1
    assert [one.piece for one in long_run.results()].count("passes") == 1
    assert "2 of 3 pieces have passed for these sources" in capsys.readouterr().out
    assert play("--again", "passes") == 0
    monkeypatch.setattr(long_run, "sources_key", lambda: "another key")
    assert play("passes", "--list") == 0
    assert "2 pieces" in capsys.readouterr().out
    assert play("passes") == 0
    assert [one.piece for one in long_run.results()].count("passes") == 3
    with pytest.raises(SystemExit):
        play("no such campaign")
