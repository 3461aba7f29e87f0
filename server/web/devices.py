"""Where somebody signs in from: a device on which they signed in before, or a network address.

A login leaves a token on the device: a random name and its HMAC under the person's stored password hash, so nothing
is kept for it here, and a new password ends it. It opens nothing; it only makes the device a place of its own for
counting wrong passwords. A cookie holds the tokens of the last few people of a shared device.
"""

import hashlib
import hmac
import ipaddress
import re
import secrets
from collections.abc import Mapping
from typing import Any

from fastapi import Request

from server.flows.lockout import Place
from server.web.principal import HOST_PREFIX

COOKIE = "estate645_device"
AGE_S = 400 * 86_400  # browsers keep no cookie longer
PEOPLE_MAX = 4
IPV6_SITE_BITS = 64  # one household or office has a whole /64, so its addresses are one place
_TOKEN = re.compile(r"[0-9a-f]{32}-[0-9a-f]{64}")


def cookie_name(*, secure: bool) -> str:
    """As of the session's cookie."""
    return f"{HOST_PREFIX}{COOKIE}" if secure else COOKIE


def place_of(request: Request, user: Mapping[Any, Any] | None, *, secure: bool) -> Place:
    """The device, if this person is known on it, else the address that the request came from."""
    if user is not None:
        for token in _tokens(request, secure=secure):
            name = token.partition("-")[0]
            if hmac.compare_digest(token, _token(name, user)):
                return Place(f"device {name}", is_known=True)
    return Place(_network(request.client.host if request.client else ""))


def remember(request: Request, user: Mapping[Any, Any], place: Place, *, secure: bool) -> str:
    """The cookie after a login from `place`: this person's token first, those of others behind."""
    name = place.name.removeprefix("device ") if place.is_known else secrets.token_hex(16)
    own = _token(name, user)
    others = [token for token in _tokens(request, secure=secure) if token != own]
    return ".".join([own, *others][:PEOPLE_MAX])


def _tokens(request: Request, *, secure: bool) -> list[str]:
    given = request.cookies.get(cookie_name(secure=secure), "").split(".")[:PEOPLE_MAX]
    return [token for token in given if _TOKEN.fullmatch(token)]


def _token(name: str, user: Mapping[Any, Any]) -> str:
    message = "\x00".join(("device", user["estate_id"], user["user_id"], name)).encode()
    return f"{name}-{hmac.new(user['password_hash'].encode(), message, hashlib.sha256).hexdigest()}"


def _network(host: str) -> str:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "address unknown"
    if address.version == 6:
        return f"address {ipaddress.ip_network((address, IPV6_SITE_BITS), strict=False)}"
    return f"address {address}"
