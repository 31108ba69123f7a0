"""Prints a file's text (`python -m files_to_markdown FILE`), for people who report a bug.

Parts that were left out are listed on stderr. Exits with 1 and the reason if the file can't be read.
"""

import asyncio
import signal
import sys
from pathlib import Path

from files_to_markdown.document import MAX_DOCUMENT_BYTES, ConvertedImage, Document, Format, Obstacle, short_text
from files_to_markdown.kind import document_kind, is_pdf
from files_to_markdown.process import convert_image, read_document

_REASONS = {
    Obstacle.KIND: "nothing here reads its format",
    Obstacle.OLD_FORMAT: "its format is older than 2007: save it as docx or pptx",
    Obstacle.NOT_INSTALLED: "the packages that read its format aren't installed",
    Obstacle.DAMAGED: "it is damaged",
    Obstacle.PROTECTED: "it is protected by a password",
    Obstacle.TOO_LARGE: "that would take too much memory or time",
    Obstacle.TOO_SLOW: "the machine was too busy: try again",
    Obstacle.TOO_MANY_PIXELS: "it has too many pixels",
}


async def read_file(name: str, content: bytes) -> Document | ConvertedImage | Obstacle:
    """Returns a file's text, the converted image, or the reason why the file can't be read."""
    kind = Format.PDF if is_pdf(content) else document_kind(name, "", content)
    if kind is None and (text := short_text(content)) is not None:
        return Document(text, is_markdown=False)
    read = await read_document(kind or Format.TEXT, content)
    if read is not Obstacle.KIND:
        return read
    converted = await convert_image(content)
    return read if converted is Obstacle.DAMAGED else converted


def main() -> None:
    # The reader of the output may close it early.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    if len(sys.argv) != 2:
        sys.exit("Usage: python -m files_to_markdown FILE")
    path = Path(sys.argv[1])
    try:
        with path.open("rb") as file:
            content = file.read(MAX_DOCUMENT_BYTES)
    except OSError as error:
        sys.exit(f"{path} can't be opened: {error.strerror}.")
    match asyncio.run(read_file(path.name, content)):
        case Document() as document:
            print(document.text)
            for part in document.left_out:
                names = f": {', '.join(part.names)}" if part.names else ""
                print(f"Left out: {part.part} × {part.count}{names}", file=sys.stderr)
            if document.guessed_charset:
                print(f"Read as {document.guessed_charset}, which is a guess.", file=sys.stderr)
        case ConvertedImage() as image:
            more = ", and has pages or frames that aren't shown" if image.has_more else ""
            kinds = ", ".join(page.media_type for page in (image, *image.other_pages))
            print(f"An image. It becomes {kinds}{more}.", file=sys.stderr)
        case obstacle:
            sys.exit(f"{path} can't be read: {_REASONS[obstacle]}.")


if __name__ == "__main__":
    main()
