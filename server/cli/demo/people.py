"""Simulated people: operators, a cashier, residents, a kiosk and a third party, all through the doors that people use.

A `Person` signs in with a password, keeps the session's cookie and CSRF token, and speaks the public API; paying
goes through the provider's own page. Nobody here touches the database or the simulator.
"""

import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from typing import Any, Self, cast
from urllib.parse import urlsplit
from uuid import uuid4

import httpx

from server.cli.demo.files import PASSWORD, THIRD_PARTY, THIRD_PARTY_SECRET
from server.errors import EstateError

TIMEOUT_S = 30.0


class PlayFailed(EstateError):
    """A step of the demo's story did not work; the message says which and what the server answered."""


class Person:
    """Somebody who has signed in."""

    def __init__(self, url: str, login: str) -> None:
        self.login = login
        self.http = httpx.Client(
            base_url=url, timeout=TIMEOUT_S, headers={"Origin": url, "Sec-Fetch-Site": "same-origin"}
        )
        answer = self.http.post("/login", data={"login": login, "password": PASSWORD, "next": "/"})
        if answer.status_code != 303:
            self.http.close()
            raise PlayFailed(f"{login} cannot sign in: {answer.status_code}")
        self.http.headers["X-CSRF-Token"] = self.get("/api/v1/session")["csrf"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def get(self, path: str) -> Any:
        """The JSON at `path`; PlayFailed when refused."""
        return _answer(self.http.get(path))

    def post(self, path: str, body: Mapping[str, object]) -> Any:
        """Send JSON; PlayFailed when refused."""
        return _answer(self.http.post(path, json=dict(body)))


def _answer(answer: httpx.Response) -> Any:
    if answer.status_code >= 400:
        request = answer.request
        raise PlayFailed(f"{request.method} {request.url.path}: {answer.status_code} {answer.text[:300]}")
    return answer.json() if answer.content else None


def arm(first: Person, second: Person) -> None:
    """Two operators raise the mode by its two steps, each asked by one and approved by the other."""
    for mode, asks, agrees in (("dry_run", first, second), ("armed", second, first)):
        asked = asks.post("/api/v1/supply/mode", {"mode": mode})
        waiting = agrees.get("/api/v1/supply/approvals")
        request = next(one for one in waiting if one["approval_id"] == asked["approval_id"])
        agrees.post(
            f"/api/v1/supply/approvals/{asked['approval_id']}/approve", {"payload_sha256": request["payload_sha256"]}
        )


def pay_online(url: str, login: str, account: str, amount_fen: int) -> str:
    """A resident, or the kiosk, orders; then the provider's page is paid. Returns the order number."""
    with Person(url, login) as payer:
        order = payer.post(f"/api/v1/households/{account}/orders", {"amount_fen": amount_fen})
    pay_at_provider(order["pay_url"])
    return str(order["order_no"])


def pay_at_provider(pay_url: str) -> None:
    """Press "pay" on the payment page."""
    parts = urlsplit(pay_url)
    origin = f"{parts.scheme}://{parts.netloc}"
    answer = httpx.post(pay_url, data={"result": "pay"}, headers={"Origin": origin}, timeout=TIMEOUT_S)
    if answer.status_code >= 400:
        raise PlayFailed(f"the payment page refused: {answer.status_code} {answer.text[:200]}")


def pay_at_counter(url: str, account: str, amount_fen: int) -> str:
    """The cashier books cash."""
    with Person(url, "lin") as cashier:
        sold = cashier.post(
            "/api/v1/counter/sales", {"account_id": account, "amount_fen": amount_fen, "sale_id": uuid4().hex}
        )
    return str(sold["order_no"])


def pay_by_third_party(url: str, account: str, amount_fen: int) -> Any:
    """A wallet that took the money elsewhere reports it, signed."""
    wish = {"account_id": account, "amount_fen": amount_fen, "transaction_id": uuid4().hex}
    body = json.dumps(wish).encode()
    timestamp = str(int(time.time()))
    signature = hmac.new(THIRD_PARTY_SECRET.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    headers = {
        "Content-Type": "application/json",
        "X-Estate645-Client": THIRD_PARTY,
        "X-Estate645-Timestamp": timestamp,
        "X-Estate645-Signature": signature,
        "Idempotency-Key": uuid4().hex,
    }
    return _answer(httpx.post(f"{url}/api/v1/topups", content=body, headers=headers, timeout=TIMEOUT_S))


def household(operator: Person, account: str) -> dict[str, Any]:
    """What the operator sees of a household."""
    return cast(dict[str, Any], operator.get(f"/api/v1/households/{account}"))
