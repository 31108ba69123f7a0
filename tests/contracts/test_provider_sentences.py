"""What a refusal's sentence means, as servers and gateways write it: known by its form, where no code tells.

The table is refusals.jsonl: what each is, whose words it has, its status and its body (the words are
those of the servers' sources and documentation).
"""

import json
from pathlib import Path
from typing import Any

import pytest

from bot.errors import EndReason
from bot.models.failures import RequestAttempt
from tests.contracts.in_process import InProcessVendor
from tests.contracts.notifications import LONG, ask
from tests.contracts.vendors import CHAT, KEY
from tests.streams.server import VendorResponse, refusal

ROWS = [json.loads(line) for line in Path(__file__).with_name("refusals.jsonl").read_text().splitlines()]


REFUSED, ANSWERED = ([row for row in ROWS if (row["status"] == 200) is is_answer] for is_answer in (False, True))


def named(row: dict[str, Any]) -> str:
    return f"{row['reason']}-{row['server']}"


@pytest.mark.parametrize("row", REFUSED, ids=named)
def test_refusal_is_known_by_its_sentence(row: dict[str, Any]) -> None:
    assert RequestAttempt(CHAT.model, KEY).reported_failure(row["body"], row["status"]).reason is EndReason(
        row["reason"]
    )


@pytest.mark.parametrize("row", ANSWERED, ids=named)
async def test_refusal_under_the_status_of_an_answer_is_known(in_process: InProcessVendor, row: dict[str, Any]) -> None:
    answer = refusal(row["status"], row["body"])
    assert (await ask(CHAT, in_process, answer, prompt=LONG)).failure is EndReason(row["reason"])


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
    in_process: InProcessVendor, event: str, failure: EndReason
) -> None:
    assert (await ask(CHAT, in_process, VendorResponse([f"{event}\n\n".encode()]), prompt=LONG)).failure is failure
