"""What holds the power of everybody who owes is said once, with every detail that it has."""

from server.web.operator.decisions import Check, Verdict
from server.web.operator.holds import holds_of


def verdict(name, detail):
    checks = (
        Check("overdrawn", "Balance", True, False, ""),
        Check("allowed_time", "Protected time", not detail, True, detail),
    )
    return Verdict(name, name, "", -5, 0, checks, detail and "allowed_time", detail, 1)


def test_one_reason_of_all_is_said_once_and_other_details_beside_it():
    [said] = holds_of([verdict("A", "heat alert"), verdict("B", "heat alert")], str).everywhere
    assert (said.name, said.detail) == ("allowed_time", "heat alert")
    [said] = holds_of(
        [verdict("A", "heat alert"), verdict("B", "protected hours"), verdict("C", "heat alert")], str
    ).everywhere
    assert said.detail == "heat alert, protected hours", "an alert does not hold whom only the hours hold"


def test_what_does_not_hold_all_is_no_reason_of_all():
    holds = holds_of([verdict("A", "heat alert"), verdict("B", "")], str)
    assert (holds.everywhere, len(holds.groups)) == ((), 2)
