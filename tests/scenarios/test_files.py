"""Shared files: the model gets those that it can take; a line of the reply names the others."""

import base64
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from PIL import Image

from bot.core import texts
from bot.core.files import MAX_FILE_BYTES
from bot.core.texts.files import Unread
from bot.models.prices import parse_prices
from bot.models.setup import VendorSettings
from bot.settings import Settings
from bot.slack import files as reading
from files_to_markdown.benchmarks.document_corpus import CORPUS, corpus, packed_files, pieces
from files_to_markdown.benchmarks.hostile_documents import HOSTILE
from slack_sandbox.faults import FaultSettings
from slack_sandbox.files import Mail, UploadedFile
from slack_sandbox.server import Sandbox
from slack_sandbox.web_api.http import SCOPES
from slack_sandbox.workspace import Json, Message
from tests.marked import unmarked
from tests.scenarios.conftest import Stage, running, says, settings_of
from tests.streams import speech
from tests.streams.server import VendorResponse, VendorServer, refusal

pytestmark = pytest.mark.skips_waits

PDF = b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\n%%EOF\n"
ANSWER = "The whole answer."


def picture(kind: str, colour: str = "teal", size: tuple[int, int] = (8, 6)) -> bytes:
    """Returns a real image. A GIF gets two frames, of which the first has the color."""
    packed = io.BytesIO()
    image = Image.new("RGB", size, colour)
    if kind == "GIF":
        image.save(packed, kind, save_all=True, append_images=[Image.new("RGB", size, "red")])
    else:
        image.save(packed, kind)
    return packed.getvalue()


async def asked(
    stage: Stage, *uploads: UploadedFile, text: str = "<@BOT> what is it?", thread_ts: str | None = None
) -> str:
    """Asks with files and returns the bot's answer."""
    before = len(stage.bots("general", thread_ts)) if thread_ts else 0
    ts = await stage.sandbox.share("ada", "general", text, uploads, thread_ts)
    return (await stage.answers("general", thread_ts or ts, count=before + 1))[-1]


def content(stage: Stage, number: int = -1) -> Any:
    read = stage.prompts()[number][-1]["content"]
    if isinstance(read, str):
        return unmarked(read)
    return [part | {"text": unmarked(part["text"])} if part["type"] == "text" else part for part in read]


def images_of(content: Any) -> list[Image.Image]:
    urls = [part["image_url"]["url"] for part in content if part["type"] == "image_url"]
    return [Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) for url in urls]


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
async def test_image_is_sent_to_the_model(stage: Stage, kind: str) -> None:
    name = f"plan.{kind.lower()}"
    notice, label = "", ""
    if kind == "GIF":
        notice = f"\nNot read: {texts.files.first_pictures_read(name, 1)}."
        label = ", of which you see the first page or frame only"
    assert await asked(stage, UploadedFile(name, picture(kind))) == ANSWER + notice
    parts = content(stage)
    assert parts[-1] == {"type": "text", "text": f"what is it?\n\n(Attached: {name}{label})"}
    (image,) = images_of(parts)
    assert image.format == {"GIF": "PNG"}.get(kind, kind)
    assert image.size == (8, 6)
    red, green, blue = image.convert("RGB").getpixel((0, 0))  # type: ignore[misc]
    assert (red < 20, 110 < green < 145, 110 < blue < 145) == (True, True, True), "the first frame"


async def test_pages_of_a_scan_are_images(stage: Stage) -> None:
    shades = [Image.new("L", (8, 6), shade) for shade in (0, 90, 180)]
    packed = io.BytesIO()
    shades[0].save(packed, "TIFF", save_all=True, append_images=shades[1:])
    assert await asked(stage, UploadedFile("scan.tiff", packed.getvalue())) == (
        f"{ANSWER}\n{texts.files.pages_seen('scan.tiff', 3)}"
    )
    parts = content(stage)
    assert parts[-1]["text"].endswith("(Attached: scan.tiff, whose 3 pages are images)")
    assert [image.getpixel((0, 0)) for image in images_of(parts)] == [0, 90, 180]


async def test_text_files_are_read_with_their_names(stage: Stage) -> None:
    table = UploadedFile("a.csv", b"\xef\xbb\xbfname,sum\r\nZo\xc3\xab,3\r\n")
    page = UploadedFile("page.html", b"<title>Ours</title>")
    assert await asked(stage, table, page) == ANSWER
    assert unmarked(content(stage)) == (
        "what is it?\n\n(Attached: a.csv)\n(As Markdown)\n```markdown\n| name | sum |\n|---|---|\n| Zoë | 3 |\n```"
        "\n\n(Attached: page.html)\n```html\n<title>Ours</title>\n```"
    )


async def test_documents_are_read_as_markdown(stage: Stage) -> None:
    files = corpus()
    names = ["0-openpyxl.xlsx", "0-python-docx.docx", "0-python-pptx.pptx", "0-libreoffice.odt", "0-python.eml"]
    answer = await asked(stage, *(UploadedFile(name, files[name]) for name in names))
    assert answer == (
        f"{ANSWER}\nNot read: 1 hidden sheet (Prices), 1 comment, 1 formula without a saved result of 0-openpyxl.xlsx, "
        "1 comment of 0-libreoffice.odt."
    )
    text = " ".join(content(stage).replace("\\|", "|").replace("<br>", "\n").split())
    for name in names:
        missing = [piece for piece in pieces(name) if " ".join(piece.split()) not in text]
        assert missing == [], name


async def test_file_without_text_is_a_question(stage: Stage) -> None:
    place = stage.sandbox.dm("ada")
    await stage.sandbox.share("ada", place, "", [UploadedFile("notes.md", b"All is well.")])
    assert await stage.answers(place, None) == [ANSWER]
    assert unmarked(content(stage)) == "(Attached: notes.md)\n```md\nAll is well.\n```"
    assert await asked(stage, UploadedFile("plan.png", picture("PNG")), text="@typist") == ANSWER
    assert unmarked(content(stage)[-1]["text"]) == "(Attached: plan.png)"


async def test_file_of_an_earlier_message_is_used(stage: Stage) -> None:
    root = await stage.sandbox.share("grace", "general", "Here it is.", [UploadedFile("plan.png", picture("PNG"))])
    await stage.sandbox.say("ada", "general", "@typist what is it?", root)
    assert await stage.answers("general", root) == [ANSWER]
    assert len(images_of(content(stage))) == 1
    assert unmarked(content(stage)[-1]["text"]).startswith("Grace: Here it is.\n\n(Attached: plan.png)\n\n")
    await stage.sandbox.say("ada", "general", "@typist really?", root)
    await stage.answers("general", root, count=2)
    assert len(images_of(stage.prompts()[1][0]["content"])) == 1


async def test_unreadable_file_is_named_only_once(stage: Stage) -> None:
    answer = await asked(stage, UploadedFile("song.mp3", b"ID3", "audio/mpeg"))
    assert answer == f"{ANSWER}\nNot read: song.mp3 ({Unread.UNHEARD.value})."
    root = stage.sandbox.messages("general")[-1].ts
    await stage.sandbox.say("ada", "general", "@typist and now?", root)
    assert (await stage.answers("general", root, count=2))[-1] == ANSWER
    assert "song.mp3" in stage.prompts()[1][0]["content"], "the model must know of it"


def claiming(pixels: int) -> bytes:
    """Returns a small GIF that claims to be this wide and high."""
    gif, side = picture("GIF"), pixels.to_bytes(2, "little")
    return gif[:6] + side + side + gif[10:]


OLD = CORPUS.with_name("old.tar.xz")
REFUSED = {
    "a type found by its content": (UploadedFile("a.dat", b"\0\1\2\3" * 9), Unread.KIND.value),
    "an old format": (UploadedFile("plan.doc", packed_files(OLD)["old.doc"]), Unread.OLD_FORMAT.value),
    "damaged": (UploadedFile("a.gif", b"GIF89a\0"), Unread.DAMAGED.value),
    "too many pixels": (UploadedFile("a.gif", claiming(60_000)), Unread.TOO_MANY_PIXELS.value),
    "too big": (UploadedFile("a.txt", b"a" * (MAX_FILE_BYTES + 1)), Unread.TOO_BIG.value),
    "protected": (UploadedFile("plan.xlsx", HOSTILE["protected.xlsx"]()), Unread.PROTECTED.value),
    "a clip": (UploadedFile("Audio clip (2026-10-09 10:35:15).m4a", b""), Unread.CLIP_UNHEARD.value),
}


@pytest.mark.parametrize(("upload", "reason"), REFUSED.values(), ids=REFUSED.keys())
@pytest.mark.long(after_row=3)
async def test_unusable_file_is_named_and_the_question_answered(
    stage: Stage, upload: UploadedFile, reason: str
) -> None:
    notes = UploadedFile("notes.md", b"All is well.")
    assert await asked(stage, notes, upload) == f"{ANSWER}\nNot read: {upload.name} ({reason})."
    text = content(stage)
    assert f"(Attached, but not shown to you: {upload.name}, {reason})" in text
    assert "All is well." in text


async def test_model_without_pdf_input_gets_the_text_of_a_pdf(stage: Stage) -> None:
    name = "0-fpdf2.pdf"
    answer = await asked(stage, UploadedFile(name, corpus()[name]))
    assert answer == f"{ANSWER}\nI read only the text of {name}, not its images or layout."
    assert [piece for piece in pieces(name) if piece not in content(stage)] == []


def handbook(pages: int) -> bytes:
    """Returns a PDF with a line of text on each of its pages."""
    kids = " ".join(f"{10 + 2 * page} 0 R" for page in range(pages))
    objects = [f"1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Count {pages}/Kids[{kids}]>>endobj"]
    for page in range(pages):
        words, at = f"BT /F1 12 Tf 20 180 Td (Rule {page + 1} of all.) Tj ET", 10 + 2 * page
        font = "/Resources<</Font<</F1 5 0 R>>>>"
        objects += [
            f"{at} 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 200]/Contents {at + 1} 0 R{font}>>endobj",
            f"{at + 1} 0 obj<</Length {len(words)}>>stream\n{words}\nendstream endobj",
        ]
    objects.append("5 0 obj<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF")
    return "\n".join(["%PDF-1.7", *objects]).encode()


@pytest.mark.parametrize(("pages", "has_pages"), [(36, True), (45, False)])
async def test_pages_that_would_raise_the_price_of_a_token_are_replaced_by_their_text(
    settings: Settings, sandbox: Sandbox, vendor: VendorServer, pages: int, has_pages: bool
) -> None:
    """Claude Haiku 5.5 costs five times as much above 100,000 tokens, which 42 pages have."""
    vendor.script(VendorResponse(speech.responses([ANSWER])))
    ours = settings.with_vendor("openai", VendorSettings(base_url=f"{vendor.url}/v1", api="responses"))
    tiers = [{"above": 100_000, "input": 0.5}]
    prices = parse_prices(json.dumps({"openai/*": {"input": 0.1, "output": 0.5, "tiers": tiers}}))
    async with running(replace(ours, prices=prices)):
        answer = await asked(Stage(sandbox, vendor), UploadedFile("handbook.pdf", handbook(pages)))
    only_text = "I read only the text of handbook.pdf, not its images or layout."
    assert answer == (ANSWER if has_pages else f"{ANSWER}\n{only_text}")
    sent = str(vendor.requests[0].body["input"][-1]["content"])
    assert ("input_file" in sent) is has_pages
    assert (f"Rule {pages} of all." in sent) is not has_pages


async def test_slow_file_is_not_waited_for(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "READING_S", 0.5)
    stage.sandbox.faults.start("file_slow", times=1, delay_s=5.0)
    answer = await asked(stage, UploadedFile("slow.md", b"Too late."), UploadedFile("notes.md", b"All is well."))
    assert answer == f"{ANSWER}\nNot read: slow.md ({Unread.TOO_SLOW.value}), notes.md ({Unread.TOO_SLOW.value})."


FAULTS: dict[str, tuple[str, FaultSettings, str]] = {
    "refused": ("file_refused", {"status": 403}, Unread.NO_ACCESS.value),
    "gone": ("file_refused", {"status": 404}, "deleted"),
    "broken": ("file_refused", {"status": 500}, Unread.FAILED.value),
    "larger than its size field": ("file_larger", {"more_bytes": 10 * MAX_FILE_BYTES}, Unread.FAILED.value),
}


@pytest.mark.parametrize(("fault", "settings_of", "reason"), FAULTS.values(), ids=FAULTS.keys())
async def test_undelivered_file_is_named(stage: Stage, fault: str, settings_of: FaultSettings, reason: str) -> None:
    stage.sandbox.faults.start(fault, **settings_of)
    answer = await asked(stage, UploadedFile("notes.md", b"All is well."))
    assert answer == f"{ANSWER}\nNot read: notes.md ({reason})."
    assert stage.sandbox.files.downloads[-1].sent_bytes < 2 * MAX_FILE_BYTES


async def test_missing_scope_is_named(vendor: VendorServer) -> None:
    async with Sandbox(scopes=SCOPES - {"files:read"}) as sandbox, running(settings_of(sandbox, vendor)):
        uploads = [UploadedFile("plan.png", picture("PNG")), UploadedFile("page.html", b"<p>Ours</p>")]
        answer = await asked(Stage(sandbox, vendor), *uploads)
    scope = Unread.SCOPE.value
    assert answer == f"{ANSWER}\nNot read: plan.png ({scope}), page.html ({scope})."


@asynccontextmanager
async def other_host() -> AsyncIterator[tuple[str, list[str | None]]]:
    """Serves another host and yields its URL with the tokens that it receives."""
    tokens: list[str | None] = []

    async def take(request: web.Request) -> web.Response:
        tokens.append(request.headers.get("Authorization"))
        return web.Response(text="taken")

    app = web.Application()
    app.router.add_get("/{path:.*}", take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/", tokens
    finally:
        await runner.cleanup()


def shared(stage: Stage, *files: Json) -> str:
    """Posts a message of Ada's whose files have these fields, and returns its ts."""
    workspace = stage.sandbox.workspace
    ts = workspace.next_ts()
    text = f"<@{stage.sandbox.bot_user_id}> what is it?"
    place = workspace.channel("general").id
    message = Message(place, ts, "U0ADA", text, client_msg_id="m1", subtype="file_share", files=files)
    workspace.post(message)
    return ts


async def test_files_are_requested_from_slack_only(stage: Stage) -> None:
    async with other_host() as (url, tokens):
        urls = [
            url,
            "https://files.slack.com.example.com/a",
            "https://files.slack.com@127.0.0.1/a",
            "http://[",
            "file:///x",
        ]
        asked_ts = shared(stage, *({"id": f"F{n}", "name": f"{n}.txt", "url_private": u} for n, u in enumerate(urls)))
        (answer,) = await stage.answers("general", asked_ts)
    names = ", ".join(f"{n}.txt ({Unread.FAILED.value})" for n in range(5))
    assert answer == f"{ANSWER}\nNot read: {names}."
    assert tokens == []


async def test_mail_that_is_looked_up_by_its_id_has_its_sender_subject_and_date(stage: Stage) -> None:
    mail = stage.sandbox.files.add_mail("U0ADA", Mail("Grace <grace@mail.example>", "Invoice 12", "Please pay."))
    stage.sandbox.people.share("ada", "general", "Here it is.", [mail])
    asked_ts = shared(stage, {"id": mail.id, "mode": "file_access", "file_access": "check_file_info"})
    assert await stage.answers("general", asked_ts) == [ANSWER]
    assert unmarked(content(stage)) == (
        "what is it?\n\n(Attached: Invoice 12)\n```\nFrom: Grace <grace@mail.example>\nSubject: Invoice 12\n"
        "Date: Mon, 16 Nov 2026 09:30:00 +0100\n\nPlease pay.\n```"
    )


@pytest.mark.long
async def test_total_size_of_an_answers_files_is_limited(stage: Stage) -> None:
    uploads = [UploadedFile(f"{number}.txt", b"a" * (18 * 2**20)) for number in range(3)]
    answer = await asked(stage, *uploads)
    assert answer.startswith(f"{ANSWER}\nNot read: ")
    assert f"2.txt ({Unread.TOO_MUCH.value})" in answer


async def test_answer_comes_without_refused_pictures_and_names_them(stage: Stage) -> None:
    """No refusal says surely which of them it is about. Two have the same name."""
    uploads = [
        UploadedFile("photo.png", picture("PNG")),
        UploadedFile("photo.png", picture("PNG", "red", (9, 6))),
        UploadedFile("b.png", picture("PNG", "blue", (10, 6))),
    ]
    bad = [base64.b64encode(upload.content).decode() for upload in uploads[1:]]
    refused = refusal(400, {"error": {"message": "Bad request"}})
    stage.vendor.script(lambda request: refused if any(one in str(request.body) for one in bad) else says(ANSWER))
    answer = await asked(stage, *uploads)
    reason = Unread.REFUSED.value
    named = ", ".join(f"{name} ({reason})" for name in ("photo.png (1st)", "photo.png (2nd)", "b.png"))
    assert answer == f"{ANSWER}\nNot read: {named}."
    assert "(You can't be shown photo.png (2nd).)" in str(stage.vendor.requests[-1].body)
