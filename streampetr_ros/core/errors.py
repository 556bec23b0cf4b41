"""Failures that the user can mend, and what libraries say about theirs."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

#: Length of a sentence, beyond which its middle is left out: what stands first says what and where,
#: what stands last the remedy.
_LONGEST = 600


class UserError(Exception):
    """A failure that the user can mend: one sentence that says what, where and the remedy.

    Args:
        sentence: may quote anything; see `one_line`.
    """

    def __init__(self, sentence: object = "") -> None:
        super().__init__(one_line(str(sentence)))


def one_line(text: str, longest: int = _LONGEST) -> str:
    """Return text from outside as one printable line of bounded length."""
    if len(text) > 4 * longest:
        text = f"{text[: 2 * longest]} ... {text[-2 * longest :]}"
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    if len(line) <= longest:
        return line
    last = longest // 3
    return f"{line[: longest - last - 5]} ... {line[-last:]}"


def nearest_name(name: str, known: Iterable[str]) -> str:
    """Return the known name that looks most like the given one."""
    return difflib.get_close_matches(name, list(known), n=1, cutoff=0.0)[0]


def first_line(error: BaseException) -> str:
    """Return what libraries say before their listings and advice."""
    return str(error).strip().split("\n", maxsplit=1)[0]
