"""A page for the browser of this machine, and for nobody else.

It listens on 127.0.0.1 only. Refused with status 403 are

- a request whose `Host` is not this machine: the name of another site can be made to point here (DNS rebinding);
- a request whose `Origin` is another page: any site can tell a browser to send something here;
- an address without the secret in it: other users of this machine can reach the port, too.
"""

from __future__ import annotations

import errno
import getpass
import hashlib
import json
import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any, Protocol
from urllib.parse import urlsplit

from synthaug.errors import SynthaugError
from synthaug.parsing import ParseError, parse_json

HERE = "127.0.0.1"
_NAMES = (HERE, "localhost")
_MOST_BYTES = 1 << 16
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; "
    "script-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


@dataclass(frozen=True)
class Answer:
    """What the browser gets."""

    body: bytes
    kind: str = "text/html; charset=utf-8"

    @classmethod
    def of(cls, document: Any) -> Answer:
        """A document as JSON."""
        return cls(json.dumps(document).encode(), "application/json")


class Site(Protocol):
    """What is served. Both methods are called from many threads; None means that there is nothing at `path`."""

    def show(self, path: str) -> Answer | None:
        """The page ("") or a part of it."""
        ...

    def take(self, path: str, message: dict[str, Any]) -> Answer | None:
        """Do what the page asks for.

        Raises:
            SynthaugError: it cannot be done; the page gets the message.
        """
        ...


class PageServer:
    """Holds a port from the beginning, so that a port in use is an error before any work; serves within `serving`.

    Args:
        port: None: any free one.

    Raises:
        SynthaugError: the port is in use, or must not be used.
    """

    def __init__(self, port: int | None) -> None:
        try:
            self._server = _Server((HERE, port or 0), _Handler)
        except OSError as error:
            used = error.errno == errno.EADDRINUSE
            raise SynthaugError(
                f"--port {port} is in use" if used else f"--port {port} cannot be used: {error.strerror}",
                "give another port, or leave --port out: any free one is then taken",
            ) from error
        self.port: int = self._server.server_address[1]

    @property
    def url(self) -> str:
        """The address of the page, with its secret."""
        return f"http://{HERE}:{self.port}/{self._server.secret}/"

    @contextmanager
    def serving(self, site: Site) -> Iterator[None]:
        """Serve `site` from a thread of its own; the port is free afterwards."""
        self._server.site = site
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._server.shutdown()
            thread.join()
            self.close()

    def close(self) -> None:
        self._server.server_close()


def way_from_elsewhere(port: int) -> str | None:
    """In a session over SSH, the command for the user's own machine that brings the page there; else None."""
    parts = os.environ.get("SSH_CONNECTION", "").split()
    if len(parts) != 4:
        return None
    _, _, server, server_port = parts
    other = "" if server_port == "22" else f" -p {server_port}"
    return f"ssh -N -L {port}:{HERE}:{port}{other} {getpass.getuser()}@{server}"


class _Server(ThreadingHTTPServer):
    allow_reuse_address = os.name != "nt"  # there, it would let two processes have one port
    daemon_threads = True
    site: Site

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.secret = secrets.token_urlsafe(16)

    def server_bind(self) -> None:
        TCPServer.server_bind(self)  # HTTPServer's own asks the network for this machine's name, which can take seconds

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that went away is no fault, and a traceback would break the bars on the terminal."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 30

    def do_GET(self) -> None:
        if (path := self._path()) is not None:
            with self._faults():
                self._answer(self.server.site.show(path))

    def do_POST(self) -> None:
        if (path := self._path()) is not None:
            with self._faults():
                self._answer(self.server.site.take(path, self._message()))

    def _path(self) -> str | None:
        """The path below the secret; None if the request was refused."""
        if (refusal := self._refusal()) is not None:
            self._plain(HTTPStatus.FORBIDDEN, refusal)
            return None
        return self.path.partition("?")[0].split("/", 2)[2]

    def _refusal(self) -> str | None:
        hosts = self.headers.get_all("Host", [])
        host = hosts[0] if len(hosts) == 1 else ""
        with suppress(ValueError):
            if urlsplit(f"//{host}").hostname in _NAMES:
                origin = self.headers.get("Origin")
                if origin not in (None, f"http://{host}"):
                    return "error: another page asked for this\nhint: use the page that synthaug serves"
                _, secret, *rest = [*self.path.partition("?")[0].split("/", 2), ""]
                if rest[1:] and secrets.compare_digest(secret.encode(), self.server.secret.encode()):
                    return None
                return "error: the address is not complete\nhint: open the address that synthaug printed"
        return (
            f"error: this page is only for the machine that it runs on, not for {host[:100]!r}\n"
            "hint: open the address that synthaug printed, there or through ssh -L"
        )

    def _message(self) -> dict[str, Any]:
        """The JSON object that was sent.

        Raises:
            SynthaugError: something else was sent.
        """
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > _MOST_BYTES:
            raise SynthaugError("the message has no length, or is too long", f"send at most {_MOST_BYTES} bytes")
        if self.headers.get_content_type() != "application/json":
            raise SynthaugError("the message is not JSON", "send application/json")
        try:
            message = parse_json(self.rfile.read(int(length)).decode())
        except (ParseError, UnicodeDecodeError) as error:
            raise SynthaugError(f"the message {error}", "send a JSON object") from error
        if not isinstance(message, dict):
            raise SynthaugError("the message is not a JSON object", "send a JSON object")
        return message

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except SynthaugError as error:
            self._plain(HTTPStatus.BAD_REQUEST, f"error: {error.message}\nhint: {error.hint}")
        except (ConnectionError, TimeoutError):
            pass
        except Exception as error:
            self._plain(HTTPStatus.INTERNAL_SERVER_ERROR, f"error: unexpected {type(error).__name__}: {error}")

    def _answer(self, answer: Answer | None) -> None:
        if answer is None:
            self._plain(HTTPStatus.NOT_FOUND, "error: there is nothing at this address")
            return
        tag = f'"{hashlib.sha256(answer.body).hexdigest()[:32]}"'
        if self.command == "GET" and self.headers.get("If-None-Match") == tag:
            self._send(HTTPStatus.NOT_MODIFIED, b"", answer.kind, tag)
        else:
            self._send(HTTPStatus.OK, answer.body, answer.kind, tag)

    def _plain(self, status: HTTPStatus, text: str) -> None:
        self._send(status, f"{text}\n".encode("utf-8", "backslashreplace"), "text/plain; charset=utf-8")

    def _send(self, status: HTTPStatus, body: bytes, kind: str, tag: str | None = None) -> None:
        self.send_response(status)
        for name, value in {**_HEADERS, "Content-Type": kind, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        if tag is not None:
            self.send_header("ETag", tag)
        self.end_headers()
        self.wfile.write(body)

    def version_string(self) -> str:
        return "synthaug"

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: stderr belongs to the progress."""
