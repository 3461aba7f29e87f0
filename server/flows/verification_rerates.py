"""What re-ratings have posted against what they should have: worked out by hand, from registers, without the kernel."""

from collections.abc import Iterable

from sqlalchemy import Connection

from core.errors import CoreError
from server.domain.archive import Archived
from server.domain.rerating import Rerate, rerate_of_memo
from server.domain.verification import Findings
from server.domain.verification_orders import agreement_problem
from server.errors import EstateError
from server.flows.corrections import accounts_of, corrections
from server.store import rerating as kept
from server.store.verification_orders import agreements


class RerateBooks:
    """Collects the corrections of an estate's journal, and compares them at its end."""

    def __init__(self, found: Findings, connection: Connection, estate_id: str) -> None:
        self.found, self.connection, self.estate_id = found, connection, estate_id
        rerates = kept.with_status(connection, estate_id, "asked", "running", "done", "withdrawn")
        self._rerates = {one.rerate_id: one for one in rerates}
        self._posted: dict[str, dict[str, int]] = {}
        self.unchecked: list[str] = []

    def take(self, batch_seq: int, memo: str, lines: Iterable[tuple[str, int]]) -> None:
        """One batch of corrections: accounts and nanofen."""
        rerate = self._rerates.get(rerate_of_memo(memo))
        if rerate is None or rerate.memo != memo:
            what = "belongs to a re-rating that does not exist" if rerate is None else "was posted under other terms"
            self.found.note(6, f"batch {batch_seq}", what)
            return
        posted = self._posted.setdefault(rerate.rerate_id, {})
        for account_id, charge_nf in lines:
            posted[account_id] = posted.get(account_id, 0) + charge_nf

    def close(self) -> None:
        """Every account that should have a correction has exactly it, and no other has one."""
        agreed = agreements(self.connection, self.estate_id)
        for rerate in self._rerates.values():
            problem = agreement_problem(rerate, agreed.get(rerate.rerate_id))
            if problem and (rerate.status in ("running", "done") or rerate.rerate_id in self._posted):
                self.found.note(6, f"re-rating {rerate.rerate_id}", problem)
            posted = self._posted.get(rerate.rerate_id, {})
            expected = self._expected(rerate) if rerate.status in ("running", "done") else {}
            if expected is None:
                self.unchecked.append(f"re-rating {rerate.rerate_id}, whose charges are archived")
                continue
            for account_id in sorted({*posted, *expected}):
                subject = f"account {account_id}, re-rating {rerate.rerate_id}"
                self.found.expect(
                    6, subject, "correction in nanofen", posted.get(account_id, 0), expected.get(account_id, 0)
                )

    def _expected(self, rerate: Rerate) -> dict[str, int] | None:
        """By account; None where the lines that it is about are archived."""
        try:
            accounts = accounts_of(self.connection, self.estate_id, rerate)
            if rerate.status == "running":
                accounts = [one for one in accounts if one <= rerate.done_account]
            found = corrections(self.connection, self.estate_id, rerate, accounts, by_hand=True)
        except Archived:
            return None
        except (EstateError, CoreError, ValueError, KeyError) as error:
            self.found.note(6, f"re-rating {rerate.rerate_id}", f"cannot be worked out: {error}")
            return {}
        return {one.account_id: one.owed_nf for one in found if one.owed_nf}
