"""Alarms against the labels: missed ones, late ones, and false ones.

A label names the class of alarm that it deserves and how soon, and other classes that it excuses. Trouble that was over
before its time deserves none. An alarm that no label explains within a day after its end is false; where something
benign went on, that is said.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from sim.auditor.finding import FALSE_ALARM, LATE_ALARM, MISSED_ALARM, Finding
from sim.auditor.truth_file import Truth
from sim.auditor.view_file import Alarm, View

GRACE_S = 86_400
BENIGN = "benign"
Label = Mapping[str, Any]


def audit_alarms(truth: Truth, view: View) -> Iterator[Finding]:
    """All differences of the alarms."""
    end_s = truth.estate["until_s"] if view.until_s is None else view.until_s
    for label in truth.labels:
        yield from _deserved(truth, view, label, end_s)
    for alarm in view.alarms:
        if not any(_explains(truth, label, alarm) for label in truth.labels):
            yield Finding(FALSE_ALARM, alarm.name, alarm.at_s, _why_false(truth, alarm))


def _deserved(truth: Truth, view: View, label: Label, end_s: float) -> Iterator[Finding]:
    """Whether a label got its alarm in time."""
    if label["alarm"] is None:
        return
    due_s = label["start_s"] + label["alarm_within_s"]
    found = [a.at_s for a in view.alarms if a.alarm_class == label["alarm"] and _explains(truth, label, a)]
    where = label["meter"] or label["bus"]
    told = f"{label['alarm']} for {label['id']}, since {truth.said(label['start_s'])}"
    if not found:
        if due_s <= min(end_s, end_s if label["end_s"] is None else label["end_s"]):
            why = f"{told}: no alarm within {label['alarm_within_s']} s; {label['lost_wh']} Wh lost so far"
            yield Finding(MISSED_ALARM, where, due_s, why)
    elif min(found) > due_s:
        yield Finding(LATE_ALARM, where, min(found), f"{told}: {min(found) - due_s:.0f} s later than it should be")


def _explains(truth: Truth, label: Label, alarm: Alarm) -> bool:
    if label["class"] == BENIGN or alarm.alarm_class not in (label["alarm"], *label["also"]):
        return False
    return _concerns(truth, label, alarm) and _while(label, alarm)


def _while(label: Label, alarm: Alarm) -> bool:
    ended = label["end_s"] is not None and alarm.at_s > label["end_s"] + GRACE_S
    return bool(label["start_s"] <= alarm.at_s and not ended)


def _concerns(truth: Truth, label: Label, alarm: Alarm) -> bool:
    """Whether an alarm's place is the label's; a main meter goes by its id or by its address."""
    meter = truth.meters.get(alarm.name)
    if alarm.place == "bus":
        return bool(label["meter"] is None and label["bus"] == alarm.name)
    if alarm.place == "gate":
        main = meter.gate if meter is not None and meter.household is None else None
        return bool(label["gate"] == (main or alarm.name))
    return meter is not None and truth.concerns(label, meter)


def _why_false(truth: Truth, alarm: Alarm) -> str:
    going_on = [label for label in truth.labels if _concerns(truth, label, alarm) and _while(label, alarm)]
    benign = [label["id"] for label in going_on if label["class"] == BENIGN]
    others = [f"{label['id']} (deserves {label['alarm']})" for label in going_on if label["class"] != BENIGN]
    why = f"{alarm.alarm_class} at {truth.said(alarm.at_s)}: "
    if others:
        return why + f"something else was wrong: {', '.join(others)}"
    if benign:
        return why + f"nothing was wrong, only {', '.join(benign)}, which is benign"
    return why + "nothing was wrong"
