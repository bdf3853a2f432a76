"""A headless browser over the DevTools protocol: enough to look at a page as a visitor does."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)
START_SECONDS = 60.0


class Browser:
    """One page of a headless Chromium; collects errors and addresses while pages load."""

    def __init__(self, profile: Path) -> None:
        import websocket

        assert BROWSER is not None
        options = ("--headless=new", "--no-sandbox", "--disable-gpu", "--mute-audio", "--no-first-run")
        ports = ("--remote-debugging-port=0", "--remote-allow-origins=*", f"--user-data-dir={profile}")
        silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._process = subprocess.Popen([BROWSER, *options, *ports, "about:blank"], **silent)
        port = self._wait_for(profile / "DevToolsActivePort").split()[0]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json", timeout=30) as reply:
            target = next(each for each in json.load(reply) if each["type"] == "page")
        self._socket = websocket.create_connection(target["webSocketDebuggerUrl"], timeout=60)
        self._count = 0
        self.errors: list[str] = []
        self.addresses: list[str] = []
        self._loaded = False
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result; events that come meanwhile are noted."""
        self._count += 1
        number = self._count
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = self._receive()
            if message.get("id") == number:
                assert "error" not in message, message
                return dict(message["result"])

    def look(self, width: int, height: int = 844, *, dark: bool = False) -> None:
        """Be a window of this size [pixels], with a light or a dark theme."""
        mobile = width < 600
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=mobile,
        )
        theme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[theme])

    def open(self, url: str) -> None:
        """Load a page to the end."""
        self.errors, self.addresses, self._loaded = [], [], False
        self.call("Page.navigate", url=url)
        while not self._loaded:
            self._receive()

    def run(self, script: str) -> Any:
        """The value of an expression on the page, awaited if it is a promise."""
        reply = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in reply, reply
        return reply["result"].get("value")

    def close(self) -> None:
        """End the browser."""
        self._socket.close()
        self._process.terminate()
        self._process.wait(30)

    def _receive(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self._socket.recv())
        method, values = message.get("method"), message.get("params", {})
        if method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(values["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and values["type"] in ("error", "warning", "assert"):
            self.errors.append(json.dumps(values["args"]))
        elif method == "Log.entryAdded" and values["entry"]["level"] in ("error", "warning"):
            self.errors.append(values["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.addresses.append(values["request"]["url"])
        return message

    def _wait_for(self, file: Path) -> str:
        limit = time.monotonic() + START_SECONDS
        while time.monotonic() < limit:
            if file.exists() and file.read_text().count("\n"):
                return file.read_text()
            time.sleep(0.05)
        raise TimeoutError("the browser did not start")
