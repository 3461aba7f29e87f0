"""QR codes (ISO/IEC 18004): byte mode, error correction M, versions 1 to 10, as an SVG path of the dark modules.

Enough for a payment address of up to 213 bytes. The data goes through Reed-Solomon over GF(256) with the polynomial
0x11D; of the eight masks the one with the lowest penalty is taken, as the standard asks.
"""

from collections.abc import Callable, Iterator

from server.errors import Refused

# version: (error correction bytes of a block, [data bytes of each block])
_BLOCKS = {
    1: (10, [16]),
    2: (16, [28]),
    3: (26, [44]),
    4: (18, [32] * 2),
    5: (24, [43] * 2),
    6: (16, [27] * 4),
    7: (18, [31] * 4),
    8: (22, [38] * 2 + [39] * 2),
    9: (22, [36] * 3 + [37] * 2),
    10: (26, [43] * 4 + [44]),
}
_ALIGNMENT = {
    1: [], 2: [6, 18], 3: [6, 22], 4: [6, 26], 5: [6, 30], 6: [6, 34],
    7: [6, 22, 38], 8: [6, 24, 42], 9: [6, 26, 46], 10: [6, 28, 50],
}  # fmt: skip
_MASKS: tuple[Callable[[int, int], bool], ...] = (
    lambda r, c: (r + c) % 2 == 0,
    lambda r, c: r % 2 == 0,
    lambda r, c: c % 3 == 0,
    lambda r, c: (r + c) % 3 == 0,
    lambda r, c: (r // 2 + c // 3) % 2 == 0,
    lambda r, c: r * c % 2 + r * c % 3 == 0,
    lambda r, c: (r * c % 2 + r * c % 3) % 2 == 0,
    lambda r, c: ((r + c) % 2 + r * c % 3) % 2 == 0,
)
_EXP = [1] * 512
for _i in range(1, 512):
    _EXP[_i] = _EXP[_i - 1] * 2 ^ (0x11D if _EXP[_i - 1] & 0x80 else 0)
_LOG = {_EXP[_i]: _i for _i in range(255)}
_FORMAT_M = 0  # the two bits of error correction level M
_LONG_COUNT_FROM = 10  # from this version on the length takes 16 bits

Matrix = list[list[bool]]


def _times(a: int, b: int) -> int:
    return _EXP[_LOG[a] + _LOG[b]] if a and b else 0


def _generator(degree: int) -> list[int]:
    poly = [1]
    for root in range(degree):
        poly = [a ^ b for a, b in zip([*poly, 0], [0, *(_times(c, _EXP[root]) for c in poly)], strict=True)]
    return poly


def _correction(data: list[int], degree: int) -> list[int]:
    generator, rest = _generator(degree), [*data, *[0] * degree]
    for index in range(len(data)):
        factor = rest[index]
        for offset, value in enumerate(generator):
            rest[index + offset] ^= _times(value, factor)
    return rest[len(data) :]


def _codewords(text: bytes) -> tuple[int, list[int]]:
    """The version and its codewords in the order of the symbol."""
    for version, (_degree, blocks) in _BLOCKS.items():
        count_bits = 16 if version >= _LONG_COUNT_FROM else 8
        room = sum(blocks)
        if 4 + count_bits + 8 * len(text) <= 8 * room:
            break
    else:
        raise Refused(f"an address of {len(text)} bytes is too long for a payment code")
    bits = f"0100{len(text):0{count_bits}b}" + "".join(f"{byte:08b}" for byte in text)
    bits += "0" * min(4, 8 * room - len(bits))
    bits += "0" * (-len(bits) % 8)
    data = [int(bits[at : at + 8], 2) for at in range(0, len(bits), 8)]
    data += [(0xEC, 0x11)[n % 2] for n in range(room - len(data))]
    parts, start = [], 0
    for size in blocks:
        parts.append(data[start : start + size])
        start += size
    degree = _BLOCKS[version][0]
    checks = [_correction(part, degree) for part in parts]
    ordered = [part[n] for n in range(max(blocks)) for part in parts if n < len(part)]
    return version, ordered + [check[n] for n in range(degree) for check in checks]


def _frame(version: int) -> tuple[Matrix, Matrix]:
    """Fixed patterns of a version, and which modules they take."""
    size = 17 + 4 * version
    dark = [[False] * size for _ in range(size)]
    taken = [[False] * size for _ in range(size)]

    def put(row: int, column: int, value: bool) -> None:
        if 0 <= row < size and 0 <= column < size:
            dark[row][column], taken[row][column] = value, True

    for top, left in ((0, 0), (0, size - 7), (size - 7, 0)):
        for r in range(-1, 8):
            for c in range(-1, 8):
                ring = max(abs(r - 3), abs(c - 3))
                put(top + r, left + c, ring not in (2, 4))
    for n in range(8, size - 8):
        put(6, n, n % 2 == 0)
        put(n, 6, n % 2 == 0)
    corners = {(6, 6), (6, size - 7), (size - 7, 6)}
    for row in _ALIGNMENT[version]:
        for column in _ALIGNMENT[version]:
            if (row, column) not in corners:
                _align(put, row, column)
    for n in range(9):
        put(8, n, dark[8][n]) if n == 6 else put(8, n, False)
        put(n, 8, dark[n][8]) if n == 6 else put(n, 8, False)
    for n in range(8):
        put(8, size - 1 - n, False)
        put(size - 1 - n, 8, False)
    put(size - 8, 8, True)
    if version >= 7:
        _version_bits(put, version, size)
    return dark, taken


def _align(put: Callable[[int, int, bool], None], row: int, column: int) -> None:
    for r in range(-2, 3):
        for c in range(-2, 3):
            put(row + r, column + c, max(abs(r), abs(c)) != 1)


def _version_bits(put: Callable[[int, int, bool], None], version: int, size: int) -> None:
    rest = version
    for _ in range(12):
        rest = rest << 1 ^ (0x1F25 if rest >> 11 else 0)
    bits = version << 12 | rest
    for n in range(18):
        value = bool(bits >> n & 1)
        put(n // 3, size - 11 + n % 3, value)
        put(size - 11 + n % 3, n // 3, value)


def _path_of_bits(size: int) -> Iterator[tuple[int, int]]:
    """Places of the data bits: column pairs from the right, up and down in turn, without the timing column."""
    upward = True
    for right in [*range(size - 1, 6, -2), 5, 3, 1]:
        for n in range(size):
            row = size - 1 - n if upward else n
            yield row, right
            yield row, right - 1
        upward = not upward


def _format_bits(mask: int) -> int:
    data = _FORMAT_M << 3 | mask
    rest = data
    for _ in range(10):
        rest = rest << 1 ^ (0x537 if rest >> 9 else 0)
    return (data << 10 | rest) ^ 0x5412


def _with_format(dark: Matrix, mask: int) -> None:
    size, bits = len(dark), _format_bits(mask)
    first = [(n, 8) for n in (0, 1, 2, 3, 4, 5, 7, 8)] + [(8, n) for n in (7, 5, 4, 3, 2, 1, 0)]
    second = [(8, size - 1 - n) for n in range(8)] + [(size - 7 + n, 8) for n in range(7)]
    for n in range(15):
        for row, column in (first[n], second[n]):
            dark[row][column] = bool(bits >> n & 1)


def _penalty(dark: Matrix) -> int:
    size, total = len(dark), 0
    finder = [True, False, True, True, True, False, True] + [False] * 4
    lines = [*dark, *([dark[r][c] for r in range(size)] for c in range(size))]
    for line in lines:
        run = 1
        for before, value in zip(line, [*line[1:], None], strict=True):
            if value == before:
                run += 1
            else:
                total += run - 2 if run >= 5 else 0
                run = 1
        total += 40 * sum(line[n : n + 11] in (finder, finder[::-1]) for n in range(size - 10))
    total += 3 * sum(
        dark[r][c] == dark[r][c + 1] == dark[r + 1][c] == dark[r + 1][c + 1]
        for r in range(size - 1)
        for c in range(size - 1)
    )
    share = 20 * sum(map(sum, dark)) // (size * size)
    return total + 10 * (9 - share if share < 10 else share - 10)


def matrix(text: str) -> Matrix:
    """The modules of the code for `text`, True for dark; Refused when it is too long."""
    version, words = _codewords(text.encode())
    fixed, taken = _frame(version)
    size = len(fixed)
    bits = [word >> n & 1 == 1 for word in words for n in range(7, -1, -1)]
    free = [place for place in _path_of_bits(size) if not taken[place[0]][place[1]]]
    values = dict(zip(free, bits + [False] * (len(free) - len(bits)), strict=True))
    best: tuple[int, Matrix] | None = None
    for mask, rule in enumerate(_MASKS):
        tried = [row.copy() for row in fixed]
        for (row, column), value in values.items():
            tried[row][column] = value ^ rule(row, column)
        _with_format(tried, mask)
        cost = _penalty(tried)
        if best is None or cost < best[0]:
            best = (cost, tried)
    assert best is not None
    return best[1]


def svg_path(text: str) -> tuple[int, str]:
    """Width of the code with its quiet zone of four modules, and the path of its dark modules."""
    modules = matrix(text)
    path = "".join(
        f"M{column + 4} {row + 4}h1v1h-1z"
        for row, line in enumerate(modules)
        for column, value in enumerate(line)
        if value
    )
    return len(modules) + 8, path
