"""A page on loopback that shows a live picture: works in any browser, over ssh with `ssh -L`."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from PIL import Image

from h2r_bench.real.errors import BridgeError, SetupError
from h2r_bench.types import UInt8Array

_BOUNDARY = "frame"
_PAGE = """<!doctype html><meta charset="utf-8"><title>h2r_bench</title>
<style>body{margin:0;background:#222;text-align:center}img{max-width:100vw;max-height:100vh}</style>
<img src="/stream" alt="live view">"""


class LivePage:
    """Serves the pictures of a function, a few a second, to whoever looks."""

    def __init__(self, picture: Callable[[], UInt8Array], port: int = 8787, rate_hz: float = 5.0) -> None:
        """Serve `picture()`, shape (H, W, 3), on 127.0.0.1:`port` (0: any free one) at `rate_hz` [Hz].

        Raises SetupError when the port is taken.
        """
        page = self
        self.picture = picture
        self._pause_s = 1.0 / rate_hz
        self._stop = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                page._answer(self)

            def log_message(self, *_: Any) -> None:
                """Quiet: the terminal is the operator's."""

        try:
            self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        except OSError as error:
            raise SetupError(f"--port {port}: {error.strerror}; give another one") from None
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="page", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where to look."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/"

    def close(self) -> None:
        """Stop serving."""
        self._stop.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        try:
            if not _is_loopback(request.headers.get("Host", "")):
                # A page from elsewhere whose name was made to mean this computer: not to look at the lab.
                request.send_error(403, "only for this computer: open http://127.0.0.1 or http://localhost")
            elif request.path == "/":
                _send(request, "text/html; charset=utf-8", _PAGE.encode())
            elif request.path == "/picture.jpg":
                _send(request, "image/jpeg", jpeg(self.picture()))
            elif request.path == "/stream":
                self._stream(request)
            else:
                request.send_error(404)
        except (ConnectionError, TimeoutError):
            pass  # the browser has gone
        except BridgeError as error:
            request.send_error(503, str(error))

    def _stream(self, request: BaseHTTPRequestHandler) -> None:
        """Pictures one after another, as browsers show them in place of one."""
        request.send_response(200)
        request.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={_BOUNDARY}")
        request.end_headers()
        while not self._stop.is_set():
            try:
                data = jpeg(self.picture())
            except BridgeError:  # no frame just now: the last one stays
                self._stop.wait(self._pause_s)
                continue
            head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
            request.wfile.write(head.encode() + data + b"\r\n")
            time.sleep(self._pause_s)


def _is_loopback(host: str) -> bool:
    """Whether the Host header of a request names this computer, with or without a port."""
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        return False
    return name in ("127.0.0.1", "localhost", "::1")


def jpeg(picture: UInt8Array) -> bytes:
    """`picture` (H, W, 3) as a JPEG file."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def _send(request: BaseHTTPRequestHandler, kind: str, body: bytes) -> None:
    request.send_response(200)
    request.send_header("Content-Type", kind)
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body)
