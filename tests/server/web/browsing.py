"""A small synchronous client over the ASGI application, with the parts that a browser adds: cookies and forms."""

import asyncio
import re
import sys
from importlib.util import find_spec

import httpx

ORIGIN = "http://estate.test"
PASSWORD = "correct horse 42"

if find_spec("sniffio") is None:
    sys.modules["sniffio"] = None  # httpx would look for it through the whole path at every request


class Client:
    """One browser or program; keeps cookies between requests. Close it when done."""

    def __init__(self, site, *, origin=ORIGIN, address="203.0.113.7"):
        transport = httpx.ASGITransport(site, raise_app_exceptions=False, client=(address, 50_000))
        self._runner = asyncio.Runner()
        self._client = httpx.AsyncClient(transport=transport, base_url=origin, follow_redirects=False)

    @property
    def cookies(self):
        return self._client.cookies

    def request(self, method, path, **kwargs):
        return self._runner.run(self._client.request(method, path, **kwargs))

    def get(self, path, **kwargs):
        return self.request("GET", path, **kwargs)

    def post(self, path, **kwargs):
        return self.request("POST", path, **kwargs)

    def together(self, *requests):
        """Send several (method, path, kwargs) at once."""

        async def all_of_them():
            return await asyncio.gather(*(self._client.request(m, p, **kwargs) for m, p, kwargs in requests))

        return self._runner.run(all_of_them())

    def sign_in(self, login, password=PASSWORD):
        """Sign in through the form; the answer of the server."""
        return self.post("/login", data={"login": login, "password": password, "next": "/"})

    def close(self):
        self._runner.run(self._client.aclose())
        self._runner.close()


def set_cookie_of(answer, name):
    """The Set-Cookie header of a cookie, in lower case."""
    [header] = [value for value in answer.headers.get_list("set-cookie") if re.match(rf"{name}=", value)]
    return header.lower()
