"""`estate645 demo --check --faults`: what goes wrong on top of the story, by schedule, and what must come of it.

Lines flip bits, answers come late, in pieces or not at all, a DTU restarts, registers jump and fall, meters are
bypassed, clocks are wrong, relays say yes and do nothing. A further cast is overdrawn where a cut would be wrong, or
where the relay betrays it. `EXPECTED_CASES` is what the head-end has to notice of it by itself within the check.
"""

from server.cli.demo.estate import STORY, Part, Play, Trouble, meter_of

SILENT_ROOM, CLOCK_ROOM, INERT_ROOM, STUCK_ROOM = "3-0506", "1-0505", "3-0203", "2-0407"
JUMPED_ROOM, GARBLED_ROOM, FALSE_ROOM = "3-0703", "2-0103", "3-0403"
DOUBTFUL = (
    Part(SILENT_ROOM, 5, 900, "never"),  # overdrawn, but nobody can read its meter
    Part(CLOCK_ROOM, 4, 1000, "never"),  # overdrawn, but its meter would not know a late command from a fresh one
    Part(JUMPED_ROOM, 2500, 800, "never"),  # overdrawn only if the jump of its register were believed
    Part(GARBLED_ROOM, 2500, 800, "never"),  # likewise for a wrong bit of its memory
    Part(INERT_ROOM, 4, 1000, "never"),  # its relay accepts the cut and does not move
    Part(STUCK_ROOM, 5, 1000, "never"),  # its relay says open while its contacts are welded
)
NEVER_CUT = (SILENT_ROOM, CLOCK_ROOM, JUMPED_ROOM, GARBLED_ROOM, INERT_ROOM)
TROUBLES = (
    Trouble("silent", "household", SILENT_ROOM, "+4m"),
    Trouble("clock_jump", "household", CLOCK_ROOM, "+1m", sizes=(("jump_s", 3600),)),
    Trouble("register_jump", "household", JUMPED_ROOM, "+24m", sizes=(("jump_wh", 90_000),)),
    Trouble("bcd_bit_flip", "household", GARBLED_ROOM, "+24m", "+50m", sizes=(("bit", 20),)),
    Trouble("relay_inert", "household", INERT_ROOM, "+1m"),
    Trouble("relay_stuck_closed", "household", STUCK_ROOM, "+1m"),
    Trouble("false_tripped", "household", FALSE_ROOM, "+12m"),
    Trouble("bypass", "household", "2-0604", "+3m"),
    Trouble("evening_tap", "household", "1-0606", "+3m", sizes=(("from_min", 540),)),
    Trouble("unmetered_tap", "household", "1-0602", "+1m", sizes=(("tap_power_w", 15_000),)),
    Trouble("truncated", "household", "2-0304", "+10m", "+30m"),
    Trouble("late_answer", "household", "3-0501", "+10m", "+40m", sizes=(("late_ms", 700),)),
    Trouble("follow_up", "household", "1-0404", "+2m"),
    Trouble("preamble", "bus", "bus-2", "+2m", sizes=(("count", 7),)),
    Trouble("bit_errors", "bus", "bus-4", "+2m", sizes=(("errors_ppm", 500),)),
    Trouble("noise_bytes", "bus", "bus-7", "+2m"),
    Trouble("partial_writes", "bus", "bus-5", "+2m", "+35m", sizes=(("pieces", 3), ("gap_ms", 15))),
    Trouble("intermittent", "bus", "bus-6", "+10m", "+40m", sizes=(("answer_permille", 800),)),
    Trouble("concentrator_reboot", "bus", "bus-8", "+14m", "+20m"),
)
WITH_FAULTS = Play((*STORY.cast, *DOUBTFUL), (*STORY.troubles, *TROUBLES))
EXPECTED_CASES = (
    ("silent", meter_of(SILENT_ROOM)),
    ("relay_disobeys", meter_of(INERT_ROOM)),
    ("open_relay_energy", meter_of(STUCK_ROOM)),
    ("open_relay_energy", meter_of(FALSE_ROOM)),
    ("backwards", meter_of("3-0105")),
    ("gate_loss", "202699000001"),
)
