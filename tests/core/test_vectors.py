"""The codec against frames of real meters and against the synthetic cases, with the counts pinned."""

from collections import Counter

import pytest

from core.dlt645 import frame, identifiers
from core.errors import FrameError, ValueFormatError
from tests.core import codec_checks, edition_checks, synthetic_checks
from tests.core.codec_checks import captured, in_scope, real_codec, rebuilt, stated_values, synthetic

CHECKS = {
    name: check
    for module in (codec_checks, synthetic_checks, edition_checks)
    for name, check in vars(module).items()
    if name.startswith("check_")
}


@pytest.mark.parametrize("name", sorted(CHECKS))
def test_no_vector_and_no_oracle_contradicts_the_codec(name: str) -> None:
    assert list(codec_checks.failures(real_codec(), {name: CHECKS[name]})) == []


def test_no_check_has_dropped_out() -> None:
    assert len(CHECKS) == 18


def test_the_captured_frames_are_all_there() -> None:
    kinds = Counter()
    for vector in captured():
        decoded = vector["decoded"]
        kinds["wrong checksum"] += not decoded["checksum_ok"]
        kinds["mistaken client"] += "client_bug" in decoded
        kinds["in scope"] += in_scope(vector)
    assert len(captured()) == 179
    assert kinds == {"wrong checksum": 7, "mistaken client": 4, "in scope": 126}


def test_the_frames_in_scope_are_of_these_kinds() -> None:
    kinds = Counter(vector["decoded"]["control"] for vector in captured() if in_scope(vector))
    assert kinds == {
        "11": 35, "13": 4, "14": 2, "08": 2, "1C": 3, "91": 69, "B1": 1, "93": 4, "D1": 5, "9C": 1,
    }  # fmt: skip


def test_values_of_sixty_seven_replies_are_compared() -> None:
    replies = [vector for vector in captured() if in_scope(vector) and vector["decoded"]["control"] in {"91", "B1"}]
    compared = [vector for vector in replies if stated_values(vector) is not None]
    rest = [vector["decoded"]["di"] for vector in replies if stated_values(vector) is None]
    assert (len(compared), sorted(rest)) == (67, ["001D0000", "03300001", "03300201"])


@pytest.mark.parametrize("di", [0x001D0000, 0x03300201])
def test_a_reply_that_is_no_energy_and_half_a_record_are_refused_by_name(di: int) -> None:
    (vector,) = [v for v in captured() if in_scope(v) and v["decoded"].get("di") == f"{di:08X}"]
    data = frame.parse(bytes.fromhex(vector["hex"])).data[4:]
    with pytest.raises(ValueFormatError, match=f"{di:08X}"):
        identifiers.decode_value(di, data)


def test_every_request_in_scope_is_rebuilt_except_impossible_dates() -> None:
    requests = [v for v in captured() if in_scope(v) and v["direction"] == "request"]
    impossible = [v["decoded"] for v in requests if rebuilt(real_codec(), v) is None]
    dates = sorted(d.get("deadline_YYMMDDhhmmss", d.get("time_YYMMDDhhmmss")) for d in impossible)
    assert (len(requests), dates) == (46, ["000000000000", "000000000000", "563412021125"])


def test_wrong_checksums_are_refused_and_counted() -> None:
    wrong = [bytes.fromhex(v["hex"]) for v in captured() if not v["decoded"]["checksum_ok"]]
    decoder = frame.FrameDecoder()
    for wire in wrong:
        with pytest.raises(FrameError, match="checksum"):
            frame.parse(wire)
        assert decoder.feed(wire) + decoder.flush() == []
    assert decoder.bad_sums == len(wrong) == 7


def test_all_sound_frames_survive_one_long_stream() -> None:
    sound = [bytes.fromhex(v["hex"]) for v in captured() + synthetic() if v["decoded"].get("checksum_ok", True)]
    decoder = frame.FrameDecoder()
    found = decoder.feed(b"".join(sound))
    assert found == [frame.parse(wire) for wire in sound]
    assert (len(found), decoder.garbage_bytes, decoder.pending) == (200, 0, 0)


def test_every_vector_names_its_source() -> None:
    assert all(v["source"] for v in captured() + synthetic())
    assert len(synthetic()) == 28
