"""Whether a line may bring wrong values that look right.

The sum of a frame does not find two flipped bits that cancel out; the parity bits of its bytes find nearly all of them.
Where no parity reaches us, noise that was seen lately makes every answer suspect for a while.
"""

EXCHANGES = 500  # under suspicion after noise was seen


class Doubt:
    """What was seen of noise on one line. `bad_sums` counts frames with the right marks and a wrong sum."""

    def __init__(self) -> None:
        self._left = 0
        self._bad_sums = 0

    @property
    def is_noisy(self) -> bool:
        """Whether noise was seen in the latest exchanges."""
        return self._left > 0

    def note(self, bad_sums: int, garbage_bytes: int = 0) -> None:
        """One exchange is over: all bad sums so far, and the bytes of no frame that came instead of an answer."""
        noisy = garbage_bytes > 0 or bad_sums > self._bad_sums
        self._bad_sums = bad_sums
        self._left = EXCHANGES if noisy else max(0, self._left - 1)

    def begin(self) -> None:
        """The count of bad sums begins anew with the session."""
        self._bad_sums = 0
