"""What holds the power of everybody who owes is said once, with every detail that it has."""

from server.web.operator.decisions import Check, Verdict, telling
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


def test_what_a_limit_holds_back_is_said_to_wait_for_people_and_not_for_a_notice():
    def checks(*failed):
        names = ("final_notice", "allowed_time", "bus_limit", "hour_limit")
        return [Check(name, name, name not in failed, True, "") for name in names]

    def told(*failed):
        return telling(checks(*failed))

    assert told("final_notice", "hour_limit").name == "hour_limit"
    assert told("final_notice", "allowed_time", "bus_limit").name == "final_notice", "only time is in the way"
    assert told("allowed_time", "hour_limit").name == "allowed_time"
    assert told() is None
    one = Verdict("A", "A", "", -5, 0, tuple(checks("final_notice", "hour_limit")), "hour_limit", "", 2)
    [group] = holds_of([one], str).groups
    assert group.reason.name == "hour_limit"
    assert group.reason.href == "/supply"
