"""What `doctor` calls the things it looks at, and the states that it finds them in, in Chinese."""

from server.cli.languages import mark as _
from server.cli.languages import told

SUBJECTS = (
    _("settings"), _("settings file"), _("database"), _("disk"), _("privileges"), _("months"), _("meter passwords"),
    _("message gateway"), _("notices"), _("clock"), _("time zone"), _("holidays"), _("limits"),
)  # fmt: skip
BUS = _("bus %(bus)s")
STATES = {"ok": _("fine"), "warning": _("WARNING"), "wrong": _("WRONG"), "unknown": _("unknown")}
MARKS = {"ok": "ok     ", "warning": "WARNING", "wrong": "WRONG  ", "unknown": "?      "}


def subject_said(subject: str, lang: str) -> str:
    """What was looked at; names of settings stay as they are written in the file."""
    if subject.startswith("bus "):
        return told(BUS, lang, bus=subject.removeprefix("bus ")) if lang == "zh" else subject
    return told(subject, lang) if lang == "zh" and subject in SUBJECTS else subject


def state_said(state: str, lang: str) -> str:
    """How it was found, all as wide as each other."""
    return told(STATES[state], lang) if lang == "zh" else MARKS[state]
