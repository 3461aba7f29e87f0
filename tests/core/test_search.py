"""Finding the meters of a shared bus: what is found, how many questions it takes, and what it does not claim."""

import random

import pytest

from core.dlt645.frame import Frame, parse
from core.dlt645.search import AddressSearch, Heard, name_in
from core.modbus.meters import DDS238, DDSU666, METERS, SDM630
from core.modbus.rtu import RtuFrame
from core.modbus.search import UnitSearch
from tests.core.search_bus import Line, Meter, search


def addresses(*meters, edition="2007", **options):
    line = Line(*meters)
    return search(AddressSearch(edition, **options), line), line


@pytest.mark.parametrize("edition", ["2007", "1997"])
def test_one_meter_costs_two_questions(edition):
    finder, line = addresses(Meter("201412345678", edition), edition=edition)
    assert finder.found == ["201412345678"]
    assert len(line.asked) == 2
    assert (finder.clashes, finder.nameless, finder.doubts) == ([], [], [])


@pytest.mark.parametrize("edition", ["2007", "1997"])
def test_an_empty_line_is_asked_two_or_three_times_and_left(edition):
    finder, line = addresses(edition=edition)
    assert (finder.found, len(line.asked)) == ([], 2 if edition == "2007" else 3)


def test_a_meter_of_1997_without_shortened_addresses_is_found_alone_and_two_are_a_doubt():
    one, other = (Meter(f"00000000010{n}", "1997", total=0x1234 << n, whole=True) for n in (7, 8))
    finder, _ = addresses(one, edition="1997")
    assert (finder.found, finder.doubts) == (["000000000107"], [])
    finder, _ = addresses(one, other, edition="1997")
    assert finder.found == []
    assert finder.doubts == ["999999999999"]


@pytest.mark.parametrize("edition", ["2007", "1997"])
@pytest.mark.parametrize("delay", [0, 1])
def test_meters_that_differ_in_any_pair_are_all_found(edition, delay):
    names = ["000023111202", "000023111302", "000123111202", "990023111202", "000023111203", "000024111202"]
    meters = [Meter(name, edition, total=1000 + n, delay=n * delay) for n, name in enumerate(names)]
    finder, _ = addresses(*meters, edition=edition)
    assert sorted(finder.found) == sorted(names)
    assert (finder.clashes, finder.nameless, finder.doubts) == ([], [], [])


@pytest.mark.parametrize("seed", range(20))
def test_any_bus_of_up_to_64_meters_is_found_whole(seed):
    chance = random.Random(seed)
    names = {f"{chance.choice(('2026', '0000', '9901'))}{chance.randrange(10**8):08d}" for _ in range(64)}
    meters = [Meter(name, total=chance.randrange(10**9), delay=chance.randrange(3)) for name in sorted(names)]
    finder, line = addresses(*meters)
    assert sorted(finder.found) == sorted(names)
    assert finder.doubts == []
    assert len(line.asked) < 3000


def test_consecutive_numbers_need_one_sweep():
    meters = [Meter(f"2026000101{n:02d}", total=n) for n in range(64)]
    finder, line = addresses(*meters)
    assert len(finder.found) == 64
    assert len(line.asked) <= 1 + 100 + 64


def test_two_meters_of_one_address_are_a_clash_and_not_a_meter():
    finder, _ = addresses(Meter("000000000007", total=0x1234), Meter("000000000007", total=0x4321))
    assert (finder.found, finder.clashes) == ([], ["000000000007"])
    finder, _ = addresses(Meter("000000000007", delay=1), Meter("000000000007"), Meter("000000000108"))
    assert (finder.found, finder.clashes) == (["000000000108"], ["000000000007"])


def test_a_meter_of_2007_that_knows_no_13h_is_found_by_reading():
    finder, _ = addresses(Meter("000000000107", reads_only=True), Meter("000000000108", reads_only=True, total=99))
    assert sorted(finder.found) == ["000000000107", "000000000108"]


def test_only_a_thorough_search_finds_the_reader_beside_one_that_knows_13h():
    meters = Meter("000000000107", reads_only=True), Meter("000000000108", total=77)
    assert addresses(*meters)[0].found == ["000000000108"]
    assert sorted(addresses(*meters, thorough=True)[0].found) == ["000000000107", "000000000108"]


def test_an_echoed_wildcard_is_unveiled_by_the_meter_number_or_said_to_be_nameless():
    finder, _ = addresses(Meter("000000000107", "1997", echoes=True), edition="1997")
    assert (finder.found, finder.nameless) == (["000000000107"], [])
    finder, _ = addresses(Meter("000000000107", "1997", echoes=True, number="AAAAAAAAAAAA"), edition="1997")
    assert finder.found == []
    assert "AAAAAAAAAAAA" in finder.nameless


def test_a_number_that_is_not_the_address_is_not_taken_for_it():
    finder, _ = addresses(Meter("000000000107", "1997", echoes=True, number="555555555555"), edition="1997")
    assert finder.found == ["000000000107"]


def test_an_echo_of_2007_still_names_the_meter_in_its_data():
    assert addresses(Meter("000000000107", echoes=True))[0].found == ["000000000107"]


def test_a_line_that_babbles_is_given_up():
    line = Line(noise=b"\x01\x02")
    finder = search(AddressSearch("2007", probes_max=500), line)
    assert finder.gave_up
    assert len(line.asked) == 500
    assert finder.found == []


def test_one_burst_of_noise_leaves_a_doubt_but_no_invented_meter():
    line = Line(Meter("000000000107"))
    finder = AddressSearch("2007")
    finder.heard(Heard((), 5))
    search(finder, line)
    assert finder.found == ["000000000107"]
    assert finder.doubts == ["AAAAAAAAAAAA"]


def test_repeated_questions_forgive_one_silence():
    line = Line(Meter("000000000107"))
    finder = AddressSearch("2007", tries=2)
    finder.heard(Heard())
    assert search(finder, line).found == ["000000000107"]


def test_an_answer_that_says_two_addresses_names_nobody():
    sound = parse(bytes.fromhex("68674860100000 68 9306 9A7B93433333 D9 16".replace(" ", "")))
    assert name_in(sound) == "000010604867"
    assert name_in(Frame("000010604866", 0x93, sound.data)) is None


@pytest.mark.parametrize("edition", ["2007", "1997"])
def test_nothing_but_reads_is_ever_asked(edition):
    _, line = addresses(Meter("000000000107", edition), Meter("000000000207", edition, total=9), edition=edition)
    assert {request.control for request in line.asked} <= {0x11, 0x13, 0x01}


def unit(number, meter, values):
    """Answers of a Modbus meter that holds `values` (by English name), with zero in every other register."""
    registers = {}
    for name, value in values.items():
        one = meter.named(name)
        registers |= {(one.function, one.register + n): word for n, word in enumerate(one.encode(value))}
    functions = {one.function for one in meter.quantities} | {3}

    def answer(request):
        if request.unit != number:
            return Heard()
        if request.function not in functions:
            return Heard((RtuFrame(number, request.function, True, exception=1),))
        span = range(request.register, request.register + request.count)
        held = tuple(registers.get((request.function, at), 0) for at in span)
        return Heard((RtuFrame(number, request.function, True, count=request.count, registers=held),))

    return answer


@pytest.mark.parametrize("meter", [DDSU666, SDM630, DDS238], ids=lambda one: one.key)
def test_a_unit_is_found_and_its_model_named(meter):
    [voltage] = [one.name_en for one in meter.quantities if one.di == 0x02010100]
    [frequency] = [one.name_en for one in meter.quantities if one.di == 0x02800002]
    answer = unit(17, meter, {voltage: 231_000, frequency: 50_000})
    finder = UnitSearch(range(1, 30))
    while (probe := finder.next_probe()) is not None:
        finder.heard(answer(probe.to_frame()))
    assert finder.found == {17: (meter.key,)}


def test_a_unit_of_no_known_model_is_found_and_not_named_and_noise_is_a_clash():
    finder = UnitSearch(range(3, 6))
    while (probe := finder.next_probe()) is not None:
        if probe.unit == 4:
            finder.heard(Heard((RtuFrame(4, probe.function, True, exception=2),)))
        else:
            finder.heard(Heard((), 7 if probe.unit == 5 else 0))
    assert (finder.found, finder.clashes) == ({4: ()}, [5])
    assert len(METERS) == 4
