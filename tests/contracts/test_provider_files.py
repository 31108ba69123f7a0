"""Images and PDFs: how each API gets them, and what happens to files that a model can't take."""

from typing import Any

import pytest

from bot.errors import EndReason
from bot.models.model import VendorModel
from bot.models.openai import ChatApi, open_sdk
from bot.models.prompt import Media, Prompt, Turn
from bot.models.setup import VendorSettings
from bot.models.wrappers import Fallback
from tests.contracts.notifications import ask, collect, connected
from tests.contracts.vendors import ANTHROPIC, APIS, CHAT, KEY, RESPONSES, VendorApi, options
from tests.streams.server import ResponseEnd, VendorResponse, VendorServer, refusal

IMAGE = Media("plan.png", "image/png", "aW1n")
NAMELESS = Media("terms", "application/pdf", "cGRm")
PDF = Media("terms.pdf", "application/pdf", "cGRm")
PROMPT = Prompt("", (Turn("user", "What is this?", (IMAGE, PDF)),))

# Errors of servers whose model can't see (llama.cpp, vLLM, OpenRouter), and of vendors for unreadable images.
BLIND = [
    refusal(500, {"error": {"code": 500, "message": "image input is not supported", "type": "server_error"}}),
    refusal(400, {"object": "error", "message": "At most 0 image(s) may be provided", "type": "BadRequestError"}),
    refusal(404, {"error": {"code": 404, "message": "No endpoints found that support image input"}}),
    refusal(400, {"error": {"type": "invalid_request_error", "message": "Could not process image"}}),
    refusal(413, {"error": {"type": "request_too_large", "message": "Request exceeds the maximum size"}}),
]


def asked(vendor: VendorServer, number: int = -1) -> Any:
    """Returns the content of the question in a request to the vendor."""
    body = vendor.requests[number].body
    return (body.get("messages") or body["input"])[-1]["content"]


async def test_responses_api_gets_data_urls(vendor: VendorServer) -> None:
    received = await ask(RESPONSES, vendor, RESPONSES.streamed("A plan."), prompt=PROMPT)
    assert asked(vendor) == [
        {"type": "input_image", "image_url": "data:image/png;base64,aW1n", "detail": "auto"},
        {"type": "input_file", "filename": "terms.pdf", "file_data": "data:application/pdf;base64,cGRm"},
        {"type": "input_text", "text": "What is this?"},
    ]
    assert received.completions[0].left_out == ()


async def test_pdf_without_a_pdf_name_gets_one(vendor: VendorServer) -> None:
    vendor.script(RESPONSES.streamed("A plan."))
    async with connected(RESPONSES, vendor) as model:
        await collect(model, Prompt("", (Turn("user", "What is this?", (NAMELESS,)),)))
    assert asked(vendor)[0]["filename"] == "terms.pdf"


async def test_anthropic_gets_base64_sources(vendor: VendorServer) -> None:
    received = await ask(ANTHROPIC, vendor, ANTHROPIC.streamed("A plan."), prompt=PROMPT)
    image = {"type": "base64", "media_type": "image/png", "data": "aW1n"}
    pdf = {"type": "base64", "media_type": "application/pdf", "data": "cGRm"}
    assert asked(vendor) == [
        {"type": "image", "source": image},
        {"type": "document", "source": pdf, "title": "terms.pdf"},
        {"type": "text", "text": "What is this?"},
    ]
    assert received.completions[0].left_out == ()


async def test_openai_chat_gets_images_and_pdfs(vendor: VendorServer) -> None:
    vendor.script(CHAT.streamed("A plan."))
    sdk = open_sdk(VendorSettings(KEY, f"{vendor.url}/v1"))
    received = await collect(VendorModel(ChatApi(sdk, options(), at_openai=True), KEY, "m"), PROMPT)
    await sdk.close()
    assert asked(vendor) == [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aW1n"}},
        {"type": "file", "file": {"filename": "terms.pdf", "file_data": "data:application/pdf;base64,cGRm"}},
        {"type": "text", "text": "What is this?"},
    ]
    assert received.completions[0].left_out == ()


async def test_compatible_server_gets_only_images_and_a_notice(vendor: VendorServer) -> None:
    received = await ask(CHAT, vendor, CHAT.streamed("A plan."), prompt=PROMPT)
    assert asked(vendor) == [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aW1n"}},
        {"type": "text", "text": "What is this?\n\n(You can't be shown terms.pdf.)"},
    ]
    assert received.completions[0].left_out == ("terms.pdf",)


@pytest.mark.parametrize("api", APIS, ids=str)
@pytest.mark.parametrize("blind", BLIND, ids=lambda answer: str(answer.status))
async def test_model_that_cannot_see_answers_without_files(
    vendor: VendorServer, api: VendorApi, blind: VendorResponse
) -> None:
    received = await ask(api, vendor, blind, api.streamed("I can't see it."), prompt=PROMPT)
    assert received.text == "I can't see it."
    assert sorted(received.completions[0].left_out) == ["plan.png", "terms.pdf"]
    assert len(vendor.requests) == 2
    content = asked(vendor)
    assert content.startswith("What is this?\n\n(You can't be shown ")
    assert "plan.png" in content
    assert "terms.pdf" in content


@pytest.mark.parametrize(
    ("answers", "failure", "requests"),
    [
        ([refusal(401, {"error": {}})], EndReason.BAD_KEY, 1),
        ([refusal(429, {"error": {}})], EndReason.RATE_LIMITED, 1),
        ([refusal(400, {"error": {"code": "content_filter"}})], EndReason.REFUSED, 1),
        ([refusal(400, {"error": {}}), refusal(400, {"error": {}})], EndReason.UNEXPECTED, 2),
    ],
)
async def test_other_failures_are_reported_unchanged(
    vendor: VendorServer, answers: list[VendorResponse], failure: EndReason, requests: int
) -> None:
    assert (await ask(CHAT, vendor, *answers, prompt=PROMPT)).failure is failure
    assert len(vendor.requests) == requests


@pytest.mark.parametrize("api", APIS, ids=str)
@pytest.mark.parametrize(
    "passing",
    [
        refusal(500, {"error": {"message": "The server had an error.", "type": "server_error"}}),
        refusal(500, {"error": {"message": "Service unavailable. See our documentation.", "type": "api_error"}}),
        refusal(429, {"message": "Too many requests, please wait before trying again."}),
        refusal(408, {"error": {"message": "Timeout"}}),
        VendorResponse(ending=ResponseEnd.NOTHING),
    ],
    ids=["500", "500 with documentation", "429", "408", "connection lost"],
)
async def test_failure_that_may_pass_is_tried_again_with_the_files(
    vendor: VendorServer, api: VendorApi, passing: VendorResponse
) -> None:
    vendor.script(passing, passing, api.streamed("A plan."))
    async with connected(api, vendor) as model:
        received = await collect(Fallback([model]), PROMPT)
    assert received.text == "A plan."
    assert "plan.png" not in received.completions[0].left_out
    assert ["aW1n" in str(request.body) for request in vendor.requests] == [True, True, True]


async def test_fallback_that_cannot_see_reports_it(vendor: VendorServer) -> None:
    vendor.script(refusal(401, {"error": {}}), BLIND[0], CHAT.streamed("I can't see it."))
    async with connected(ANTHROPIC, vendor) as first, connected(CHAT, vendor) as second:
        received = await collect(Fallback([first, second]), PROMPT)
    assert received.text == "I can't see it."
    assert sorted(received.completions[0].left_out) == ["plan.png", "terms.pdf"]


@pytest.mark.parametrize("api", APIS, ids=str)
async def test_image_of_several_megabytes_is_sent(vendor: VendorServer, api: VendorApi) -> None:
    vendor.script(api.streamed("A plan."))
    photo = Media("photo.png", "image/png", "aW1n" * 1_000_000)
    async with connected(api, vendor) as model:
        received = await collect(model, Prompt("", (Turn("user", "what is it?", (photo,)),)))
    assert received.completions[0].left_out == ()
    assert photo.base64 in str(vendor.requests[0].body)


async def test_oldest_files_are_left_out_of_a_request_that_is_too_large(
    vendor: VendorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ChatApi, "max_media_bytes", 10)
    vendor.script(CHAT.streamed("Two."))
    images = [Media(f"{number}.png", "image/png", "aW1n") for number in range(3)]
    turns = (Turn("user", "one", (images[0],)), Turn("assistant", "ok"), Turn("user", "two", tuple(images[1:])))
    async with connected(CHAT, vendor) as model:
        received = await collect(model, Prompt("", turns))
    assert received.completions[0].left_out == ("0.png",)
    assert vendor.requests[0].body["messages"][0]["content"] == "one\n\n(You can't be shown 0.png.)"
    assert [part["type"] for part in asked(vendor)] == ["image_url", "image_url", "text"]


async def test_begun_answer_is_not_retried_without_files(vendor: VendorServer) -> None:
    error = b'data: {"error":{"code":500,"message":"image input failed"}}\n\n'
    received = await ask(
        CHAT, vendor, VendorResponse([*CHAT.unended("one"), error]), CHAT.streamed("two"), prompt=PROMPT
    )
    assert (received.text, received.failure, len(vendor.requests)) == ("one", EndReason.SERVER_ERROR, 1)
