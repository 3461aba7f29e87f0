"""What one connection may bring, on real sockets: a bounded head, a bounded request, and many good requests."""

import asyncio
import socket
import threading
import time
from contextlib import contextmanager, suppress

import pytest
import uvicorn

from server.web.security import Edge
from server.web.wire import HEAD_BYTES_MAX, REQUEST_BYTES_MAX, BoundedProtocol


async def echo(scope, receive, send):
    """Says how long the body was."""
    message = await receive() if scope["method"] == "POST" else {"body": b""}
    said = str(len(message["body"])).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(said))]})
    await send({"type": "http.response.body", "body": said})


PATIENCE_S = 60  # the first to ask waits until the server has started


@contextmanager
def serving(protocol=BoundedProtocol):
    config = uvicorn.Config(
        Edge(echo, pay_origins=(), secure=False), http=protocol, lifespan="off", log_level="critical", ws="none"
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(PATIENCE_S)


@pytest.fixture(scope="module")
def port():
    with serving() as port:
        yield port


def answer(port, *pieces):
    """The answer to these bytes, whatever of it arrives before the connection ends."""
    said = b""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as connection:
        try:
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(0.01)
            while chunk := connection.recv(65536):
                said += chunk
        except ConnectionError:
            pass
    return said


def get(*headers):
    return b"\r\n".join((b"GET /login HTTP/1.1", b"Host: estate", b"Connection: close", *headers, b"", b""))


def post(body, *headers):
    return b"\r\n".join((b"POST /login HTTP/1.1", b"Host: estate", b"Connection: close", *headers, b"", body))


TRAILER = b"X-Late: " + b"a" * 50_000 + b"\r\n"
TRAILED = post(
    b"1\r\nx\r\n0\r\n" + TRAILER * (REQUEST_BYTES_MAX // len(TRAILER) + 1) + b"\r\n", b"Transfer-Encoding: chunked"
)


def test_a_head_at_the_limit_is_served_also_byte_by_byte_of_its_end(port):
    head = get(b"X-Long: ")
    head = get(b"X-Long: " + b"a" * (HEAD_BYTES_MAX - len(head)))
    assert len(head) == HEAD_BYTES_MAX
    assert answer(port, head).startswith(b"HTTP/1.1 200")
    assert answer(port, head[:-3], *(head[n : n + 1] for n in range(-3, -1)), head[-1:]).startswith(b"HTTP/1.1 200")


OVER = {
    "one header": get(b"X-Long: " + b"a" * HEAD_BYTES_MAX),
    "many headers": get(*(b"X-%d: a" % n for n in range(HEAD_BYTES_MAX // 8))),
    "a long address": b"GET /" + b"a" * HEAD_BYTES_MAX + b" HTTP/1.1\r\nHost: estate\r\n\r\n",
    "one name": get(b"X" * HEAD_BYTES_MAX + b": a"),
    "a head that never ends": b"GET / HTTP/1.1\r\nX-Long: " + b"a" * HEAD_BYTES_MAX,
}


@pytest.mark.parametrize("name", OVER)
def test_a_larger_head_is_refused(port, name):
    said = answer(port, OVER[name])
    assert said in (b"",) or said.startswith(b"HTTP/1.1 431"), said[:100]


def test_an_endless_header_ends_the_connection_before_it_costs_memory(port):
    sent = 0
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as connection, suppress(ConnectionError):
        connection.sendall(b"GET / HTTP/1.1\r\nX-Long: ")
        while sent < 60_000_000:
            connection.sendall(b"a" * 100_000)
            sent += 100_000
    assert sent < 20_000_000  # what the socket buffers of both sides hold


def test_trailers_of_a_chunked_body_are_bounded(port):
    assert b" 200 " not in answer(port, TRAILED)


def test_a_body_in_the_smallest_chunks_is_read(port):
    body = b"1\r\nx\r\n" * 60_000 + b"0\r\n\r\n"
    said = answer(port, post(body, b"Transfer-Encoding: chunked"))
    assert said.endswith(b"60000")


def test_many_requests_on_one_connection_are_counted_one_by_one(port):
    one = b"POST / HTTP/1.1\r\nHost: estate\r\nContent-Length: 20000\r\n\r\n" + b"b" * 20_000
    said = answer(port, *[one] * 70, get())  # 1.4 MB in all
    assert said.count(b"HTTP/1.1 200") == 71


def test_requests_that_come_in_one_piece_are_all_answered(port):
    small = b"GET / HTTP/1.1\r\nHost: estate\r\nX-Some: " + b"a" * 900 + b"\r\n\r\n"
    said = answer(port, small * 60 + get())  # 57 KB in one piece: more than one head may have
    assert said.count(b"HTTP/1.1 200") == 61


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /api/v1/session HTTP/1.1\r\nConnection: close\r\n\r\n", b"400"),
        (b"GET /api/v1/session HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n", b"400"),
        (b"GET / HTTP/1.0\r\n\r\n", b"200"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", b"200"),
    ],
)
def test_a_request_names_its_host_once(port, head, status):
    assert answer(port, head).split(b" ")[1] == status


@pytest.mark.parametrize("hosts", [[], [(b"host", b"a"), (b"host", b"b")]])
@pytest.mark.parametrize("path", ["/login", "/api/v1/session"])
def test_pages_refuse_it_as_the_api_does(web, path, hosts):
    """The site that `serving` has is bare: it has no pages to say it on."""
    said = []

    async def send(message):
        said.append(message)

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": path, "raw_path": path.encode(), "root_path": "", "query_string": b"", "headers": hosts,
        "server": ("estate", 80), "client": ("127.0.0.1", 1),
    }  # fmt: skip
    asyncio.run(web.site(scope, None, send))
    assert said[0]["status"] == 400


@pytest.mark.parametrize("request_", [OVER["one header"], OVER["many headers"], TRAILED])
def test_without_the_bound_it_would_be_served(request_):
    with serving("httptools") as port:
        assert answer(port, request_).startswith(b"HTTP/1.1 200")
