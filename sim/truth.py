"""What really happened, and what should have been charged for it. Slow, exact, and on its own.

Nothing here uses the head-end's tariff, reading or deduction code. A charge is computed in fractions from the
true registers: the way from the start register to the asked one is cut at every midnight where prices,
season or tier period may change; in each piece every rate pays its price, and the part of the piece's energy
above each tier limit pays that limit's step. The head-end is judged at its own cursor: "this register had
been reached, so exactly this much was owed", together with the span of world time in which the meter showed it.
"""

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

from core.units import REGISTER_MODULUS_WH
from sim.kinds import protocol_and_model
from sim.loads.load import MWMS_PER_WH
from sim.meters import Meter
from sim.meters.prepaid import credit_fen
from sim.meters.register import Register, split_start
from sim.rates import RateCalendar, SeasonTerms
from sim.world import Household, World


def household_truth(household: Household, at_ms: int) -> dict[str, Any]:
    """Energy, registers, relay and button of one household at a world time.

    `relay` is the physical state of the contacts, `relay_shown` what status word 3 says of them. `drawn_wh` flowed to
    the household, `true_energy_wh` its meter counted, `hidden_wh` is the difference; `unmetered_wh` flowed before it.
    """
    meter, relay = household.meter, household.meter.relay
    shown = meter.register.shown_wh(at_ms)
    return {
        "household": household.config.household_id,
        "bus": meter.config.bus_id,
        **_registers(meter, at_ms),
        "register_wh": shown[0],
        "rates_wh": list(shown[1:]),
        "relay": "closed" if household.supply.on else "open",
        "relay_shown": "open" if relay.shown_open else "closed",
        "command_open": relay.command_open,
        "keep_power": relay.keep_power,
        "alarm": relay.alarm,
        "silent": meter.silent,
        "button_pressed_at": [pressed_ms / 1000 for pressed_ms in relay.pressed_ms],
        "relay_events": [{"at_s": e.at_ms / 1000, "to": e.to, "cause": e.cause} for e in relay.events],
        "credit_fen": credit_fen(meter, at_ms),
        "drawn_wh": household.supply.energy(at_ms) // MWMS_PER_WH,
        "unmetered_wh": household.taps.energy(at_ms) // MWMS_PER_WH,
        "hidden_wh": hidden_mwms(household, at_ms) // MWMS_PER_WH,
        "power_mw": meter.load.power_mw(at_ms),
    }


def hidden_mwms(household: Household, at_ms: int) -> int:
    """mW x ms that flowed to the household and that its meter has not counted; negative where it counted more."""
    return household.supply.energy(at_ms) - household.meter.register.source.energy(at_ms)


def gate_truth(meter: Meter, gate_id: str, feeds: str, at_ms: int) -> dict[str, Any]:
    """Energy and registers of a main meter."""
    shown = meter.register.shown_wh(at_ms)
    return {
        "gate": gate_id,
        "feeds": feeds,
        **_registers(meter, at_ms),
        "register_wh": shown[0],
        "rates_wh": list(shown[1:]),
    }


def truth_head(world: World, at_ms: int) -> dict[str, Any]:
    """What the truth about an estate begins with."""
    return {"at_s": at_ms / 1000, "factor": world.clock.anchor.factor, "seed": world.seed}


def estate_truth(world: World) -> Iterator[dict[str, Any]]:
    """The whole estate at one world time; yields as it grows, so that the wire is not kept waiting."""
    at_ms = world.now_ms
    truth: dict[str, Any] = {**truth_head(world, at_ms), "households": [], "gates": []}
    for household in world.households.values():
        truth["households"].append(household_truth(household, at_ms))
        yield truth
    for gate in world.gates.values():
        truth["gates"].append(gate_truth(gate.meter, gate.config.gate_id, gate.config.feeds, at_ms))
        yield truth
    yield truth


def charge_between_nf(household: Household, calendar: RateCalendar, from_wh: int, to_wh: int, now_ms: int) -> Fraction:
    """Nanofen for the way between two true totals (not rolled over) that were both reached."""
    register, used_wh = household.meter.register, household.config.tier_used_wh
    upto = [charge_to_nf(register, calendar, total_wh, now_ms, used_wh) for total_wh in (from_wh, to_wh)]
    return upto[1] - upto[0]


def charge_to_nf(
    register: Register, calendar: RateCalendar, total_wh: int, now_ms: int, tier_used_wh: int = 0
) -> Fraction:
    """Nanofen from the start register to a true total; ValueError if it was never shown until now."""
    window = register.window_ms(total_wh, now_ms)
    if window is None:
        raise ValueError(f"the register never showed {total_wh} Wh")
    charge, counter_wh = Fraction(0), tier_used_wh
    period_ms = calendar.tier_period_start_ms(register.origin_ms)
    before: Sequence[int] = split_start(register.start_wh)
    for from_ms, after in _pieces(register, calendar, total_wh, window[0]):
        if calendar.tier_period_start_ms(from_ms) != period_ms:
            period_ms, counter_wh = calendar.tier_period_start_ms(from_ms), 0
        energies = [b - a for a, b in zip(before, after, strict=True)]
        season = calendar.version_at(from_ms).season(calendar.civil(from_ms).month)
        charge += _piece_nf(season, energies, counter_wh)
        counter_wh += sum(energies)
        before = after
    return charge


def judge_cursor(
    household: Household, calendar: RateCalendar, cursor: Mapping[str, Any], now_ms: int
) -> dict[str, Any]:
    """What a head-end at this cursor (register_wh, and at_s and rates_wh if it likes) should have charged."""
    register = household.meter.register
    at_s = cursor.get("at_s")
    at_ms = now_ms if at_s is None else int(at_s * 1000)
    found = locate(register, int(cursor["register_wh"]), at_ms, now_ms)
    verdict: dict[str, Any] = {"meter": household.meter.address, "register_wh": int(cursor["register_wh"])}
    if found is None:
        return verdict | {"charge_nf": None, "window": None, "error": "this register was never shown"}
    total_wh, entered_ms, left_ms = found
    rates = [wh % REGISTER_MODULUS_WH for wh in register.rates_at_total(total_wh, entered_ms)]
    charge = charge_to_nf(register, calendar, total_wh, now_ms, household.config.tier_used_wh)
    verdict |= {
        "charge_nf": decimal_text(charge),
        "window": [entered_ms / 1000, None if left_ms is None else left_ms / 1000],
        "true_total_wh": total_wh,
        "rates_wh": rates,
        "error": None,
    }
    if cursor.get("rates_wh"):
        verdict["rates_match"] = list(cursor["rates_wh"]) == rates
    return verdict


def locate(register: Register, shown_wh: int, at_ms: int, now_ms: int) -> tuple[int, int, int | None] | None:
    """True total and span of world time (ms) behind a shown register; the span nearest to `at_ms` wins."""
    found: list[tuple[int, int, int | None]] = []
    last_wh = register.steps_wh(now_ms)
    for span, following in zip(register.shown, [*register.shown[1:], None], strict=True):
        until_ms = now_ms + 1 if following is None else following.from_ms
        total_wh = (shown_wh + span.offset_wh) % REGISTER_MODULUS_WH
        while total_wh <= last_wh:
            window = register.window_ms(total_wh, now_ms)
            if window is not None and window[0] < until_ms and (window[1] is None or window[1] > span.from_ms):
                ends = [end for end in (window[1], following and following.from_ms) if end is not None]
                found.append((total_wh, max(window[0], span.from_ms), min(ends, default=None)))
            total_wh += REGISTER_MODULUS_WH
    if not found:
        return None
    return min(found, key=lambda candidate: _distance(candidate, at_ms))


def decimal_text(value: Fraction) -> str:
    """An exact decimal string of a charge; prices have eight decimals, so it is whole nanofen."""
    if value.denominator != 1:
        raise ValueError(f"{value} is no whole number of nanofen")
    return str(value.numerator)


def _registers(meter: Meter, at_ms: int) -> dict[str, Any]:
    start_wh = meter.register.start_wh
    return {
        "meter": meter.address,
        **_spoken(meter),
        "start_register_wh": start_wh,
        "start_rates_wh": list(split_start(start_wh)),
        "true_energy_wh": meter.register.total_wh(at_ms) - start_wh,
    }


def _distance(candidate: tuple[int, int, int | None], wanted_ms: int) -> int:
    _, entered_ms, left_ms = candidate
    if wanted_ms < entered_ms:
        return entered_ms - wanted_ms
    return 0 if left_ms is None else max(0, wanted_ms - left_ms)


def _pieces(
    register: Register, calendar: RateCalendar, total_wh: int, reached_ms: int
) -> Iterator[tuple[int, Sequence[int]]]:
    """Starts of the pieces and the rate registers at their ends, the last one at `total_wh`."""
    from_ms = register.origin_ms
    while True:
        until_ms = calendar.next_split_ms(from_ms)
        if until_ms >= reached_ms:
            yield from_ms, register.rates_at_total(total_wh, reached_ms)
            return
        yield from_ms, register.rates_wh(until_ms)
        from_ms = until_ms


def _piece_nf(season: SeasonTerms, energies: Sequence[int], counter_wh: int) -> Fraction:
    """Rates at their prices, and each step on what lies above its limit (limits belong to the lower tier)."""
    charge = sum((price * wh for price, wh in zip(season.prices, energies, strict=True)), Fraction(0))
    after_wh = counter_wh + sum(energies)
    for step, limit_wh in zip(season.steps, season.limits_wh, strict=True):
        charge += step * (max(0, after_wh - limit_wh) - max(0, counter_wh - limit_wh))
    return charge


def _spoken(meter: Meter) -> dict[str, Any]:
    """What the meter speaks, and the unit under which a Modbus meter does."""
    protocol, model = protocol_and_model(meter.kind)
    return {"protocol": protocol, **({"model": model, "unit": meter.unit} if model else {})}
