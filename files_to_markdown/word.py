"""Converts Word documents (docx) to Markdown. mammoth reads the body with its footnotes, insertions and comments.

However, mammoth skips unknown elements with all of their text, and can fail on references to missing parts. So the file
is rewritten first (word_parts.py), until it contains only valid references and elements that mammoth knows. List
numbers are counted beforehand (numbering.py). This module reads headers, footers, charts and diagrams itself.
"""

import io
import posixpath
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from files_to_markdown.archive import Archive, attribute, child, external_urls, is_off, local_name, relations_of
from files_to_markdown.charts import add_chart, add_diagram
from files_to_markdown.document import Draft, DraftFull, Obstacle, Part, Unreadable
from files_to_markdown.markup import format_script, merge_strikethrough, read_html, strike_out
from files_to_markdown.word_parts import LIST_ID, MAX_LISTED, Rewriter, Styles

_MAX_XML_BYTES, _MAX_NOTES_BYTES = 3 * 2**20, 2**20
"""The maximum size of the main text, and of each part with notes. mammoth takes a second for 1.5 MB."""
_MAX_ELEMENTS = 120_000
"""Maximum number of elements in a text. Each one takes up a kilobyte once it has been read."""
_BATCH_ELEMENTS = 20_000
"""The batch size for mammoth. If time runs out, the batches that are finished form the beginning of the document."""
_CHUNK = "\U0010fffd"
"""A character that no script uses, which marks the position of a joined file."""
_NOTES = ("footnotes", "endnotes", "comments")
_NOTED = frozenset(("footnoteReference", "endnoteReference", "commentReference"))
_RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
_TYPES = '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>'
_STYLE_MAP = "\n".join(
    [
        "comment-reference => sup",
        *(f"p.Heading{level} => h{level}:fresh" for level in range(1, 7)),
        *(
            f"p:unordered-list({depth}) => {'ul > li > ' * (depth - 1)}ul > li:fresh"
            for depth in range(1, MAX_LISTED + 2)
        ),
    ]
)


def read_word(archive: Archive, main: str, draft: Draft, join: Callable[[str, str, bytes], None]) -> None:
    """Reads a docx file into a draft. `join`: adds a file that Word inserts when it opens the document, given its name,
    type and bytes. It can raise Unreadable."""
    import mammoth

    folder = posixpath.dirname(main)
    # Office programs don't write a DOCTYPE. mammoth doesn't load anything because of it, but would silently drop
    # content that refers to it.
    if archive.count(rf"{re.escape(folder)}/[^/]*\.xml", b"<!DOCTYPE"):
        raise Unreadable(Obstacle.DAMAGED)
    parts = _Parts(archive, main)
    styles = Styles(parts.xml("styles"), parts.xml("numbering"))
    _add_headers(parts, styles, draft)
    body = Rewriter(styles, external_urls(archive, main), parts.note_ids(), draft)
    chunks: list[str] = []
    pieces: list[str] = []
    for file in _rewritten_files(parts, styles, body, chunks, draft):
        html = mammoth.convert_to_html(
            file,
            style_map=_STYLE_MAP,
            # A style map in the file could hide paragraphs.
            include_embedded_style_map=False,
            include_default_style_map=False,
        ).value
        pieces = html.split(f"<p>{_CHUNK}</p>")
        # If the text contains the mark, it isn't known where files belong.
        pieces = pieces if len(pieces) == len(chunks) + 1 else [html]
        for at, piece in enumerate(pieces):
            read_html(piece, draft, labeled=True)
            if at < len(pieces) - 1:
                _join_chunk(parts, chunks[at], join, draft)
    draft.record_left_out(Part.END, count=not parts.is_complete)
    for id_ in [*chunks[len(pieces) - 1 :], *body.chunks]:
        _join_chunk(parts, id_, join, draft)
    for id_ in body.charts:
        if not parts.has_part(id_):
            draft.record_left_out(Part.CHART)
        else:
            add_chart(archive.xml(parts.related[id_][1]), draft)
    for id_ in body.diagrams:
        if not parts.has_part(id_):
            draft.record_left_out(Part.DIAGRAM)
        else:
            add_diagram(archive.xml(parts.related[id_][1]), draft)


def _join_chunk(parts: "_Parts", id_: str, join: Callable[[str, str, bytes], None], draft: Draft) -> None:
    """Adds a file that Word inserts when it opens the document, or reports it as an attachment."""
    if not parts.has_part(id_):
        draft.record_left_out(Part.ATTACHMENT)
        return
    name = parts.related[id_][1]
    try:
        join(name, parts.archive.type_of(name), parts.archive.bytes_of(name))
    except (DraftFull, MemoryError):
        raise
    except Exception:
        # The file can be damaged in any way, but the document isn't.
        draft.record_left_out(Part.ATTACHMENT)


def _mark_chunks(document: Element) -> list[str]:
    """Marks the position of each file that is inserted between paragraphs, and returns the files' IDs."""
    namespace = "".join(document.tag.rpartition("}")[:2])
    body = child(document, "body")
    ids = []
    for element in document if body is None else body:
        if local_name(element) == "altChunk":
            ids.append(attribute(element, "id"))
            element.tag, element[:] = f"{namespace}p", [Element(f"{namespace}r")]
            ElementTree.SubElement(element[0], f"{namespace}t").text = _CHUNK
    return ids


class _Parts:
    def __init__(self, archive: Archive, main: str) -> None:
        self.archive = archive
        self.main = main
        self.related = dict(relations_of(archive, main))
        self._folder = posixpath.dirname(main)
        self.is_complete = True
        """Whether the text and its notes have been read in full."""

    def name(self, kind: str) -> str:
        found = [target for related, target in self.related.values() if related == kind]
        known = set(self.archive.names)
        return next((name for name in (*found, f"{self._folder}/{kind}.xml".lstrip("/")) if name in known), "")

    def xml(self, kind: str) -> Element | None:
        if not (name := self.name(kind)):
            return None
        return self.beginning(name, _MAX_NOTES_BYTES) if kind in _NOTES else self.archive.xml(name)

    def beginning(self, name: str, max_bytes: int) -> Element:
        """Returns the beginning of a part, without the last paragraph, table or note if that might be incomplete."""
        root, is_whole = self.archive.beginning(name, max_bytes)
        self.is_complete = self.is_complete and is_whole
        body = child(root, "body")
        blocks = root if body is None else body
        # A table that is longer than the limit isn't dropped, because its first rows are complete.
        if not is_whole and len(blocks) > 1:
            del blocks[-1]
        ends = accumulate(sum(1 for _ in block.iter()) for block in blocks)
        if over := next((at for at, count in enumerate(ends) if at and count > _MAX_ELEMENTS), 0):
            del blocks[over:]
            self.is_complete = False
        return root

    def has_part(self, id_: str) -> bool:
        return id_ in self.related and self.related[id_][1] in self.archive.names

    def headers(self) -> Iterator[str]:
        listed = self.archive.names_matching(rf"{re.escape(self._folder)}/(?:header|footer)\d*\.xml")
        related = (target for kind, target in self.related.values() if kind in ("header", "footer"))
        yield from (name for name in dict.fromkeys([*listed, *related]) if name in self.archive.names)

    def note_ids(self) -> Mapping[str, frozenset[str]]:
        roots = {kind: self.xml(kind) for kind in _NOTES}
        return {
            kind: frozenset() if root is None else frozenset(attribute(note, "id") for note in root)
            for kind, root in roots.items()
        }


def _add_headers(parts: _Parts, styles: Styles, draft: Draft) -> None:
    seen = set()
    for name in parts.headers():
        root = parts.archive.xml(name)
        Rewriter(styles, {}, {}, draft).rewrite(root)
        text = f"{'Header' if local_name(root) == 'hdr' else 'Footer'}: {line_of(root)}"
        if text not in seen and not text.endswith(": "):
            draft.add(text)
        seen.add(text)


def line_of(root: Element) -> str:
    pieces: list[str] = []
    sign, is_struck = "", False
    for part in root.iter():
        name = local_name(part)
        if name == "t" and part.text:
            text = format_script(pieces[-1] if pieces else "", part.text, sign) if sign else part.text
            pieces.append(strike_out(text) if is_struck else text)
        elif name in ("p", "tab", "br"):
            pieces.append(" ")
        elif name == "r":
            sign, is_struck = "", False
        elif name == "strike":
            is_struck = not is_off(part)
        elif name == "vertAlign":
            sign = {"superscript": "^", "subscript": "_"}.get(attribute(part, "val"), "")
    return " ".join(merge_strikethrough("".join(pieces)).split())


def _rewritten_files(
    parts: _Parts, styles: Styles, body: Rewriter, chunks: list[str], draft: Draft
) -> Iterator[io.BytesIO]:
    """Yields the file in a form that mammoth can read, in several pieces if it is long. Pictures are only counted. The
    IDs of files that are inserted between paragraphs, where _CHUNK marks are, are added to `chunks`."""
    document = parts.beginning(parts.main, _MAX_XML_BYTES)
    chunks += _mark_chunks(document)
    body.rewrite(document)
    # Notes are numbered in the order in which mammoth reads them.
    has_notes = any(local_name(one) in _NOTED for one in document.iter())
    for batch in [document] if chunks or has_notes else _batches(document):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
            if has_notes:
                _pack_notes(packed, parts, styles, body, draft)
            namespace = "".join(document.tag.rpartition("}")[:2])
            packed.writestr("[Content_Types].xml", _TYPES)
            _pack(packed, "document", batch, body.urls)
            packed.writestr("word/styles.xml", ElementTree.tostring(styles.for_mammoth(namespace), "utf-8"))
            packed.writestr("word/numbering.xml", _numbering(namespace))
        yield file


def _batches(document: Element) -> Iterator[Element]:
    """Yields the same document several times, each time with only the next batch of its blocks."""
    if (body := child(document, "body")) is None:
        yield document
        return
    blocks = list(body)
    count = begin = 0
    for at, block in enumerate(blocks, 1):
        count += sum(1 for _ in block.iter())
        if count >= _BATCH_ELEMENTS or at == len(blocks):
            body[:] = blocks[begin:at]
            yield document
            count, begin = 0, at


def _pack_notes(packed: zipfile.ZipFile, parts: _Parts, styles: Styles, body: Rewriter, draft: Draft) -> None:
    for kind in _NOTES:
        if (root := parts.xml(kind)) is not None:
            notes = Rewriter(styles, external_urls(parts.archive, parts.name(kind)), {}, draft)
            root[:] = [note for note in root if attribute(note, "id")]
            notes.rewrite(root)
            body.charts += notes.charts
            _pack(packed, kind, root, notes.urls)


def _pack(packed: zipfile.ZipFile, kind: str, root: Element, urls: Mapping[str, str]) -> None:
    packed.writestr(f"word/{kind}.xml", ElementTree.tostring(root, "utf-8"))
    relations = Element("Relationships", xmlns=_RELATIONS)
    for id_, url in urls.items():
        ElementTree.SubElement(relations, "Relationship", Id=id_, Type="hyperlink", Target=url)
    packed.writestr(f"word/_rels/{kind}.xml.rels", ElementTree.tostring(relations, "utf-8"))


def _numbering(namespace: str) -> bytes:
    """Returns the definition of the one list that all items belong to. Each item's text already contains its number."""
    root = Element(f"{namespace}numbering")
    definition = ElementTree.SubElement(root, f"{namespace}abstractNum", {f"{namespace}abstractNumId": "0"})
    for level in range(MAX_LISTED + 1):
        element = ElementTree.SubElement(definition, f"{namespace}lvl", {f"{namespace}ilvl": str(level)})
        ElementTree.SubElement(element, f"{namespace}numFmt", {f"{namespace}val": "bullet"})
    instance = ElementTree.SubElement(root, f"{namespace}num", {f"{namespace}numId": LIST_ID})
    ElementTree.SubElement(instance, f"{namespace}abstractNumId", {f"{namespace}val": "0"})
    numbering: bytes = ElementTree.tostring(root, "utf-8")
    return numbering
