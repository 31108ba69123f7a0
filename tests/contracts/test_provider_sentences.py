"""What a refusal's sentence means, as servers and gateways write it: known by its form, where no code tells.

The table is refusals.jsonl: what each is, whose words it has, its status and its body (the words are
those of the servers' sources and documentation).
"""

import json
from pathlib import Path
from typing import Any

import pytest

from bot.errors import EndReason
from tests.contracts.notifications import LONG, ask
from tests.contracts.vendors import CHAT
from tests.streams.server import VendorResponse, VendorServer, refusal

ROWS = [json.loads(line) for line in Path(__file__).with_name("refusals.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("row", ROWS, ids=[f"{row['reason']}-{row['server']}" for row in ROWS])
async def test_refusal_is_known_by_its_sentence(vendor: VendorServer, row: dict[str, Any]) -> None:
    received = await ask(CHAT, vendor, refusal(row["status"], row["body"]), prompt=LONG)
    assert received.failure is EndReason(row["reason"])


@pytest.mark.parametrize(
    ("event", "failure"),
    [
        (
            'data: {"choices":null,"base_resp":{"status_code":1008,"status_msg":"insufficient balance"}}',
            EndReason.OUT_OF_CREDIT,
        ),
        (
            'event: error\ndata: {"errors":[{"code":"x","message":"context length exceeded"}],"status_code":400}',
            EndReason.CONTEXT_TOO_LONG,
        ),
    ],
    ids=["minimax", "watsonx"],
)
async def test_error_in_a_form_of_its_own_is_known_in_a_stream(
    vendor: VendorServer, event: str, failure: EndReason
) -> None:
    assert (await ask(CHAT, vendor, VendorResponse([f"{event}\n\n".encode()]), prompt=LONG)).failure is failure
