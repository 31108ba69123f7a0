"""Text below an answer about unread files, such as "Not read: a.zip (a file type I can't read)." """

from collections.abc import Sequence
from enum import Enum

from bot.core.texts.words import listed

READABLE = "PDFs, Office and OpenDocument files, emails, web pages, text, images and voice clips"


class Unread(Enum):
    """The reason a file isn't read. The value is shown in parentheses after the file's name."""

    KIND = f"a file type I can't read; I can read {READABLE}"
    IMAGE_KIND = "an image type I can't read; save it as JPEG or PNG"
    OLD_FORMAT = "an old Word or PowerPoint format; save it as .docx or .pptx"
    EXTRA = "reading this format requires my “files” extra, which isn't installed"
    DAMAGED = "damaged"
    PROTECTED = "password-protected"
    TOO_LARGE = "too large to unpack and read"
    TOO_MANY_PIXELS = "too many pixels; send a smaller copy"
    TOO_BIG = "larger than 20 MB"
    TOO_MUCH = "the files together are larger than 50 MB"
    TOO_MANY = "I read five files at a time, starting with the newest message"
    SCOPE = "this app needs the files:read scope"
    EXTERNAL = "stored outside Slack"
    DELETED = "deleted"
    HIDDEN = "hidden by your Slack plan's limits"
    NO_ACCESS = "Slack won't let me open it"
    FAILED = "Slack didn't deliver it"
    TOO_SLOW = "the download took too long"
    BUSY = "I'm too busy to read it now"
    REFUSED = "the model's provider rejected it"
    TOO_LARGE_FOR_MODEL = "too large for the model's provider"
    TOO_MUCH_FOR_MODEL = "too much together for this model"
    CANVAS_SCOPE = "a workspace admin must give this app the canvases:read scope"
    CANVAS_NOT_SHARED = "not shared in this conversation"
    CANVAS_NOT_FOUND = "deleted, or not shared with me"
    CLIP_UNHEARD = (
        "no transcript: open its transcript in Slack and press Regenerate, "
        "or ask your Typist admin to turn on transcription with BOT_TRANSCRIBE"
    )
    UNHEARD = "your Typist admin can turn on transcription with BOT_TRANSCRIBE"
    NOT_HEARD = "I couldn't transcribe it; press Regenerate to try again"


SCAN_NOT_FOR_MODEL = "it has no text, and this model can't look at its pages"
IMAGE_NOT_FOR_MODEL = "this model can't look at images"
FILE_UNNAMED = "a file"


def numbered_name(name: str, number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{name} ({number}{ending})"


def file_not_read(name: str, reason: str) -> str:
    return f"{name} ({reason})"


def too_long(part: str, name: str) -> str:
    return f"{part} of {name} (too long)"


def first_pictures_read(name: str, count: int) -> str:
    """Returns the item for an image with too many pages or an animation, of which only the beginning was read."""
    return f"all but the first {'picture' if count == 1 else f'{count} pages'} of {name}"


def pages_seen(name: str, count: int) -> str:
    return f"I saw the {count} pages of {name} as images."


def only_text_read(names: Sequence[str]) -> str:
    return f"I read only the text of {listed(names)}, not {'its' if len(names) == 1 else 'their'} images or layout."


def charset_guessed(files: Sequence[tuple[str, str]]) -> str:
    names = ", ".join(f"{name} ({charset})" for name, charset in files)
    return f"I guessed the character encoding, so some letters might be wrong: {names}."


MIDDLE = "the middle"
END = "the end"
BINARY_SHEET = "number formats, which rows and columns are hidden"
OLD_SHEET = "links, comments, charts"


def omitted_parts(part: str, count: int, names: Sequence[str]) -> str:
    """Describes unread parts, such as "2 hidden sheets (Prices, Old)". `part`: a value of documents.Part."""
    noun, _, rest = part.partition(" without ")
    ending = "" if count == 1 else "es" if noun.endswith("x") else "s"
    plural = f"{noun}{ending}{f' without {rest}' if rest else ''}"
    named = ", ".join([*names, *(["…"] if len(names) < count else [])])
    return f"{count} {plural}{f' ({named})' if names else ''}"


def parts_not_read(parts: Sequence[str], name: str) -> str:
    """Returns the item for a file with unread parts, such as "1 hidden sheet (Prices), 2 comments of plan.xlsx"."""
    return f"{', '.join(parts)} of {name}"


def files_not_read(files: Sequence[str], unnamed: int) -> str:
    return f"Not read: {', '.join([*files, *([f'and {unnamed} more'] if unnamed else [])])}."
