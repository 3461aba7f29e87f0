"""Errors of the head-end.

Ours (we or the operator broke a rule) and theirs (the payer or the meter did) are different classes. Every
message says what was wrong, where, and what to do.
"""


class EstateError(Exception):
    """Base of all errors that the head-end raises on purpose."""


class ConfigError(EstateError):
    """A setting is missing or wrong; the message names file, key and allowed values."""


class NotFound(EstateError):
    """No such thing in this estate (also for things of other estates: existence is not revealed)."""


class Conflict(EstateError):
    """The same key came with another payload, or the state no longer allows the act."""


class Refused(EstateError):
    """A rule forbids the act; the message gives the reason for the person who asked."""


class Forbidden(EstateError):
    """The principal lacks the verb for this act."""


class StaleLogin(Forbidden):
    """The act moves money, and the person's password was given too long ago."""

    def __init__(self, message: str = "this act moves money: give your password again, then repeat it") -> None:
        super().__init__(message)


class WrongPassword(StaleLogin):
    """The password that was given again does not fit, or the account is locked for a while."""

    def __init__(self, message: str = "the password is wrong, or the account is locked for a while") -> None:
        super().__init__(message)


class CallbackRejected(EstateError):
    """A payer's message failed signature, freshness, order or amount checks (their fault, nothing is credited)."""


class SecretLocked(EstateError):
    """A stored secret cannot be opened or locked: no key, another key, or it was changed; the message says which."""


class StorageUnavailable(EstateError):
    """The durable store cannot be written; nothing was done and nothing may be switched off."""


class NotRead(EstateError):
    """A meter or its line did not give what somebody asked for (theirs): silent, refusing, unreadable or not open."""


class NoAnswer(EstateError):
    """Another process of this server does not answer, or has ended; what it was asked for may have been done."""
