"""Files that the auditor cannot judge: it says what is wrong with them, and its exit status is not that of findings."""

import json

import pytest

from sim.__main__ import main
from sim.auditor import read_truth, read_view
from tests.sim.test_auditor_edges import estate, label, meter


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not JSON"),
        ('{"what": "reading", "meter": "1", "at_s": 0}', "view.jsonl: object 1: register_wh is missing"),
        ('{"what": "reading", "meter": "1", "at_s": 0, "register_wh": "x"}', "object 1: register_wh: 'x' is no whole"),
        ('{"what": "reading", "meter": "1", "at_s": 0, "register_wh": true}', "register_wh: True is no whole number"),
        ('{"what": "relay", "meter": "1", "state": "open"}', "object 1: at_s is missing"),
        ("[{]", "not JSON"),
        ('{"what": "balance"}', "allowed: view, reading, held, charge, relay, alarm"),
        ('{"what": "relay", "meter": "1", "at_s": 0, "state": "ajar"}', "state is 'ajar'; allowed: open, closed"),
        ('{"what": "alarm", "class": "drop", "at_s": 0}', "names a meter, a gate or a bus"),
        ("[1]", "no object"),
        *(
            (f'{{"what": "alarm", "class": "drop", "meter": "1", "at_s": {at_s}}}', "is no time")
            for at_s in ("NaN", "Infinity", "1e300", "-1")
        ),
        ("[" * 100_000, "nested too deeply"),
        ('{"a": ' * 100_000, "nested too deeply"),
        ('{"what": "view", "every_s": -5}', "no whole number of at least 1"),
        ('{"what": "view", "every_s": 0}', "no whole number of at least 1"),
        (
            '{"what": "charge", "meter": "1", "at_s": 0, "from_wh": 0, "to_wh": 9, "charge_fen": 1760.5}',
            "no whole number",
        ),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path, capsys, text, said):
    path = tmp_path / "view.jsonl"
    path.write_text(text)
    truth = tmp_path / "truth.jsonl"
    truth.write_text(json.dumps(estate()) + "\n")
    assert main(["audit", str(truth), str(path)]) == 2
    assert said in capsys.readouterr().err
    assert main(["audit", str(path), str(path)]) == 2
    assert main(["audit", str(tmp_path / "nowhere"), str(path)]) == 2


@pytest.mark.parametrize(
    ("line", "key"),
    [
        *((estate(), key) for key in ("format", "time_zone", "versions")),
        *((meter("1", "one"), key) for key in ("bus", "energy")),
        *((label("silent", "communication", 1, 2), key) for key in ("start_s", "sizes")),
    ],
)
def test_a_truth_without_a_key_is_refused_with_file_object_and_key(tmp_path, capsys, line, key):
    path = tmp_path / "truth.jsonl"
    path.write_text("\n".join(json.dumps(each) for each in (estate(), {k: v for k, v in line.items() if k != key})))
    assert main(["audit", str(path), str(path)]) == 2
    assert f"{path}: object 2 ({line['what']}): {key} is missing; make" in capsys.readouterr().err


def test_a_truth_of_something_else_is_refused_in_words(tmp_path, capsys):
    path = tmp_path / "truth.jsonl"
    path.write_text("")
    assert main(["audit", str(path), str(path)]) == 2
    assert f'{path}: no truth export: no object in it has "what": "estate"; make' in capsys.readouterr().err
    path.write_text(json.dumps(meter("1", "one") | {"energy": 7}))
    assert main(["audit", str(path), str(path)]) == 2
    assert "object 1 (meter): a value is not as exports have it" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["view.jsonl", "view.csv"])
def test_the_mark_with_which_windows_begins_a_text_is_passed_over(tmp_path, name):
    truth, view = tmp_path / "truth.jsonl", tmp_path / name
    truth.write_text("\ufeff" + json.dumps(estate()))
    row = "what,tolerance_s\nview,5\n" if name.endswith("csv") else '{"what": "view", "tolerance_s": 5}'
    view.write_text("\ufeff" + row)
    read_truth(truth)
    assert read_view(view).tolerance_s == 5
