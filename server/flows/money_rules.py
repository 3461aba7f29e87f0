"""Keeping the rules that money goes by, with every change of them and in its unit of work.

Only what a unit has changed itself is kept. A row that somebody edited behind the server stays without its rule, and
`verify` says so, however often an estate file is taken in afterwards.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from server.domain.money_rules import ACCOUNTS, BATCH, TARIFF, Rule, Standing, changes, sealed
from server.flows.ledger import post_act
from server.store import ledger as journal
from server.store import money_rules as kept
from server.store.unit import Unit

if TYPE_CHECKING:
    from server.clock import Now

MEMO_MAX = 200  # characters; the rules themselves say all


@contextmanager
def rules_kept(unit: Unit, estate_id: str, actor: str, now: "Now") -> Iterator[None]:
    """Keep what changes of estate, tariffs and accounts meanwhile."""
    before = kept.standing(unit.connection, estate_id)
    yield
    keep_rules(unit, estate_id, before, kept.standing(unit.connection, estate_id), actor, now)


def keep_tariff(unit: Unit, estate_id: str, tariff_id: str, definition: str, actor: str, now: "Now") -> None:
    """Keep what a tariff says from now on."""
    _keep(unit, estate_id, [(TARIFF, tariff_id, definition)], actor, now)


def keep_account(unit: Unit, estate_id: str, account_id: str, tariff_id: str, actor: str, now: "Now") -> None:
    """Keep by which tariff an account is charged from now on."""
    _keep(unit, estate_id, [(ACCOUNTS, tariff_id, [account_id])], actor, now)


def keep_rules(unit: Unit, estate_id: str, before: Standing, after: Standing, actor: str, now: "Now") -> None:
    """Keep in what `after` differs from `before`."""
    _keep(unit, estate_id, changes(before, after), actor, now)


def _keep(
    unit: Unit, estate_id: str, wanted: list[tuple[str, str, list[str] | str]], actor: str, now: "Now"
) -> None:  # fmt: skip
    """Append the rules and the batch without lines that puts them into the hash chain; nothing for none."""
    if not wanted:
        return
    batch_seq = journal.next_batch_seq(unit.connection, estate_id)
    first = kept.newest_no(unit.connection, estate_id) + 1
    rules = [
        Rule(number, kind, subject, _text(value), batch_seq, actor, now.world_s, now.machine_ms)
        for number, (kind, subject, value) in enumerate(wanted, first)
    ]
    key, payload = sealed(rules)
    memo = ", ".join(f"{rule.kind} {rule.subject}".strip() for rule in rules)[:MEMO_MAX]
    kept.add(unit.connection, estate_id, rules)
    post_act(unit, estate_id, BATCH, key, payload, actor=actor, memo=memo, now=now)


def _text(value: list[str] | str) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
