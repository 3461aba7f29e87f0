"""A text-message gateway without telephones: it takes a notice and sends a signed receipt a moment later.

`SandboxGateway` stands for the other side and runs in a thread of its own; `SandboxSender` is our side. A receipt
whose signature does not fit is dropped, so nothing but the gateway makes a notice delivered.
"""

import hmac
import logging
import secrets
from collections.abc import Callable
from hashlib import sha256
from queue import Empty, Queue
from threading import Event, Thread

from server.notify.sender import Dispatch, Outgoing

RECEIPT_DELAY_S = 0.4
QUEUE_MAX = 10_000
KEPT_MAX = 500

log = logging.getLogger("estate645.notify")


def receipt_signature(secret: bytes, notice_id: str) -> str:
    """The signature of a receipt for `notice_id`."""
    return hmac.new(secret, notice_id.encode(), sha256).hexdigest()


class SandboxGateway:
    """Takes messages and answers each with a receipt after `delay_s`."""

    def __init__(self, on_receipt: Callable[[str, str], None], *, delay_s: float = RECEIPT_DELAY_S) -> None:
        """`on_receipt(notice_id, signature)` is called from the gateway's thread."""
        self.secret = secrets.token_bytes(32)
        self.messages: list[tuple[str, str]] = []
        self._on_receipt, self._delay_s = on_receipt, delay_s
        self._waiting: Queue[str] = Queue(QUEUE_MAX)
        self._ended = Event()
        self._thread = Thread(target=self._run, name="sandbox-gateway", daemon=True)
        self._thread.start()

    def take(self, phone: str, text: str, notice_id: str) -> None:
        """Accept one message."""
        self.messages.append((phone, text))
        del self.messages[:-KEPT_MAX]
        self._waiting.put(notice_id)

    def close(self) -> None:
        """Send no more receipts and end the thread."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                notice_id = self._waiting.get(timeout=0.1)
            except Empty:
                continue
            if self._ended.wait(self._delay_s):
                return
            self._answer(notice_id)
            while not self._waiting.empty():  # what came in the meantime has waited as long
                self._answer(self._waiting.get())

    def _answer(self, notice_id: str) -> None:
        try:
            self._on_receipt(notice_id, receipt_signature(self.secret, notice_id))
        except Exception:
            log.exception("a receipt for notice %s could not be taken", notice_id)


class SandboxSender:
    """Our side of the sandbox gateway."""

    channel = "sandbox"

    def __init__(self, gateway: SandboxGateway) -> None:
        self._gateway = gateway

    def send(self, outgoing: Outgoing) -> Dispatch:
        """Hand one notice over; a household without a phone cannot be reached here."""
        if not outgoing.phone:
            return Dispatch(sent=False, delivered=False, failure="the household has no phone number")
        self._gateway.take(outgoing.phone, outgoing.text, outgoing.notice_id)
        return Dispatch(sent=True, delivered=False)

    def is_genuine(self, notice_id: str, signature: str) -> bool:
        """Whether a receipt was signed by the gateway."""
        return hmac.compare_digest(receipt_signature(self._gateway.secret, notice_id), signature)
