"""Who dials in: the first bytes of a connection, read until they name one of the DTUs that are expected.

Without a pattern the packet is the id of a bus as bytes, whatever follows it. With one it is a regular expression
over bytes, matched at the beginning: its group `id` is the id as text, or its group `hex` holds bytes that are the id
in capital hexadecimal digits. TCP may cut the packet anywhere, so a name that could still grow waits for more bytes
or for the line to fall quiet.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum

REGISTRATION_BYTES_MAX = 512


class Verdict(Enum):
    """What the bytes so far say; PERHAPS is an id that more bytes might still make longer."""

    MORE = "more"
    PERHAPS = "perhaps"
    KNOWN = "known"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Registered:
    """A verdict, the id it is about, and how many bytes the packet took."""

    verdict: Verdict
    dtu_id: str = ""
    used: int = 0


def compile_registration(pattern: str) -> re.Pattern[bytes]:
    """The pattern over bytes; ValueError for one that is none or has neither group `id` nor group `hex`."""
    try:
        found = re.compile(pattern.encode("latin-1"), re.DOTALL)
    except (re.error, UnicodeEncodeError) as error:
        raise ValueError(str(error)) from error
    if not {"id", "hex"} & found.groupindex.keys():
        raise ValueError("neither group id nor group hex")
    return found


def registered(data: bytes, known: Collection[str], pattern: re.Pattern[bytes] | None) -> Registered:
    """What the first bytes of a connection say about who dials."""
    return _literally(data, known) if pattern is None else _by_pattern(data, known, pattern)


def _literally(data: bytes, known: Collection[str]) -> Registered:
    names = {one.encode("utf-8"): one for one in known}
    whole = max((name for name in names if data.startswith(name)), key=len, default=None)
    longer = any(name.startswith(data) and name != data for name in names)
    if whole is not None:
        return Registered(Verdict.PERHAPS if longer else Verdict.KNOWN, names[whole], len(whole))
    return Registered(Verdict.MORE if longer else Verdict.UNKNOWN, _shown(data))


def _by_pattern(data: bytes, known: Collection[str], pattern: re.Pattern[bytes]) -> Registered:
    match = pattern.match(data)
    if match is None:
        return Registered(Verdict.MORE if len(data) < REGISTRATION_BYTES_MAX else Verdict.UNKNOWN, _shown(data))
    found = match.groupdict()
    text = found.get("id")
    dtu_id = _shown(text) if text is not None else (found.get("hex") or b"").hex().upper()
    if match.end() == len(data):
        return Registered(Verdict.PERHAPS, dtu_id, match.end())
    return Registered(Verdict.KNOWN if dtu_id in known else Verdict.UNKNOWN, dtu_id, match.end())


def _shown(data: bytes) -> str:
    return data.decode("ascii", "backslashreplace")
