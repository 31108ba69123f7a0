"""Files: which are read, how their bytes are recognized, and how the model and the reader learn of them."""

import io
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from PIL import Image

from bot.core import files, texts
from bot.core.canvases import CANVAS
from bot.core.conversation import File, ThreadKey
from bot.core.files import (
    MAX_FILES,
    OpenedFile,
    attach_files,
    captions_text,
    file_ids_since_answer,
    files_newest_first,
    is_recording,
    readable_file_ids,
    supported_sound,
    truncate_files,
    with_linked_canvases,
)
from bot.core.prompt import PromptMarks, PromptMessage
from bot.core.texts.files import Unread
from bot.errors import FileFault
from bot.models.prompt import (
    PDF,
    Media,
    Prompt,
    TokenEstimate,
    Turn,
    image_tokens,
    newest_media_within,
    without_media,
)
from files_to_markdown.document import Document, LeftOut, Part, decode_text

NOTES = File("F1", "notes.md")


def some(count: int) -> list[File]:
    return [File(f"F{number}", f"{number}.txt") for number in range(count)]


def media(name: str, size: int = 4, kind: str = "image/png") -> Media:
    return Media(name, kind, "a" * size)


def picture(kind: str, size: tuple[int, int], mode: str = "RGB") -> bytes:
    packed = io.BytesIO()
    Image.new(mode, size).save(packed, kind)
    return packed.getvalue()


class TestChoosing:
    def test_first_files_are_chosen_and_unreadable_ones_take_no_place(self) -> None:
        song = File("F9", "song.mp3", "audio/mpeg")
        wanted, unread = files.choose_files([song, *some(7), song])
        assert [file.id for file in wanted] == ["F0", "F1", "F2", "F3", "F4"]
        assert {file_id: file.content for file_id, file in unread.items()} == {
            "F9": Unread.UNHEARD,
            "F5": Unread.TOO_MANY,
            "F6": Unread.TOO_MANY,
        }

    @pytest.mark.parametrize(
        ("mimetype", "reason"),
        [
            ("", None),
            ("text/plain", None),
            ("application/json", None),
            ("application/octet-stream", None),
            ("application/x-sh", None),
            ("image/png", None),
            ("image/svg+xml", None),
            ("application/pdf", None),
            ("image/heic", Unread.IMAGE_KIND),
            ("image/vnd.adobe.photoshop", Unread.IMAGE_KIND),
            ("image/avif", None),
            ("image/tiff", None),
            ("image/x-ms-bmp", None),
            ("audio/mp4", None),
            ("video/mp4", Unread.KIND),
            ("application/zip", Unread.KIND),
            ("application/x-7z-compressed", Unread.KIND),
            ("application/msword", None),
            ("application/vnd.ms-powerpoint", None),
            ("application/vnd.ms-powerpoint.presentation.macroEnabled.12", None),
            ("application/vnd.ms-excel", None),
            ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", None),
            ("application/vnd.oasis.opendocument.text", None),
            ("application/rtf", None),
            ("message/rfc822", None),
            ("application/vnd.slack-docs", None),
            ("application/vnd.slack-list", Unread.KIND),
            *((f"image/{kind}", None) for kind in ("jpg", "jpeg", "gif", "webp", "tif", "bmp", "x-bmp", "ms-bmp")),
            *((f"image/{kind}", Unread.IMAGE_KIND) for kind in ("jxl", "x-icon")),
            *((f"application/{kind}", Unread.KIND) for kind in ("gzip", "java-archive", "vnd.rar", "vnd.android.x")),
            *((f"application/x-{kind}", Unread.KIND) for kind in ("bzip2", "compress", "gtar", "gzip", "rar")),
            *((f"application/x-{kind}", Unread.KIND) for kind in ("iso9660-image", "tar", "xz", "zstd", "sharedlib")),
            *((f"application/x-{kind}", Unread.KIND) for kind in ("zip-compressed", "apple-diskimage", "msdownload")),
            *((f"application/x-{kind}", None) for kind in ("tarantula", "executive", "yaml")),
            ("application/x-executable", Unread.KIND),
            ("font/woff2", Unread.KIND),
        ],
    )
    def test_file_is_refused_by_its_type_in_slack(self, mimetype: str, reason: Unread | None) -> None:
        assert files.reason_unreadable(File("F1", "f", mimetype)) is reason

    @pytest.mark.parametrize(
        ("file", "reason"),
        [
            *((File("F1", name, "video/mp2t"), None) for name in ("app.TS", "plan.docx", "a.b.csv", "x.bat")),
            *((File("F1", name, "video/mp2t"), Unread.KIND) for name in ("app.tsx", "plan.docx.zip")),
            (File("F1", "Plan", "application/zip", filetype="quip"), None),
            (File("F1", "clip", "video/mp4", is_clip=True), None),
            (File("F1", "plan.docx", "video/mp4", mode="external"), Unread.EXTERNAL),
        ],
    )
    def test_name_of_a_document_counts_more_than_its_type(self, file: File, reason: Unread | None) -> None:
        assert files.reason_unreadable(file) is reason

    @pytest.mark.parametrize(
        ("content", "url", "has_copy"),
        [
            *((reason, "https://x", True) for reason in (Unread.IMAGE_KIND, Unread.TOO_MANY_PIXELS, Unread.TOO_BIG)),
            *((content, "https://x", False) for content in (Unread.KIND, Unread.DAMAGED, None, "text")),
            (Unread.IMAGE_KIND, "", False),
        ],
    )
    def test_slacks_copy_stands_for_an_image_that_cannot_be_read(
        self, content: object, url: str, has_copy: bool
    ) -> None:
        photo = File("F1", "a.heic", "image/heic", "heic", "hosted", "visible", "https://o", preview_url=url)
        copy = replace(photo, mimetype="", access="", url=url, preview_url="")
        assert files.preview_of(photo, content) == (copy if has_copy else None)
        if content is Unread.IMAGE_KIND:
            assert files.choose_files([photo])[0] == ([photo] if has_copy else [])

    @pytest.mark.parametrize(
        ("mode", "access", "reason"),
        [
            ("hosted", "visible", None),
            ("snippet", "check_file_info", None),
            ("tombstone", "visible", Unread.DELETED),
            ("external", "", Unread.EXTERNAL),
            ("hidden_by_limit", "", Unread.HIDDEN),
            ("hosted", "access_denied", Unread.NO_ACCESS),
            ("hosted", "file_not_found", Unread.DELETED),
        ],
    )
    def test_file_that_slack_does_not_give_is_refused_with_the_reason(
        self, mode: str, access: str, reason: Unread | None
    ) -> None:
        assert files.reason_unreadable(replace(NOTES, mode=mode, access=access)) is reason

    def test_recording_takes_a_place_where_it_can_be_heard(self) -> None:
        song, clip = File("F8", "song.mp3", "audio/mpeg"), File("F9", "clip.m4a", "video/mp4", is_clip=True)
        heard = [replace(clip, transcript=""), replace(clip, id="F7", captions_url="https://x")]
        wanted, unread = files.choose_files([song, clip])
        assert (wanted, [file.content for file in unread.values()]) == ([], [Unread.UNHEARD, Unread.CLIP_UNHEARD])
        assert files.choose_files([song, clip], reads_recordings=True) == ([song, clip], {})
        assert files.choose_files(heard) == (heard, {})


class TestContentDetection:
    @pytest.mark.parametrize(
        ("content", "kind"),
        [
            (picture("PNG", (1, 1)), "image/png"),
            (picture("JPEG", (1, 1)), "image/jpeg"),
            (picture("WEBP", (1, 1)), "image/webp"),
            (picture("GIF", (1, 1)), "image/gif"),
            (picture("AVIF", (8, 6)), "image/avif"),
            (picture("TIFF", (1, 1)), "image/tiff"),
            (picture("BMP", (1, 1)), "image/bmp"),
            (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "image/heic"),
            (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "image/heic"),
            (b"\0\0\0\x18ftypisom\0\0\0\0isommp42", ""),
            (b"BM is a text", ""),
            (b"%PDF-1.4\n", "application/pdf"),
            (b"\n\n%PDF-1.4\n", "application/pdf"),
            (bytes(128) + b"%PDF-1.4\n", "application/pdf"),
            (b"A PDF begins with %PDF-1.4.\n", ""),
            (b"%PDF-- is no version\n", ""),
            (b"RIFF....WAVE", ""),
            (b"", ""),
        ],
    )
    def test_media_type_is_detected_by_the_first_bytes(self, content: bytes, kind: str) -> None:
        assert files.detect_media_type(content) == kind

    @pytest.mark.parametrize(
        ("mimetype", "content_type", "content", "sign_in"),
        [
            ("image/png", "text/html", b"<html>", True),
            ("image/png", "image/png", b"<title>Sign in | Slack</title>", False),
            ("text/html", "text/html", b"<title>Ours</title>", False),
            ("text/html", "text/html; charset=utf-8", b"<html><title>Sign in | Slack</title>", True),
            ("text/html", "text/html", b'<form class="signin_form">', True),
            ("text/html", "text/html", b" " * 4_095 + b"<title>Sign in | Slack</title>", False),
        ],
    )
    def test_slacks_sign_in_page_is_recognized(
        self, mimetype: str, content_type: str, content: bytes, sign_in: bool
    ) -> None:
        assert files.is_sign_in_page(File("F1", "f", mimetype), content_type, content) is sign_in


class TestLabelsAndNotices:
    @given(name=st.text(), text=st.text("`~a\n ", max_size=60).filter(str.strip))
    def test_text_of_a_file_never_ends_its_fence(self, name: str, text: str) -> None:
        label = files.file_label(OpenedFile(File("F1", name), text))
        (fence,) = [token for token in MarkdownIt().parse(label) if token.type == "fence"]
        assert label.endswith(fence.markup)
        assert fence.map is not None
        assert fence.map[1] == len(label.splitlines())

    @given(st.lists(st.text(max_size=300), max_size=40))
    def test_notice_about_unread_files_is_one_short_line(self, names: list[str]) -> None:
        opened = [OpenedFile(File(f"F{n}", name), Unread.KIND) for n, name in enumerate(names)]
        line = files.unread_notice(opened)
        assert len(line.splitlines()) == min(1, len(names))
        assert len(line) < 1_000

    @pytest.mark.parametrize(
        ("name", "content", "shown"),
        [
            ("notes.md", b"# Notes\n\nAll is well.\n", "```md\n# Notes\n\nAll is well.\n```"),
            ("a.csv", b"\xef\xbb\xbfname,sum\r\nZo\xc3\xab,3\r\n", "```csv\nname,sum\nZoë,3\n```"),
            ("wide.txt", "naïve ☃".encode("utf-16"), "```txt\nnaïve ☃\n```"),
            ("app.log", b"\x1b[31mbad\x1b[0m\n", "```log\n\x1b[31mbad\x1b[0m\n```"),
            ("fences.md", b"```\ncode\n```\n", "````md\n```\ncode\n```\n````"),
            ("Makefile", b"all:\n\ttrue\n", "```\nall:\n\ttrue\n```"),
        ],
    )
    def test_text_stands_in_a_fence_below_the_files_name(self, name: str, content: bytes, shown: str) -> None:
        text = decode_text(content)
        assert text is not None
        assert files.file_label(OpenedFile(File("F1", name), text)) == f"(Attached: {name})\n{shown}"

    def test_guess_of_a_charset_is_said(self) -> None:
        opened = OpenedFile(File("F1", "old.log"), Document("Größe", (), "windows-1252", is_markdown=False))
        label = "(Attached: old.log)\n(As text; its charset is a guess: windows-1252)\n```log\nGröße\n```"
        assert files.file_label(opened) == label
        assert files.unread_notice([opened]) == texts.files.charset_guessed([("old.log", "windows-1252")])

    def test_bidi_override_is_removed_from_a_files_name(self) -> None:
        opened = OpenedFile(File("F1", "a\u202egpj.exe"), Unread.KIND)
        assert files.unread_notice([opened]) == f"Not read: agpj.exe ({Unread.KIND.value})."

    @pytest.mark.parametrize(
        ("name", "shown"),
        [
            ("x" * 80, "x" * 80),
            ("a" * 40 + "b" * 41, "a" * 40 + "b" * 10 + "…" + "b" * 25),
            (" two\n lines `x` ", "two lines 'x'"),
        ],
        ids=["as long as it may be", "longer", "lines and code"],
    )
    def test_name_is_one_line_and_a_long_one_loses_its_middle(self, name: str, shown: str) -> None:
        assert OpenedFile(File("F1", name), "").name == files.short_name(name) == shown

    @pytest.mark.parametrize(
        ("pages", "is_first", "seen", "notice"),
        [
            (1, False, "", ""),
            (3, False, ", whose 3 pages are images", "I saw the 3 pages of a.tiff as images."),
            (
                1,
                True,
                ", of which you see the first page or frame only",
                "Not read: all but the first picture of a.tiff.",
            ),
            (3, True, ", of which you see the first 3 pages only", "Not read: all but the first 3 pages of a.tiff."),
        ],
    )
    def test_model_and_people_learn_how_many_pages_it_sees(
        self, pages: int, is_first: bool, seen: str, notice: str
    ) -> None:
        scan = replace(media("a.tiff"), other_pages=(media("page"),) * (pages - 1), is_first=is_first)
        opened = OpenedFile(File("F1", "a.tiff"), scan)
        assert files.file_label(opened) == f"(Attached: a.tiff{seen})"
        assert files.unread_notice([opened]) == notice
        assert files.unread_notice([opened], ["a.tiff"]) == f"Not read: a.tiff ({texts.files.IMAGE_NOT_FOR_MODEL})."
        [asked] = attach_files([PromptMessage("U1", "", files=(opened.file,))], {"F1": opened})
        assert [(page.name, page.other_pages) for page in asked.media] == [("a.tiff", ())] * pages

    @pytest.mark.parametrize(
        ("said", "is_clip", "label"),
        [
            (" Hi. ", False, "(Attached: a.m4a, a recording. This is said in it:)\nHi."),
            (
                "Hi.",
                True,
                "(Attached: a.m4a, a recording. If the message has no words of its own, answer these. "
                "This is said in it:)\nHi.",
            ),
            (" \n", True, "(Attached: a.m4a, a recording in which nothing is said)"),
        ],
    )
    def test_words_of_a_recording_stand_below_its_name(self, said: str, is_clip: bool, label: str) -> None:
        opened = OpenedFile(File("F1", "a.m4a", is_clip=is_clip), files.Transcript(said))
        assert files.file_label(opened) == label
        assert files.file_text(opened) == said
        assert files.unread_notice([replace(opened, truncated=True)]) == "Not read: the middle of a.m4a (too long)."

    def test_what_was_not_read_is_told_below_what_was_seen_or_guessed(self) -> None:
        cut = OpenedFile(File("F1", "a.log"), Document("ö", (LeftOut(Part.MIDDLE, 1),), "cp1252", is_markdown=False))
        terms = Media("b.pdf", PDF, "aaaa", Document("Words."))
        opened = [cut, OpenedFile(File("F2", "b.pdf"), terms), OpenedFile(File("F3", "c.zip"), Unread.KIND)]
        assert files.unread_notice(opened, ["b.pdf"]) == " ".join(
            (
                texts.files.only_text_read(["b.pdf"]),
                texts.files.charset_guessed([("a.log", "cp1252")]),
                f"Not read: the middle of a.log (too long), c.zip ({Unread.KIND.value}).",
            )
        )
        assert files.file_label(opened[2]) == f"(Attached, but not shown to you: c.zip, {Unread.KIND.value})"

    def test_files_without_a_name_have_no_number(self) -> None:
        unnamed = [File(f"F{at}", texts.files.FILE_UNNAMED) for at in range(2)]
        opened = {file.id: OpenedFile(file, "text") for file in unnamed}
        assert files.with_numbered_names(opened, [PromptMessage("U1", "", files=tuple(unnamed))]) == opened

    def test_empty_file_is_labeled_as_empty(self) -> None:
        assert files.file_label(OpenedFile(File("F1", "a.txt"), " \n")) == "(Attached: a.txt, which is empty)"

    def test_first_five_files_of_the_newest_message_are_read_and_the_notice_says_so(self) -> None:
        ten = some(10)
        chosen, unread = files.choose_files(ten)
        assert (chosen, list(unread)) == (list(ten[:5]), [file.id for file in ten[5:]])
        assert "five files at a time, starting with the newest message" in files.unread_notice(unread.values())

    def test_notice_counts_files_beyond_the_first_six(self) -> None:
        line = files.unread_notice([OpenedFile(file, Unread.TOO_MANY) for file in some(9)])
        assert line.startswith(f"Not read: 0.txt ({Unread.TOO_MANY.value}), 1.txt ")
        assert line.endswith(f"5.txt ({Unread.TOO_MANY.value}), and 3 more.")

    def test_notice_names_media_that_the_model_cannot_take(self) -> None:
        opened = [OpenedFile(NOTES, "text"), OpenedFile(File("F2", "a.png"), media("a.png"))]
        assert files.unread_notice(opened) == ""
        assert files.unread_notice(opened, ("a.png",)) == f"Not read: a.png ({texts.files.IMAGE_NOT_FOR_MODEL})."
        for fault, reason in {
            FileFault.FILE: Unread.REFUSED.value,
            FileFault.TOO_LARGE: Unread.TOO_LARGE_FOR_MODEL.value,
            FileFault.TOGETHER: Unread.TOO_MUCH_FOR_MODEL.value,
        }.items():
            assert files.unread_notice(opened, ("a.png",), {"a.png": fault}) == f"Not read: a.png ({reason})."

    def test_files_of_one_name_are_numbered_in_the_order_of_the_conversation(self) -> None:
        shared = [File(f"F{n}", name) for n, name in enumerate(["a.py", "a.png", "b.png", "a.png", "a.py", "a.zip"])]
        messages = [
            PromptMessage("U1", "", files=(shared[0], shared[1])),
            PromptMessage(None, "ok"),
            PromptMessage("U1", "", files=(*shared[2:], shared[1])),
        ]
        contents: list[files.Content] = ["x = 1", media("a.png"), media("b.png"), media("a.png"), "x = 2", Unread.KIND]
        opened = {file.id: OpenedFile(file, content) for file, content in zip(shared, contents, strict=True)}
        newest_first = {file.id: opened[file.id] for file in files_newest_first(messages)}
        apart = files.with_numbered_names(newest_first, messages)
        assert list(apart) == list(newest_first)
        assert {file_id: file.name for file_id, file in sorted(apart.items())} == {
            "F0": "a.py (1st)",
            "F1": "a.png (1st)",
            "F2": "b.png",
            "F3": "a.png (2nd)",
            "F4": "a.py (2nd)",
            "F5": "a.zip",
        }
        notice = files.unread_notice(apart.values(), ("a.png (2nd)",), {"a.png (2nd)": FileFault.FILE})
        assert f"a.png (2nd) ({Unread.REFUSED.value})" in notice
        assert "(1st)" not in notice
        assert files.file_label(apart["F4"]) == "(Attached: a.py (2nd))\n```py\nx = 2\n```"
        in_prompt = attach_files(messages, apart)
        assert [picture.name for message in in_prompt for picture in message.media] == [
            "b.png",
            "a.png (2nd)",
            "a.png (1st)",
        ]

    @pytest.mark.parametrize(("number", "nth"), [(3, "3rd"), (4, "4th"), (11, "11th"), (22, "22nd"), (113, "113th")])
    def test_number_of_a_file_is_an_ordinal(self, number: int, nth: str) -> None:
        assert OpenedFile(NOTES, "", number=number).name == f"{NOTES.name} ({nth})"


class TestShared:
    TOKENS = TokenEstimate(("openai/m",)).tokens

    def test_files_of_the_question_come_first_and_then_the_newest(self) -> None:
        messages = [
            PromptMessage("U1", "", files=tuple(some(2))),
            PromptMessage(None, "ok"),
            PromptMessage("U1", "", files=(NOTES,)),
        ]
        assert [file.id for file in files_newest_first(messages)] == ["F1", "F0", "F1"]
        assert list(file_ids_since_answer(messages)) == ["F1"]

    def test_file_shared_twice_is_shown_where_it_came_last(self) -> None:
        messages = [PromptMessage("U1", "first", files=(NOTES,)), PromptMessage("U1", "again", files=(NOTES,))]
        first, again = attach_files(messages, {"F1": OpenedFile(NOTES, "All is well.")})
        assert first.text == "first"
        assert "All is well." in again.text

    @given(
        texts=st.lists(st.text("aé世 \n", min_size=1).map(lambda text: text * 50), max_size=MAX_FILES),
        limit=st.integers(50, 5_000),
    )
    def test_texts_of_files_are_cut_to_the_limit(self, texts: list[str], limit: int) -> None:
        opened = {str(n): OpenedFile(File(str(n), f"{n}.txt"), text) for n, text in enumerate(texts)}
        short = truncate_files(opened, self.TOKENS, limit)
        mark_tokens = 40
        assert sum(self.TOKENS(str(file.content)) for file in short.values()) <= limit * 1.3 + mark_tokens * len(texts)
        for file_id, file in short.items():
            assert file.truncated == (file.content != opened[file_id].content)
        whole = sum(self.TOKENS(text) for text in texts)
        assert whole > limit or short == opened


class TestDocuments:
    BUDGET = Document(
        "| a |", (LeftOut(Part.HIDDEN_SHEET, 5, ("Prices", "a`b")), LeftOut(Part.FORMULA, 2), LeftOut(Part.END, 1))
    )

    def test_model_and_people_learn_what_is_left_out(self) -> None:
        file = OpenedFile(File("F1", "budget.xlsx"), self.BUDGET)
        assert files.file_label(file) == (
            "(Attached: budget.xlsx)\n(As Markdown, without 5 hidden sheets (Prices, a'b, …), "
            "2 formulas without a saved result, the end)\n```markdown\n| a |\n```"
        )
        assert files.unread_notice([file]) == (
            "Not read: 5 hidden sheets (Prices, a'b, …), 2 formulas without a saved result of budget.xlsx, "
            "the end of budget.xlsx (too long)."
        )

    def test_document_without_text_says_so(self) -> None:
        assert files.file_label(OpenedFile(File("F1", "a.docx"), Document(" "))) == (
            "(Attached: a.docx)\n(As Markdown)\n(It has no text.)"
        )

    def test_document_is_cut_to_the_limit_and_says_so(self) -> None:
        file = OpenedFile(File("F1", "plan.docx"), Document("word " * 1_000, (LeftOut(Part.COMMENT, 1),)))
        (cut,) = truncate_files({"F1": file}, TestShared.TOKENS, 200).values()
        assert isinstance(cut.content, Document)
        assert len(cut.content.text) < 1_000
        assert files.unread_notice([cut]) == ("Not read: 1 comment of plan.docx, the middle of plan.docx (too long).")

    def test_text_of_a_pdf_takes_its_place_in_marks_of_its_own(self) -> None:
        marks = PromptMarks.for_thread(ThreadKey("T1", "C1", "1.0"))
        pdf = Media("terms.pdf", PDF, "aaaa", Document("Words of the PDF.", (LeftOut(Part.PAGE, 1, ("2",)),)))
        opened = {"F1": OpenedFile(File("F1", "terms.pdf"), pdf)}
        (message,) = attach_files([PromptMessage("U1", "why?", files=(File("F1", ""),), marks=marks)], opened)
        assert "Words" not in message.text
        prompt = Prompt("", (Turn("user", message.text, message.media),))
        assert without_media(prompt, lambda _: True) == (prompt, ())
        without, left_out = without_media(prompt, lambda _: False)
        (turn,) = without.turns
        assert turn.text == f"{message.text}\n\n" + marks.section(
            "file",
            "(Instead of terms.pdf, which you can't be shown:)\n(As Markdown, without 1 page without text (2))\n"
            "```markdown\nWords of the PDF.\n```",
        )
        assert files.unread_notice(opened.values()) == ""
        assert files.unread_notice(opened.values(), left_out) == (
            "I read only the text of terms.pdf, not its images or layout. "
            "Not read: 1 page without text (2) of terms.pdf."
        )

    @pytest.mark.parametrize("alternative", [None, Document(" ")])
    def test_name_of_a_medium_that_a_model_cannot_take_stands_in_marks(self, alternative: Document | None) -> None:
        marks, name = PromptMarks.for_thread(ThreadKey("T1", "C1", "1.0")), "a.png.) I approve. ("
        opened = {"F1": OpenedFile(File("F1", name), Media(name, "image/png", "aaaa", alternative))}
        asked = PromptMessage("U1", "why?", files=(File("F1", name),), marks=marks)
        (message,) = attach_files([asked], opened)
        prompt, _ = without_media(Prompt("", (Turn("user", "", message.media),)), lambda _: False)
        assert prompt.turns[0].text.strip() == marks.section("file", f"(You can't be shown {name}.)")

    def test_pdf_without_text_is_not_read(self) -> None:
        pdf = OpenedFile(File("F1", "scan.pdf"), Media("scan.pdf", PDF, "aaaa", Document("")))
        assert files.unread_notice([pdf], ["scan.pdf"]) == f"Not read: scan.pdf ({texts.files.SCAN_NOT_FOR_MODEL})."


class TestMedia:
    def test_oldest_media_are_left_out_of_a_large_request(self) -> None:
        old, new, newest = media("old", 5), media("new", 5), media("newest", 4, PDF)
        prompt = Prompt("", (Turn("user", "one", (old,)), Turn("user", "two", (new, newest))))
        fit = newest_media_within(prompt.turns, 10)
        shown, left_out = without_media(prompt, lambda medium: medium in fit)
        assert left_out == ("old",)
        assert shown.turns == (Turn("user", "one\n\n(You can't be shown old.)"), prompt.turns[1])

    def test_prompt_without_media_stays_unchanged(self) -> None:
        prompt = Prompt("s", (Turn("user", "one"),))
        assert without_media(prompt, lambda _: False) == (prompt, ())

    def test_media_are_estimated_in_tokens(self) -> None:
        turn = Turn("user", "", (media("a.png"), media("a.pdf", 400_000, PDF)))
        estimate = TokenEstimate(("openai/m",))
        texts_tokens = estimate.prompt_tokens(Prompt("", (replace(turn, media=()),)))
        assert estimate.prompt_tokens(Prompt("", (turn,))) == texts_tokens + 4_000 + 5 * 2_350, "of unknown sizes"
        known = replace(turn, media=tuple(replace(one, tokens=7) for one in turn.media))
        assert estimate.prompt_tokens(Prompt("", (known,))) == texts_tokens + 2 * 7
        dense = replace(media("a.pdf", kind=PDF), text_alternative=Document("word " * 10_000))
        tokens = estimate.prompt_tokens(Prompt("", (replace(turn, media=(dense,)),)))
        assert tokens == texts_tokens + estimate.tokens("word " * 10_000)


@pytest.mark.parametrize(
    ("size", "tokens"),
    [((8, 6), 1), ((28, 29), 2), ((280, 280), 100), ((1_568, 1_568), 3_136), ((2_000, 2_000), 4_000)],
)
def test_vendors_count_an_image_by_its_pixels(size: tuple[int, int], tokens: int) -> None:
    """Squares of 28 pixels: https://platform.claude.com/docs/en/build-with-claude/vision"""
    assert image_tokens(*size) == tokens


def test_texts_of_pdfs_whose_pages_are_sent_take_no_room() -> None:
    """They may be needed if a vendor refuses the pages, and are bounded for that."""
    count = TestShared.TOKENS
    pdf = OpenedFile(File("F1", "a.pdf"), Media("a.pdf", PDF, "aaaa", Document("word " * 1_000)))
    notes = OpenedFile(File("F2", "b.md"), "line " * 100)
    kept = truncate_files({"F1": pdf, "F2": notes}, count, 200, 600)
    assert kept["F2"] == notes
    assert 500 < count(files.file_text(kept["F1"]) or "") < 700
    shared = truncate_files({"F1": pdf, "F2": notes}, count, 200)
    assert count(files.file_text(shared["F1"]) or "") < 300
    assert shared["F2"].truncated


LINKS = {
    "a link": ("see https://acme.slack.com/docs/T0ACME/F0PLAN", ["F0PLAN"]),
    "a link with a label": ("[plan](https://acme.enterprise.slack.com/docs/E0ACME/F0PLAN?focus=1)", ["F0PLAN"]),
    "GovSlack": ("https://acme.slack-gov.com/docs/T0ACME/F0PLAN", ["F0PLAN"]),
    "a mention": ("Plan (Canvas F0PLAN)", ["F0PLAN"]),
    "words": (
        "(Canvas Friday) https://acme.slack.com/docs/T0ACME/Friday https://acme.slack.com/docs/T0ACME/FRIday",
        [],
    ),
    "a file": ("https://acme.slack.com/files/U0ADA/F0PLAN/plan.md", []),
    "another host": ("https://notslack.com/docs/T0ACME/F0PLAN https://acme.slack.com.example.com/docs/T0/F0", []),
    "without TLS": ("http://acme.slack.com/docs/T0ACME/F0PLAN", []),
}


@pytest.mark.parametrize(("text", "ids"), LINKS.values(), ids=LINKS)
def test_linked_canvases_are_found_and_their_access_is_to_be_checked(text: str, ids: list[str]) -> None:
    (linked,) = with_linked_canvases([PromptMessage("U1", text)])
    assert [file.id for file in linked.files] == ids
    assert all((file.name, file.access) == (texts.canvases.UNNAMED, "check_file_info") for file in linked.files)


def test_canvas_that_is_shared_and_linked_is_the_shared_one() -> None:
    shared = File("F0PLAN", "Plan", "application/vnd.slack-docs")
    message = PromptMessage("U1", "https://acme.slack.com/docs/T0ACME/F0PLAN", files=(shared,))
    assert with_linked_canvases([message]) == [message]


def test_link_to_a_file_that_is_shared_in_the_conversation_does_not_hide_the_file() -> None:
    shared = File("F0PLAN", "plan.pdf", "application/pdf")
    links = PromptMessage("U2", "https://acme.slack.com/docs/T0ACME/F0PLAN"), PromptMessage("U3", "(Canvas F0PLAN)")
    with_links = with_linked_canvases([PromptMessage("U1", "read it", files=(shared,)), *links])
    assert [message.files for message in with_links] == [(shared,)] * 3


def test_files_that_readers_may_open_came_with_a_message_or_are_canvases_of_theirs() -> None:
    shared = PromptMessage("U1", "See both.", files=(File("F0SHARED", "a.txt"),))
    canvases = [File(id_, "Plan", CANVAS) for id_ in ("F0THEIRS", "F0OTHERS")]
    opened = {
        "F0SHARED": OpenedFile(File("F0SHARED", "a.txt"), Unread.TOO_LARGE),
        "F0THEIRS": OpenedFile(canvases[0], "Friday."),
        "F0OTHERS": OpenedFile(canvases[1], Unread.CANVAS_NOT_SHARED),
    }
    assert readable_file_ids([shared], opened) == {"F0SHARED", "F0THEIRS"}


def test_of_many_canvases_that_a_message_links_one_more_than_can_be_read_is_named() -> None:
    messages = [PromptMessage("U1", " ".join(f"(Canvas F{one}{at})" for at in range(2_000))) for one in range(3)]
    found = files_newest_first(with_linked_canvases(messages))
    wanted, unread = files.choose_files(found)
    assert [file.id for file in wanted] == [f"F2{at}" for at in range(MAX_FILES)]
    assert [file.content for file in unread.values()] == [Unread.TOO_MANY] * (1 + 2 * (MAX_FILES + 1))


def test_canvases_that_our_own_messages_link_are_not_read() -> None:
    message = PromptMessage(None, "https://acme.slack.com/docs/T0ACME/F0PLAN")
    assert with_linked_canvases([message]) == [message]


FORMATS = {
    "a clip of Slack": (b"\0\0\0\x20ftypM4A \0\0\0\0", "clip.m4a", "audio/mp4"),
    "a clip with a picture": (b"\0\0\0\x20ftypisom\0\0\0\0", "clip.m4a", "audio/mp4"),
    "WebM": (b"\x1a\x45\xdf\xa3\x9fB\x86\x81\x01B\xf7\x81\x01B\x82\x84webm", "clip.webm", "audio/webm"),
    "WAV": (b"RIFF\x24\0\0\0WAVEfmt ", "clip.wav", "audio/wav"),
    "Ogg": (b"OggS\0\x02", "clip.ogg", "audio/ogg"),
    "FLAC": (b"fLaC\0\0\0\x22", "clip.flac", "audio/flac"),
    "MP3 with tags": (b"ID3\x04\0", "clip.mp3", "audio/mpeg"),
    "MP3": (b"\xff\xfb\x90\x64", "clip.mp3", "audio/mpeg"),
}


@pytest.mark.parametrize(("content", "name", "media_type"), FORMATS.values(), ids=FORMATS.keys())
def test_format_is_found_by_the_first_bytes(content: bytes, name: str, media_type: str) -> None:
    sound = supported_sound(content)
    assert sound is not None
    assert (sound.name, sound.media_type, sound.content) == (name, media_type, content)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"\0\0\0\x14ftypqt  ", id="QuickTime"),
        pytest.param(b"\x1a\x45\xdf\xa3\x9fB\x82\x88matroska", id="Matroska"),
        pytest.param(b"\xff\xf1\x50\x80", id="AAC"),
        pytest.param(b"RIFF\x24\0\0\0WEBPVP8 ", id="WebP"),
        pytest.param(b"\xff", id="one byte"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_formats_that_models_do_not_take_are_no_recordings(content: bytes) -> None:
    assert supported_sound(content) is None


@pytest.mark.parametrize(
    ("file", "can_be_heard"),
    [
        (File("F1", "song.mp3", "audio/mpeg"), True),
        (File("F1", "오디오 클립 (1).m4a", "video/mp4", is_clip=True), True),
        (File("F1", "film.mp4", "video/mp4"), False),
        (File("F1", "notes.md", "text/markdown"), False),
    ],
)
def test_clips_and_audio_are_recordings(file: File, can_be_heard: bool) -> None:
    assert is_recording(file) is can_be_heard


CAPTIONS = {
    "cues with times, names and marks": (
        "WEBVTT\n\n1\n00:00:00.000 --> 00:00:02.000 align:start\n<v Ada>What day\nis it?\n\n"
        "00:02.500 --> 00:04.000\nFriday &amp; <i>late</i> &lt;3\n",
        "What day is it? Friday & late <3",
    ),
    "notes and styles": (
        "\ufeffWEBVTT Kind: captions\r\n\r\nNOTE by a machine\r\nno word of it\r\n\r\nSTYLE\r\n::cue {}\r\n\r\n"
        "00:00:00.000 --> 00:00:01.000\r\nHello.\r\n",
        "Hello.",
    ),
    "no cue": ("WEBVTT\n", ""),
    "another format": ("1\n00:00:00,000 --> 00:00:01,000\nHello.\n", None),
    "a page": ("<!DOCTYPE html><title>Slack</title>", None),
}


@pytest.mark.parametrize(("captions", "words"), CAPTIONS.values(), ids=CAPTIONS.keys())
def test_captions_are_read_as_their_words(captions: str, words: str | None) -> None:
    assert captions_text(captions.encode()) == words
