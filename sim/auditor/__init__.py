"""The auditor: compares any head-end's exported view with the truth and explains every difference.

It reads two files, knows neither the simulator that wrote the one nor the head-end that wrote the other, and has
arithmetic of its own: exact fractions over a meter's whole life, cut wherever the price may change. Readings, charges,
relay states and alarms are judged apart; each finding says what is wrong, with numbers, and where it may come from.
"""

from sim.auditor.alarms import audit_alarms
from sim.auditor.charges import audit_charges
from sim.auditor.coverage import audit_coverage
from sim.auditor.finding import Finding
from sim.auditor.readings import audit_readings
from sim.auditor.relays import audit_relays
from sim.auditor.truth_file import Truth, read_truth
from sim.auditor.view_file import View, read_view

__all__ = ["Finding", "Truth", "View", "audit", "read_truth", "read_view"]


def audit(truth: Truth, view: View) -> list[Finding]:
    """All findings, by time."""
    parts = (audit_readings, audit_charges, audit_coverage, audit_relays, audit_alarms)
    return sorted((finding for part in parts for finding in part(truth, view)), key=lambda finding: finding.at_s)
