"""Checking what one installation of a meter takes over from the one before, and to whom its charges go."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from server.domain.line_words import Words
from server.domain.verification import Carried, Findings
from server.domain.verification_accounts import places_of
from server.domain.verification_meters import HOUSEHOLD, Exchanged, InstallationEnd, Installations

Key = tuple[str, int]  # meter and number of installation
EndOf = Callable[[str, int], InstallationEnd | None]


def check_exchanges(
    found: Findings, end_of: EndOf, exchanges: Iterable[Exchanged], carried: Mapping[Key, Carried]
) -> None:
    """Compare the counters that exchanges carried over with what the charges before them had come to."""
    for one in exchanges:
        old, new, taken = end_of(*one.old), end_of(*one.new), carried.get(one.new)
        if old is None or new is None or taken is None:
            continue
        subject = f"meter {one.new[0]}, installation {one.new[1]}"
        if taken.tier_period_start != old.period_start:
            found.expect(6, subject, "tier counter carried into a new period", taken.tier_period_wh, 0)
            if old.period_wh and new.first_period_start == old.period_start and not one.anew:
                found.note(6, subject, f"goes on in the tier period from {old.period_start}, but carried another")
        elif taken.tier_period_wh or not one.anew:
            found.expect(6, subject, "tier counter carried over", taken.tier_period_wh, old.period_wh)
        if old.order_start and taken.order_start == old.order_start:
            found.expect(6, subject, "energy of the rates carried over", taken.settled_wh, old.settled_wh)


def fed_others(meters: Installations, charged: Words, names: Sequence[str]) -> dict[Key, str]:
    """The household that a present installation feeds, of each whose charges went to another account.

    charged : int64[n], the place among `names` of the account that its charges went to, -1 where there were none.
    """
    numbers = {name: number for number, name in enumerate(names)}
    households = np.append(places_of(meters.households, numbers), -1)
    fed = meters.words[HOUSEHOLD]
    wrong = np.flatnonzero((fed >= 0) & (charged >= 0) & (households[fed] != charged)).tolist()
    return {(meters.meter_ids[at], int(meters.words[0, at])): meters.households[fed[at]] for at in wrong}


def check_households(found: Findings, end_of: EndOf, fed: Mapping[Key, str]) -> None:
    """All charges of an installation went to the household that it fed."""
    for key, account_id in fed.items():
        end = end_of(*key)
        if end is not None and end.account_id is not None:
            subject = f"meter {key[0]}, installation {key[1]}"
            found.expect(3, subject, "account of its charges", end.account_id, account_id)
