"""A scenario with every key explained, printed by `estate645-sim --example`.

It is read by the tests, so it cannot go stale.
"""

EXAMPLE = """\
# An estate of virtual meters. Unknown keys are errors. Run it with
#   estate645-sim estate.toml --seed 1 --factor 120 --run-dir run --ready ready.json

[estate]
id = "cuihu"
name = "Cuihu Garden"
time_zone = "Asia/Shanghai"          # meter clocks, rate windows and tier periods follow it
holidays = ["2026-10-01..2026-10-07"]   # days on which nobody works, and some travel

[weather]                            # a yearly cosine with spells; tenths of a degree
mean_tenths = 175
swing_tenths = 125
shock_tenths = 60
warmest_day = 205

[events]                             # what happens by itself, per 1000 households and 30 days
switchings = 0                       # a trip, and permission to close some hours later: for runs without a head-end
paid_after_h = [1, 72]
faults = { silent = 0, unmetered_tap = 0 }
fault_h = [2, 240]

[faults]                             # at random, per 1000 households (main meters, buses) and 30 days
rates = { fdi1 = 0, late_answer = 0, concentrator_reboot = 0 }
lasts_h = [2, 240]

# [replay] with file = "homes.npz" gives load = "replay" its profiles;
# [[generate]] makes whole buildings: both in docs/simulator.md

[tariff]                             # only the simulator's truth charges with it
id = "beijing"
price = "0.4883"                     # yuan/kWh as text, or prices = { peak = "...", flat = "...", valley = "..." },
                                     # or rate_prices_nf_per_wh = [sharp, peak, flat, valley] in nanofen per Wh
tier_limits_wh = [240000, 400000]    # inclusive upper limits; seasons = [{ months = [...], tier_limits_wh = [...] }]
tier_steps = ["0.05", "0.25"]        # what each limit adds, yuan/kWh
tier_period = "month"                # month, year or none; tier_period_start = day of the month, or "MMDD"
# several dated versions go into [[tariff.versions]] with valid_from = "2026-01-01";
# kind = "tou" needs periods = [{ from = "08:00", to = "22:00", rate = "peak" }, ...] over the whole day

[[bus]]
id = "bus-1"                         # the name of the port in the run directory
port = "pty"                         # or tcp://127.0.0.1:0, dtu://127.0.0.1:9645 (dials in), /dev/ttyUSB0, memory
baud = 9600                          # 600 to 19200
parity = "E"                         # E, O or N: 11, 11 or 10 bits a byte
reply_delay_ms = [20, 60]            # Td, fixed, [least, most] or { median = 219, p95 = 397, most = 2618 }
preamble = 4                         # FE bytes before an answer
wire = "byte-true"                   # or "none": answers at once
chunk_bytes = 5                      # bytes per write; 0 writes whole frames
echo = false                         # repeat what the master sends, as some adapters do
stop_bits = 1
bit_errors_ppm = 0                   # bits of a million that the line flips: 100 is a bit error rate of 1e-4
parity_errors = "lost"               # or "passed": wrong bytes come through, as on most serial servers
mismatch = "garble"                  # or "ignore": take any baud, parity and stop bits that a client sets
# a bus that dials also knows registration = "..." and heartbeat = "hex:FE", heartbeat_s = 30, redial_s = 5

[[household]]
id = "1-0101"
meter = "202600010101"               # twelve digits, in quotes
bus = "bus-1"
start_register_wh = 1234560          # a multiple of 10
load = "family"                      # family, single, heavy, vacant, constant or replay (with profile = N)
solar_w = 0                          # peak power of a roof that gives back what is not used
mean_power_w = 450                   # optional: scale the load to this yearly mean; constant needs it
tier_used_wh = 0                     # what already counts in the running tier period
max_current_a = 60
password = "000000"
password_level = 2                   # the lowest level that may write and switch; 0 is the highest
trip_delay_min = 0
phases = 1                           # or 3
protocol = "dlt645-2007"             # or dlt645-1997, or modbus with model = "ddsu666", sdm630, dds238 or ddsy1352 and
                                     # unit = 1 to 247; then meter is only the number on its plate
vendor = "standard"                  # habits of a vendor: standard, landis-gyr-e650, local-prepaid, property-plain,
                                     # short-blocks or state-grid-three-phase
local_credit_fen = 5000              # makes it a meter that keeps credit itself (03H, a public dummy key); else remote
clock_drift_ms_per_day = 0           # how much the meter's clock gains a day; negative loses
resident = { button = "prompt", button_delay_s = [60, 300], clock = "world" }  # prompt, slow or never; or "machine"

[[household]]
id = "1-0102"
meter = "202600010102"
bus = "bus-1"
load = "single"
fault = { kind = "unmetered_tap", at = 2026-10-13T09:40:00, until = "2026-10-14T09:40", tap_power_w = 800 }
# fault = "silent" with at = "..." beside it is the short form; docs/simulator.md has all kinds and their keys

[[fault]]                            # the long form: anywhere, any kind
kind = "evening_tap"
household = "1-0101"                 # or meter = "...", gate = "gate-1", bus = "bus-1", as the kind allows
at = "+36h"                          # after the start (s, m, h, d), or a date; without it from the beginning
until = "+30d"                       # without it until it is ended
metered_permille = 250

[[fault]]
kind = "bit_errors"
bus = "bus-1"
at = 2026-10-20T00:00:00
until = 2026-10-21T00:00:00
errors_ppm = 500

[[gate]]                             # a main meter: its households, metered or not, and the losses
id = "gate-1"
meter = "202600019999"
bus = "bus-1"
feeds = "building 1"
prefix = "1-"                        # or households = ["1-0101", "1-0102"]
loss_permille = 20
loss_ppm_per_kw = 0                  # further losses, growing with the load
class_error_ppm = 0                  # 5000 is the limit of class 0.5
ct_ratio = 1                         # the register counts behind the transformers
common_power_w = 0                   # lifts and lights, drifting by at most common_drift_permille a day
common_drift_permille = 0
"""
