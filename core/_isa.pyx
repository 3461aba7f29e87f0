"""Which instruction set the kernels use: chosen once at import, by the machine or by `CORE_ISA`.

Tiers are scalar (portable compiled code, the reference), avx2 and avx512, and all of them give the same
bits. Each kernel keeps a table of function pointers, one a tier, and asks for the entry in use at each call.
"""

import os

cdef extern from "_isa.h" nogil:
    int E645_TIERS
    int e645_host_has(int tier)

TIERS = ("scalar", "avx2", "avx512")


def available() -> tuple:
    """Names of the tiers that this machine and this build have, slowest first."""
    return tuple(name for number, name in enumerate(TIERS) if e645_host_has(number))


def isa() -> str:
    """The instruction set tier of the kernels in use: "scalar", "avx2" or "avx512"."""
    return TIERS[tier]


def use(str name not None) -> None:
    """Switch all kernels to a tier, between calls and from one thread; ValueError if that is not possible."""
    global tier
    if name not in TIERS:
        raise ValueError(f"{name!r} is no instruction set tier; there are {', '.join(TIERS)}")
    if name not in available():
        raise ValueError(
            f"{name!r}: this machine or build lacks that instruction set; it has {', '.join(available())}"
        )
    tier = TIERS.index(name)


def _choose(wanted):
    try:
        use(wanted or available()[-1])
    except ValueError as refused:
        raise ImportError(f"CORE_ISA={refused}") from refused


_choose(os.environ.get("CORE_ISA"))
