"""The register of rules, and the decorator that enters one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

REGISTRY: Final[dict[str, Callable[..., Any]]] = {}

F = TypeVar("F", bound=Callable[..., Any])


def rule(function: F) -> F:
    """Enter a function under its own name; a name is taken once."""
    name = function.__name__
    if name in REGISTRY and REGISTRY[name].__module__ != function.__module__:
        raise ValueError(f"two rules are called {name!r}")
    if not function.__doc__:
        raise ValueError(f"rule {name!r} needs a sentence that says what it does")
    REGISTRY[name] = function
    return function
