"""Images and PDFs: how each API gets them, and what happens to files that a model can't take."""

import base64
import io
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

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

# Errors of servers whose model can't see (llama.cpp, vLLM, OpenRouter), and of vendors for a request that is too large.
BLIND = [
    refusal(500, {"error": {"code": 500, "message": "image input is not supported", "type": "server_error"}}),
    refusal(400, {"object": "error", "message": "At most 0 image(s) may be provided", "type": "BadRequestError"}),
    refusal(404, {"error": {"code": 404, "message": "No endpoints found that support image input"}}),
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
    assert received.completions[0].refused_files == frozenset()


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


def drawn(name: str, width: int = 8, height: int = 6) -> Media:
    packed = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(packed, "PNG")
    return Media(name, "image/png", base64.b64encode(packed.getvalue()).decode())


A, B, C = drawn("a.png"), drawn("b.png", 9), drawn("c.png", 10)
THREE = Prompt("Be brief.", (Turn("user", "one", (A,)), Turn("assistant", "ok"), Turn("user", QUESTION, (B, C))))
UNCLEAR = refusal(400, {"error": {"type": "invalid_request_error", "message": "Could not process image"}})


def names_sent(vendor: VendorServer) -> list[list[str]]:
    """Returns the names of the files in each request."""
    return [[file.name for file in (A, B, C) if file.base64 in str(sent.body)] for sent in vendor.requests]


@pytest.mark.parametrize(
    ("api", "error"),
    [
        (ANTHROPIC, {"message": "messages.2.content.1.image.source.base64.data: Image does not match its media type"}),
        (RESPONSES, {"message": "The image is not valid.", "param": "input[2].content[1].image_url"}),
        (CHAT, {"message": "Invalid image at messages[3].content[1]: cannot be decoded."}),
        (CHAT, {"detail": [{"loc": ["body", "messages", 3, "content", 1, "image_url"], "msg": "bad image"}]}),
    ],
    ids=["anthropic", "responses", "chat", "vllm"],
)
async def test_only_the_file_in_the_named_place_is_left_out(
    vendor: VendorServer, api: VendorApi, error: dict[str, Any]
) -> None:
    received = await ask(api, vendor, refusal(400, {"error": error}), api.streamed("Two."), prompt=THREE)
    assert (received.text, received.completions[0].left_out) == ("Two.", ("c.png",))
    assert names_sent(vendor) == [["a.png", "b.png", "c.png"], ["a.png", "b.png"]]


@pytest.mark.parametrize("api", APIS, ids=str)
async def test_refused_file_without_a_name_is_looked_for(vendor: VendorServer, api: VendorApi) -> None:
    received = await ask(api, vendor, UNCLEAR, UNCLEAR, api.streamed("Two."), prompt=THREE)
    assert (received.text, received.completions[0].left_out) == ("Two.", ("b.png",))
    assert received.completions[0].refused_files == {"b.png"}
    assert names_sent(vendor) == [["a.png", "b.png", "c.png"], ["b.png", "c.png"], ["a.png", "c.png"]]


async def test_requests_after_refusals_are_bounded(vendor: VendorServer) -> None:
    received = await ask(CHAT, vendor, *[UNCLEAR] * 4, CHAT.streamed("None."), prompt=THREE)
    assert (received.text, received.completions[0].left_out) == ("None.", ("a.png", "b.png", "c.png"))
    assert (len(vendor.requests), names_sent(vendor)[-1]) == (5, [])


@pytest.mark.parametrize(
    ("message", "max_pixels"),
    [
        (
            "At least one of the image dimensions exceed max allowed size: 1000 pixels",
            1_000,
        ),
        ("Image size 1500x60 exceeds the maximum of 1024x900", 900),
        ("image resolution must be at most 640 pixels on a side", 640),
    ],
)
async def test_image_is_scaled_to_the_pixels_that_a_refusal_names(
    vendor: VendorServer, message: str, max_pixels: int
) -> None:
    prompt = Prompt("", (Turn("user", QUESTION, (drawn("wide.png", 1_500, 60), A)),))
    vendor.script(refusal(400, {"error": {"message": message}}), ANTHROPIC.streamed("Two."), ANTHROPIC.streamed("Two."))
    async with connected(ANTHROPIC, vendor) as model:
        for _ in range(2):
            received = await collect(model, prompt)
            assert (received.text, received.completions[0].left_out) == ("Two.", ())
    widths = []
    for sent in vendor.requests:
        wide, other, _ = sent.body["messages"][0]["content"]
        assert other["source"]["data"] == A.base64
        with Image.open(io.BytesIO(base64.b64decode(wide["source"]["data"]))) as image:
            widths.append(image.width)
    # Remembered for the model.
    assert widths == [1_500, max_pixels, max_pixels]


async def test_file_that_was_shared_twice_stays_once(vendor: VendorServer) -> None:
    prompt = Prompt("", (Turn("user", QUESTION, (A, replace(A))),))
    received = await ask(CHAT, vendor, UNCLEAR, CHAT.streamed("One."), prompt=prompt)
    assert received.completions[0].left_out == ("a.png",)
    assert str(vendor.requests[-1].body).count(A.base64) == 1
