"""What can go wrong on the way to a physical arm; every message is one line that says what to do."""

from __future__ import annotations


class BridgeError(RuntimeError):
    """Something between the agent and the world does not work; the message says what to do."""


class MissingExtraError(BridgeError):
    """A library of an optional extra is not installed; the message names the extra."""

    def __init__(self, what: str, extra: str = "real") -> None:
        super().__init__(f"{what} is not installed: pip install 'h2r-bench[{extra}]'")


class SetupError(BridgeError, ValueError):
    """The command cannot be carried out as given: refused before anything moves."""
