"""A text-message gateway without telephones: it takes a notice and sends a signed receipt a moment later.

`SandboxGateway` stands for the other side and runs in a thread of its own; `SandboxSender` is our side. A receipt
counts only with the gateway's signature over its notice, so that nothing else makes a notice delivered. Nobody has read
anything, so it belongs into simulated worlds alone.
"""

import hmac
import logging
import secrets
import time
from collections import deque
from collections.abc import Callable
from hashlib import sha256
from threading import Condition, Thread

from server.notify.sender import Dispatch, Outgoing

RECEIPT_DELAY_S = 0.4
WAITING_MAX = 10_000
KEPT_MAX = 500
SECRET_BYTES = 32

log = logging.getLogger("estate645.notify")


def receipt_signature(secret: bytes, notice_id: str) -> str:
    """The signature of a receipt for `notice_id`: HMAC-SHA256, hexadecimal."""
    return hmac.new(secret, notice_id.encode(), sha256).hexdigest()


def verify_receipt(secret: bytes, notice_id: str, signature: str) -> bool:
    """Whether `signature` is the gateway's for this notice."""
    return hmac.compare_digest(receipt_signature(secret, notice_id).encode(), signature.encode())


class SandboxGateway:
    """Takes messages and answers each with a receipt after `delay_s` machine seconds."""

    def __init__(
        self,
        on_receipt: Callable[[str, str], None],
        *,
        secret: bytes | None = None,
        delay_s: float = RECEIPT_DELAY_S,
        waiting_max: int = WAITING_MAX,
    ) -> None:
        """`on_receipt(notice_id, signature)` is called from the gateway's thread; what it raises is logged."""
        self.secret = secret or secrets.token_bytes(SECRET_BYTES)
        self.messages: deque[tuple[str, str]] = deque(maxlen=KEPT_MAX)
        self._on_receipt, self._delay_s, self._waiting_max = on_receipt, delay_s, waiting_max
        self._waiting: deque[tuple[float, str]] = deque()
        self._changed = Condition()
        self._ended = False
        self._thread = Thread(target=self._run, name="sandbox-gateway", daemon=True)
        self._thread.start()

    def take(self, phone: str, text: str, notice_id: str) -> str:
        """Accept one message; an empty text, or why it cannot be taken now."""
        with self._changed:
            if self._ended:
                return "the gateway is closed"
            if len(self._waiting) >= self._waiting_max:
                return f"the gateway is full ({self._waiting_max} messages wait)"
            self.messages.append((phone, text))
            self._waiting.append((time.monotonic() + self._delay_s, notice_id))
            self._changed.notify()
        return ""

    def close(self) -> None:
        """Send no more receipts and end the thread; a second time does nothing."""
        with self._changed:
            self._ended = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while (notice_id := self._next()) is not None:
            try:
                self._on_receipt(notice_id, receipt_signature(self.secret, notice_id))
            except Exception:
                log.exception("a receipt for notice %s could not be taken", notice_id)

    def _next(self) -> str | None:
        """Wait for the next message that is due; None at the end."""
        with self._changed:
            while not self._ended:
                left_s = self._waiting[0][0] - time.monotonic() if self._waiting else None
                if left_s is not None and left_s <= 0:
                    return self._waiting.popleft()[1]
                self._changed.wait(left_s)
            return None


class SandboxSender:
    """Our side of the sandbox gateway."""

    channel = "sandbox"

    def __init__(self, gateway: SandboxGateway) -> None:
        self.gateway = gateway

    def send(self, outgoing: Outgoing) -> Dispatch:
        """Hand one notice over; a household without a phone cannot be reached here."""
        if not outgoing.phone:
            return Dispatch(sent=False, delivered=False, failure="the household has no phone number", final=True)
        failure = self.gateway.take(outgoing.phone, outgoing.text, outgoing.notice_id)
        return Dispatch(sent=not failure, delivered=False, failure=failure)

    def is_genuine(self, notice_id: str, signature: str) -> bool:
        """Whether a receipt was signed by the gateway."""
        return verify_receipt(self.gateway.secret, notice_id, signature)
