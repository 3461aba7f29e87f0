"""Files that the auditor cannot judge: it says what is wrong with them, and its exit status is not that of findings."""

import json

import pytest

from sim.__main__ import main
from tests.sim.test_auditor_edges import estate


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not JSON"),
        ('{"what": "reading", "meter": "1", "at_s": 0}', "register_wh"),
        ('{"what": "balance"}', "allowed: view, reading, held, charge, relay, alarm"),
        ('{"what": "relay", "meter": "1", "at_s": 0, "state": "ajar"}', "open or closed"),
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
