"""The deduction in pandas, polars, DuckDB, SQLite and PostgreSQL, as context for the kernel.

Each holds the same meters and tariffs in its own form, joins them, and leaves charge, period, balance, flags and
event in its own form again; loading and fetching are not timed. The engines work in one statement that fills a table
of results; PostgreSQL keeps the steps apart (MATERIALIZED, no JIT), since it would repeat nested expressions. An
engine's library is imported when it is asked for, so that one that is not installed stops no other.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import postgres_server
from bench.deduct_peers import MAX_DELTA_WH, MODULUS_WH, RATES, STEPS, Columns
from bench.deduct_sql import deduction_sql
from core import (
    E_MAX_WH,
    EVENT_BACKWARDS,
    EVENT_CLOSE_ALLOWED,
    EVENT_JUMP,
    EVENT_NONE,
    EVENT_RANGE,
    FLAG_KEEP_POWER,
    FLAG_LEVEL_MASK,
)
from core.units import NF_PER_FEN

RESULTS = ("charge", "period", "balance", "flags", "event")
TRIPPED, KEPT = 3, 2
Table = dict[str, NDArray[np.int64]]


@dataclass(frozen=True)
class Prepared:
    """An engine with the meters loaded: the deduction to time, and its results in the order of the meters."""

    run: Callable[[], object]
    results: Callable[[], Table]


def tables(c: Columns) -> tuple[Table, Table]:
    """Meters and tariffs as columns of 64-bit integers."""
    meters = {name: _wide(getattr(c, name)) for name in ("ratio", "tariff", "period", "balance", "alarm1", "alarm2")}
    meters |= {"id": np.arange(len(c.ratio)), "overdraft": _wide(c.overdraft), "flags": _wide(c.flags)}
    tariffs = {"tariff": np.arange(len(c.tariffs)), "closing": _wide(c.tariffs["close"])}
    for r in range(RATES):
        meters |= {f"p{r}": _wide(c.prev[r]), f"n{r}": _wide(c.new[r])}
        tariffs[f"price{r}"] = _wide(c.tariffs["price"][:, r])
    for j in range(STEPS):
        tariffs |= {f"step{j}": _wide(c.tariffs["step"][:, j]), f"limit{j}": _wide(c.tariffs["limit"][:, j])}
    return meters, tariffs


def _wide(values: NDArray[Any]) -> NDArray[np.int64]:
    return values.astype(np.int64)


@dataclass(frozen=True)
class _Dialect:
    """What a library of data frames calls things; `keep` names a step, so that it is worked out once."""

    col: Callable[[str], Any]
    where: Callable[[Any, Any, Any], Any]
    above: Callable[[Any], Any]
    keep: Callable[[str, Any], Any]


def _charged(d: _Dialect) -> tuple[Any, Any, Any]:
    """Charge, period and anomaly."""
    col, where = d.col, d.where
    turned = [where(col(f"n{r}") < col(f"p{r}"), MODULUS_WH, 0) for r in range(RATES)]
    moved = [d.keep(f"w{r}", col(f"n{r}") - col(f"p{r}") + turned[r]) for r in range(RATES)]
    held, back = moved[0] > MAX_DELTA_WH, (moved[0] > MAX_DELTA_WH) & (col("n0") < col("p0"))
    for r in range(1, RATES):
        held = held | (moved[r] > MAX_DELTA_WH)
        back = back | ((moved[r] > MAX_DELTA_WH) & (col(f"n{r}") < col(f"p{r}")))
    energy, base = moved[0], moved[0] * col("price0")
    for r in range(1, RATES):
        energy, base = energy + moved[r], base + moved[r] * col(f"price{r}")
    energy = d.keep("energy", energy * col("ratio"))
    too_much = where(energy > E_MAX_WH, EVENT_RANGE, EVENT_NONE)
    anomaly = d.keep("anomaly", where(back, EVENT_BACKWARDS, where(held, EVENT_JUMP, too_much)))
    period = col("period")
    after = d.keep("after", period + where(anomaly == EVENT_NONE, energy, 0))
    charge = where(anomaly == EVENT_NONE, base * col("ratio"), 0)
    for j in range(STEPS):
        charge = charge + col(f"step{j}") * (d.above(after - col(f"limit{j}")) - d.above(period - col(f"limit{j}")))
    return d.keep("charge", charge), after, anomaly


def _expressions(d: _Dialect) -> dict[str, Any]:
    """The results as expressions over columns."""
    col, where = d.col, d.where
    charge, after, anomaly = _charged(d)
    balance, flags = d.keep("rest", col("balance") - charge), col("flags")
    stored, floor_nf = flags & FLAG_LEVEL_MASK, col("overdraft") * -NF_PER_FEN
    level = where(balance < col("alarm1") * NF_PER_FEN, 1, 0)
    level = where(balance < col("alarm2") * NF_PER_FEN, KEPT, level)
    level = d.keep(
        "raw", where((balance <= floor_nf) | ((stored == TRIPPED) & (balance <= col("closing"))), TRIPPED, level)
    )
    level = d.keep("level", where(((flags & FLAG_KEEP_POWER) != 0) & (level > KEPT), KEPT, level))
    edge = where(level > stored, level, EVENT_NONE)
    edge = where((stored == TRIPPED) & (level < TRIPPED), EVENT_CLOSE_ALLOWED, edge)
    return {
        "charge": charge,
        "period": after,
        "balance": balance,
        "flags": where(anomaly == EVENT_NONE, flags - stored + level, flags),
        "event": where(anomaly == EVENT_NONE, edge, anomaly),
    }


@contextmanager
def in_pandas(c: Columns) -> Iterator[Prepared]:
    """Whole columns of a DataFrame."""
    import pandas as pd

    meters, tariffs = (pd.DataFrame(table) for table in tables(c))
    done: dict[str, Any] = {}

    def where(condition: Any, yes: Any, no: Any) -> Any:
        return pd.Series(np.where(condition, yes, no), index=condition.index)

    def run() -> None:
        joined = meters.merge(tariffs, on="tariff", how="left")
        dialect = _Dialect(joined.__getitem__, where, lambda s: s.clip(lower=0), lambda _, step: step)
        done["frame"] = pd.DataFrame(_expressions(dialect))

    yield Prepared(run, lambda: {name: done["frame"][name].to_numpy() for name in RESULTS})


@contextmanager
def in_polars(c: Columns) -> Iterator[Prepared]:
    """A lazy query, on all cores."""
    import polars as pl

    meters, tariffs = (pl.DataFrame(table) for table in tables(c))
    done: dict[str, pl.DataFrame] = {}

    def where(condition: Any, yes: Any, no: Any) -> Any:
        return pl.when(condition).then(yes).otherwise(no)

    def run() -> None:
        query = meters.lazy().join(tariffs.lazy(), on="tariff", how="left", maintain_order="left")

        def keep(name: str, step: pl.Expr) -> pl.Expr:
            nonlocal query
            query = query.with_columns(step.alias(name))
            return pl.col(name)

        results = _expressions(_Dialect(pl.col, where, lambda e: e.clip(lower_bound=0), keep))
        done["frame"] = query.select(**results).collect()

    yield Prepared(run, lambda: {name: done["frame"][name].to_numpy() for name in RESULTS})


def _fetched(rows: list[Any]) -> Table:
    return dict(zip(RESULTS, np.array(rows, np.int64).T, strict=True))


FETCH = f"SELECT {', '.join(RESULTS)} FROM results ORDER BY id"


@contextmanager
def in_duckdb(c: Columns) -> Iterator[Prepared]:
    """In memory, on all cores."""
    import duckdb
    import pandas as pd

    connection = duckdb.connect()
    for name, table in zip(("meters", "tariffs"), tables(c), strict=True):
        connection.register("loaded", pd.DataFrame(table))
        connection.execute(f"CREATE TABLE {name} AS SELECT * FROM loaded")
        connection.unregister("loaded")
    statement = "CREATE OR REPLACE TABLE results AS " + deduction_sql("greatest")
    yield Prepared(lambda: connection.execute(statement), lambda: _fetched(connection.execute(FETCH).fetchall()))
    connection.close()


def _load_rows(c: Columns, execute: Callable[[str], object], load: Callable[[str, list[str], Any], object]) -> None:
    for name, table in zip(("meters", "tariffs"), tables(c), strict=True):
        key = "id" if name == "meters" else "tariff"
        columns = ", ".join(f"{column} BIGINT{' PRIMARY KEY' * (column == key)}" for column in table)
        execute(f"CREATE TABLE {name} ({columns})")
        load(name, list(table), zip(*(values.tolist() for values in table.values()), strict=True))


@contextmanager
def in_sqlite(c: Columns) -> Iterator[Prepared]:
    """In memory, with the library that Python brings."""
    connection = sqlite3.connect(":memory:", isolation_level=None)

    def load(name: str, columns: list[str], rows: Any) -> None:
        connection.execute("BEGIN")
        connection.executemany(f"INSERT INTO {name} VALUES ({', '.join('?' * len(columns))})", rows)
        connection.execute("COMMIT")

    def run() -> None:
        connection.execute("DROP TABLE IF EXISTS results")
        connection.execute("CREATE TABLE results AS " + deduction_sql("max", "MATERIALIZED"))

    _load_rows(c, connection.execute, load)
    yield Prepared(run, lambda: _fetched(connection.execute(FETCH).fetchall()))
    connection.close()


@contextmanager
def in_postgresql(c: Columns) -> Iterator[Prepared]:
    """A server of its own on a Unix socket, without waiting for the disk."""
    import psycopg

    folder = postgres_server.binaries()
    if folder is None:
        raise FileNotFoundError(postgres_server.ABSENT)
    with (
        postgres_server.running_server(folder) as socket,
        psycopg.connect(f"host={socket} user=postgres dbname=postgres", autocommit=True) as connection,
    ):

        def load(name: str, columns: list[str], rows: Any) -> None:
            with connection.cursor() as cursor, cursor.copy(f"COPY {name} ({', '.join(columns)}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
            connection.execute(f"ANALYZE {name}")

        def run() -> None:
            connection.execute("DROP TABLE IF EXISTS results")
            connection.execute("CREATE UNLOGGED TABLE results AS " + deduction_sql("greatest", "MATERIALIZED"))

        connection.execute("SET jit = off")
        _load_rows(c, connection.execute, load)
        yield Prepared(run, lambda: _fetched(connection.execute(FETCH).fetchall()))


ENGINES = {
    "pandas": in_pandas,
    "polars": in_polars,
    "DuckDB": in_duckdb,
    "SQLite": in_sqlite,
    "PostgreSQL": in_postgresql,
}
