"""Failures that the user can mend, and what libraries say about theirs."""

from __future__ import annotations


class UserError(Exception):
    """A failure that the user can mend: one sentence that says what, where and the remedy."""


def first_line(error: BaseException) -> str:
    """Return what libraries say before their listings and advice."""
    return str(error).strip().split("\n", maxsplit=1)[0]
