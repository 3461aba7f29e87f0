"""What a register is worth, step by step: every 10 Wh is priced alone, at the instant when it completed.

The slowest thing that can be right: no pieces, no overlaps, no telescoping. A step that completes before an
instant belongs to what is in force before it. Prices in nanofen per Wh, limits in Wh.
"""

from datetime import datetime

STEP_WH = 10


def charge_by_steps(register, upto_wh, zone, versions, used_wh=0):
    """`versions`: ascending (valid_from ms, prices[4], steps, limits by month, period of a civil time)."""
    total, counter, period = 0, used_wh, None
    previous = register.rates_wh(register.origin_ms)
    total_wh = register.start_wh
    while total_wh < upto_wh:
        total_wh += STEP_WH
        done_ms, _ = register.window_ms(total_wh, 10**15 if not hasattr(register, "now_ms") else register.now_ms)
        rates = register.rates_at_total(total_wh, done_ms)
        rate = next(index for index in range(4) if rates[index] != previous[index])
        previous = rates
        inside_ms = done_ms - 1
        _, prices, steps, limits_by_month, period_of = [v for v in versions if v[0] <= inside_ms][-1]
        civil = datetime.fromtimestamp(inside_ms // 1000, zone)
        if period is not None and period_of(civil) != period:
            counter = 0
        period = period_of(civil)
        for _ in range(STEP_WH):
            counter += 1
            above = [step for step, limit in zip(steps, limits_by_month(civil.month), strict=True) if counter > limit]
            total += prices[rate] + sum(above)
    return total
