"""A batch of meters for the deduction tests: plain columns, the kernel's arrays, and the oracle beside it."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from core import deduct
from tests import oracle

MODULUS_WH = 10**9
MAX_DELTA_WH = 10**8
NF_PER_YUAN = 10**11
PRICE_CAP = 2**31 - 1

ROW = np.dtype([("price", "i4", 4), ("step", "i4", 3), ("fifth", "i4"), ("boundary", "i8", 3), ("close_allowed", "i8")])


def tariff_row(prices, steps=(), limits=(), close_allowed_nf=0):
    """One 64-byte row, written by the layout of the documentation and not by the product's compiler."""
    row = np.zeros((), ROW)
    padded = [*prices, 0, 0, 0, 0, 0]
    row["price"], row["fifth"] = padded[:4], padded[4]
    row["step"] = [*steps, 0, 0, 0][:3]
    row["boundary"] = [*limits, 0, 0, 0][:3]
    row["close_allowed"] = close_allowed_nf
    return row.tobytes()


@dataclass
class Terms:
    """A tariff as integers."""

    prices: tuple
    steps: tuple = ()
    limits: tuple = ()
    close_allowed_nf: int = 0

    def row(self):
        return tariff_row(self.prices, self.steps, self.limits, self.close_allowed_nf)

    def oracle(self):
        return oracle.Tariff.of(self.prices, self.steps, self.limits, self.close_allowed_nf)


@dataclass
class Meter:
    """One meter's columns; registers as tuples."""

    prev: tuple
    new: tuple
    ratio: int = 1
    tariff: int = 0
    period: int = 0
    balance: int = 100 * NF_PER_YUAN
    alarm1: int = 2000
    alarm2: int = 1000
    overdraft: int = 0
    flags: int = 0


@dataclass
class Result:
    """What the kernel left behind, as plain integers."""

    charge: list
    period: list
    balance: list
    flags: list
    event: list


def arrays(meters):
    """The twelve arrays of `deduct` in argument order."""

    def column(name, dtype):
        return np.array([getattr(meter, name) for meter in meters], dtype=dtype)

    n = len(meters)
    return [
        np.ascontiguousarray(np.array([m.prev for m in meters], np.int32).T),
        np.ascontiguousarray(np.array([m.new for m in meters], np.int32).T),
        column("ratio", np.int32),
        column("tariff", np.uint16),
        column("period", np.int64),
        column("balance", np.int64),
        column("alarm1", np.int32),
        column("alarm2", np.int32),
        column("overdraft", np.int32),
        column("flags", np.uint8),
        np.full(n, -7, np.int64),
        np.full(n, 99, np.uint8),
    ]


def run(meters, tariffs, **options):
    """Through the kernel; options go to `deduct`."""
    columns = arrays(meters)
    deduct(*columns, b"".join(terms.row() for terms in tariffs), **options)
    return Result(*(columns[i].tolist() for i in (10, 4, 5, 9, 11)))


def expect(meters, tariffs, *, modulus_wh=MODULUS_WH, max_delta_wh=MAX_DELTA_WH):
    """Through the oracle, back in integers; every amount must be whole nanofen."""
    result = Result([], [], [], [], [])
    for meter in meters:
        account = oracle.Account(
            Fraction(meter.period, 1000),
            Fraction(meter.balance, NF_PER_YUAN),
            Fraction(meter.alarm1, 100),
            Fraction(meter.alarm2, 100),
            Fraction(meter.overdraft, 100),
            meter.flags & oracle.LEVEL,
            bool(meter.flags & oracle.KEEP_POWER),
        )
        charge, after, event = oracle.deduct_one(
            tariffs[meter.tariff].oracle(), account, meter.prev, meter.new, meter.ratio, modulus_wh, max_delta_wh
        )
        result.charge.append(whole(charge * NF_PER_YUAN))
        result.period.append(whole(after.period_kwh * 1000))
        result.balance.append(whole(after.balance_yuan * NF_PER_YUAN))
        anomaly = event in (oracle.BACKWARDS, oracle.JUMP, oracle.RANGE)
        result.flags.append(meter.flags if anomaly else meter.flags & ~3 | after.level)
        result.event.append(event)
    return result


def whole(value):
    """An exact fraction that must be an integer, as int."""
    assert value.denominator == 1, f"{value} is no whole unit"
    return int(value)
