"""Files: which are asked for, what their bytes are, how the model is told of them and the reader of the rest."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from PIL import Image

from bot.core import texts
from bot.core.conversation import File, Media, Prompt, Turn
from bot.core.inbound import files, shared_files
from bot.core.inbound.files import MOST_FILES, OpenedFile, Unread
from bot.core.inbound.prompt import PromptMessage
from bot.core.inbound.tokens import TokenEstimate, media_tokens
from bot.slack import images

NOTES = File("F1", "notes.md")


def some(count: int) -> list[File]:
    return [File(f"F{number}", f"{number}.txt") for number in range(count)]


def media(name: str, size: int = 4, kind: str = "image/png") -> Media:
    return Media(name, kind, "a" * size)


def picture(kind: str, size: tuple[int, int], mode: str = "RGB") -> bytes:
    packed = io.BytesIO()
    Image.new(mode, size).save(packed, kind)
    return packed.getvalue()


class TestChosen:
    def test_the_first_count_and_one_that_cannot_be_read_takes_no_place(self) -> None:
        song = File("F9", "song.mp3", "audio/mpeg")
        wanted, unread = files.choose_files([song, *some(7), song])
        assert [file.id for file in wanted] == ["F0", "F1", "F2", "F3", "F4"]
        assert {file_id: each.content for file_id, each in unread.items()} == {
            "F9": Unread.KIND,
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
            ("image/heic", Unread.KIND),
            ("audio/mp4", Unread.KIND),
            ("video/mp4", Unread.KIND),
            ("application/zip", Unread.KIND),
            ("application/x-7z-compressed", Unread.KIND),
            ("application/msword", Unread.KIND),
            ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", Unread.KIND),
            ("application/vnd.slack-docs", Unread.KIND),
        ],
    )
    def test_by_what_slack_says_it_is(self, mimetype: str, reason: Unread | None) -> None:
        assert files.reason_not_to_read(File("F1", "f", mimetype)) is reason


class TestBytes:
    @pytest.mark.parametrize(
        ("content", "kind"),
        [
            (picture("PNG", (1, 1)), "image/png"),
            (picture("JPEG", (1, 1)), "image/jpeg"),
            (picture("WEBP", (1, 1)), "image/webp"),
            (picture("GIF", (1, 1)), "image/gif"),
            (b"%PDF-1.4\n", "application/pdf"),
            (b"\n\n%PDF-1.4\n", "application/pdf"),
            (b"RIFF....WAVE", ""),
            (b"", ""),
        ],
    )
    def test_begin_as_what_they_are(self, content: bytes, kind: str) -> None:
        assert files.detect_media_type(content) == kind

    @settings(max_examples=100, deadline=None)
    @given(st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufeff")))
    def test_of_text_are_that_text(self, text: str) -> None:
        assert files.decode_text(text.encode()) == text
        assert files.decode_text(text.encode("utf-8-sig")) == text
        assert files.decode_text(text.encode("utf-16")) == text

    @settings(max_examples=200, deadline=None)
    @given(st.binary())
    def test_of_anything_are_text_or_not(self, content: bytes) -> None:
        text = files.decode_text(content)
        assert text is None or "\0" not in text

    @pytest.mark.parametrize(
        ("mimetype", "content_type", "content", "sign_in"),
        [
            ("image/png", "text/html", b"<html>", True),
            ("image/png", "image/png", b"<title>Sign in | Slack</title>", False),
            ("text/html", "text/html", b"<title>Ours</title>", False),
            ("text/html", "text/html; charset=utf-8", b"<html><title>Sign in | Slack</title>", True),
        ],
    )
    def test_may_be_slacks_page_for_signing_in(
        self, mimetype: str, content_type: str, content: bytes, sign_in: bool
    ) -> None:
        assert files.is_sign_in_page(File("F1", "f", mimetype), content_type, content) is sign_in


class TestImages:
    def test_that_will_do_are_left_as_they_are(self) -> None:
        content = picture("PNG", (3000, 20))
        assert images.prepared(content, "image/png") == (content, "image/png")

    def test_that_move_are_their_first_frame(self) -> None:
        packed = io.BytesIO()
        Image.new("RGB", (8, 6), "teal").save(
            packed, "WEBP", save_all=True, append_images=[Image.new("RGB", (8, 6), "red")]
        )
        content, kind = images.prepared(packed.getvalue(), "image/webp")
        with Image.open(io.BytesIO(content)) as image:
            red, green, blue = image.convert("RGB").getpixel((0, 0))  # type: ignore[misc]
        assert (kind, red < 20, green > 110, blue > 110) == ("image/png", True, True, True)

    @pytest.mark.parametrize("mode", ["P", "L", "LA", "RGBA", "CMYK"])
    def test_of_any_colours_are_packed_anew(self, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(images, "MOST_IMAGE_BYTES", 10)
        kind = "JPEG" if mode == "CMYK" else "PNG"
        content, media_type = images.prepared(picture(kind, (2100, 700), mode), f"image/{kind.lower()}")
        assert media_type == "image/jpeg"
        assert Image.open(io.BytesIO(content)).size == (2048, 683)

    def test_that_unpack_to_too_much_are_refused(self) -> None:
        with pytest.raises(ValueError, match="pixels"):
            images.prepared(picture("PNG", (7000, 7000), "1"), "image/gif")

    @settings(max_examples=50, deadline=None)
    @given(st.binary(max_size=60))
    def test_that_are_none_are_refused(self, content: bytes) -> None:
        with pytest.raises(ValueError):
            images.prepared(b"GIF89a" + content, "image/gif")


class TestTold:
    @settings(max_examples=100, deadline=None)
    @given(name=st.text(), text=st.text("`~a\n ", max_size=60).filter(str.strip))
    def test_a_files_text_never_ends_its_fence(self, name: str, text: str) -> None:
        said = files.file_label(OpenedFile(File("F1", name), text))
        (fence,) = [token for token in MarkdownIt().parse(said) if token.type == "fence"]
        assert said.endswith(fence.markup)
        assert fence.map is not None
        assert fence.map[1] == len(said.splitlines())

    @settings(max_examples=50, deadline=None)
    @given(st.lists(st.text(max_size=300), max_size=40))
    def test_the_reader_is_told_in_one_short_line(self, names: list[str]) -> None:
        opened = [OpenedFile(File(f"F{n}", name), Unread.KIND) for n, name in enumerate(names)]
        line = files.unread_notice(opened)
        assert len(line.splitlines()) == min(1, len(names))
        assert len(line) < 1_000

    def test_no_name_turns_what_follows_it_around(self) -> None:
        opened = OpenedFile(File("F1", "a\u202egpj.exe"), Unread.KIND)
        assert files.unread_notice([opened]) == f"Not read: agpj.exe ({texts.FILE_TYPE})."

    def test_an_empty_file_is_said_to_be_empty(self) -> None:
        assert files.file_label(OpenedFile(File("F1", "a.txt"), " \n")) == "(Attached: a.txt, which is empty)"

    def test_more_than_a_few_are_counted(self) -> None:
        line = files.unread_notice([OpenedFile(file, Unread.TOO_MANY) for file in some(9)])
        assert line.startswith(f"Not read: 0.txt ({texts.TOO_MANY_FILES}), 1.txt ")
        assert line.endswith(f"5.txt ({texts.TOO_MANY_FILES}), and 3 more.")

    def test_what_the_model_was_not_given_is_told_as_well(self) -> None:
        opened = [OpenedFile(NOTES, "text"), OpenedFile(File("F2", "a.png"), media("a.png"))]
        assert files.unread_notice(opened) == ""
        assert files.unread_notice(opened, ("a.png",)) == f"Not read: a.png ({texts.FILE_NOT_FOR_MODEL})."


class TestShared:
    TOKENS = TokenEstimate(("openai/m",)).tokens

    def test_the_questions_files_come_first_and_then_the_newest(self) -> None:
        said = [
            PromptMessage("U1", "", files=tuple(some(2))),
            PromptMessage(None, "ok"),
            PromptMessage("U1", "", files=(NOTES,)),
        ]
        assert [file.id for file in shared_files.files_newest_first(said)] == ["F1", "F0", "F1"]
        assert list(shared_files.file_ids_since_answer(said)) == ["F1"]

    def test_a_file_shared_twice_is_shown_where_it_came_last(self) -> None:
        said = [PromptMessage("U1", "first", files=(NOTES,)), PromptMessage("U1", "again", files=(NOTES,))]
        first, again = shared_files.attach_files(said, {"F1": OpenedFile(NOTES, "All is well.")})
        assert first.text == "first"
        assert "All is well." in again.text

    @settings(max_examples=100, deadline=None)
    @given(
        texts=st.lists(st.text("aé世 \n", min_size=1).map(lambda text: text * 50), max_size=MOST_FILES),
        limit=st.integers(50, 5_000),
    )
    def test_texts_take_no_more_than_their_share(self, texts: list[str], limit: int) -> None:
        opened = {str(n): OpenedFile(File(str(n), f"{n}.txt"), text) for n, text in enumerate(texts)}
        short = shared_files.truncate_files(opened, self.TOKENS, limit)
        mark_tokens = 40
        assert sum(self.TOKENS(str(each.content)) for each in short.values()) <= limit * 1.3 + mark_tokens * len(texts)
        for file_id, each in short.items():
            assert each.truncated == (each.content != opened[file_id].content)
        whole = sum(self.TOKENS(text) for text in texts)
        assert whole > limit or short == opened


class TestMedia:
    def test_what_is_too_much_for_a_request_is_the_oldest(self) -> None:
        old, new, newest = media("old", 5), media("new", 5), media("newest", 4, files.PDF)
        prompt = Prompt("", (Turn("user", "one", (old,)), Turn("user", "two", (new, newest))))
        fit = files.newest_media_within(prompt.turns, 10)
        told, left_out = files.without_media(prompt, lambda each: each in fit)
        assert left_out == ("old",)
        assert told.turns == (Turn("user", "one\n\n(You can't be shown old.)"), prompt.turns[1])

    def test_a_prompt_without_media_is_as_it_was(self) -> None:
        prompt = Prompt("s", (Turn("user", "one"),))
        assert files.without_media(prompt, lambda _: False) == (prompt, ())

    def test_counts_in_tokens_roughly(self) -> None:
        turn = Turn("user", "", (media("a.png"), media("a.pdf", 400_000, files.PDF)))
        assert media_tokens(Prompt("", (turn,))) == 1_600 + 5 * 2_000
