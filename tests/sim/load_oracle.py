"""The day of a household once more, slow and with Python's own integers; nothing of `sim` is used.

Numbers are those of the model's description: minutes of the day, watts, per mille, 16-bit draws.
"""

MASK = 2**64 - 1
APPLIANCES = [
    ("wakes", 30, 42, 49152, 1, 900),
    ("day", 708, 48, 55705, 2, 1300),
    ("returns", 48, 54, 60293, 3, 1400),
    ("sleeps", -90, 90, 52429, 2, 1100),
    ("wakes", 12, 48, 22938, 1, 1500),
    ("day", 1200, 180, 22938, 4, 350),
    ("day", 900, 540, 32768, 1, 1000),
]
FIELDS = [
    "kind",
    "size_ppm",
    "occupants",
    "wakes",
    "leaves",
    "returns",
    "sleeps",
    "standby_w",
    "cooling_w",
    "heating_w",
    "works",
    "solar_w",
    "limit_mw",
    "level",
]


def bits(key, day, number):
    """Four 16-bit numbers: the splitmix64 generator, jumped to a place of its own for each day and number."""
    x = (key + (day * 256 + number + 1) * 0x9E3779B97F4A7C15) & MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    x ^= x >> 31
    return [x >> shift & 0xFFFF for shift in (0, 16, 32, 48)]


def jitter(u, width):
    return u * 2 * width // 65536 - width


def is_absent(key, day, day_kind):
    if bits(key, day, 129)[2] < 1311:
        return True
    happens, first, length, _ = bits(key, day // 14, 250)
    if happens < 3932 and first % 12 <= day % 14 < first % 12 + 2 + length % 8:
        return True
    return day_kind >= 2 and bits(key, day_kind, 251)[0] < 16384


def presence(trait, key, day, day_kind):
    a, b, c, d = bits(key, day, 128)
    wakes, sleeps = trait["wakes"] + jitter(a, 30), trait["sleeps"] + jitter(b, 48)
    leaves, returns = trait["leaves"] + jitter(c, 30), trait["returns"] + jitter(d, 60)
    outing = day_kind != 0 and bits(key, day, 129)[1] < 26214
    up = []
    for minute in range(0, 1440, 15):
        awake = wakes <= minute < sleeps or minute < sleeps - 1440
        away = day_kind == 0 and leaves <= minute < returns
        home = (150 if trait["works"] else 600) if away else 200 if outing and 780 <= minute < 1020 else 1000
        up.append(home if awake else 0)
    return up


def appliances(trait, key, day, up):
    power = [0] * 96
    anchors = {"day": 0} | {name: trait[name] for name in ("wakes", "returns", "sleeps")}
    for number, (anchor, minute, spread, chance, quarters, watts) in enumerate(APPLIANCES):
        happens, when, size, _ = bits(key, day, 130 + number)
        if happens >= chance:
            continue
        first = (anchors[anchor] + minute + jitter(when, spread) + 7) // 15 % 96
        level = watts + (150 * trait["occupants"] if anchor == "sleeps" else 0)
        level = level * (500 + 700 * size // 65536) * max(250, up[first]) // 1000
        for slot in range(first, min(first + quarters, 96)):
            power[slot] += level
    return power


def climate(trait, tenths, minute, up, u):
    night = minute >= 1290 or minute < 300
    boost = 1350 if minute >= 1260 or minute < 60 else 1150 if 660 <= minute < 900 else 1000
    hot = min(max(tenths - 250, 0) * 1000 // 90, 1000)
    cold = min(max(90 - tenths, 0) * 1000 // 90, 1000)
    wanted = hot * trait["cooling_w"] * boost // 1000 + cold * trait["heating_w"] // (2 if night else 1)
    return wanted * (max(up, 800) if night else up) // 1000 * (200 + 800 * u // 65536) // 1000


def solar(trait, weather, minute, u):
    _, sun, half, _ = weather
    off = minute + 7 - 720
    if off * off >= half * half:
        return 0
    clear = 1000 - 1000 * off * off // (half * half)
    return trait["solar_w"] * clear * sun // 1000 * (850 + 150 * u // 65536) // 1000


def day_power_mw(row, key, day, weather):
    """Net power of a day: 96 numbers, negative while the roof gives back."""
    trait = dict(zip(FIELDS, map(int, row), strict=False))
    key, tenths, day_kind = int(key), weather[0], weather[3]
    up = presence(trait, key, day, day_kind)
    events = appliances(trait, key, day, up)
    factor = 780 + 440 * bits(key, day, 129)[0] // 65536
    if is_absent(key, day, day_kind):
        factor //= 5
    net = []
    for slot in range(96):
        minute = 15 * slot
        fridge, screens, duty, cloud = bits(key, day, slot)
        dark = minute >= 1080 or minute < 390
        level = 60 + 55 * trait["occupants"] * (10 if dark else 4) // 10
        mw = events[slot] + (trait["standby_w"] + 35) * 1000 + (60_000 if fridge < 22938 else 0)
        mw += level * (500 + 1000 * screens // 65536) * up[slot] // 1000
        mw += climate(trait, tenths, minute, up[slot], duty)
        mw = min(max(mw * factor // 1000 * trait["size_ppm"] // 1_000_000, 1), trait["limit_mw"])
        net.append(mw - (solar(trait, weather, minute, cloud) if trait["solar_w"] else 0))
    return net
