"""The deduction as one SQL query over `meters` and `tariffs`, all columns BIGINT; every step is a view of the last."""

from bench.deduct_peers import MAX_DELTA_WH, MODULUS_WH, RATES, STEPS
from core import E_MAX_WH, EVENT_BACKWARDS, EVENT_CLOSE_ALLOWED, EVENT_JUMP, EVENT_RANGE, FLAG_KEEP_POWER
from core.units import NF_PER_FEN

MOVED = ", ".join(f"n{r} - p{r} + CASE WHEN n{r} < p{r} THEN {MODULUS_WH} ELSE 0 END AS w{r}" for r in range(RATES))
TERMS = ", ".join(
    [
        *(f"price{r}" for r in range(RATES)),
        *(f"step{j}" for j in range(STEPS)),
        *(f"limit{j}" for j in range(STEPS)),
        "closing",
    ]
)
HELD = " OR ".join(f"w{r} > {MAX_DELTA_WH}" for r in range(RATES))
BACK = " OR ".join(f"(w{r} > {MAX_DELTA_WH} AND n{r} < p{r})" for r in range(RATES))
ENERGY = f"({' + '.join(f'w{r}' for r in range(RATES))}) * ratio"
BASE = f"({' + '.join(f'w{r} * price{r}' for r in range(RATES))}) * ratio"


def deduction_sql(greatest: str, materialized: str = "") -> str:
    """The query; `greatest` is the dialect's maximum of two values."""

    def overlap(j: int) -> str:
        after, before = f"{greatest}(period + energy - limit{j}, 0)", f"{greatest}(period - limit{j}, 0)"
        return f"step{j} * ({after} - {before})"

    steps = {
        "moved": f"SELECT meters.*, {TERMS}, {MOVED} FROM meters JOIN tariffs ON tariffs.tariff = meters.tariff",
        "judged": f"""SELECT *, CASE WHEN {BACK} THEN {EVENT_BACKWARDS} WHEN {HELD} THEN {EVENT_JUMP}
            WHEN {ENERGY} > {E_MAX_WH} THEN {EVENT_RANGE} ELSE 0 END AS anomaly FROM moved""",
        "based": f"""SELECT *, CASE WHEN anomaly = 0 THEN {ENERGY} ELSE 0 END AS energy,
            CASE WHEN anomaly = 0 THEN {BASE} ELSE 0 END AS base FROM judged""",
        "charged": f"SELECT *, base + {' + '.join(overlap(j) for j in range(STEPS))} AS charge FROM based",
        "owed": f"""SELECT *, balance - charge AS rest, flags % 4 AS stored,
            (flags & {FLAG_KEEP_POWER}) <> 0 AS kept FROM charged""",
        "found": f"""SELECT *, CASE WHEN rest <= -overdraft * {NF_PER_FEN} OR (stored = 3 AND rest <= closing) THEN 3
            WHEN rest < alarm2 * {NF_PER_FEN} THEN 2 WHEN rest < alarm1 * {NF_PER_FEN} THEN 1 ELSE 0 END AS raw
            FROM owed""",
        "levelled": "SELECT *, CASE WHEN kept AND raw = 3 THEN 2 ELSE raw END AS level FROM found",
    }
    views = ", ".join(f"{name} AS {materialized} ({query})" for name, query in steps.items())
    return f"""WITH {views} SELECT id, charge, period + energy AS period, rest AS balance,
        CASE WHEN anomaly <> 0 THEN flags ELSE flags - stored + level END AS flags,
        CASE WHEN anomaly <> 0 THEN anomaly WHEN stored = 3 AND level < 3 THEN {EVENT_CLOSE_ALLOWED}
        WHEN level > stored THEN level ELSE 0 END AS event FROM levelled"""
