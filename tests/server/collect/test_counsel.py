"""Orders of all buses in one look, and never one that is older than what a bus has already seen."""

import asyncio
from time import monotonic

import pytest

from server.collect import counsel as module
from server.collect.counsel import Counsel


class Orders:
    """Counts the looks; what is wanted of a bus is the number of the look."""

    def __init__(self):
        self.alone, self.together = [], 0
        self.fails = False

    def next(self, bus_id):
        self.alone.append(bus_id)
        return [f"alone {len(self.alone)}"]

    def near(self, bus_id):
        return {bus_id}

    def everywhere(self):
        if self.fails:
            raise OSError("no database")
        self.together += 1
        return {f"bus-{n}": ([f"look {self.together}"], {f"m{n}"}) for n in range(300)}


async def call(function):
    await asyncio.sleep(0.005)
    return function()


def ask(scenario):
    orders = Orders()
    return asyncio.run(scenario(orders, Counsel(orders, call))), orders


def test_hundreds_of_buses_that_ask_at_once_share_one_look():
    async def scenario(_orders, counsel):
        return await asyncio.gather(*(counsel.shared(f"bus-{n}", float("-inf")) for n in range(300)))

    found, orders = ask(scenario)
    assert found == [(["look 1"], {f"m{n}"}) for n in range(300)]
    assert (orders.together, orders.alone) == (1, [])


def test_a_look_is_shared_for_a_while_and_then_made_anew(monkeypatch):
    async def scenario(_orders, counsel):
        first = [await counsel.shared("bus-1", float("-inf")) for _ in range(3)]
        monkeypatch.setattr(module, "AGE_MAX_S", 0.0)
        return [*first, await counsel.shared("bus-1", float("-inf"))]

    found, _ = ask(scenario)
    assert [orders for orders, _ in found] == [["look 1"]] * 3 + [["look 2"]]


def test_a_bus_without_anything_gets_nothing():
    async def scenario(_orders, counsel):
        return await counsel.shared("bus-999", float("-inf"))

    assert ask(scenario)[0] == ((), ())


def test_no_bus_goes_back_behind_what_it_has_seen_alone():
    async def scenario(_orders, counsel):
        await counsel.shared("bus-1", float("-inf"))
        since = monotonic()
        alone = await counsel.of_one("bus-1")
        return alone, await counsel.shared("bus-1", since)

    (alone, shared), _ = ask(scenario)
    assert (alone[0], shared[0]) == (["alone 1"], ["look 2"])


def test_a_look_that_began_too_early_is_not_taken():
    async def scenario(_orders, counsel):
        early = asyncio.create_task(counsel.shared("bus-2", float("-inf")))
        await asyncio.sleep(0)
        await asyncio.sleep(0)  # its look has begun
        found = await counsel.shared("bus-1", monotonic())
        await early
        return found

    assert ask(scenario)[0] == (["alone 1"], {"bus-1"})


def test_a_look_that_failed_fails_for_all_who_share_it_and_the_next_is_new():
    async def scenario(orders, counsel):
        orders.fails = True
        failed = await asyncio.gather(
            *(counsel.shared(f"bus-{n}", float("-inf")) for n in range(3)), return_exceptions=True
        )
        orders.fails = False
        return failed, await counsel.shared("bus-1", float("-inf"))

    (failed, found), _ = ask(scenario)
    assert [str(error) for error in failed] == ["no database"] * 3
    assert found == (["look 1"], {"m1"})


@pytest.mark.parametrize("cancelled", [0, 1])
def test_who_stops_waiting_does_not_end_the_look_of_the_others(cancelled):
    async def scenario(_orders, counsel):
        asking = [asyncio.create_task(counsel.shared(f"bus-{n}", float("-inf"))) for n in range(2)]
        await asyncio.sleep(0)
        asking[cancelled].cancel()
        return await asking[1 - cancelled]

    assert ask(scenario)[0][0] == ["look 1"]
