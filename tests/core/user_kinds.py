"""The kinds of users that access rules may let in."""

from itertools import chain, combinations

from bot.core.access import OPTIONAL_KINDS

SUBSETS = [frozenset(kinds) for kinds in chain.from_iterable(combinations(OPTIONAL_KINDS, n) for n in range(4))]
