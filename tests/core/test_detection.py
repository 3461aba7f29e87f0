"""Finding edition, habits and profile of a meter by asking, against doubles made of what is known of real ones."""

from dataclasses import dataclass

import pytest

from core.dlt645.commands import BROADCAST_ADDRESS, Read, ReadAddress
from core.dlt645.detection import Detection, Found
from core.dlt645.edition1997 import Read97
from core.dlt645.frame import Frame, parse
from core.dlt645.profiles import PROFILES
from core.dlt645.replies import Data, Named, Refused
from core.dlt645.service1997 import Data97, Refused97
from core.errors import ProtocolMisuse

METER = "201412345678"


@dataclass
class Double:
    """A meter that answers what real ones of its kind were seen to answer, at one line rate."""

    edition: str = "2007"
    baud: int = 2400
    serves: tuple[int, ...] = (0x00010000,)
    preamble: int = 0
    latency_s: float = 0.2
    to_broadcast: bool = False

    def answer(self, step) -> Frame | None:
        if step.edition != self.edition or step.baud != self.baud:
            return None
        command = step.command
        if command.address == BROADCAST_ADDRESS and not self.to_broadcast:
            return None
        if isinstance(command, ReadAddress):
            return Named(METER, METER).to_frame()
        data, refused = (Data, Refused) if self.edition == "2007" else (Data97, Refused97)
        function = command.to_frame().control
        if command.di in self.serves:
            return data(METER, command.di, bytes(4)).to_frame()
        return refused(METER, function, 2).to_frame()


def ask(detection: Detection, meter: Double) -> list:
    asked = []
    while (step := detection.next_step()) is not None:
        asked.append((step.baud, step.edition, step.command))
        answer = meter.answer(step)
        if answer is None:
            detection.silent()
        else:
            detection.answered(answer, meter.latency_s, meter.preamble)
    return asked


def found(meter: Double, *arguments) -> Found:
    detection = Detection(*arguments)
    ask(detection, meter)
    return detection.found


E650 = Double(serves=(0x00010000, 0x0001FF00, 0x0001FF01), latency_s=0.219)
DTSD22 = Double("1997", 1200, (0x9010, 0x901F), 0, 0.3, to_broadcast=True)
DTSF22 = Double("1997", 1200, (0x9010, 0x901F), 4, 0.3, to_broadcast=True)


def test_a_meter_of_2007_is_found_with_its_habits() -> None:
    detection = Detection()
    asked = ask(detection, Double(baud=9600, serves=(0x00010000, 0x0001FF00, 0x0000FF00), preamble=4))
    assert detection.found == Found("2007", 9600, METER, True, False, 0.2, True, False, None, 4)
    assert [row[:2] for row in asked] == [(2400, "2007")] * 2 + [(2400, "1997")] * 2 + [(9600, "2007")] * 5
    assert [row[2].di for row in asked[5:]] == [0x0001FF00, 0x0000FF00, 0x0001FF01, 0x00900200]
    assert asked[-1][2] == Read(METER, 0x00900200)


def test_profiles_are_picked_by_what_the_meter_shows() -> None:
    assert found(E650).profile is PROFILES["landis-gyr-e650"]
    assert found(DTSD22).profile is PROFILES["dtsd22-1997"]
    assert found(DTSF22).profile is PROFILES["dtsf22-1997"]


@pytest.mark.parametrize(
    ("meter", "name"),
    [
        (Double(serves=(0x00010000, 0x0001FF00, 0x0001FF01), latency_s=0.05), "standard-2007"),  # hastier than any E650
        (Double(serves=(0x00010000, 0x0001FF01), preamble=4), "standard-2007"),
        (Double(serves=(0x00010000, 0x0000FF00, 0x0001FF01)), "standard-2007"),
        (Double(preamble=4), "standard-2007"),  # one habit is not enough to name a firmware
        (Double("1997", 1200, (0x9010,), 4), "standard-1997"),
        (Double("1997", 1200, (0x9010,), 2, to_broadcast=True), "standard-1997"),
    ],
)
def test_where_nothing_stands_out_the_standard_is_named(meter: Double, name: str) -> None:
    assert found(meter).profile is PROFILES[name]


def test_meters_on_a_shared_line_are_not_asked_by_broadcast() -> None:
    detection = Detection(METER, (1200,))
    asked = ask(detection, DTSF22)
    assert not any(row[2].address == BROADCAST_ADDRESS for row in asked)
    assert detection.found.reads_to_broadcast is None
    assert detection.found.profile is PROFILES["standard-1997"]


def test_nothing_is_ever_written() -> None:
    for meter in (E650, DTSF22, Double(baud=4800), Double(baud=600)):
        asked = ask(Detection(), meter)
        assert {row[2].to_frame().control for row in asked} <= {0x01, 0x11, 0x13}


def test_a_meter_of_1997_is_found_even_when_it_echoes_the_wildcard() -> None:
    echo = parse(bytes.fromhex("68AAAAAAAAAAAA68810643C394A53533FA16"))
    detection = Detection(bauds=(1200,))
    while (step := detection.next_step()) is not None:
        if isinstance(step.command, Read97) and step.command.to_frame().data == echo.data[:2]:
            detection.answered(echo, 0.2)
        else:
            detection.silent()
    assert detection.found == Found("1997", 1200, None, None, None, 0.2, reads_to_broadcast=True)


def test_an_echoing_meter_is_named_by_its_meter_number() -> None:
    detection = Detection(bauds=(1200,))
    while (step := detection.next_step()) is not None:
        if step.command == Read97("A" * 12, 0xC032):
            detection.answered(Frame("A" * 12, 0x81, bytes.fromhex("32C0 785634121420")))
        else:
            detection.silent()
    assert detection.found.address == METER


def test_a_refusal_names_the_edition_too_and_silence_none() -> None:
    detection = Detection(METER, (2400,))
    ask(detection, Double("1997", serves=()))
    assert (detection.found.edition, detection.found.address) == ("1997", METER)
    detection = Detection(METER, (2400, 1200))
    assert len(ask(detection, Double(baud=9600))) == 6
    assert detection.found is None
    with pytest.raises(ProtocolMisuse, match="nothing was asked"):
        detection.silent()
    with pytest.raises(ProtocolMisuse, match="at least one"):
        Detection(METER, ())


def test_a_habit_that_is_not_answered_stays_unknown() -> None:
    detection = Detection(METER, (2400,))
    detection.answered(Refused(METER, 0x11, 2).to_frame())
    detection.silent()
    with pytest.raises(ProtocolMisuse, match="no question"):
        detection.answered(Data(METER, 0x00010000, bytes(4)).to_frame())
    detection.silent()
    detection.silent()
    detection.answered(Data(METER, 0x00900200, bytes.fromhex("56980100")).to_frame())
    assert detection.found == Found("2007", 2400, METER, None, True, 0.0)
    assert detection.found.profile is PROFILES["standard-2007"]


def test_every_profile_names_its_evidence() -> None:
    assert len(PROFILES) == 9
    assert all(profile.evidence and PROFILES[name] is profile for name, profile in PROFILES.items())
    assert {profile.edition for profile in PROFILES.values()} == {"1997", "2007"}
    assert PROFILES["state-grid-three-phase"].relay_reply_sizes == (0, 2)
