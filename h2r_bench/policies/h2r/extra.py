"""Packages that only some parts need."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType


def require_transformers() -> ModuleType:
    """The module transformers. Raises ModuleNotFoundError with what to install."""
    try:
        import transformers
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("this needs transformers: pip install 'h2r-bench[paper]'") from error
    return transformers
