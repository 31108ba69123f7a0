"""blocks.validate: the sandbox's own rules. Each problem has its path, and nothing is posted."""

import json
from typing import Any

import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from slack_sandbox.server import Sandbox
from slack_sandbox.testing.requests import error_of
from slack_sandbox.workspace import Json

GOOD: Json = {"type": "section", "text": {"type": "plain_text", "text": "Hello"}}
BAD: Json = {"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}
HOME: Json = {"type": "home", "blocks": [GOOD]}
TITLE = {"type": "plain_text", "text": "Settings"}


@pytest.mark.slack(scopes=frozenset[str]())
async def test_what_posts_and_views_take_is_valid_whatever_the_scopes(sandbox: Sandbox, web: AsyncWebClient) -> None:
    await web.blocks_validate(blocks=[GOOD])
    await web.blocks_validate(message={"text": "Hello", "blocks": [GOOD]})
    await web.blocks_validate(message={"text": "Hello"})
    await web.blocks_validate(view=HOME)
    await web.blocks_validate(view={"type": "modal", "title": TITLE, "blocks": [GOOD]})
    assert sandbox.messages("general") == []


@pytest.mark.parametrize(
    ("given", "error", "pointer", "code"),
    [
        ({"blocks": [GOOD, BAD]}, "invalid_blocks", "/blocks/1/text/text", "failed_constraint"),
        ({"message": {"text": "a", "blocks": [BAD]}}, "invalid_message", "/blocks/0/text/text", "failed_constraint"),
        ({"message": {"text": ""}}, "invalid_message", "", "failed_constraint"),
        ({"message": []}, "invalid_message", "", "failed_constraint"),
        ({"view": {"type": "modal", "blocks": [GOOD]}}, "invalid_view", "/view/title", "failed_constraint"),
        ({"view": {"type": "modal", "title": TITLE}}, "invalid_view", "/view", "missing_field"),
        ({"blocks": [{"type": "hologram"}]}, "invalid_blocks", "/blocks/0/type", "failed_constraint"),
    ],
)
async def test_objections_have_their_places(
    web: AsyncWebClient, given: Any, error: str, pointer: str, code: str
) -> None:
    form = {name: value if isinstance(value, str) else json.dumps(value) for name, value in given.items()}
    with pytest.raises(SlackApiError) as refused:
        await web.api_call("blocks.validate", data=form)
    answer = refused.value.response
    assert answer["error"] == error
    assert (answer["errors"][0]["pointer"], answer["errors"][0]["code"]) == (pointer, code)
    assert answer["errors"][0]["message"]


@pytest.mark.parametrize("given", [{}, {"blocks": [GOOD], "message": {"text": "a"}}])
async def test_exactly_one_of_them_is_given(web: AsyncWebClient, given: Json) -> None:
    assert await error_of(web, "blocks.validate", **given) == "invalid_arguments"
