# cython: boundscheck=False, wraparound=False
"""The limit that the deduction is measured against: the same arrays, read and written once, trivial arithmetic.

Not part of the public face of `core`; the bench calls it in turns with the kernel, in the same tier.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t

from core._isa cimport tier

cdef extern from "_roofline.h" nogil:
    ctypedef void (*Streams "e645_streams")(
        Py_ssize_t n, const int32_t *prev, const int32_t *now, const int32_t *ratio, const uint16_t *tariff,
        int64_t *period, int64_t *balance, const int32_t *alarm1, const int32_t *alarm2, const int32_t *overdraft,
        uint8_t *flags, int64_t *charge, uint8_t *event,
    ) noexcept nogil
    const Streams *stream_passes "e645_stream_passes"

RATES = 4


def stream(
    const int32_t[:, ::1] prev_wh not None,
    const int32_t[:, ::1] new_wh not None,
    const int32_t[::1] ratio not None,
    const uint16_t[::1] tariff not None,
    int64_t[::1] tier_period_wh not None,
    int64_t[::1] balance_nf not None,
    const int32_t[::1] alarm1_fen not None,
    const int32_t[::1] alarm2_fen not None,
    const int32_t[::1] overdraft_fen not None,
    uint8_t[::1] flags not None,
    int64_t[::1] charge_nf not None,
    uint8_t[::1] event not None,
) -> None:
    """Move the 102 bytes of each meter that `core.deduct` moves, with four registers; the results mean nothing."""
    cdef Py_ssize_t n = ratio.shape[0]
    if prev_wh.shape[0] != RATES or new_wh.shape[0] != RATES or n == 0:
        raise ValueError("four registers and at least one meter")
    for length in (
        prev_wh.shape[1], new_wh.shape[1], tariff.shape[0], tier_period_wh.shape[0], balance_nf.shape[0],
        alarm1_fen.shape[0], alarm2_fen.shape[0], overdraft_fen.shape[0], flags.shape[0], charge_nf.shape[0],
        event.shape[0],
    ):
        if length != n:
            raise ValueError(f"every array must hold {n} meters, not {length}")
    with nogil:
        stream_passes[tier](
            n, &prev_wh[0, 0], &new_wh[0, 0], &ratio[0], &tariff[0], &tier_period_wh[0], &balance_nf[0],
            &alarm1_fen[0], &alarm2_fen[0], &overdraft_fen[0], &flags[0], &charge_nf[0], &event[0],
        )
