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
QUESTION = "What is this?"
PROMPT = Prompt("", (Turn("user", QUESTION, (IMAGE, PDF)),))

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


CHAT_IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aW1n"}}
CHAT_PDF = {"type": "file", "file": {"filename": "terms.pdf", "file_data": "data:application/pdf;base64,cGRm"}}
ANTHROPIC_PDF = {"type": "base64", "media_type": "application/pdf", "data": "cGRm"}
CONTENTS = {
    RESPONSES: [
        {"type": "input_image", "image_url": "data:image/png;base64,aW1n", "detail": "auto"},
        {"type": "input_file", "filename": "terms.pdf", "file_data": "data:application/pdf;base64,cGRm"},
        {"type": "input_text", "text": QUESTION},
    ],
    ANTHROPIC: [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aW1n"}},
        {"type": "document", "source": ANTHROPIC_PDF, "title": "terms.pdf"},
        {"type": "text", "text": QUESTION},
    ],
    # A compatible server gets only images, and a remark.
    CHAT: [CHAT_IMAGE, {"type": "text", "text": f"{QUESTION}\n\n(You can't be shown terms.pdf.)"}],
}


@pytest.mark.parametrize("api", APIS, ids=str)
async def test_files_are_sent_in_the_form_of_each_api(vendor: VendorServer, api: VendorApi) -> None:
    received = await ask(api, vendor, api.streamed("A plan."), prompt=PROMPT)
    assert asked(vendor) == CONTENTS[api]
    assert received.completions[0].left_out == (("terms.pdf",) if api is CHAT else ())


async def test_pdf_without_a_pdf_name_gets_one(vendor: VendorServer) -> None:
    prompt = Prompt("", (Turn("user", QUESTION, (NAMELESS,)),))
    await ask(RESPONSES, vendor, RESPONSES.streamed("A plan."), prompt=prompt)
    assert asked(vendor)[0]["filename"] == "terms.pdf"


async def test_openai_chat_gets_images_and_pdfs(vendor: VendorServer) -> None:
    vendor.script(CHAT.streamed("A plan."))
    sdk = open_sdk(VendorSettings(KEY, f"{vendor.url}/v1"))
    received = await collect(VendorModel(ChatApi(sdk, options(), at_openai=True), KEY, "m"), PROMPT)
    await sdk.close()
    assert asked(vendor) == [CHAT_IMAGE, CHAT_PDF, {"type": "text", "text": QUESTION}]
    assert received.completions[0].left_out == ()


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
    answers = passing, passing, api.streamed("A plan.")
    received = await ask(api, vendor, *answers, prompt=PROMPT, wrap=lambda model: Fallback([model]))
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
    photo = Media("photo.png", "image/png", "aW1n" * 1_000_000)
    prompt = Prompt("", (Turn("user", QUESTION, (photo,)),))
    received = await ask(api, vendor, api.streamed("A plan."), prompt=prompt)
    assert received.completions[0].left_out == ()
    assert photo.base64 in str(vendor.requests[0].body)


async def test_oldest_files_are_left_out_of_a_request_that_is_too_large(
    vendor: VendorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ChatApi, "max_media_bytes", 10)
    images = [Media(f"{number}.png", "image/png", "aW1n") for number in range(3)]
    turns = (Turn("user", "one", (images[0],)), Turn("assistant", "ok"), Turn("user", "two", tuple(images[1:])))
    received = await ask(CHAT, vendor, CHAT.streamed("Two."), prompt=Prompt("", turns))
    assert received.completions[0].left_out == ("0.png",)
    assert vendor.requests[0].body["messages"][0]["content"] == "one\n\n(You can't be shown 0.png.)"
    assert [part["type"] for part in asked(vendor)] == ["image_url", "image_url", "text"]


async def test_begun_answer_is_not_retried_without_files(vendor: VendorServer) -> None:
    error = b'data: {"error":{"code":500,"message":"image input failed"}}\n\n'
    received = await ask(
        CHAT, vendor, VendorResponse([*CHAT.unended("one"), error]), CHAT.streamed("two"), prompt=PROMPT
    )
    assert (received.text, received.failure, len(vendor.requests)) == ("one", EndReason.SERVER_ERROR, 1)
