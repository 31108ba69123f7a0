"""Word documents of several programs: numbers, boxes, broken references, hidden parts."""

import re

import pytest

from files_to_markdown import archive, formats, word
from files_to_markdown.benchmarks.hostile_documents import docx, pack_zip
from files_to_markdown.document import Document, Draft, Format, LeftOut, Part, TimeIsUp
from files_to_markdown.markup import read_html
from files_to_markdown.tests.test_formats import PIC, WP, A, R, W, run, with_part

NS = f'xmlns:w="{W}"'
W14 = 'xmlns:w14="http://schemas.microsoft.com/office/word/2010/wordml"'
O = 'xmlns:v="urn:schemas-microsoft-com:vml" xmlns:o="urn:schemas-microsoft-com:office:office"'  # noqa: E741
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def read(body: str, **parts: str) -> Document:
    file = docx(body)
    for name, part in parts.items():
        file = with_part(file, f"word/{name}.xml", f"<w:{name} {NS}>{part}</w:{name}>")
    return formats.read(Format.ARCHIVE, file)


def paragraph(words: str, level: int | None = None, number: int = 1, style: str = "", more: str = "") -> str:
    listed = "" if level is None else f'<w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="{number}"/></w:numPr>'
    named = f'<w:pStyle w:val="{style}"/>' if style else ""
    return f"<w:p><w:pPr>{named}{listed}{more}</w:pPr>{run(words)}</w:p>"


def levels(*formats_and_texts: tuple[str, str], more: str = "") -> str:
    return "".join(
        f'<w:lvl w:ilvl="{at}"><w:start w:val="1"/><w:numFmt w:val="{name}"/>{more}<w:lvlText w:val="{text}"/></w:lvl>'
        for at, (name, text) in enumerate(formats_and_texts)
    )


def numbers(*definitions: str, more: str = "") -> str:
    """Returns lists 1, 2 and so on, each with its own definition, followed by `more`."""
    defined = "".join(
        f'<w:abstractNum w:abstractNumId="{n}">{one}</w:abstractNum>' for n, one in enumerate(definitions)
    )
    lists = "".join(f'<w:num w:numId="{n + 1}"><w:abstractNumId w:val="{n}"/></w:num>' for n in range(len(definitions)))
    return f"{defined}{lists}{more}"


DECIMAL = levels(("decimal", "%1."), ("decimal", "%1.%2"), ("lowerLetter", "(%3)"), ("lowerRoman", "(%4)"))
ARTICLES = levels(("upperRoman", "Article %1"), ("decimal", "Section %1.%2"), more="<w:isLgl/>")
THREE = [
    paragraph("Scope", 0),
    paragraph("Term", 0),
    "<w:p><w:r><w:t>between</w:t></w:r></w:p>",
    paragraph("Liability", 0),
]


def again(number: int, definition: int, *overrides: str) -> str:
    return f'<w:num w:numId="{number}"><w:abstractNumId w:val="{definition}"/>{"".join(overrides)}</w:num>'


def starts(level: int, at: int) -> str:
    return f'<w:lvlOverride w:ilvl="{level}"><w:startOverride w:val="{at}"/></w:lvlOverride>'


RESTART = DECIMAL.replace('<w:lvlText w:val="(%3)"/>', '<w:lvlRestart w:val="0"/><w:lvlText w:val="(%3)"/>')
FIRST = '<w:start w:val="1"/>'
FURTHER = [
    ("lowerRoman", 9, "ix"),
    ("lowerLetter", 28, "bb"),
    ("ordinal", 12, "12th"),
    ("ordinal", 22, "22nd"),
    ("cardinalText", 20, "Twenty"),
    ("ordinalText", 3, "Third"),
    ("cardinalText", 21, ""),
    ("numberInDash", 2, "- 2 -"),
    ("decimalEnclosedCircle", 20, "⑳"),
    ("decimalEnclosedCircle", 21, ""),
    ("decimalFullWidth", 10, "１０"),
    ("russianUpper", 2, "Б"),
    ("japaneseCounting", 21, "二十一"),
    ("chineseCounting", 10, "十"),
    ("chineseCounting", 100, ""),
    ("upperRoman", 4, "IV"),
    ("upperRoman", 4_000, ""),
    ("russianLower", 3, "в"),
    ("decimalEnclosedCircleChinese", 3, "③"),
    ("chineseCountingThousand", 11, "十一"),
    ("taiwaneseCounting", 12, "十二"),
    ("taiwaneseCountingThousand", 13, "十三"),
]
"""Formats, numbers, and the formatted number, or "" if it is unknown."""
GONE_MARKS, LAST = ("vanish", "del"), paragraph("b", 0)
LINKED = '<w:numStyleLink w:val="Clauses"/>'
NUMBERED: dict[str, tuple[str, list[str], str]] = {
    "a paragraph between": (numbers(DECIMAL), THREE, "1. Scope\n2. Term\nbetween\n3. Liability"),
    "levels of a contract": (
        numbers(DECIMAL),
        [paragraph(words, level) for words, level in [("a", 0), ("b", 1), ("c", 1), ("d", 2), ("e", 3), ("f", 2)]]
        + [paragraph(words, level) for words, level in [("g", 0), ("h", 1), ("i", 2)]],
        "1. a\n  1.1 b\n  1.2 c\n    (a) d\n      (i) e\n    (b) f\n2. g\n  2.1 h\n    (a) i",
    ),
    "legal numbers": (numbers(ARTICLES), [paragraph("a", 0), paragraph("b", 1)], "Article 1 a\n  Section 1.1 b"),
    "a level that never restarts": (
        numbers(RESTART),
        [paragraph("a", 2), paragraph("b", 1), paragraph("c", 2)],
        "    (a) a\n  1.2 b\n    (b) c",
    ),
    "a level that only the first restarts": (
        numbers(RESTART.replace('<w:lvlRestart w:val="0"/>', '<w:lvlRestart w:val="1"/>')),
        [paragraph("a", 2), paragraph("b", 1), paragraph("c", 2), paragraph("d", 0), paragraph("e", 2)],
        "    (a) a\n  1.2 b\n    (b) c\n2. d\n    (a) e",
    ),
    "a level that is passed over": (
        numbers(DECIMAL),
        [paragraph(words, level) for words, level in [("a", 0), ("b", 2), ("c", 1), ("d", 0), ("e", 1)]],
        "1. a\n    (a) b\n  1.2 c\n2. d\n  2.1 e",
    ),
    "a list that starts again": (
        numbers(DECIMAL, more=again(2, 0, starts(0, 1)) + again(3, 0)),
        [paragraph("a", 0), paragraph("b", 0), paragraph("c", 0, 2), paragraph("d", 0, 2), paragraph("e", 0, 3)],
        "1. a\n2. b\n1. c\n2. d\n3. e",
    ),
    "a list that starts elsewhere": (
        numbers(DECIMAL, more=again(2, 0, starts(0, 7))),
        [paragraph("a", 0, 2), paragraph("b", 1, 2), paragraph("c", 0, 2)],
        "7. a\n  7.1 b\n8. c",
    ),
    "a level of its own": (
        numbers(
            DECIMAL,
            more=again(2, 0, f'<w:lvlOverride w:ilvl="0">{levels(("upperLetter", "%1)"))}</w:lvlOverride>'),
        ),
        [paragraph("a", 0, 2), paragraph("b", 0, 2)],
        "A) a\nB) b",
    ),
    "bullets": (
        numbers(levels(("bullet", "\uf0b7"), ("bullet", "o"))),
        [paragraph("a", 0), paragraph("b", 1)],
        "- a\n  - b",
    ),
    "formats": (
        numbers(*(levels((name, "%1")) for name in ("decimalZero", "ordinal", "chineseCounting", "upperLetter"))),
        [paragraph("x", 0, number) for number in (1, 2, 3, 4)],
        "01 x\n1st x\n一 x\nA x",
    ),
    "formats further on": (
        numbers(*(levels((name, "%1")).replace(FIRST, f'<w:start w:val="{at}"/>') for name, at, _ in FURTHER)),
        [paragraph("x", 0, number) for number in range(1, len(FURTHER) + 1)],
        "\n".join(f"{shown} x".strip() for _, _, shown in FURTHER),
    ),
    "no space behind it": (numbers(levels(("decimal", "%1."), more='<w:suff w:val="nothing"/>')), THREE[:1], "1.Scope"),
    "a format of its own": (
        numbers(levels(("custom", "%1.")).replace("<w:numFmt", '<w:numFmt w:format="001, 002, 003, ..."')),
        [paragraph("x", 0)],
        "001. x",
    ),
    "a format that nobody knows": (numbers(levels(("hebrew2", "%1."))), [paragraph("x", 0)], "x"),
    "no number": (numbers(levels(("none", ""))), [paragraph("x", 0)], "x"),
    "a list that isn't there": (numbers(DECIMAL), [paragraph("x", 0, 9), paragraph("y", 0, 0)], "x\ny"),
    "a definition that isn't there": (again(1, 5), [paragraph("x", 0)], "x"),
    "by style": (
        numbers(
            levels(("decimal", "%1."), ("decimal", "%1.%2.")).replace(
                '"1"><w:start', '"1"><w:pStyle w:val="Clause"/><w:start'
            )
        ),
        [paragraph("a", 0), paragraph("b", style="Clause"), paragraph("c", style="Narrow")],
        "1. a\n  1.1. b\n  1.2. c",
    ),
    "headings": (
        numbers(DECIMAL),
        [paragraph("a", style="Heading1"), paragraph("b", 1, style="Heading2"), paragraph("c", style="Heading1")],
        "# 1. a\n## 1.1 b\n# 2. c",
    ),
    "off in the paragraph": (numbers(DECIMAL), [paragraph("a", 0, 0, style="Heading1")], "# a"),
    "a list of a style": (numbers(LINKED, DECIMAL), [paragraph("a", 0), paragraph("b", 0)], "1. a\n2. b"),
    "hidden and deleted ones": (
        numbers(DECIMAL),
        [paragraph("a", 0), *(paragraph("", 0, more=f"<w:rPr><w:{gone}/></w:rPr>") for gone in GONE_MARKS), LAST],
        "1. a\n2. b",
    ),
    "an empty one": (numbers(DECIMAL), [paragraph("a", 0), paragraph("", 0), paragraph("b", 0)], "1. a\n3. b"),
}
STYLES = (
    '<w:style w:type="paragraph" w:styleId="Clause"><w:name w:val="Clause"/><w:pPr><w:numPr><w:numId w:val="1"/>'
    '</w:numPr></w:pPr></w:style><w:style w:styleId="Narrow"><w:basedOn w:val="Clause"/></w:style>'
    '<w:style w:type="paragraph" w:styleId="Heading1"><w:name w:val="heading 1"/><w:pPr><w:numPr><w:numId w:val="1"/>'
    '</w:numPr></w:pPr></w:style><w:style w:type="paragraph" w:styleId="Heading2"><w:name w:val="heading 2"/></w:style>'
    '<w:style w:type="numbering" w:styleId="Clauses"><w:pPr><w:numPr><w:numId w:val="2"/></w:numPr></w:pPr></w:style>'
)


@pytest.mark.parametrize(("numbering", "paragraphs", "shown"), NUMBERED.values(), ids=NUMBERED)
def test_paragraphs_have_the_numbers_that_people_see(numbering: str, paragraphs: list[str], shown: str) -> None:
    text = read("".join(paragraphs), numbering=numbering, styles=STYLES).text
    assert text.replace("\n\n", "\n") == shown


def box(state: str, content: str, number: str = "w14") -> str:
    checked = f'<{number}:checked {number}:val="{state}"/>' if state else ""
    properties = f"<w:sdtPr><{number}:checkbox {W14}>{checked}</{number}:checkbox></w:sdtPr>"
    return f"<w:sdt>{properties}<w:sdtContent>{content}</w:sdtContent></w:sdt>"


def field(code: str, data: str = "", result: str = "") -> str:
    between = f'<w:r><w:fldChar w:fldCharType="separate"/></w:r>{run(result)}' if result else ""
    return (
        f'<w:r><w:fldChar w:fldCharType="begin"><w:ffData>{data}</w:ffData></w:fldChar></w:r>'
        f"<w:r><w:instrText> {code} </w:instrText></w:r>{between}"
        '<w:r><w:fldChar w:fldCharType="end"/></w:r>'
    )


def sign(font: str, char: str) -> str:
    return f'<w:r><w:sym w:font="{font}" w:char="{char}"/></w:r>'


def strike_out(property_: str, words: str) -> str:
    return f'<w:r><w:rPr><w:{property_}/></w:rPr><w:t xml:space="preserve">{words}</w:t></w:r>'


def small(position: int, words: str) -> str:
    return f'<w:r><w:rPr><w:position w:val="{position}"/><w:sz w:val="16"/></w:rPr><w:t>{words}</w:t></w:r>'


TICKED_AT_FIRST = '<w:checkBox><w:default w:val="1"/></w:checkBox>'
UNTICKED = '<w:checkBox><w:default/><w:checked w:val="0"/></w:checkBox>'
TICKED_NO_MORE = '<w:checkBox><w:default w:val="1"/><w:checked w:val="0"/></w:checkBox>'
TICKED_LATER = "<w:checkBox><w:default/><w:checked/></w:checkBox>"
ENTRIES = '<w:listEntry w:val="Red"/><w:listEntry w:val="Blue"/><w:listEntry w:val="Green"/>'
SIGNS = "<w:r><w:rPr><w:rFonts w:ascii='Wingdings'/></w:rPr><w:t>\u00fe\u00a8\uf0fc</w:t></w:r>"
HIDDEN = "<w:r><w:rPr><w:vanish/></w:rPr><w:t>hidden</w:t></w:r>"


def field_of(code: str, result: str | None = None) -> str:
    between = "" if result is None else f'<w:r><w:fldChar w:fldCharType="separate"/></w:r>{result}'
    return (
        '<w:r><w:fldChar w:fldCharType="begin"/></w:r>'
        f"{code if code.startswith('<') else f'<w:r><w:instrText>{code}</w:instrText></w:r>'}{between}"
        '<w:r><w:fldChar w:fldCharType="end"/></w:r>'
    )


def code_run(code: str) -> str:
    return f"<w:r><w:instrText>{code}</w:instrText></w:r>"


CHOSEN = code_run(" IF ") + field_of("MERGEFIELD x", run("1")) + code_run(' = 1 "yes" "no"')
LINK = '<w:fldSimple w:instr=" HYPERLINK &quot;https://example.com/a&quot; ">' + run("link") + "</w:fldSimple>"
INLINE: dict[str, tuple[str, str]] = {
    "ticked control": (f"{box('1', run('☒'))}{run(' Approved')}", "☒ Approved"),
    "empty control": (f"{box('0', run('☐'))}{run(' Rejected')}", "☐ Rejected"),
    "control that is off": (f"{box('false', run('☒'))}{box('off', run('☒'))}", "☐☐"),
    "control with signs of its own": (f"{box('1', run('✔'))}{run(' a')}{box('', run('_'))}{run(' b')}", "☒ a☐ b"),
    "control with a sign of a font": (f"{box('true', sign('Wingdings', 'F0FE'))}{run(' a')}", "☒ a"),
    "control without a sign": (f"{box('1', '')}{run(' a')}", "☒ a"),
    "control around its words": (box("1", run("☒ Approved")), "☒ Approved"),
    "ticked field": (f"{field('FORMCHECKBOX', '<w:checkBox><w:checked/></w:checkBox>')}{run(' a')}", "☒ a"),
    "field that is ticked at first": (f"{field('FORMCHECKBOX', TICKED_AT_FIRST)}{run(' a')}", "☒ a"),
    "field that is ticked later": (f"{field('FORMCHECKBOX', TICKED_LATER)}{run(' a')}", "☒ a"),
    "field that is ticked at first, but no more": (f"{field('FORMCHECKBOX', TICKED_NO_MORE)}{run(' a')}", "☐ a"),
    "empty field": (f"{field('FORMCHECKBOX', UNTICKED)}{run(' a')}", "☐ a"),
    "prompt in pieces": (
        field_of(code_run(" MACROBUTTON NoMacro ") + code_run("[Your ") + code_run("name]")),
        "[Your name]",
    ),
    "prompt of a button that leads to a place": (field_of(" GOTOBUTTON place [Terms]"), "[Terms]"),
    "prompt of a simple field": ('<w:fldSimple w:instr=" MACROBUTTON NoMacro [Your name]"/>', "[Your name]"),
    "field within a field's code": (field_of(CHOSEN, run("yes")), "yes"),
    "field within the code of one that never ends": (
        f'<w:r><w:fldChar w:fldCharType="begin"/></w:r>{CHOSEN}',
        "1",
    ),
    "chosen entry": (
        field("FORMDROPDOWN", f"<w:ddList><w:result w:val='1'/>{ENTRIES}</w:ddList>"),
        "Blue",
    ),
    "chosen entry, not the one at first": (
        field("FORMDROPDOWN", f"<w:ddList><w:result w:val='1'/><w:default w:val='2'/>{ENTRIES}</w:ddList>"),
        "Blue",
    ),
    "chosen first entry": (
        field("FORMDROPDOWN", f"<w:ddList><w:result w:val='0'/><w:default w:val='1'/>{ENTRIES}</w:ddList>"),
        "Red",
    ),
    "entry at first": (field("FORMDROPDOWN", f"<w:ddList><w:default w:val='1'/>{ENTRIES}</w:ddList>"), "Blue"),
    "first entry": (field("FORMDROPDOWN", f"<w:ddList>{ENTRIES}</w:ddList>"), "Red"),
    "field of text": (field("FORMTEXT", "<w:textInput/>", "Ada"), "Ada"),
    "signs": (f"{sign('Wingdings', 'F0FE')}{sign('Symbol', 'F061')}{sign('Arial', '2713')}", "☑α✓"),
    "sign that nobody knows": (f"{sign('Somebody', 'F061')}{sign('Wingdings', 'x')}", "\ufffd"),
    "text in a font of signs": (SIGNS, "☑☐✓"),
    "superscript": (f'{run("10")}<w:r><w:rPr><w:vertAlign w:val="superscript"/></w:rPr><w:t>6</w:t></w:r>', "10^6"),
    "subscript": (
        f'{run("H")}<w:r><w:rPr><w:vertAlign w:val="subscript"/></w:rPr><w:t>2</w:t></w:r>{run("O")}',
        "H_2O",
    ),
    "small words above and below the line": (
        f"{run('10')}{small(6, '6')}{run(' H')}{small(-6, '2')}{run('O')}",
        "10^6 H_2O",
    ),
    "a soft hyphen": ("<w:r><w:t>c</w:t><w:softHyphen/><w:t>d</w:t></w:r>", "cd"),
    "struck": (f"{strike_out('strike', 'Old')}{strike_out('dstrike', ' price')}{run(' New')}", "~~Old price~~ New"),
    "signs for Latin letters alone": (
        "<w:r><w:rPr><w:rFonts w:ascii='Wingdings' w:hAnsi='Arial'/></w:rPr><w:t>\u00fe</w:t></w:r>",
        "☑",
    ),
    "struck and hidden no more": (
        strike_out('strike w:val="0"', "a")
        + strike_out('dstrike w:val="false"', "b")
        + strike_out('vanish w:val="off"', "c")
        + strike_out('strike w:val="off"', "d")
        + strike_out('dstrike w:val="none"', "e"),
        "abcde",
    ),
    "old watermark": (f'<w:r><w:pict><v:shape {O}><v:textpath string="DRAFT"/></v:shape></w:pict></w:r>', "DRAFT"),
    "fallback of what nobody draws": (
        '<w:r><mc:AlternateContent xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006">'
        "<mc:Choice><x/></mc:Choice><mc:Fallback><w:t>😊</w:t></mc:Fallback></mc:AlternateContent></w:r>",
        "😊",
    ),
}


@pytest.mark.parametrize(("body", "shown"), INLINE.values(), ids=INLINE)
def test_signs_of_a_document_are_read_in_its_body_and_its_headers(body: str, shown: str) -> None:
    assert read(f"<w:p>{body}</w:p>") == Document(shown)
    with_header = with_part(docx(""), "word/header1.xml", f"<w:hdr {NS} {O}><w:p>{body}</w:p></w:hdr>")
    assert formats.read(Format.ARCHIVE, with_header) == Document(f"Header: {shown}")


TABBED: dict[str, tuple[str, str]] = {
    "columns": ("Rent<w:tab/>500<w:ptab/>", "Rent\t500"),
    "an empty column": ("Refund<w:tab/><w:tab/>70", "Refund\t\t70"),
    "two empty columns": ("<w:tab/> <w:tab/>70", "\t \t70"),
    "spaces": ("  a   b<w:tab/>c", "a b\tc"),
    "lines": ("a<w:tab/>1<w:br/>b<w:tab/>2", "a\t1\nb\t2"),
}


@pytest.mark.parametrize(("words", "shown"), TABBED.values(), ids=TABBED)
def test_tabs_between_columns_stay(words: str, shown: str) -> None:
    pieces = re.sub(r"(<[^>]*>)", r"</w:t>\1<w:t xml:space='preserve'>", words)
    text = f"<w:p><w:r><w:t xml:space='preserve'>{pieces}</w:t></w:r></w:p>"
    assert read(f"<w:p>{run('Item')}</w:p>{text}").text == f"Item\n\n{shown}"
    cell = read(f"<w:tbl><w:tr><w:tc>{text}</w:tc></w:tr></w:tbl>").text
    assert cell == f"| {shown.strip().replace(chr(10), '<br>')} |\n|---|"


def test_tab_before_a_heading_goes() -> None:
    tabbed = paragraph("Scope", style="Heading1").replace("<w:t>", "<w:tab/><w:t>")
    assert read(tabbed, styles=STYLES).text == "# Scope"


STRUCK_STYLES = (
    '<w:style w:type="character" w:styleId="Old"><w:rPr><w:strike/></w:rPr></w:style>'
    '<w:style w:type="paragraph" w:styleId="Done"><w:rPr><w:dstrike/></w:rPr></w:style>'
)


def test_styles_that_strike_are_followed_unless_the_words_say_otherwise() -> None:
    old = strike_out("rStyle w:val='Old'", "Old")
    kept = strike_out("strike w:val='0'", " kept")
    new = "".join(strike_out(f"rStyle w:val='Old'/><w:{kind} w:val='0'", " New") for kind in ("strike", "dstrike"))
    body = f"<w:p>{old}{new}</w:p>{paragraph('Done', style='Done').replace('</w:p>', f'{kept}</w:p>')}"
    assert read(body, styles=STRUCK_STYLES).text == "~~Old~~ New New\n\n~~Done~~ kept"


LONG = {
    "paragraphs": paragraph("twelve days"),
    "rows of a table": f"<w:tr><w:tc>{paragraph('twelve days')}</w:tc></w:tr>",
}


@pytest.mark.parametrize("block", LONG.values(), ids=LONG)
@pytest.mark.long
def test_long_document_is_read_as_far_as_there_is_time(block: str) -> None:
    many = block * (5_000_000 // len(block))
    document = read(f"<w:tbl>{many}</w:tbl>" if block.startswith("<w:tr>") else many)
    assert document.left_out == (LeftOut(Part.END, 1),)
    assert 0.3 < document.text.count("twelve days") / many.count("twelve days") < 0.7
    assert not re.search(r"twelve (?!days)|twelve$", document.text)


@pytest.mark.parametrize("block", LONG.values(), ids=LONG)
def test_document_is_read_as_far_as_there_is_room(monkeypatch: pytest.MonkeyPatch, block: str) -> None:
    monkeypatch.setattr(archive, "_CHUNK_BYTES", 64)
    monkeypatch.setattr(word, "_MAX_XML_BYTES", 50 * len(block))
    many = block * 100
    document = read(f"<w:tbl>{many}</w:tbl>" if block.startswith("<w:tr>") else many)
    assert document.left_out == (LeftOut(Part.END, 1),)
    assert 40 < document.text.count("twelve days") < 50


@pytest.mark.parametrize(("count", "left_out"), [(10, ()), (11, (LeftOut(Part.END, 1),))])
def test_document_is_read_as_far_as_so_many_elements(
    monkeypatch: pytest.MonkeyPatch, count: int, left_out: tuple[LeftOut, ...]
) -> None:
    monkeypatch.setattr(word, "_MAX_ELEMENTS", 30)
    document = read("<w:p><w:r><w:t>word</w:t></w:r></w:p>" * count)
    assert document == Document("\n\n".join(["word"] * 10), left_out)


@pytest.mark.long
def test_end_of_many_notes_is_left_out() -> None:
    mark = '<w:r><w:footnoteReference w:id="{}"/></w:r>'
    note = '<w:footnote w:id="{0}"><w:p><w:r><w:t>note {0} of many</w:t></w:r></w:p></w:footnote>'
    notes = "".join(map(note.format, range(20_000)))
    document = read(f"<w:p>{run('a')}{mark.format(7)}{mark.format(19_999)}</w:p>", footnotes=notes)
    assert document.left_out == (LeftOut(Part.END, 1),)
    assert document.text == "a[1]\n\n1. note 7 of many ↑"


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        (' HYPERLINK \\o "tip" \\l "b" "https://a.example"', "[link](https://a.example#b)"),
        (" hyperlink “https://a.example” \\h", "[link](https://a.example)"),
        ('HYPERLINK"https://a.example"', "[link](https://a.example)"),
        (' HYPERLINK \\l "b"', "link"),
        (' HYPERLINK "https://a.example" "https://b.example"', "[link](https://a.example)"),
    ],
)
def test_link_of_a_field_is_read_without_its_switches(code: str, shown: str) -> None:
    assert read(f"<w:p>{field_of(code, run('link'))}</w:p>") == Document(shown)


def test_link_of_a_simple_field_is_read() -> None:
    assert read(f"<w:p>{LINK}</w:p>").text == "[link](https://example.com/a)"


def test_several_headers_are_each_shown_once() -> None:
    file = docx("")
    for number, words in enumerate(["Contoso<w:tab/>Offer 7", "Other", "Contoso<w:tab/>Offer 7"], 1):
        cells = words.replace("<w:tab/>", "</w:t><w:tab/><w:t>")
        header = f"<w:hdr {NS}><w:p>{run(cells)}</w:p></w:hdr>"
        file = with_part(file, f"word/header{number}.xml", header)
    assert formats.read(Format.ARCHIVE, file).text == "Header: Contoso Offer 7\n\nHeader: Other"


def table(*rows: str) -> str:
    return f"<w:tbl>{''.join(f'<w:tr>{row}</w:tr>' for row in rows)}</w:tbl>"


def cell(*paragraphs: str, properties: str = "") -> str:
    return f"<w:tc><w:tcPr>{properties}</w:tcPr>{''.join(paragraphs)}</w:tc>"


CELLS = {
    "paragraphs": (table(cell(paragraph("a"), paragraph("b"), paragraph("c"))), "| a<br>b<br>c |\n|---|"),
    "a list": (table(cell(paragraph("a", 0), paragraph("b", 0))), "| 1. a<br>2. b |\n|---|"),
    "a line break": (table(cell("<w:p><w:r><w:t>a</w:t><w:br/><w:t>b</w:t></w:r></w:p>")), "| a<br>b |\n|---|"),
    "a table in a cell": (
        table(cell(paragraph("a"), table(cell(paragraph("b")) + cell(paragraph("c"))), paragraph("d"))),
        "| a<br>b , c<br>d |\n|---|",
    ),
    "a merged cell": (
        table(
            cell(paragraph("a"), properties='<w:vMerge w:val="restart"/>') + cell(paragraph("b")),
            cell(paragraph(""), properties="<w:vMerge/>") + cell(paragraph("c")),
        ),
        "| a | b |\n|---|---|\n|  | c |",
    ),
    "a row that begins later": (
        table(
            cell(paragraph("a")) + cell(paragraph("b")),
            '<w:trPr><w:gridBefore w:val="1"/></w:trPr>' + cell(paragraph("c")),
        ),
        "| a | b |\n|---|---|\n|  | c |",
    ),
    "a width that is no number": (table(cell(paragraph("a"), properties='<w:gridSpan w:val="x"/>')), "| a |\n|---|"),
}


@pytest.mark.parametrize(("body", "shown"), CELLS.values(), ids=CELLS)
def test_cells_keep_their_lines_and_places(body: str, shown: str) -> None:
    assert read(body, numbering=numbers(DECIMAL)).text == shown


def picture(id_: str) -> str:
    return (
        f'<w:drawing {WP} {A} {PIC} {R}><wp:inline><wp:docPr descr="a plan"/><a:graphic><a:graphicData>'
        f'<pic:pic><pic:blipFill><a:blip r:embed="{id_}"/></pic:blipFill></pic:pic>'
        "</a:graphicData></a:graphic></wp:inline></w:drawing>"
    )


EMBEDDED = f'<w:object {O}><v:shape><v:imagedata/></v:shape><o:OLEObject ProgID="Excel.Sheet.12"/></w:object>'
FORMULA = EMBEDDED.replace("Excel.Sheet.12", "Equation.3")
SHOW_NOTHING = ("xe", "TC", "TA", "RD", "SET", "ASK", "ADVANCE", "PRIVATE", "DATA", "EMBED", "CONTROL")
GONE: dict[str, tuple[str, Document]] = {
    "a picture": (f"<w:r>{picture('r9')}</w:r>", Document("text![a plan]", (LeftOut(Part.PICTURE, 1),))),
    "a picture in a group": (
        f"<w:r>{picture('r9').replace('<pic:pic>', '<x><pic:pic>').replace('</pic:pic>', '</pic:pic></x>')}</w:r>",
        Document("text![a plan]", (LeftOut(Part.PICTURE, 1),)),
    ),
    "an old picture": (
        f'<w:r><w:pict {O} {R}><v:shape alt="a plan"><v:imagedata r:id="r9"/></v:shape></w:pict></w:r>',
        Document("text![a plan]", (LeftOut(Part.PICTURE, 1),)),
    ),
    "a link": (f'<w:hyperlink {R} r:id="r9">{run(" link")}</w:hyperlink>', Document("text link")),
    "a footnote": ('<w:r><w:footnoteReference w:id="9"/></w:r>', Document("text")),
    "an endnote": ('<w:r><w:endnoteReference w:id="9"/></w:r>', Document("text")),
    "a comment": ('<w:r><w:commentReference w:id="9"/></w:r>', Document("text")),
    "a style": ('<w:r><w:rPr><w:rStyle w:val="X"/></w:rPr><w:t>s</w:t></w:r>', Document("texts")),
    "an embedded workbook": (f"<w:r>{EMBEDDED}</w:r>", Document("text", (LeftOut(Part.ATTACHMENT, 1),))),
    "an old equation": (f"<w:r>{FORMULA}</w:r>", Document("text", (LeftOut(Part.EQUATION, 1),))),
    "a control": (
        "<w:r><w:object><w:control/></w:object></w:r>",
        Document("text", (LeftOut(Part.CONTROL, 1),)),
    ),
    "a formula in a field": (
        "<w:r><w:instrText> EQ \\f(1,2) </w:instrText></w:r>",
        Document("text", (LeftOut(Part.EQUATION, 1),)),
    ),
    "a field without a result": (field_of("AUTONUM"), Document("text", (LeftOut(Part.FIELD, 1),))),
    "fields that show nothing": ("".join(field_of(f"{name} x") for name in SHOW_NOTHING), Document("text")),
    "a simple field without a result": (
        '<w:fldSimple w:instr="PAGE"/>',
        Document("text", (LeftOut(Part.FIELD, 1),)),
    ),
    "a deletion": (
        "<w:del><w:r><w:delText>gone</w:delText></w:r></w:del><w:ins><w:r><w:t> new</w:t></w:r></w:ins>",
        Document("text new", (LeftOut(Part.DELETION, 1),)),
    ),
    "a deleted row": (
        f"</w:p>{table('<w:trPr><w:del/></w:trPr>' + cell(paragraph('gone')))}<w:p>",
        Document("text", (LeftOut(Part.DELETION, 1),)),
    ),
    "a hidden passage": (HIDDEN, Document("text", (LeftOut(Part.HIDDEN_TEXT, 1),))),
    "a file that is joined": (f"</w:p><w:altChunk/><w:p {R}>", Document("text", (LeftOut(Part.ATTACHMENT, 1),))),
}


@pytest.mark.parametrize(("body", "shown"), GONE.values(), ids=GONE)
def test_document_is_read_without_what_is_not_there_and_what_is_no_text_is_counted(body: str, shown: Document) -> None:
    assert read(f"<w:p>{run('text')}{body}</w:p>") == shown


def test_note_without_an_id_is_passed_over() -> None:
    assert read(paragraph("text"), footnotes=f"<w:footnote><w:p>{run('x')}</w:p></w:footnote>") == Document("text")


def test_style_without_a_type_is_read() -> None:
    styles = '<w:style w:styleId="Heading1"><w:name w:val="heading 1"/></w:style><w:style/>'
    assert read(paragraph("Plan", style="Heading1"), styles=styles) == Document("# Plan")


@pytest.mark.parametrize(
    ("id_", "name", "shown"),
    [
        ("berschrift2", "heading 2", "## Plan"),
        ("Heading3", "", "### Plan"),
        ("Heading", "", "# Plan"),
        ("X", "y", "Plan"),
    ],
)
def test_headings_are_known_by_the_name_of_their_style(id_: str, name: str, shown: str) -> None:
    styles = f'<w:style w:type="paragraph" w:styleId="{id_}"><w:name w:val="{name}"/></w:style>' if name else ""
    assert read(paragraph("Plan", style=id_), styles=styles) == Document(shown)


def test_words_in_a_hidden_style_are_hidden() -> None:
    styles = '<w:style w:type="character" w:styleId="X"><w:rPr><w:vanish/></w:rPr></w:style>'
    run_ = '<w:r><w:rPr><w:rStyle w:val="X"/></w:rPr><w:t>x</w:t></w:r>'
    read_ = read(f"<w:p>{run('text')}{run_}</w:p>", styles=styles)
    assert read_ == Document("text", (LeftOut(Part.HIDDEN_TEXT, 1),))


C = 'xmlns:c="http://schemas.openxmlformats.org/drawingml/2006/chart"'


def points(kind: str, *values: str) -> str:
    listed = "".join(f'<c:pt idx="{at}"><c:v>{value}</c:v></c:pt>' for at, value in enumerate(values) if value)
    return f"<c:{kind}><c:strRef><c:strCache>{listed}</c:strCache></c:strRef></c:{kind}>"


QUARTERS = points("cat", "Q1", "Q2", "Q3")
CHART = (
    f"<c:chartSpace {C} {A}><c:title><c:tx><c:rich><a:p><a:r><a:t>Sales</a:t></a:r></a:p></c:rich></c:tx></c:title>"
    f"<c:ser>{points('tx', 'North')}{QUARTERS}{points('val', '1', '', '3')}</c:ser>"
    f"<c:ser>{points('tx', 'South')}{QUARTERS}{points('val', '4', '5', '6')}</c:ser></c:chartSpace>"
)
SHOWN_CHART = "Chart: Sales\n\n|  | Q1 | Q2 | Q3 |\n|---|---|---|---|\n| North | 1 |  | 3 |\n| South | 4 | 5 | 6 |"


def test_link_of_a_picture_is_read() -> None:
    described = f'<wp:docPr descr="a plan"><a:hlinkClick {R} r:id="r1"/></wp:docPr>'
    linked = picture("r9").replace('<wp:docPr descr="a plan"/>', described)
    body = f"<w:p>{run('text')}<w:r>{linked}</w:r></w:p>"
    relation = f'<Relationship Id="r1" Type="{OFFICE}/hyperlink" Target="https://a.example" TargetMode="External"/>'
    file = with_part(docx(body), "word/_rels/document.xml.rels", f"<Relationships>{relation}</Relationships>")
    assert formats.read(Format.ARCHIVE, file).text == "text[![a plan]](https://a.example)"


def test_charts_and_diagrams_of_a_document_are_read() -> None:
    drawn = f'<w:drawing><c:chart {C} {R} r:id="r1"/><d:relIds xmlns:d="d" {R} r:dm="r2"/></w:drawing>'
    file = docx(f"<w:p>{run('text')}<w:r>{drawn}</w:r></w:p>")
    relations = "".join(
        f'<Relationship Id="r{n}" Type="{OFFICE}/{kind}" Target="{target}"/>'
        for n, kind, target in [(1, "chart", "charts/chart1.xml"), (2, "diagramData", "diagrams/data1.xml")]
    )
    diagram = (
        f"<d:dataModel xmlns:d='d' {A}><d:pt><d:t><a:p><a:r><a:t>Plan</a:t></a:r></a:p></d:t></d:pt></d:dataModel>"
    )
    for name, part in {
        "word/_rels/document.xml.rels": f"<Relationships>{relations}</Relationships>",
        "word/charts/chart1.xml": CHART,
        "word/diagrams/data1.xml": diagram,
    }.items():
        file = with_part(file, name, part)
    assert formats.read(Format.ARCHIVE, file) == Document(f"text\n\n{SHOWN_CHART}\n\nPlan")


STRICT = {
    W: "http://purl.oclc.org/ooxml/wordprocessingml/main",
    OFFICE: "http://purl.oclc.org/ooxml/officeDocument/relationships",
}


@pytest.mark.parametrize("names", [{}, STRICT], ids=["transitional", "strict"])
def test_document_with_names_of_its_own_is_read(names: dict[str, str]) -> None:
    """The relationships identify the parts."""
    relation = '<Relationship Id="r0" Type="{}/{}" Target="{}"/>'
    listed = {"numbering": "lists.xml", "footnotes": "notes.xml"}
    note = f'<w:footnote w:id="2"><w:p>{run("below")}</w:p></w:footnote>'
    body = f'{paragraph("a", 0)}<w:p>{run("b")}<w:r><w:footnoteReference w:id="2"/></w:r></w:p>'
    related = "".join(relation.format(OFFICE, *one).replace("r0", one[0]) for one in listed.items())
    parts = {
        "_rels/.rels": f"<Relationships>{relation.format(OFFICE, 'officeDocument', 'main/text.xml')}</Relationships>",
        "main/text.xml": f"<w:document {NS}><w:body>{body}</w:body></w:document>",
        "main/_rels/text.xml.rels": f"<Relationships>{related}</Relationships>",
        "main/lists.xml": f"<w:numbering {NS}>{numbers(DECIMAL)}</w:numbering>",
        "main/notes.xml": f"<w:footnotes {NS}>{note}</w:footnotes>",
    }
    for old, new in names.items():
        parts = {name: part.replace(old, new) for name, part in parts.items()}
    assert formats.read(Format.ARCHIVE, pack_zip(parts)).text == "1. a\n\nb[1]\n\n1. below ↑"


@pytest.mark.parametrize("ends_early", [True, False])
def test_long_text_is_read_piece_by_piece(monkeypatch: pytest.MonkeyPatch, *, ends_early: bool) -> None:
    monkeypatch.setattr(word, "_BATCH_ELEMENTS", 6)
    read: list[str] = []

    def read_some(html: str, draft: Draft, *, labeled: bool) -> None:
        if ends_early and len(read) == 2:
            raise TimeIsUp
        read.append(html)
        read_html(html, draft, labeled=labeled)

    monkeypatch.setattr(word, "read_html", read_some)
    document = formats.read(Format.ARCHIVE, docx("".join(f"<w:p>{run(str(number))}</w:p>" for number in range(7))))
    shown = range(4 if ends_early else 7)
    assert document.text == "\n\n".join(map(str, shown))
    assert document.left_out == ((LeftOut(Part.END, 1),) if ends_early else ())
