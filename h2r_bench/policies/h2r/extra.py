"""Packages that only some parts need."""

from __future__ import annotations

from typing import TYPE_CHECKING

from h2r_bench import extras

if TYPE_CHECKING:
    from types import ModuleType


def require_transformers() -> ModuleType:
    """The module transformers. Raises MissingLibraryError with what to install."""
    with extras.explained():
        import transformers
    return transformers
