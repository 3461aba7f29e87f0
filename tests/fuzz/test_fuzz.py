"""Fuzzing: a short deterministic run in every `make test`, sanitizers in CI, millions of executions at night."""

import importlib.util

import pytest

from tests import instrumented
from tests.fuzz import codec, drive, modbus
from tests.fuzz.campaigns import ENGINE, campaign, run
from tests.fuzz.mutate import mutate

SMOKE_RUNS = 3_000
CI_RUNS = 20_000
LONG_RUNS = 1_000_000
GUIDED_RUNS = 250_000  # a branch of Python costs ten times a branch of C
needs_sanitizers = pytest.mark.skipif(
    not instrumented.sanitizer_library(), reason="the C compiler has no AddressSanitizer library (apt-get install gcc)"
)


@pytest.fixture(scope="module")
def total(request):
    """Executions of this session's campaigns, told at the end."""
    counts: list[int] = []
    yield counts
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print(f"\nfuzzing: {sum(counts):,} executions by {ENGINE} in {len(counts)} campaigns, nothing found")


@pytest.mark.parametrize("target", sorted(drive.TARGETS))
def test_no_input_near_the_corpus_breaks_a_target(target):
    assert drive.campaign(target, SMOKE_RUNS, seed=645) > SMOKE_RUNS


def test_every_target_has_a_corpus_and_no_corpus_is_left_over():
    assert {path.stem for path in drive.CORPUS.glob("*.txt")} == set(drive.TARGETS)
    assert all(drive.corpus(target) for target in drive.TARGETS)


def test_the_same_seed_makes_the_same_inputs():
    from random import Random

    pool = drive.corpus("scan")
    first, second = Random(1), Random(1)
    assert [mutate(pool, first) for _ in range(200)] == [mutate(pool, second) for _ in range(200)]


def test_a_failing_input_is_saved_and_printed(monkeypatch, tmp_path):
    monkeypatch.setattr(drive, "FAILURES", tmp_path)
    monkeypatch.setitem(drive.TARGETS, "values", lambda data: 1 // (len(data) - 4))
    with pytest.raises(drive.TargetFailed, match="--replay 00112233") as failed:
        drive.attempt("values", bytes.fromhex("00112233"))
    assert "ZeroDivisionError" in str(failed.value)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [bytes.fromhex("00112233")]


@pytest.mark.parametrize(
    ("module", "name", "target"),
    [
        ("codec", "frame_oracle", "frame"),
        ("modbus", "modbus_oracle", "rtu"),
        ("kernels", "frame_oracle", "scan"),
        ("kernels", "oracle", "checks"),
        ("kernels", "oracle", "levels"),
    ],
)
def test_a_target_fails_when_its_oracle_disagrees(monkeypatch, tmp_path, module, name, target):
    """A target that cannot fail proves nothing: without the oracle's answers each one must stop."""

    class Liar:
        def __getattr__(self, asked):
            return lambda *_arguments, **_options: None

    monkeypatch.setattr(drive, "FAILURES", tmp_path)
    monkeypatch.setattr(f"tests.fuzz.{module}.{name}", Liar())
    with pytest.raises(drive.TargetFailed):
        drive.campaign(target, SMOKE_RUNS, seed=645)


@pytest.mark.ci
@needs_sanitizers
@pytest.mark.parametrize(
    ("mistake", "report"),
    [
        ("p.probe_read(b, 40)", "heap-buffer-overflow"),
        ("p.probe_add(ctypes.c_int64(2**63 - 1), ctypes.c_int64(1))", "signed integer overflow"),
    ],
)
def test_the_sanitizers_report_mistakes(mistake, report):
    code = f"import ctypes; p = ctypes.CDLL('./probe.so'); b = (ctypes.c_uint8 * 40)(); {mistake}; print('unseen')"
    done = run(["-c", code], sanitized=True, PYTHONMALLOC="malloc")
    assert report in done.stdout
    assert "unseen" not in done.stdout
    assert done.returncode != 0


@pytest.mark.ci
@needs_sanitizers
def test_the_suite_of_core_passes_under_the_sanitizers():
    arguments = ["-m", "pytest", "-q", "tests/core", "-m", "not ci and not long", "-p", "no:cacheprovider"]
    done = run([*arguments, "--timeout", "600"], sanitized=True)
    assert done.returncode == 0, done.stdout[-6000:]
    where = run(["-c", "import core; print(core._scan.__file__)"], sanitized=True).stdout
    assert str(instrumented.COPIES) in where


@pytest.mark.ci
@needs_sanitizers
@pytest.mark.parametrize("target", sorted(drive.TARGETS))
def test_a_short_campaign_under_the_sanitizers_finds_nothing(target, total):
    total.append(campaign(target, CI_RUNS, seed=1, sanitized=True))
    assert total[-1] >= CI_RUNS


@pytest.mark.long
@needs_sanitizers
@pytest.mark.parametrize("target", sorted(drive.TARGETS))
def test_a_million_executions_under_the_sanitizers_find_nothing(target, total, capsys):
    total.append(campaign(target, LONG_RUNS, seed=2, sanitized=True))
    with capsys.disabled():
        print(f"\n{target}: {total[-1]:,} executions under ASan and UBSan ({ENGINE})")
    assert total[-1] >= LONG_RUNS


@pytest.mark.long
@pytest.mark.skipif(not importlib.util.find_spec("atheris"), reason="atheris has no wheel for this machine")
@pytest.mark.parametrize("target", sorted(codec.TARGETS | modbus.TARGETS))
def test_a_long_campaign_guided_by_the_branches_of_the_decoders_finds_nothing(target, total, capsys):
    total.append(campaign(target, GUIDED_RUNS, seed=3, sanitized=False))
    with capsys.disabled():
        print(f"\n{target}: {total[-1]:,} executions guided by Python branches")
    assert total[-1] >= GUIDED_RUNS
