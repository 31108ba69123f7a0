"""Rewrites a part of a Word document so that mammoth reads everything that people see in it."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from files_to_markdown.archive import attribute, child, is_off, is_on, local_name, value_of
from files_to_markdown.document import Draft, Part
from files_to_markdown.equations import equation
from files_to_markdown.markup import link
from files_to_markdown.numbering import BULLET, Numbering

LIST_ID = "1"
MAX_LISTED = 8
"""The deepest list level, counted from 0."""
_DRAWN = frozenset(("AlternateContent", "drawing", "pict", "object"))
_IGNORED = "bookmarkEnd"
_TAGS = {
    **dict.fromkeys(("bdo", "dir", "rubyBase", "oMathPara"), "smartTag"),
    "cr": "br",
    "ptab": "tab",
    "softHyphen": _IGNORED,
}
"""Elements to treat like other elements, by name."""
_USED = {"rPr": ("strike", "vertAlign", "del"), "pPr": ("pStyle", "numPr", "rPr")}
"""Run and paragraph properties that are passed to mammoth. The others make up most of a file, and would take most of
the time."""
_NOTE_KINDS = {"footnoteReference": "footnotes", "endnoteReference": "endnotes", "commentReference": "comments"}
_HEADING = re.compile(r"heading(?: ?([1-6]))?", re.IGNORECASE)
_HYPERLINK = re.compile(r"\s{0,99}HYPERLINK\b", re.IGNORECASE)
_PROMPTS = ("MACROBUTTON", "GOTOBUTTON")
"""Fields that show the words in their code, such as a prompt."""
_UNSEEN = frozenset(
    [
        "XE",
        "TC",
        "TA",
        "RD",
        "SET",
        "ASK",
        "ADVANCE",
        "PRIVATE",
        "DATA",
        "FORMTEXT",
        "FORMCHECKBOX",
        "FORMDROPDOWN",
        "EQ",
        "EMBED",
        "CONTROL",
    ]
)
"""Fields that don't show anything, or that are read in another way."""
_LINK_PART = re.compile(r'\\(?P<switch>\w)|["“](?P<quoted>[^"”]*)["”]?|(?P<plain>[^\s"“\\]+)')
_WITH_ARGUMENT = "lot"
"""Switches of a link field that take an argument: a place in the document, a tooltip or a window."""
_EQUATION_FIELD = re.compile(r"\s*EQ\s", re.IGNORECASE)
_BOXES = {
    **dict.fromkeys("🞎🞏🞐🞑🞒🞓🗆🗌🗖❏❐❑❒□", "☐"),
    **dict.fromkeys("🗹🗸", "☑"),
    **dict.fromkeys("🗷🗵🗴", "☒"),
}
"""Boxes in symbol fonts, and the characters that other programs use for them."""


class Styles:
    def __init__(self, root: Element | None, numbering: Element | None) -> None:
        self._root = root
        self._numbering = numbering
        self.hidden = frozenset(attribute(style, "styleId") for style in self._all_styles() if _is_hidden(style))
        self.raised = {
            attribute(style, "styleId"): value_of(properties, "vertAlign")
            for style in self._all_styles()
            if (properties := child(style, "rPr")) is not None and child(properties, "vertAlign") is not None
        }
        self.struck = frozenset(attribute(style, "styleId") for style in self._all_styles() if _is_struck(style))
        self._names = {attribute(style, "styleId"): value_of(style, "name") for style in self._all_styles()}

    def heading(self, style: str) -> str:
        """Returns a heading style's name for mammoth, such as Heading2, or "" for other styles."""
        found = _HEADING.fullmatch(style) or _HEADING.fullmatch(self._names.get(style, ""))
        return f"Heading{found[1] or 1}" if found else ""

    def _all_styles(self) -> Iterator[Element]:
        yield from (style for style in (self._root if self._root is not None else ()) if local_name(style) == "style")

    def numbering(self) -> Numbering:
        return Numbering(self._numbering, self._root)

    def for_mammoth(self, namespace: str) -> Element:
        """Returns the styles in the form that mammoth expects. Styles without a type count as paragraph styles."""
        root = Element(f"{namespace}styles")
        for style in self._all_styles():
            if id_ := attribute(style, "styleId"):
                about = {f"{namespace}type": attribute(style, "type") or "paragraph", f"{namespace}styleId": id_}
                element = ElementTree.SubElement(root, f"{namespace}style", about)
                ElementTree.SubElement(element, f"{namespace}name", {f"{namespace}val": value_of(style, "name")})
        return root


def _is_hidden(element: Element) -> bool:
    properties = child(element, "rPr")
    return properties is not None and is_on(properties, "vanish")


def _is_struck(element: Element) -> bool:
    properties = child(element, "rPr")
    return properties is not None and (is_on(properties, "strike") or is_on(properties, "dstrike"))


@dataclass(slots=True)
class _Drawing:
    boxes: list[Element] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    charts: list[str] = field(default_factory=list)
    diagrams: list[str] = field(default_factory=list)

    def is_empty(self) -> bool:
        return not (self.boxes or self.words or self.parts or self.charts or self.diagrams)


class Rewriter:
    """Rewrites one part of a document, and records omitted content in the draft."""

    def __init__(
        self, styles: Styles, urls: Mapping[str, str], notes: Mapping[str, Collection[str]], draft: Draft
    ) -> None:
        self.urls = urls
        self.charts: list[str] = []
        self.diagrams: list[str] = []
        self.chunks: list[str] = []
        self._styles = styles
        self._notes = notes
        self._draft = draft
        self._namespace = ""
        self._in_box_field = False
        self._codes: list[list[Element] | None] = []
        """For each open field: the parts of its code, or None once its result has begun."""
        self._rewriters: Mapping[str, Callable[[Element], None]] = {
            "oMath": self._rewrite_equation,
            "fldSimple": self._rewrite_field,
            "ruby": self._rewrite_ruby,
            "sdt": self._rewrite_control,
            "fldChar": self._rewrite_old_control,
            "instrText": self._rewrite_old_control,
            "r": self._rewrite_run,
            "hyperlink": self._rewrite_link,
            "altChunk": self._rewrite_chunk,
            "del": self._rewrite_deletion,
            "tr": self._rewrite_row,
            "gridSpan": self._rewrite_span,
            **dict.fromkeys(("strike", "dstrike"), self._rewrite_strike),
        }

    def rewrite(self, root: Element) -> None:
        """Rewrites elements that mammoth doesn't support."""
        self._namespace = "".join(root.tag.rpartition("}")[:2])
        self._replace_drawings(root)
        for element in list(root.iter()):
            self._rewrite(element, local_name(element))
        self._number_paragraphs(root)
        self._join_initials(root)
        for name, used in _USED.items():
            for element in root.iter(f"{self._namespace}{name}"):
                element[:] = [one for one in element if local_name(one) in used]

    def _replace_drawings(self, root: Element) -> None:
        dropped: set[int] = set()
        for element in list(root.iter()):
            if local_name(element) not in _DRAWN or id(element) in dropped:
                continue
            drawn = _Drawing()
            kept, others = _branches(element)
            self._collect_drawing(kept, drawn)
            if drawn.is_empty() and others:
                kept, others = others, kept
                self._collect_drawing(kept, drawn)
            dropped |= {id(one) for branch in others for one in branch.iter()}
            if drawn.is_empty():
                if local_name(element) == "AlternateContent":
                    _retag(element, f"{self._namespace}smartTag", *(one for branch in kept for one in branch))
                continue
            for part in drawn.parts:
                self._draft.record_left_out(part)
            self.charts += drawn.charts
            self.diagrams += drawn.diagrams
            pict = Element(f"{self._namespace}pict")
            pict.extend(drawn.boxes)
            dropped |= {id(one) for one in element.iter()} - {id(one) for box in drawn.boxes for one in box.iter()}
            _retag(element, f"{self._namespace}smartTag", *map(self._text, drawn.words), pict)

    def _collect_drawing(self, elements: Iterable[Element], drawn: _Drawing) -> None:
        for element in elements:
            name = local_name(element)
            if name == "txbxContent":
                drawn.boxes.append(element)
            elif name == "AlternateContent":
                self._collect_drawing(_branches(element)[0], drawn)
            else:
                before = len(drawn.parts)
                self._collect_drawing(element, drawn)
                if name == "object" and any(local_name(one) in ("OLEObject", "control") for one in element.iter()):
                    # It is shown as a picture.
                    drawn.parts[before:] = [_kind_of(element)]
                self._record_element(element, name, drawn)

    def _record_element(self, element: Element, name: str, drawn: _Drawing) -> None:
        if name == "docPr":
            self._add_description(element, drawn)
        elif name in ("pic", "imagedata", "contentPart"):
            drawn.parts.append(Part.PICTURE)
        elif name == "model3d":
            drawn.parts.append(Part.MODEL)
        elif name == "chart":
            drawn.charts.append(attribute(element, "id"))
        elif name == "relIds":
            drawn.diagrams.append(attribute(element, "dm"))
        elif name == "textpath":
            drawn.words.append(attribute(element, "string"))
        elif name == "shape" and (alt := " ".join(attribute(element, "alt").split())):
            drawn.words.append(f"![{alt}]")

    def _add_description(self, element: Element, drawn: _Drawing) -> None:
        text = " ".join((attribute(element, "descr") or attribute(element, "title")).split())
        clicked = child(element, "hlinkClick")
        url = self.urls.get(attribute(clicked, "id"), "") if clicked is not None else ""
        if text or url:
            drawn.words.append(link(f"![{text}]", url) if text else url)

    def _rewrite(self, element: Element, name: str) -> None:
        if name in _TAGS:
            element.tag = self._namespace + _TAGS[name]
        elif name in _NOTE_KINDS:
            if attribute(element, "id") not in self._notes.get(_NOTE_KINDS[name], ()):
                element.tag = self._namespace + _IGNORED
        elif (rewrite := self._rewriters.get(name)) is not None:
            rewrite(element)

    def _rewrite_equation(self, element: Element) -> None:
        _retag(element, f"{self._namespace}r", self._text(f" {equation(element)} "))

    def _rewrite_link(self, element: Element) -> None:
        if attribute(element, "id") not in self.urls:
            _drop_attribute(element, "id")

    def _rewrite_chunk(self, element: Element) -> None:
        """Records a file that Word inserts when it opens the document, so that it can be added later."""
        self.chunks.append(attribute(element, "id"))

    def _rewrite_deletion(self, element: Element) -> None:
        # Without text, it is a paragraph's mark.
        self._draft.record_left_out(Part.DELETION, count=any(local_name(one) == "delText" for one in element.iter()))

    def _rewrite_span(self, element: Element) -> None:
        if not attribute(element, "val").isdecimal():
            element.attrib = {f"{self._namespace}val": "1"}

    def _rewrite_row(self, row: Element) -> None:
        if (properties := child(row, "trPr")) is None:
            return
        if child(properties, "del") is not None:
            self._draft.record_left_out(Part.DELETION)
        before = value_of(properties, "gridBefore")
        cell = Element(f"{self._namespace}tc")
        for _ in range(min(int(before), 100) if before.isdecimal() else 0):
            row.insert(0, cell)

    def _rewrite_field(self, element: Element) -> None:
        """Turns a link into a field that consists of several runs, which mammoth supports."""
        code = attribute(element, "instr")
        children = list(element)
        element.tag = f"{self._namespace}smartTag"
        if _HYPERLINK.match(code):
            element[:] = [
                self._run(Element(f"{self._namespace}fldChar", {f"{self._namespace}fldCharType": "begin"})),
                self._run(_with_text(f"{self._namespace}instrText", _link_code(code))),
                self._run(Element(f"{self._namespace}fldChar", {f"{self._namespace}fldCharType": "separate"})),
                *children,
                self._run(Element(f"{self._namespace}fldChar", {f"{self._namespace}fldCharType": "end"})),
            ]
        elif not children:
            if words := prompt_of(code):
                element.append(self._run(self._text(words)))
            self._draft.record_left_out(Part.FIELD, count=words is None)

    def _follow_field(self, at: str) -> None:
        """Follows the beginning, separator and end of a field, and rewrites the code of a link field for mammoth. The
        code can be in several parts."""
        if at == "begin":
            self._codes.append([])
        elif at == "separate" and self._codes:
            parts, self._codes[-1] = self._codes[-1] or [], None
            self._end_code(parts, None)
        elif at == "end" and self._codes and (parts := self._codes.pop() or []):
            # A field that only has a code shows the words in it, or is reported.
            words = prompt_of("".join(part.text or "" for part in parts))
            self._draft.record_left_out(Part.FIELD, count=words is None)
            self._end_code(parts, words or None)

    def _end_code(self, parts: Sequence[Element], words: str | None) -> None:
        """Removes the results of nested fields from a field's code, and replaces the code with words or its link."""
        code = "".join(part.text or "" for part in parts)
        is_link = link_target(code) is not None
        for at, part in enumerate(parts):
            if at == 0 and words:
                part.tag, part.text = f"{self._namespace}t", words
            elif at == 0 and is_link:
                part.text = _link_code(code)
            elif words or is_link or local_name(part) == "t":
                part.text = ""

    def _rewrite_ruby(self, element: Element) -> None:
        base, reading = child(element, "rubyBase"), child(element, "rt")
        words = "" if reading is None else "".join(one.text or "" for one in reading.iter() if local_name(one) == "t")
        said = [self._text(f"({words})")] if words else []
        _retag(element, f"{self._namespace}smartTag", *([] if base is None else [base]), *said)

    def _rewrite_control(self, element: Element) -> None:
        """Replaces a checkbox with a box character, because the document can use any character for it."""
        properties, content = child(element, "sdtPr"), child(element, "sdtContent")
        box = None if properties is None else child(properties, "checkbox")
        if properties is None or box is None or content is None:
            return
        properties.remove(box)
        state = child(box, "checked")
        sign = "☒" if state is not None and not is_off(state) else "☐"
        signs = [one for one in content.iter() if local_name(one) in ("t", "sym")]
        if not signs:
            content.append(self._run(self._text(sign)))
        elif len(signs[0].text or "") < 2:
            signs[0].tag, signs[0].text = f"{self._namespace}t", sign

    def _rewrite_old_control(self, element: Element) -> None:
        """Replaces a Word 97 form field with its value. A text field's value is in the text."""
        if local_name(element) == "instrText":
            if self._codes and (parts := self._codes[-1]) is not None:
                parts.append(element)
            if self._in_box_field:
                element.text = ""
            if _EQUATION_FIELD.match(element.text or ""):
                self._draft.record_left_out(Part.EQUATION)
            return
        self._follow_field(attribute(element, "fldCharType"))
        data = child(element, "ffData")
        self._in_box_field = False
        if data is None:
            return
        if (box := child(data, "checkBox")) is not None:
            state = "checked" if child(box, "checked") is not None else "default"
            element.tag, element.text = f"{self._namespace}t", "☒" if is_on(box, state) else "☐"
            element[:] = []
            self._in_box_field = True
        elif (choice := child(data, "ddList")) is not None:
            entries = [attribute(one, "val") for one in choice if local_name(one) == "listEntry"]
            chosen = value_of(choice, "result") or value_of(choice, "default") or "0"
            at = int(chosen) if chosen.isdecimal() else 0
            element.tag, element.text = f"{self._namespace}t", entries[at] if at < len(entries) else ""
            element[:] = []

    def _rewrite_run(self, run: Element) -> None:
        properties = child(run, "rPr")
        style = "" if properties is None else value_of(properties, "rStyle")
        is_hidden = _is_hidden(run) or (style in self._styles.hidden and not _is_visible(properties))
        if properties is not None and child(properties, "vertAlign") is None:
            self._mark_as_script(properties, style)
        if style in self._styles.struck:
            self._strike(run)
        fonts = None if properties is None else child(properties, "rFonts")
        font = "" if fonts is None else attribute(fonts, "ascii") or attribute(fonts, "hAnsi")
        texts = [one for one in run if local_name(one) in ("t", "sym")]
        if is_hidden:
            self._draft.record_left_out(Part.HIDDEN_TEXT, count=bool(texts))
        if (parts := next((codes for codes in reversed(self._codes) if codes is not None), None)) is not None:
            parts += [one for one in texts if local_name(one) == "t"]
        for text in texts:
            if local_name(text) == "sym":
                code = attribute(text, "char")
                char = chr(int(code, 16)) if re.fullmatch(r"[0-9A-Fa-f]{1,4}", code) else ""
                text.tag, text.text = f"{self._namespace}t", _symbols(char, attribute(text, "font"))
            elif font in _FONTS:
                text.text = _symbols(text.text or "", font)
            if is_hidden:
                text.text = ""

    def _rewrite_strike(self, property_: Element) -> None:
        property_.tag = f"{self._namespace}strike"
        # mammoth doesn't support "off".
        if is_off(property_):
            property_.set(f"{self._namespace}val", "0")

    def _strike(self, run: Element) -> None:
        properties = child(run, "rPr")
        if properties is None:
            run.insert(0, properties := Element(f"{self._namespace}rPr"))
        if child(properties, "strike") is None and child(properties, "dstrike") is None:
            ElementTree.SubElement(properties, f"{self._namespace}strike")

    def _mark_as_script(self, properties: Element, style: str) -> None:
        """Marks text as superscript or subscript if its style, or a smaller and shifted font, makes it look like
        one."""
        shift = value_of(properties, "position")
        is_small = re.fullmatch(r"-?[1-9]\d*", shift) and child(properties, "sz") is not None
        kind = ("subscript" if shift[0] == "-" else "superscript") if is_small else self._styles.raised.get(style)
        if kind:
            ElementTree.SubElement(properties, f"{self._namespace}vertAlign", {f"{self._namespace}val": kind})

    def _join_initials(self, root: Element) -> None:
        """Joins a drop cap, which is a separate paragraph, to the paragraph that it begins."""
        if not any(attribute(frame, "dropCap") for frame in root.iter(f"{self._namespace}framePr")):
            return
        for parent in list(root.iter()):
            initial: Element | None = None
            for element in parent:
                if local_name(element) != "p":
                    continue
                properties = child(element, "pPr")
                if initial is not None:
                    at = 0 if properties is None else 1
                    element[at:at] = [one for one in initial if local_name(one) != "pPr"]
                    initial[:] = []
                frame = None if properties is None else child(properties, "framePr")
                initial = element if frame is not None and attribute(frame, "dropCap") in ("drop", "margin") else None

    def _number_paragraphs(self, root: Element) -> None:
        numbering = self._styles.numbering()
        for paragraph in root.iter(f"{self._namespace}p"):
            properties = child(paragraph, "pPr")
            mark = None if properties is None else child(properties, "rPr")
            # It isn't displayed, or it is merged into the next one.
            is_gone = mark is not None and (is_on(mark, "vanish") or child(mark, "del") is not None)
            label = None if is_gone else numbering.label(properties)
            if properties is None:
                if label is None:
                    continue
                paragraph.insert(0, properties := Element(f"{self._namespace}pPr"))
            style = value_of(properties, "pStyle")
            for run in paragraph.iter(f"{self._namespace}r") if style in self._styles.struck else ():
                self._strike(run)
            if heading := self._styles.heading(style):
                properties.append(Element(f"{self._namespace}pStyle", {f"{self._namespace}val": heading}))
                properties.remove(next(one for one in properties if local_name(one) == "pStyle"))
            if (named := child(properties, "numPr")) is not None:
                properties.remove(named)
            if label is None or not label.text or not any(one.text for one in paragraph.iter(f"{self._namespace}t")):
                continue
            if not heading:
                properties.append(self._item(label.level))
            elif label.text == BULLET:
                continue
            space = " " if label.is_spaced else ""
            paragraph.insert(list(paragraph).index(properties) + 1, self._run(self._text(label.text + space)))

    def _item(self, level: int) -> Element:
        properties = Element(f"{self._namespace}numPr")
        for name, value in (("ilvl", str(min(level, MAX_LISTED))), ("numId", LIST_ID)):
            ElementTree.SubElement(properties, self._namespace + name, {f"{self._namespace}val": value})
        return properties

    def _text(self, text: str) -> Element:
        return _with_text(f"{self._namespace}t", text)

    def _run(self, *children: Element) -> Element:
        run = Element(f"{self._namespace}r")
        run.extend(children)
        return run


_FONTS = frozenset(("Symbol", "Webdings", "Wingdings", "Wingdings 2", "Wingdings 3"))


def _symbols(text: str, font: str) -> str:
    """Converts letters in a symbol font to the characters that the font shows. An unknown symbol becomes �."""
    from mammoth.docx.dingbats import dingbats

    if font not in _FONTS and all(not 0xE000 <= ord(char) <= 0xF8FF for char in text):
        return text
    # Symbol fonts have them below 256, and programs also write them in Unicode's private use area.
    found = (
        dingbats.get((font, ord(char) & 0xFF)) if ord(char) < 0x100 or 0xF000 <= ord(char) <= 0xF0FF else ord(char)
        for char in text
    )
    shown = "".join("\ufffd" if code is None else chr(code) for code in found)
    return "".join(_BOXES.get(char, char) for char in shown)


def _is_visible(properties: Element | None) -> bool:
    return properties is not None and child(properties, "vanish") is not None


def _branches(element: Element) -> tuple[list[Element], list[Element]]:
    """Returns the alternatives of a drawing that should be read, and its copies for older programs."""
    choices = [one for one in element if local_name(one) == "Choice"]
    fallbacks = [one for one in element if local_name(one) == "Fallback"]
    if local_name(element) != "AlternateContent" or not choices:
        return ([element], []) if local_name(element) != "AlternateContent" else (fallbacks, [])
    return choices, fallbacks


def _kind_of(element: Element) -> Part:
    program = next((attribute(one, "ProgID") for one in element.iter() if local_name(one) == "OLEObject"), None)
    if program is None:
        return Part.CONTROL
    return Part.EQUATION if program.startswith("Equation") else Part.ATTACHMENT


def _drop_attribute(element: Element, name: str) -> None:
    for key in [key for key in element.attrib if key.rpartition("}")[2] == name]:
        del element.attrib[key]


def _with_text(tag: str, text: str) -> Element:
    element = Element(tag)
    element.text = text
    return element


def _retag(element: Element, tag: str, *children: Element) -> None:
    tail = element.tail
    element.clear()
    element.tag, element.tail = tag, tail
    element.extend(children)


def prompt_of(code: str) -> str | None:
    """Returns the words that a field without a result shows, "" if it doesn't show any, or None if they are unknown."""
    words = code.split(maxsplit=2)
    name = words[0].upper() if words else ""
    if name in _PROMPTS:
        return words[2].rstrip() if len(words) > 2 else ""
    return "" if not name or name in _UNSEEN else None


def link_target(code: str) -> tuple[str, str] | None:
    """Returns the URL and the bookmark in a link field's code, without the tooltip or window, or None for other
    fields."""
    if (lead := _HYPERLINK.match(code)) is None:
        return None
    url, place, switch = "", "", ""
    for found in _LINK_PART.finditer(code, lead.end()):
        said = found["quoted"] or found["plain"] or ""
        if found["switch"]:
            switch = found["switch"]
            continue
        if switch == "l":
            place = said
        elif not switch or switch not in _WITH_ARGUMENT:
            url = url or said
        switch = ""
    return url, place


def _link_code(code: str) -> str:
    """Returns a link field's code in the form that mammoth supports."""
    url, place = link_target(code) or ("", "")
    return f' HYPERLINK "{url}{f"#{place}" if place else ""}" ' if url else f' HYPERLINK \\l "{place}" '
