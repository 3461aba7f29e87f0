"""Finding edition, habits and profile of a meter by asking, against doubles made of what is known of real ones."""

from dataclasses import dataclass, replace

import pytest

from core.dlt645.commands import BROADCAST_ADDRESS, Read, ReadAddress
from core.dlt645.detection import Detection, Evidence, Found
from core.dlt645.edition1997 import Read97
from core.dlt645.frame import Frame, parse
from core.dlt645.profiles import PROFILES, standard_of
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
    err: int = 2

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
        return refused(METER, function, self.err).to_frame()


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


def shown(detection: Detection) -> Found:
    """What was found, without the questions that led to it."""
    return replace(detection.found, evidence=())


def told(evidence: tuple[Evidence, ...]) -> list[tuple]:
    return [(one.step.edition, one.step.command.to_frame().control, one.outcome, one.err) for one in evidence]


E650 = Double(serves=(0x00010000, 0x0001FF00, 0x0001FF01), latency_s=0.219)
LOCKED = Double(serves=())  # D1 to every read
DTSD22 = Double("1997", 1200, (0x9010, 0x901F), 0, 0.3, to_broadcast=True)
DTSF22 = Double("1997", 1200, (0x9010, 0x901F), 4, 0.3, to_broadcast=True)


def test_a_meter_of_2007_is_found_with_its_habits() -> None:
    detection = Detection()
    asked = ask(detection, Double(baud=9600, serves=(0x00010000, 0x0001FF00, 0x0000FF00), preamble=4))
    assert shown(detection) == Found("2007", 9600, METER, True, False, 0.2, True, False, None, 4)
    assert [row[:2] for row in asked] == [(2400, "2007")] * 2 + [(2400, "1997")] * 2 + [(9600, "2007")] * 5
    assert [row[2].di for row in asked[5:]] == [0x0001FF00, 0x0000FF00, 0x0001FF01, 0x00900200]
    assert asked[-1][2] == Read(METER, 0x00900200)


def test_a_profile_is_named_by_a_habit_that_no_other_meter_is_known_to_share() -> None:
    assert found(E650).profile is PROFILES["landis-gyr-e650"]  # it alone refuses 0000FF00, a block of the standard


@pytest.mark.parametrize(
    "meter",
    [
        replace(E650, latency_s=0.05),  # hastier than any E650
        replace(E650, preamble=4),
        replace(E650, preamble=None),  # all it states must be seen
        replace(E650, serves=(0x00010000, 0x0000FF00, 0x0001FF01)),
        replace(E650, serves=(0x00010000,)),
        Double(preamble=4),  # of the state grid's three-phase meters, and of many others
        Double(preamble=0, latency_s=0.05),
        DTSD22,  # any meter of 1997 may lead with no FE or with four, and many answer 99..99
        DTSF22,
        replace(DTSF22, to_broadcast=False),
        replace(DTSF22, preamble=2),
    ],
)
def test_habits_that_others_may_share_name_no_profile(meter: Double) -> None:
    assert found(meter).profile.name == f"standard-{meter.edition}"


def test_the_standard_profile_takes_the_habits_that_were_seen() -> None:
    seen = found(replace(DTSD22, latency_s=0.9)).profile
    assert seen == replace(
        standard_of("1997"), baud=1200, energy_block=True, reads_to_broadcast=True, reply_preamble=0,
        reply_delay_max_s=0.9,
    )  # fmt: skip
    seen = found(Double(baud=9600, preamble=4)).profile
    assert (seen.energy_block, seen.combined_block, seen.settled_block) == (False, False, False)
    assert (seen.baud, seen.reply_preamble, seen.reply_delay_max_s) == (9600, 4, 0.5)
    unheard = replace(found(DTSD22), latency_s=0.0, reply_preamble=None)
    assert (unheard.profile.reply_delay_max_s, unheard.profile.reply_preamble) == (None, None)


def test_refusals_alone_leave_the_edition_uncertain_after_both_were_tried() -> None:
    detection = Detection(METER, (2400, 1200))
    asked = ask(detection, LOCKED)
    assert [row[1] for row in asked] == ["2007", "1997", "1997", "2007", "2007", "2007", "2007"]
    assert {row[0] for row in asked} == {2400}  # it was heard at this rate
    seen = detection.found
    assert (seen.edition, seen.edition_known, seen.address) == ("2007", False, METER)
    assert told(seen.evidence)[:3] == [
        ("2007", 0x11, "refused", 2), ("1997", 0x01, "silent", None), ("1997", 0x01, "silent", None)
    ]  # fmt: skip
    assert len(seen.evidence) == 7
    assert seen.profile.name == "standard-2007"


def test_an_uncertain_edition_names_no_profile() -> None:
    seen = found(E650)
    assert replace(seen, edition_known=False).profile.name == "standard-2007"


def test_a_meter_of_1997_that_refuses_reads_of_2007_is_of_1997() -> None:
    detection = Detection(METER, (2400,))
    detection.answered(Refused(METER, 0x11, 2).to_frame())
    assert detection.found is None
    detection.answered(Data97(METER, 0x9010, bytes(4)).to_frame())
    assert (detection.found.edition, detection.found.edition_known) == ("1997", True)
    assert told(detection.found.evidence) == [("2007", 0x11, "refused", 2), ("1997", 0x01, "normal", None)]


def test_one_that_refuses_both_is_more_likely_of_2007() -> None:
    detection = Detection(METER, (2400, 1200))
    detection.answered(Refused(METER, 0x11, 2).to_frame())
    detection.answered(Refused97(METER, 0x01, 2).to_frame())
    detection.answered(Refused97(METER, 0x01, 2).to_frame())
    assert (detection.found.edition, detection.found.edition_known) == ("2007", False)
    detection.answered(Data(METER, 0x0001FF00, bytes(20)).to_frame())
    assert detection.found.edition_known  # it has answered a read of its edition after all


def test_a_busy_meter_is_not_said_to_lack_what_it_refuses() -> None:
    detection = Detection(METER, (2400,))
    detection.answered(Data(METER, 0x00010000, bytes(4)).to_frame())
    detection.answered(Refused(METER, 0x11, 1).to_frame())
    detection.answered(Refused(METER, 0x11, 2).to_frame())
    assert (detection.found.energy_block, detection.found.combined_block) == (None, False)


def test_meters_on_a_shared_line_are_not_asked_by_broadcast() -> None:
    detection = Detection(METER, (1200,))
    asked = ask(detection, DTSF22)
    assert not any(row[2].address == BROADCAST_ADDRESS for row in asked)
    assert detection.found.reads_to_broadcast is None
    assert detection.found.profile.name == "standard-1997"


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
    assert shown(detection) == Found("1997", 1200, None, None, None, 0.2, reads_to_broadcast=True)


def test_an_echoing_meter_is_named_by_its_meter_number() -> None:
    detection = Detection(bauds=(1200,))
    while (step := detection.next_step()) is not None:
        if step.command == Read97("A" * 12, 0xC032):
            detection.answered(Frame("A" * 12, 0x81, bytes.fromhex("32C0 785634121420")))
        else:
            detection.silent()
    assert detection.found.address == METER


def test_refusals_of_1997_alone_point_there_and_silence_nowhere() -> None:
    detection = Detection(METER, (2400,))
    ask(detection, Double("1997", serves=()))
    assert (detection.found.edition, detection.found.edition_known, detection.found.address) == ("1997", False, METER)
    detection = Detection(METER, (2400, 1200))
    assert len(ask(detection, Double(baud=9600))) == 6
    assert detection.found is None
    with pytest.raises(ProtocolMisuse, match="nothing was asked"):
        detection.silent()
    with pytest.raises(ProtocolMisuse, match="at least one"):
        Detection(METER, ())


def test_silence_at_another_rate_is_no_evidence() -> None:
    detection = Detection(METER, (9600, 2400))
    ask(detection, Double())
    assert {one.step.baud for one in detection.found.evidence} == {2400}


def test_a_habit_that_is_not_answered_stays_unknown() -> None:
    detection = Detection(METER, (2400,))
    detection.answered(Data(METER, 0x00010000, bytes(4)).to_frame())
    detection.silent()
    with pytest.raises(ProtocolMisuse, match="no question"):
        detection.answered(Data(METER, 0x00010000, bytes(4)).to_frame())
    detection.silent()
    detection.silent()
    detection.answered(Data(METER, 0x00900200, bytes.fromhex("56980100")).to_frame())
    assert shown(detection) == Found("2007", 2400, METER, None, True, 0.0)
    assert detection.found.profile == replace(PROFILES["standard-2007"], baud=2400)


def test_every_profile_names_its_evidence() -> None:
    assert len(PROFILES) == 9
    assert all(profile.evidence and PROFILES[name] is profile for name, profile in PROFILES.items())
    assert {profile.edition for profile in PROFILES.values()} == {"1997", "2007"}
    assert PROFILES["state-grid-three-phase"].relay_reply_sizes == (0, 2)
