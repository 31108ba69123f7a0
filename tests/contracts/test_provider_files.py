"""Images and PDFs: how each API gets them, and what happens to files that a model can't take."""

import base64
import io
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from bot.errors import EndReason, FileFault
from bot.models.model import VendorModel
from bot.models.openai import ChatApi, open_sdk
from bot.models.prompt import Media, Prompt, Turn
from bot.models.refused_files import SMALLER_PIXELS
from bot.models.setup import OPENAI, VendorSettings
from bot.models.wrappers import Fallback
from tests.contracts.in_process import AnyVendor, InProcessVendor
from tests.contracts.notifications import ask, collect, connected
from tests.contracts.vendors import ANTHROPIC, APIS, CHAT, KEY, RESPONSES, VendorApi, options
from tests.streams.server import ResponseEnd, Script, VendorRequest, VendorResponse, VendorServer, refusal

IMAGE = Media("plan.png", "image/png", "aW1n")
NAMELESS = Media("terms", "application/pdf", "cGRm")
PDF = Media("terms.pdf", "application/pdf", "cGRm")
QUESTION = "What is this?"
PROMPT = Prompt("", (Turn("user", QUESTION, (IMAGE, PDF)),))

# Errors of servers whose model can't see (llama.cpp, vLLM, OpenRouter, mlx_lm).
BLIND = [
    refusal(500, {"error": {"code": 500, "message": "image input is not supported", "type": "server_error"}}),
    refusal(400, {"object": "error", "message": "At most 0 image(s) may be provided", "type": "BadRequestError"}),
    refusal(404, {"error": {"code": 404, "message": "No endpoints found that support image input"}}),
    refusal(404, {"error": "Only 'text' content type is supported."}),
]


def asked(vendor: AnyVendor, number: int = -1) -> Any:
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


async def test_pdf_without_a_pdf_name_gets_one(in_process: InProcessVendor) -> None:
    prompt = Prompt("", (Turn("user", QUESTION, (NAMELESS,)),))
    await ask(RESPONSES, in_process, RESPONSES.streamed("A plan."), prompt=prompt)
    assert asked(in_process)[0]["filename"] == "terms.pdf"


async def test_openai_chat_gets_images_and_pdfs(vendor: VendorServer) -> None:
    vendor.script(CHAT.streamed("A plan."))
    sdk = open_sdk(VendorSettings(KEY, f"{vendor.url}/v1"))
    received = await collect(VendorModel(ChatApi(sdk, options(), "openai", OPENAI), KEY, "m"), PROMPT)
    await sdk.close()
    assert asked(vendor) == [CHAT_IMAGE, CHAT_PDF, {"type": "text", "text": QUESTION}]
    assert received.completions[0].left_out == ()


@pytest.mark.parametrize("api", APIS, ids=str)
@pytest.mark.parametrize("blind", BLIND, ids=lambda answer: str(answer.status))
async def test_model_that_cannot_see_answers_without_files(
    in_process: InProcessVendor, api: VendorApi, blind: VendorResponse
) -> None:
    received = await ask(api, in_process, blind, api.streamed("I can't see it."), prompt=PROMPT)
    assert received.text == "I can't see it."
    assert sorted(received.completions[0].left_out) == ["plan.png", "terms.pdf"]
    assert len(in_process.requests) == 2
    content = asked(in_process)
    assert content.startswith("What is this?\n\n(You can't be shown ")
    assert "plan.png" in content
    assert "terms.pdf" in content


@pytest.mark.parametrize(
    ("answers", "failure", "requests"),
    [
        ([refusal(401, {"error": {}})], EndReason.BAD_KEY, 1),
        ([refusal(429, {"error": {}})], EndReason.RATE_LIMITED, 1),
        ([refusal(400, {"error": {"code": "content_filter"}})], EndReason.REFUSED, 1),
        ([refusal(400, {"error": {}}), refusal(400, {"error": {}})], EndReason.UNEXPECTED, 3),
        ([refusal(404, {"error": {"message": "The model `m` does not exist"}})], EndReason.UNKNOWN_MODEL, 1),
    ],
)
async def test_other_failures_are_reported_unchanged(
    in_process: InProcessVendor, answers: list[VendorResponse], failure: EndReason, requests: int
) -> None:
    assert (await ask(CHAT, in_process, *answers, prompt=PROMPT)).failure is failure
    assert len(in_process.requests) == requests


@pytest.mark.skips_waits
@pytest.mark.parametrize("api", APIS, ids=str)
@pytest.mark.parametrize(
    "passing",
    [
        refusal(500, {"error": {"message": "The server had an error.", "type": "server_error"}}),
        refusal(500, {"error": {"message": "Service unavailable. See our documentation.", "type": "api_error"}}),
        refusal(429, {"message": "Too many requests, please wait before trying again."}),
        refusal(408, {"error": {"message": "Timeout"}}),
    ],
    ids=["500", "500 with documentation", "429", "408"],
)
async def test_failure_that_may_pass_is_tried_again_with_the_files(
    in_process: InProcessVendor, api: VendorApi, passing: VendorResponse
) -> None:
    answers = passing, passing, api.streamed("A plan.")
    received = await ask(api, in_process, *answers, prompt=PROMPT, wrap=lambda model: Fallback([model]))
    assert received.text == "A plan."
    assert "plan.png" not in received.completions[0].left_out
    assert ["aW1n" in str(request.body) for request in in_process.requests] == [True, True, True]


async def test_fallback_that_cannot_see_reports_it(in_process: InProcessVendor) -> None:
    in_process.script(refusal(401, {"error": {}}), BLIND[0], CHAT.streamed("I can't see it."))
    async with connected(ANTHROPIC, in_process) as first, connected(CHAT, in_process) as second:
        received = await collect(Fallback([first, second]), PROMPT)
    assert received.text == "I can't see it."
    assert sorted(received.completions[0].left_out) == ["plan.png", "terms.pdf"]
    assert received.completions[0].refused_files == {}


@pytest.mark.parametrize("api", APIS, ids=str)
async def test_image_of_several_megabytes_is_sent(vendor: VendorServer, api: VendorApi) -> None:
    photo = Media("photo.png", "image/png", "aW1n" * 1_000_000)
    prompt = Prompt("", (Turn("user", QUESTION, (photo,)),))
    received = await ask(api, vendor, api.streamed("A plan."), prompt=prompt)
    assert received.completions[0].left_out == ()
    assert photo.base64 in str(vendor.requests[0].body)


async def test_oldest_files_are_left_out_of_a_request_that_is_too_large(
    in_process: InProcessVendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ChatApi, "max_media_bytes", 10)
    images = [Media(f"{number}.png", "image/png", "aW1n") for number in range(3)]
    turns = (Turn("user", "one", (images[0],)), Turn("assistant", "ok"), Turn("user", "two", tuple(images[1:])))
    received = await ask(CHAT, in_process, CHAT.streamed("Two."), prompt=Prompt("", turns))
    assert received.completions[0].left_out == ("0.png",)
    assert in_process.requests[0].body["messages"][0]["content"] == "one\n\n(You can't be shown 0.png.)"
    assert [part["type"] for part in asked(in_process)] == ["image_url", "image_url", "text"]


async def test_begun_answer_is_not_retried_without_files(in_process: InProcessVendor) -> None:
    error = b'data: {"error":{"code":500,"message":"image input failed"}}\n\n'
    received = await ask(
        CHAT, in_process, VendorResponse([*CHAT.unended("one"), error]), CHAT.streamed("two"), prompt=PROMPT
    )
    assert (received.text, received.failure, len(in_process.requests)) == ("one", EndReason.SERVER_ERROR, 1)


def drawn(name: str, width: int = 8, height: int = 6) -> Media:
    packed = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(packed, "PNG")
    return Media(name, "image/png", base64.b64encode(packed.getvalue()).decode())


A, B, C = drawn("a.png"), drawn("b.png", 9), drawn("c.png", 10)
THREE = Prompt("Be brief.", (Turn("user", "one", (A,)), Turn("assistant", "ok"), Turn("user", QUESTION, (B, C))))
NAMING_PDF = refusal(400, {"error": {"type": "invalid_request_error", "message": "Could not process PDF"}})
UNCLEAR = refusal(400, {"error": {"type": "invalid_request_error", "message": "Could not process image"}})
EMPTY = VendorResponse(status=413)
PAGE = VendorResponse([b"<html><title>413 Request Entity Too Large</title></html>"], 413, "text/html")
TOO_LARGE = refusal(413, {"error": {"type": "request_too_large", "message": "Request exceeds the maximum size"}})
SILENT = refusal(400, {"error": {"type": "invalid_request_error", "message": "Bad request."}})


def judging(api: VendorApi, bad: Callable[[VendorRequest], bool], error: VendorResponse) -> Script:
    return lambda request: error if bad(request) else api.streamed("Seen.")


def having(*files: Media) -> Callable[[VendorRequest], bool]:
    return lambda request: any(file.base64 in str(request.body) for file in files)


REFUSALS: dict[str, tuple[VendorResponse, FileFault]] = {
    "an image that can't be read": (UNCLEAR, FileFault.FILE),
    "an error that names nothing": (SILENT, FileFault.FILE),
    "an error that names a PDF where there is none": (NAMING_PDF, FileFault.FILE),
    "no body": (VendorResponse(status=400), FileFault.FILE),
    "too large, in a vendor's words": (TOO_LARGE, FileFault.TOO_LARGE),
    "too large, without a body": (EMPTY, FileFault.TOO_LARGE),
    "too large, as a proxy's page": (PAGE, FileFault.TOO_LARGE),
    "too many": (refusal(400, {"error": {"message": "At most 1 image(s) may be provided."}}), FileFault.TOGETHER),
    "too many tokens": (refusal(400, {"error": {"code": "context_length_exceeded"}}), FileFault.TOGETHER),
    "in the stream": (
        VendorResponse([b'data: {"error": {"code": 500, "message": "image input failed"}}\n\n']),
        FileFault.KIND,
    ),
}


@pytest.mark.parametrize(("error", "fault"), REFUSALS.values(), ids=REFUSALS)
async def test_refused_files_are_left_out_named_and_not_sent_again(
    in_process: InProcessVendor, error: VendorResponse, fault: FileFault
) -> None:
    """Later steps and answers have the same files. How many are too many depends on the request."""
    in_process.script(judging(CHAT, having(A, B, C), error))
    async with connected(CHAT, in_process) as model:
        for requests in (2, 4 if fault is FileFault.TOGETHER else 3):
            received = await collect(model, THREE)
            assert (received.text, received.completions[0].left_out) == ("Seen.", ("a.png", "b.png", "c.png"))
            faults = {} if fault is FileFault.KIND else dict.fromkeys(("a.png", "b.png", "c.png"), fault)
            assert received.completions[0].refused_files == faults
            assert len([request for request in in_process.requests if request.method == "POST"]) == requests
    assert QUESTION in str(in_process.requests[-1].body)


async def test_file_that_was_refused_beside_a_bad_one_is_sent_once_it_is_asked_about_alone(
    in_process: InProcessVendor,
) -> None:
    in_process.script(judging(CHAT, having(A), UNCLEAR))
    async with connected(CHAT, in_process) as model:
        assert (await collect(model, THREE)).completions[0].left_out == ("a.png", "b.png", "c.png")
        alone = Prompt("", (Turn("user", QUESTION, (B,)),))
        assert (await collect(model, alone)).completions[0].left_out == ()
    assert B.base64 in str(in_process.requests[-1].body)


async def test_refusal_that_names_something_else_keeps_the_files(in_process: InProcessVendor) -> None:
    error = refusal(400, {"error": {"message": "property 'stream_options' is unsupported"}})
    received = await ask(
        CHAT, in_process, judging(CHAT, lambda sent: "stream_options" in sent.body, error), prompt=THREE
    )
    assert (received.text, received.completions[0].left_out) == ("Seen.", ())
    assert len(in_process.requests) == 2


@pytest.mark.parametrize("error", [SILENT, VendorResponse(status=400)], ids=["a sentence", "nothing"])
async def test_server_that_refuses_files_and_something_else_is_asked_three_times(
    in_process: InProcessVendor, error: VendorResponse
) -> None:
    bad = having(A, B, C)
    in_process.script(judging(CHAT, lambda sent: bad(sent) or "stream_options" in sent.body, error))
    async with connected(CHAT, in_process) as model:
        received = [await collect(model, THREE) for _ in range(3)]
    assert [(one.text, one.completions[0].left_out) for one in received] == [("Seen.", ("a.png", "b.png", "c.png"))] * 3
    assert len(in_process.requests) <= 3 + 3 + 2


def noisy(name: str, side: int) -> Media:
    packed = io.BytesIO()
    Image.effect_noise((side, side), 60).save(packed, "PNG")
    return Media(name, "image/png", base64.b64encode(packed.getvalue()).decode())


@pytest.mark.long
async def test_images_become_smaller_where_a_request_is_too_large(in_process: InProcessVendor) -> None:
    large = Prompt("", (Turn("user", QUESTION, (noisy("a.png", 1_200), noisy("b.png", 900), C)),))
    in_process.script(judging(ANTHROPIC, lambda request: len(request.content) > 2_000_000, EMPTY))
    async with connected(ANTHROPIC, in_process) as model:
        received = await collect(model, large)
        assert (received.text, received.completions[0].left_out) == ("Seen.", ())
        assert len(in_process.requests) == 2
        small = noisy("small.png", 600)
        assert (await collect(model, Prompt("", (Turn("user", QUESTION, (small,)),)))).text == "Seen."
    assert small.base64 in str(in_process.requests[-1].body)
    sizes = []
    for held in in_process.requests[1].body["messages"][0]["content"][:3]:
        with Image.open(io.BytesIO(base64.b64decode(held["source"]["data"]))) as image:
            sizes.append(image.size)
    assert sizes == [(1_000, 1_000), (900, 900), (10, 6)]


async def test_images_that_stay_too_large_are_left_out(in_process: InProcessVendor) -> None:
    """groq and others name the place and the bytes."""
    too_large = "messages.0.content.1.image.source.base64: image exceeds 5 MB maximum: 6000000 bytes > 5242880 bytes"
    prompt = Prompt("", (Turn("user", QUESTION, (A, noisy("b.png", 400))),))
    error = refusal(400, {"error": {"message": too_large}})
    script = judging(ANTHROPIC, lambda request: len(request.content) > 5_000, error)
    received = await ask(ANTHROPIC, in_process, script, prompt=prompt)
    assert (received.text, received.completions[0].left_out) == ("Seen.", ("a.png", "b.png"))
    assert set(received.completions[0].refused_files.values()) == {FileFault.TOO_LARGE}
    assert len(in_process.requests) == 3


@pytest.mark.parametrize(
    "failure",
    [refusal(429, {"error": {"message": "Slow down."}}), VendorResponse(ending=ResponseEnd.NOTHING)],
    ids=["a limit", "a lost connection"],
)
async def test_failure_that_may_pass_ends_the_search(vendor: VendorServer, failure: VendorResponse) -> None:
    received = await ask(CHAT, vendor, UNCLEAR, failure, prompt=THREE)
    assert received.failure in (EndReason.RATE_LIMITED, EndReason.UNREACHABLE)
    assert len(vendor.requests) == 2


# anthropic 2.14.0, types/image_dimensions_too_large_error_details.py, read on 2026-11-30.
DIMENSIONS = {
    "error_code": "image_dimensions_too_large",
    "max_side_length_pixels": 1_568,
    "paths": ["messages.0.content.0"],
}


@pytest.mark.parametrize(
    ("error", "max_pixels", "remembered"),
    [
        ({"message": "Image size 1500x60 exceeds the maximum of 1024x900"}, 900, 900),
        ({"message": "the resolution of an image exceeds the limit"}, SMALLER_PIXELS, 2_000),
        ({"message": "No.", "details": DIMENSIONS}, 1_568, 1_568),
    ],
)
async def test_image_is_scaled_to_the_pixels_that_a_refusal_names_or_to_the_usual_ones(
    in_process: InProcessVendor, error: dict[str, object], max_pixels: int, remembered: int
) -> None:
    prompt = Prompt("", (Turn("user", QUESTION, (drawn("wide.png", 2_000, 60), A)),))
    in_process.script(refusal(400, {"error": error}), ANTHROPIC.streamed("Two."), ANTHROPIC.streamed("Two."))
    async with connected(ANTHROPIC, in_process) as model:
        for _ in range(2):
            received = await collect(model, prompt)
            assert (received.text, received.completions[0].left_out) == ("Two.", ())
    widths = []
    for sent in in_process.requests:
        wide, other, _ = sent.body["messages"][0]["content"]
        assert other["source"]["data"] == A.base64
        with Image.open(io.BytesIO(base64.b64decode(wide["source"]["data"]))) as image:
            widths.append(image.width)
    # Only what the refusal stated is remembered for the model.
    assert widths == [2_000, max_pixels, remembered]
