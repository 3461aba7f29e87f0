"""The report of a commissioning, for people as Markdown and for programs as JSON.

It ends with three lists: what was proven on hardware, what only on a simulation, and what stays open. No password is
in it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from server.cli.commission.proofs import GROUNDS, QUESTIONS, Ground, Proof
from server.cli.languages import mark as _
from server.cli.languages import told
from server.collect.port import LineSettings

TITLE, PORT, BEGUN = _("Commissioning report"), _("port"), _("begun")
MARKS = {"passed": _("passed"), "failed": _("FAILED"), "open": _("open")}


@dataclass(frozen=True, slots=True)
class Report:
    """All that was asked on one port."""

    url: str
    line: LineSettings
    ground: Ground
    began: datetime
    program: str
    proofs: Sequence[Proof]

    @property
    def failed(self) -> bool:
        """Whether any answer was wrong."""
        return any(one.outcome == "failed" for one in self.proofs)

    def of(self, outcome: str) -> list[Proof]:
        """The proofs with one outcome."""
        return [one for one in self.proofs if one.outcome == outcome]

    @property
    def never_asked(self) -> list[str]:
        """Questions that nobody was asked."""
        return [name for name in QUESTIONS if name not in {one.question for one in self.proofs}]

    def as_json(self) -> dict[str, Any]:
        """The whole report."""
        ground = "hardware" if self.ground.is_hardware else "simulation"
        return {
            "port": self.url, "ground": self.ground.value, "began": self.began.isoformat(), "program": self.program,
            "line": f"{self.line.baud} 8{self.line.parity}{self.line.stop_bits}",
            "proofs": [
                {"question": one.question, "subject": one.subject, "outcome": one.outcome, "figures": one.figures,
                 "seen": one.said("en"), "seen_zh": one.said("zh"),
                 "proven_on": ground if one.outcome == "passed" else None}
                for one in self.proofs
            ],
            "never_asked": self.never_asked, "failed": self.failed,
        }  # fmt: skip

    def markdown(self, lang: str) -> Iterator[str]:
        """The report line by line."""
        yield f"# {told(TITLE, lang)}"
        yield ""
        settings = f"{self.line.baud} 8{self.line.parity}{self.line.stop_bits}"
        yield f"- {told(PORT, lang)}: `{self.url}`, {settings}: {told(GROUNDS[self.ground], lang)}"
        yield f"- {told(BEGUN, lang)}: {self.began:%Y-%m-%d %H:%M:%S%z}, {self.program}"
        for subject in dict.fromkeys(one.subject for one in self.proofs):
            yield from ("", f"## {subject}", "")
            for one in self.proofs:
                if one.subject == subject:
                    yield f"- **{told(MARKS[one.outcome], lang)}** {one.asked(lang)}: {one.said(lang)}"
        yield from self._lists(lang)

    def _lists(self, lang: str) -> Iterator[str]:
        on_hardware = self.of("passed") if self.ground.is_hardware else []
        simulated = [] if self.ground.is_hardware else self.of("passed")
        left = [f"{one.asked(lang)} ({one.subject})" for one in [*self.of("failed"), *self.of("open")]]
        left += [told(QUESTIONS[name], lang) for name in self.never_asked]
        lists = (
            (_("Proven on hardware"), [f"{one.asked(lang)} ({one.subject})" for one in on_hardware]),
            (_("Proven only on a simulation"), [f"{one.asked(lang)} ({one.subject})" for one in simulated]),
            (_("Not proven"), left),
        )
        for title, entries in lists:
            yield from ("", f"## {told(title, lang)}", "")
            yield from (f"- {entry}" for entry in entries or [told(_("nothing"), lang)])
