"""Slack's rules for canvases: who can read one, who can be given access, and which Markdown is valid."""

import json
from typing import Any

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from slack_sandbox.files import UploadedFile, canvas_link
from slack_sandbox.server import Sandbox
from slack_sandbox.testing.requests import error_name, error_response
from slack_sandbox.web_api.canvases import CONTENT_CHARS

GENERAL = "C0GENERAL"
CONTENT = {
    "type": "markdown",
    "markdown": "# Plan\n\n- a\n  - b\n\n| a | b |\n|---|:---:|\n| 1 | 2 |\n\n```\n#### code\n```",
}


async def created(web: AsyncWebClient, markdown: str = CONTENT["markdown"]) -> str:
    answer = await web.canvases_create(title="Plan", document_content={"type": "markdown", "markdown": markdown})
    return str(answer["canvas_id"])


async def test_bot_reads_the_canvas_that_it_made(web: AsyncWebClient) -> None:
    canvas_id = await created(web)
    assert (await web.canvases_getContent(canvas_id=canvas_id))["content"] == CONTENT["markdown"]
    file = (await web.files_info(file=canvas_id))["file"]
    assert (file["title"], file["mode"], file["permalink"]) == ("Plan", "quip", canvas_link(canvas_id))
    assert (file["channels"], file["ims"]) == ([], [])


async def test_bot_reads_a_persons_canvas_only_where_it_is_shared_with_it(
    sandbox: Sandbox, web: AsyncWebClient
) -> None:
    canvas = sandbox.files.add("U0ADA", UploadedFile("Plan.canvas", b"# Plan"))
    assert await error_name(web.canvases_getContent(canvas_id=canvas.id)) == "canvas_not_found"
    assert await error_name(web.canvases_delete(canvas_id=canvas.id)) == "canvas_not_found"
    sandbox.workspace.channel(GENERAL).members.remove(sandbox.bot_user_id)
    sandbox.people.share("ada", "general", "look", [canvas])
    assert await error_name(web.canvases_getContent(canvas_id=canvas.id)) == "canvas_not_found"
    sandbox.workspace.channel(GENERAL).members.append(sandbox.bot_user_id)
    assert (await web.canvases_getContent(canvas_id=canvas.id))["content"] == "# Plan"


async def test_canvas_in_a_tab_is_listed_even_after_it_was_deleted(sandbox: Sandbox, web: AsyncWebClient) -> None:
    assert "properties" not in (await web.conversations_info(channel=GENERAL))["channel"]
    by_person = await sandbox.add_tab("ada", "general", UploadedFile("Plan.canvas", b"# Plan"))
    by_app = (await web.canvases_create(title="Notes", document_content=CONTENT, channel_id=GENERAL))["canvas_id"]
    file = (await web.files_info(file=by_person))["file"]
    assert (file["title"], file["linked_channel_id"], file["channels"]) == ("Plan", GENERAL, [])
    assert (await web.canvases_getContent(canvas_id=by_person))["content"] == "# Plan"
    await web.canvases_delete(canvas_id=by_app)
    tabs = (await web.conversations_info(channel=GENERAL))["channel"]["properties"]["tabs"]
    assert [(tab["type"], tab["data"]["file_id"]) for tab in tabs] == [("canvas", by_person), ("canvas", by_app)]
    assert await error_name(web.files_info(file=by_app)) == "file_deleted"


async def test_file_that_is_no_canvas_is_not_found(sandbox: Sandbox, web: AsyncWebClient) -> None:
    file = sandbox.files.add(sandbox.bot_user_id, UploadedFile("plan.md", b"# Plan"))
    assert await error_name(web.canvases_getContent(canvas_id=file.id)) == "canvas_not_found"


async def test_access_is_given_to_channels_or_to_people(web: AsyncWebClient) -> None:
    canvas_id = await created(web)
    await web.canvases_access_set(canvas_id=canvas_id, access_level="read", channel_ids=[GENERAL])
    await web.api_call(
        "canvases.access.set",
        data={"canvas_id": canvas_id, "access_level": "read", "user_ids": json.dumps(["U0ADA", "U0GRACE"])},
    )
    assert (await web.files_info(file=canvas_id))["file"]["channels"] == [GENERAL]


async def test_access_is_not_given_to_a_private_channel_without_the_bot(sandbox: Sandbox, web: AsyncWebClient) -> None:
    canvas_id = await created(web)
    sandbox.workspace.leave("project-x", sandbox.bot_user_id)
    given = web.canvases_access_set(canvas_id=canvas_id, access_level="read", channel_ids=["C0PROJECTX"])
    assert await error_name(given) == "channel_not_found"


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "nobody": ({}, "invalid_parameters"),
    "channels and people": ({"channel_ids": [GENERAL], "user_ids": ["U0ADA"]}, "invalid_parameters"),
    "a direct message": ({"channel_ids": ["D0ADA"]}, "channel_not_found"),
    "no channel": ({"channel_ids": ["C0NOWHERE"]}, "channel_not_found"),
    "no person": ({"user_ids": ["U0NOBODY"]}, "user_not_found"),
    "too many": ({"user_ids": ["U0ADA"] * 21}, "invalid_arguments"),
    "a channel as owner": ({"channel_ids": [GENERAL], "access_level": "owner"}, "invalid_arguments"),
}


@pytest.mark.parametrize(("arguments", "error"), REFUSED.values(), ids=REFUSED)
async def test_access_is_refused(web: AsyncWebClient, arguments: dict[str, Any], error: str) -> None:
    canvas_id = await created(web)
    arguments = {"canvas_id": canvas_id, "access_level": "read"} | arguments
    assert await error_name(web.canvases_access_set(**arguments)) == error


MARKDOWN = {
    "a narrow delimiter row": ("a\n\n|a|b|\n|--|--|\n|1|2|", "line 4: Unsupported table type"),
    "a small heading": ("#### a", "line 1: "),
    "a list of another kind": ("- a\n  1. b", "line 2: "),
    "a quote in a list": ("- a\n  > b", "line 2: "),
    "too long": ("a" * (CONTENT_CHARS + 1), "line 1: "),
}


@pytest.mark.parametrize(("markdown", "detail"), MARKDOWN.values(), ids=MARKDOWN)
async def test_markdown_is_refused_with_the_line(web: AsyncWebClient, markdown: str, detail: str) -> None:
    content = json.dumps({"type": "markdown", "markdown": markdown})
    response = await error_response(web.api_call("canvases.create", data={"document_content": content}))
    assert response["error"] == "canvas_creation_failed"
    assert response["detail"].startswith(f"'content' error: {detail}")


async def test_deleted_canvas_is_gone(web: AsyncWebClient) -> None:
    canvas_id = await created(web)
    await web.canvases_delete(canvas_id=canvas_id)
    assert await error_name(web.canvases_getContent(canvas_id=canvas_id)) == "canvas_not_found"
