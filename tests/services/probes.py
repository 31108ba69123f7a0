"""What /readyz looks at, all well."""

from bot.services.operations import Probes


async def answers() -> None:
    return


async def two() -> int:
    return 2


async def none() -> int:
    return 0


WELL = Probes(database=answers, connections=two, live=lambda: 7)
