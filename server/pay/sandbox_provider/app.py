"""HTTP of the sandbox provider: the merchant's API (signed both ways) and the payer's page."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qs

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from server.pay.sandbox_provider.bills import bill_rows
from server.pay.sandbox_provider.delivery import Delivery
from server.pay.sandbox_provider.orders import Fault, OrderBook, Refusal, terms_of
from server.pay.sandbox_provider.page import STYLE, origin, payment_page
from server.pay.sandbox_provider.refunds import RefundBook
from server.pay.sandbox_provider.seal import MerchantGate, Untrusted, fingerprint, sealed

BODY_BYTES_MAX = 16 * 1024


class Desk:
    """What the routes share: the book, the gate, the keys and the messenger."""

    def __init__(
        self, key: Ed25519PrivateKey, merchant_key: Ed25519PublicKey, delivery: Delivery | None = None
    ) -> None:
        self.key = key
        self.book = OrderBook()
        self.refunds = RefundBook(self.book)
        self.gate = MerchantGate(merchant_key)
        self.delivery = delivery or Delivery(key, fingerprint(merchant_key))

    async def admitted(self, request: Request) -> bytes:
        """The body of a request that the merchant signed; raises Untrusted or Refusal."""
        body = await _body(request)
        self.gate.check(request.headers, request.method, request.url.path, body, now_s=int(time.time()))
        return body

    def answer(self, request: Request, content: object, status: int = 200) -> Response:
        """A signed JSON answer."""
        body = json.dumps(content).encode()
        headers = sealed(self.key, "ANSWER", request.url.path, body, now_s=int(time.time()))
        return Response(body, status, headers, media_type="application/json")


def create_provider(desk: Desk, *, faults: bool = False) -> FastAPI:
    """The provider's application; `faults` opens `POST /v1/faults` (signed by the merchant) for tests."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await desk.delivery.close()

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    _add_errors(app, desk)
    _add_merchant(app, desk)
    _add_refunds(app, desk)
    _add_bills(app, desk)
    _add_payer(app, desk)
    if faults:
        _add_faults(app, desk)
    return app


def _add_errors(app: FastAPI, desk: Desk) -> None:
    @app.exception_handler(Refusal)
    async def refused(request: Request, error: Refusal) -> Response:
        return desk.answer(request, {"detail": str(error)}, error.status)

    @app.exception_handler(Untrusted)
    async def untrusted(request: Request, error: Untrusted) -> Response:
        return desk.answer(request, {"detail": str(error)}, 401)


def _add_merchant(app: FastAPI, desk: Desk) -> None:
    @app.post("/v1/orders")
    async def place(request: Request) -> Response:
        order = desk.book.place(terms_of(_json(await desk.admitted(request))))
        pay_url = f"{request.base_url}pay/{order.pay_id}"
        content = {"order_no": order.terms.order_no, "amount_fen": order.terms.amount_fen, "pay_url": pay_url}
        return desk.answer(request, content, 201)

    @app.get("/v1/orders/{order_no}")
    async def look_up(request: Request, order_no: str) -> Response:
        await desk.admitted(request)
        return desk.answer(request, desk.delivery.outcome(desk.book.by_number(order_no)))

    @app.post("/v1/orders/{order_no}/close")
    async def close(request: Request, order_no: str) -> Response:
        await desk.admitted(request)
        order = desk.book.by_number(order_no)
        desk.book.settle(order, paid=False, now_ms=int(time.time() * 1000))  # the merchant knows, so no callback
        return desk.answer(request, desk.delivery.outcome(order))


def _add_refunds(app: FastAPI, desk: Desk) -> None:
    @app.post("/v1/refunds")
    async def give(request: Request) -> Response:
        refund, is_new = desk.refunds.give(_json(await desk.admitted(request)), now_ms=int(time.time() * 1000))
        if is_new:
            desk.delivery.start_refund(refund)
        if is_new and refund.order.fault is Fault.REFUND_UNANSWERED:
            raise Refusal(500, "an error that was asked for")
        return desk.answer(request, desk.delivery.refund_outcome(refund))

    @app.get("/v1/refunds/{refund_no}")
    async def look_up_refund(request: Request, refund_no: str) -> Response:
        await desk.admitted(request)
        return desk.answer(request, desk.delivery.refund_outcome(desk.refunds.by_number(refund_no)))


def _add_bills(app: FastAPI, desk: Desk) -> None:
    @app.get("/v1/bills/{day}")
    async def bill(request: Request, day: str) -> Response:
        await desk.admitted(request)
        return desk.answer(request, {"day": day, "rows": bill_rows(desk.book, desk.refunds, day)})


def _add_payer(app: FastAPI, desk: Desk) -> None:
    def page(html: str, form_origins: str = "") -> Response:
        policy = f"default-src 'none'; style-src 'self'; form-action 'self' {form_origins}; frame-ancestors 'none'"
        headers = {"Content-Security-Policy": policy, "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
        return HTMLResponse(html, headers=headers)

    @app.get("/pay/{pay_id}")
    async def show(pay_id: str) -> Response:
        order = desk.book.by_pay_id(pay_id)
        return page(payment_page(order), origin(order.terms.return_url))

    @app.post("/pay/{pay_id}")
    async def decide(request: Request, pay_id: str) -> Response:
        order = desk.book.by_pay_id(pay_id)
        choice = parse_qs((await _body(request)).decode("utf-8", "replace")).get("result", [""])[0]
        if choice not in ("pay", "fail"):
            raise Refusal(422, "result must be pay or fail")
        if desk.book.settle(order, paid=choice == "pay", now_ms=int(time.time() * 1000)):
            desk.delivery.start(order)
        return RedirectResponse(order.terms.return_url, 303)

    @app.get("/style.css")
    async def style() -> Response:
        return Response(STYLE, media_type="text/css")

    @app.get("/livez")
    async def livez() -> Response:
        return JSONResponse({"status": "ok"})


def _add_faults(app: FastAPI, desk: Desk) -> None:
    @app.post("/v1/faults")
    async def plant(request: Request) -> Response:
        fields = _json(await desk.admitted(request))
        if not isinstance(fields, dict) or fields.get("fault") not in set(Fault):
            raise Refusal(422, f"fault must be one of {', '.join(Fault)}")
        order_no = fields.get("order_no")
        desk.book.plant(Fault(fields["fault"]), order_no if isinstance(order_no, str) else None)
        return desk.answer(request, {"fault": fields["fault"]})


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            raise Refusal(413, f"the body is larger than {BODY_BYTES_MAX} bytes")
    return bytes(body)


def _json(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refusal(400, "the body is not JSON") from error
