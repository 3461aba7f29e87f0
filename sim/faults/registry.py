"""All kinds of faults by name, in the order of the documentation."""

from sim.faults import benign, communication, contacts, false_data, metrology, tamper, theft
from sim.faults.fault import Fault

KINDS: dict[str, type[Fault]] = {
    kind.name: kind
    for group in (theft, false_data, tamper, metrology, contacts, communication, benign)
    for kind in group.KINDS
}
