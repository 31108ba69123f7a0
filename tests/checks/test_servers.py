"""Sign-ins to MCP servers, by the keys that open them."""

import pytest

from bot.accounts.vault import Vault
from bot.checks.report import CheckStatus
from bot.checks.servers import check_sign_ins

NEW, OLD = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=", "OTg3NjU0MzIxMDk4NzY1NDMyMTA5ODc2NTQzMjEwOTg="


@pytest.mark.parametrize(
    ("keys", "status", "said"),
    [
        ([NEW, OLD], CheckStatus.OK, "5. An older key is still needed for 2 until they are used again."),
        ([OLD, NEW], CheckStatus.OK, "5. An older key is still needed for 3 until they are used again."),
        ([NEW], CheckStatus.WARN, "can't decrypt 2 of 5 sign-ins to MCP servers."),
        ([], CheckStatus.WARN, "can't decrypt 5 of 5 sign-ins to MCP servers."),
    ],
)
async def test_sign_ins_are_counted_by_the_keys_that_open_them(keys: list[str], status: CheckStatus, said: str) -> None:
    async def secrets() -> list[str]:
        return [Vault([key]).encrypt(["U1", str(number)], {}) for number, key in enumerate([NEW] * 3 + [OLD] * 2)]

    found = await check_sign_ins(secrets, keys)
    assert found.status is status
    assert found.message.endswith(said)
