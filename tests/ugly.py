"""Ugly values: on these, two ways of doing a thing differ that agree on pretty ones.

Tables draw from them, so that no test passes because `partition` and `rpartition`, `x is None` and `not x`, or `<` and
`<=` come to the same on its values. Where a table of its own says more, it adds its rows to these.
"""

from collections.abc import Sequence
from datetime import date

NAMES = ("llama", "meta/llama", "a/b/c")
"""Names of models behind their vendor's: servers have slashes in theirs."""
PADDED = {
    "spaces": "  two words  ",
    "tabs": "\ttwo words\t",
    "blank lines": "\n\ntwo words\n\n",
    "a space that doesn't break": "\u00a0two words\u00a0",
}
"""The text `two words` with what `strip` removes, on both sides."""
LINE_BREAKS = ("\n", "\n\n", "\r", "\r\n", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029")
"""What `splitlines` takes for the end of a line. A name with one of these may imitate a line of ours."""
NUMBERS = (0, 1, 2, 7, 61, 1_009, 100_003)
"""Numbers of which none is a usual default, or the same as another once it is rounded to tens or thousands."""
DAYS = (date(2026, 11, 21), date(2026, 11, 22), date(2027, 12, 3))
"""A day, the next one, and one of another year."""
TIMES = ("1795168800.000001", "1800000000.5")
"""Slack's times of messages, months apart."""
NOTHING = ("", None)
"""An empty value and a missing one."""


def around(limit: int) -> Sequence[tuple[int, bool]]:
    """Returns the lengths next to a limit and at it, each with whether it is within."""
    return [(limit - 1, True), (limit, True), (limit + 1, False)]
