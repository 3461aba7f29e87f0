"""Errors of the core.

Ours (`ProtocolMisuse`: the caller broke a rule) and theirs (the bytes, the values or the meter are at
fault) are different classes under one root, so that a caller can retry the second kind and must fix the
first. Every message says what was wrong and, where it can, what was expected.
"""


class CoreError(Exception):
    """Root of everything that `core` raises on purpose."""


class FrameError(CoreError):
    """Bytes that are no frame: too short, wrong marks, wrong length or wrong checksum (theirs)."""


class ValueFormatError(CoreError):
    """A sound frame with a value that cannot be read: not BCD, impossible date, wrong length (theirs)."""


class ProtocolMisuse(CoreError):
    """The caller broke a rule: a busy session, an impossible argument, a reply to another request (ours)."""


class MeterRefused(CoreError):
    """The meter answered with an abnormal reply; `err` is its error byte, or word of two (theirs)."""

    def __init__(self, err: int, message: str | None = None) -> None:
        super().__init__(message or f"the meter refused the request with ERR {err:02X}H")
        self.err = err

    def __reduce__(self) -> tuple[type["MeterRefused"], tuple[int, str]]:
        """Packed with its error word, since an exception alone packs its words only."""
        return type(self), (self.err, str(self))


class NoReply(CoreError):
    """No reply that belongs to the request came in time (theirs)."""


class TariffError(CoreError):
    """A tariff that must not be used (ours): says what is wrong, where, and what to do."""
