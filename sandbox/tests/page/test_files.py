"""Files on the page: uploaded by people, shown with their messages, and never executed."""

import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Locator, Page, expect
from slack_sdk.web.async_client import AsyncWebClient

from slack_sandbox.files import UploadedFile
from slack_sandbox.server import Sandbox

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.long]

CODE = "\n".join(f"print({number})" for number in range(9))


def png(width: int = 64, height: int = 48) -> bytes:
    """Returns a real single-color image."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = (b"\0" + b"\x1f\x6f\x8b" * width) * height
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def tray(page: Page) -> Locator:
    return page.locator("#main").get_by_role("group", name="Files to send")


def cards(page: Page) -> Locator:
    return page.locator("#main .message .file")


async def hand_over(page: Page, event: str, name: str, content: str) -> None:
    """Drops or pastes a file by dispatching the browser's event."""
    script = """([event, name, content]) => {
        const data = new DataTransfer();
        data.items.add(new File([content], name));
        const means = { bubbles: true, cancelable: true, clipboardData: data, dataTransfer: data };
        const make = event === "paste" ? ClipboardEvent : DragEvent;
        const target = event === "paste" ? "#main-box" : "#main .messages";
        document.querySelector(target).dispatchEvent(new make(event, means));
    }"""
    await page.evaluate(script, [event, name, content])


async def test_files_are_attached_and_sent_by_keyboard(page: Page, sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "picture.png").write_bytes(png())
    (tmp_path / "run.py").write_text(CODE)
    (tmp_path / "wrong.txt").write_text("no")
    choosing = page.expect_file_chooser()
    await page.keyboard.press("Shift+Tab")
    await expect(page.locator("#main").get_by_role("button", name="Attach files")).to_be_focused()
    async with choosing as chooser:
        await page.keyboard.press("Enter")
    await (await chooser.value).set_files([tmp_path / name for name in ("picture.png", "wrong.txt", "run.py")])
    await expect(tray(page).locator(".name")).to_have_text(["picture.png", "wrong.txt", "run.py"])
    await tray(page).get_by_role("button", name="Remove wrong.txt").press("Enter")
    await expect(tray(page).get_by_role("button", name="Remove run.py")).to_be_focused()
    await page.locator("#main-box").press("Enter")
    await expect(tray(page)).to_be_hidden()
    await expect(page.locator("#main-box")).to_be_focused()
    await expect(cards(page).locator("figcaption .name")).to_have_text(["picture.png", "run.py"])
    (message,) = sandbox.messages("general")
    assert (message.user_id, message.subtype, message.text) == ("U0ADA", "file_share", "")
    assert sandbox.files.get(message.files[0]["id"]).content == png()


async def test_dropped_and_pasted_files_stay_with_their_draft(page: Page, sandbox: Sandbox) -> None:
    await page.keyboard.type("@bot look")
    await page.keyboard.press("Escape")
    await hand_over(page, "drop", "dropped.txt", "one")
    await hand_over(page, "paste", "pasted.txt", "two")
    await page.get_by_role("button", name="random").click()
    await expect(tray(page)).to_be_hidden()
    await page.get_by_role("button", name="general").click()
    await expect(tray(page).locator(".name")).to_have_text(["dropped.txt", "pasted.txt"])
    await page.locator("#main-box").press("Enter")
    await expect(cards(page)).to_have_count(2)
    (message,) = sandbox.messages("general")
    assert message.text == "<@U0BOT> look"
    assert [sandbox.files.get(file["id"]).content for file in message.files] == [b"one", b"two"]


async def test_file_that_cannot_be_sent_is_kept_with_an_error(page: Page) -> None:
    await hand_over(page, "drop", "empty.txt", "")
    await page.locator("#main-box").press("Enter")
    await expect(page.get_by_role("alert")).to_contain_text("empty.txt: file_is_empty")
    await expect(tray(page).locator(".name")).to_have_text(["empty.txt"])


async def test_image_is_shown_and_snippet_is_read_and_saved(page: Page, web: AsyncWebClient, tmp_path: Path) -> None:
    uploads: list[dict[str, Any]] = [
        {"file": png(), "filename": "plot.png", "alt_txt": "A plot"},
        {"content": CODE, "filename": "run.py"},
    ]
    await web.files_upload_v2(file_uploads=uploads, channel="C0GENERAL", initial_comment="Both:")
    image = cards(page).get_by_role("img", name="A plot")
    await expect(image).to_be_visible()
    assert await image.evaluate("image => image.decode().then(() => image.naturalWidth)") == 64
    snippet = cards(page).nth(1)
    await expect(snippet.locator("pre")).to_have_text("\n".join(CODE.splitlines()[:5]))
    await snippet.get_by_role("button", name="Show 4 more lines").press("Enter")
    await expect(snippet.locator("pre")).to_have_text(CODE)
    await expect(snippet.locator("pre")).to_be_focused()
    async with page.expect_download() as saving:
        await snippet.get_by_role("link", name="Download run.py").press("Enter")
    await (await saving.value).save_as(tmp_path / "saved.py")
    assert (tmp_path / "saved.py").read_text() == CODE


async def test_files_name_is_whole_before_its_kind_is(page: Page, sandbox: Sandbox) -> None:
    await page.set_viewport_size({"width": 390, "height": 844})
    workbook = UploadedFile("questions.xlsx", b"PK")
    await sandbox.share("ada", "general", "Here it is.", [workbook])
    name = cards(page).locator(".name")
    await expect(name).to_have_text("questions.xlsx")
    needed = await name.evaluate("""name => {
      const range = document.createRange();
      range.selectNodeContents(name);
      return range.getBoundingClientRect().width;
    }""")
    box = await name.bounding_box()
    assert box
    assert box["width"] >= needed


async def test_file_name_and_content_are_only_text(page: Page, web: AsyncWebClient) -> None:
    attack = "<img src=x onerror='window.caught = 1'> <!channel>"
    await web.files_upload_v2(channel="C0GENERAL", content=attack, filename=f"{attack}.html", title=attack)
    await expect(cards(page).locator(".name")).to_have_text(attack)
    await expect(cards(page).locator("pre")).to_have_text(attack)
    await expect(cards(page).locator("img")).to_have_count(0)
    assert await page.evaluate("window.caught") is None


async def test_deleted_file_is_shown_as_deleted(page: Page, web: AsyncWebClient) -> None:
    answer = await web.files_upload_v2(channel="C0GENERAL", content="x", filename="a.txt")
    await expect(cards(page)).to_contain_text("a.txt")
    await web.files_delete(file=answer["file"]["id"])
    await expect(cards(page)).to_have_text("This file was deleted.")


async def test_forwarded_message_shows_its_author_and_files(page: Page, sandbox: Sandbox) -> None:
    original = await sandbox.share("grace", "random", "Here *it* is:\n- one", [UploadedFile("picture.png", png())])
    await sandbox.forward("ada", "random", original, "general", "look")
    forwarded = page.locator("#main .message .attachment")
    await expect(forwarded.locator(".author")).to_have_text("Grace")
    await expect(forwarded.locator("strong")).to_have_text("it")
    await expect(forwarded.locator(".context")).to_have_text("Posted in #random")
    await expect(cards(page).locator("img")).to_be_visible()


async def test_clip_is_transcribed_for_a_person_who_asks_for_that(page: Page, sandbox: Sandbox) -> None:
    await sandbox.share("ada", "general", "", [UploadedFile("Audio clip 1.m4a", b"m4a")])
    card = cards(page).filter(has_text="Audio clip 1").last
    await card.get_by_role("button", name="View transcript").click()
    await page.keyboard.type("What <b>day</b> is it?")
    await page.keyboard.press("Enter")
    await expect(card.locator("p")).to_have_text("What <b>day</b> is it?")


async def test_whole_transcript_of_a_clip_is_read_on_the_page(page: Page, sandbox: Sandbox) -> None:
    spoken = " ".join(f"This is sentence {number}." for number in range(60))
    await sandbox.share("ada", "general", "", [UploadedFile("Audio clip 2.m4a", b"m4a", transcript=spoken)])
    await expect(cards(page).filter(has_text="Audio clip 2").locator("p")).to_have_text(spoken)


async def test_canvas_is_read_on_the_page_where_it_is_shared_and_where_it_is_linked(
    page: Page, sandbox: Sandbox
) -> None:
    lines = ["## The *plan*", *(f"- Step {number}" for number in range(19))]
    ts = await sandbox.share("ada", "general", "the plan", [UploadedFile("Plan.canvas", "\n".join(lines).encode())])
    (canvas,) = sandbox.workspace.message(sandbox.workspace.channel("general").id, ts).files
    card = cards(page).filter(has_text="Canvas").last
    await expect(card).to_contain_text("Plan")
    await expect(card.get_by_role("heading", name="The plan")).to_be_visible()
    await expect(card.get_by_role("listitem")).to_have_text([f"Step {number}" for number in range(11)])
    await card.get_by_role("button", name="Show 8 more lines").click()
    await expect(card.get_by_role("listitem")).to_have_text([f"Step {number}" for number in range(19)])
    before = await cards(page).count()
    await sandbox.say("grace", "general", f"see {canvas['permalink']}")
    await expect(cards(page)).to_have_count(before + 1)
