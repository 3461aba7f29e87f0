"""`estate645-sim audit TRUTH VIEW`: whether a head-end saw, charged, switched and alarmed as it should have."""

import argparse
import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from sim.auditor import audit, read_truth, read_view
from sim.words import counted


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser(
        prog="estate645-sim audit", description="Compare a head-end's view with the truth and explain every difference."
    )
    made.add_argument("truth", type=Path, help="what --truth-export or GET /truth/export gave")
    made.add_argument("view", type=Path, help="what the head-end says: JSON Lines or CSV, see docs/simulator.md")
    made.add_argument("--json", action="store_true", help="one JSON object for each finding")
    return made


def run(options: argparse.Namespace) -> int:
    """Print the findings; 0 when there are none, 1 when there are."""
    truth, view = read_truth(options.truth), read_view(options.view)
    found = audit(truth, view)
    for finding in found:
        if options.json:
            print(json.dumps(asdict(finding), sort_keys=True))
        else:
            print(f"{truth.said(finding.at_s)} {finding.where} {finding.what}: {finding.why}")
    if not options.json:
        judged = (
            f"{counted(len(view.readings), 'reading')}, {counted(len(view.charges), 'charge')}, "
            f"{counted(len(view.relays), 'relay state')}, {counted(len(view.alarms), 'alarm')} "
            f"of {counted(len(truth.meters), 'meter')}"
        )
        counts = ", ".join(f"{number} {what}" for what, number in sorted(Counter(f.what for f in found).items()))
        print(f"{judged}: {counts or 'nothing is wrong'}")
    return 1 if found else 0
