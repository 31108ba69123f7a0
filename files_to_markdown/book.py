"""Converts books (epub) to Markdown. A book is an archive of web pages, which are read in the order of its spine."""

import posixpath
from urllib.parse import unquote
from xml.etree.ElementTree import Element

from files_to_markdown.archive import Archive, attribute, local_name
from files_to_markdown.charsets import decode
from files_to_markdown.document import Draft, Obstacle, Part, Unreadable
from files_to_markdown.markup import read_html

CONTAINER = "META-INF/container.xml"
_RIGHTS = "META-INF/encryption.xml"


def read_book(archive: Archive, draft: Draft) -> None:
    package = _first_attribute(archive.xml(CONTAINER), "rootfile", "full-path")
    root = archive.xml(package)
    folder = posixpath.dirname(package)
    items = {attribute(one, "id"): one for one in root.iter() if local_name(one) == "item"}
    names = []
    for reference in (one for one in root.iter() if local_name(one) == "itemref"):
        if (item := items.get(attribute(reference, "idref"))) is not None:
            names.append(posixpath.normpath(posixpath.join(folder, unquote(attribute(item, "href")))))
    # Publishers also encrypt fonts, which doesn't matter.
    encrypted = archive.bytes_of(_RIGHTS).decode(errors="replace")
    if names and all(name in encrypted for name in names):
        raise Unreadable(Obstacle.PROTECTED)
    for name in names:
        if letters := decode(archive.bytes_of(name)):
            draft.record_guess(letters.guess)
            read_html(letters.text, draft)
    kinds = [attribute(item, "media-type") for item in items.values()]
    draft.record_left_out(Part.PICTURE, count=sum(kind.startswith("image/") for kind in kinds))


def _first_attribute(root: Element, name: str, attribute_name: str) -> str:
    return next(attribute(one, attribute_name) for one in root.iter() if local_name(one) == name)
