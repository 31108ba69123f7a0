"""RTF of several programs: links, forms, superscripts, lines in cells, hidden parts."""

import pytest

from files_to_markdown import formats
from files_to_markdown.document import Document, Format, LeftOut, Part

LINK = rb'{\field{\*\fldinst { HYPERLINK "https://example.com/a" }}{\fldrslt {\ul this}}}'
WORD_LINK = (
    rb'{\field\fldedit{\*\fldinst {\rtlch HYPERLINK "https://example.com/a"}{\*\datafield 00}}{\fldrslt {\b this}}}'
)
BOX = rb"{\field{\*\fldinst FORMCHECKBOX {\*\formfield{\fftype1%s{\*\ffname x}}}}{\fldrslt }}"
CHOICE = rb"{\field{\*\fldinst FORMDROPDOWN{\*\formfield{\fftype2\ffres1{\*\ffl Red}{\*\ffl Blue}}}}{\fldrslt }}"
SHOWN: dict[str, tuple[bytes, str]] = {
    "a link": (rb"see " + LINK + rb" now", "see [this](https://example.com/a) now"),
    "a link of Word": (WORD_LINK, "[this](https://example.com/a)"),
    "links on one line": (
        rb'{\field{\*\fldinst{HYPERLINK "https://a.example"}}{\fldrslt{\ul a}}} or '
        rb'{\field{\*\fldinst{HYPERLINK "https://b.example" }}{\fldrslt{\cs1\ul b}}}.',
        "[a](https://a.example) or [b](https://b.example).",
    ),
    "a link without quotes": (
        rb"{\field{\*\fldinst HYPERLINK https://a.example}{\fldrslt a}}",
        "[a](https://a.example)",
    ),
    "a link within": (rb'{\field{\*\fldinst HYPERLINK \\l "top"}{\fldrslt up}}', "up"),
    "a link with a tip first": (
        rb'{\field{\*\fldinst HYPERLINK \\o "The tip" \\l "part" "https://a.example"}{\fldrslt a}}',
        "[a](https://a.example#part)",
    ),
    "a prompt": (rb"{\field{\*\fldinst MACROBUTTON NoMacro [Your name]}{\fldrslt}}, a", "[Your name], a"),
    "a style of characters": (rb"{\*\cs7 quick} {\b\*\i brown} {\*\unknown red}fox", "quick brown fox"),
    "a text twice": (rb"{\upr{Caf\'e9}{\*\ud Caf\u233?}}", "Café"),
    "another field": (rb"page {\field{\*\fldinst PAGE}{\fldrslt 3}} of 4", "page 3 of 4"),
    "a field within a field": (
        rb'{\field{\*\fldinst HYPERLINK "https://a.example"}{\fldrslt a {\field{\*\fldinst PAGE}{\fldrslt 3}}}} b',
        "[a 3](https://a.example) b",
    ),
    "a ticked box": (BOX % rb"\ffres1" + rb" Approved", "☒ Approved"),
    "an empty box": (BOX % rb"\ffres0" + rb" Rejected", "☐ Rejected"),
    "a box that is ticked at first": (BOX % rb"\ffres25\ffdefres1" + rb" a", "☒ a"),
    "a chosen entry": (CHOICE, "Blue"),
    "an entry that is chosen at first": (CHOICE.replace(rb"\ffres1", rb"\ffres25\ffdefres1"), "Blue"),
    "a superscript": (rb"10{\super 6} and x\super 2\nosupersub y", "10^6 and x^2y"),
    "a superscript that ends": (rb"10\super 6\super0 7", "10^67"),
    "a longer superscript": (rb"x{\super n + 1}", "x^(n + 1)"),
    "a subscript": (rb"H{\sub 2}O", "H_2O"),
    "raised text": (rb"10{\loch{\*\updnprop8000}\up8\loch 6}{\dn0 0}", "10^60"),
    "struck": (rb"{\strike Old} New \strike 5\strike0 , \striked1 6\striked0 .", "~~Old~~ New ~~5~~, ~~6~~."),
    "struck in pieces": (rb"{\strike Old}{\strike  }{\cf1\strike price} New", "~~Old price~~ New"),
    "struck over paragraphs": (rb"{\strike a\par b\'e9\u8364 ?\par}c", "~~a~~\n~~bé€~~\nc"),
    "struck to a plain end": (rb"\strike a\plain b", "~~a~~b"),
    "struck around what isn't shown": (rb"\strike a{\*\bkmkstart x}{\pict 00}{\v b}\strike0 c", "~~a~~c"),
    "struck first a mark that isn't shown": (rb"{\strike{\*\bkmkstart x}a{\*\bkmkend x}}b", "~~a~~b"),
    "struck cells": (rb"\pard\intbl{\strike a\cell b}\cell c\cell\row", "~~a~~|~~b~~|c|"),
    "struck, raised": (rb"10{\strike\super 6}", "10~~^6~~"),
    "a struck link": (
        rb'{\strike{\field{\*\fldinst HYPERLINK "https://a.example"}{\fldrslt a}}}',
        "[~~a~~](https://a.example)",
    ),
    "footnotes, headers and footers": (
        rb"{\header\pard a\par}{\headerf\pard b\par}{\footerl\pard c\par}d{\footnote\pard (e)}",
        "a\nb\nc\nd(e)",
    ),
    "a mark of a footnote": (rb"word{\super [1]}", "word[1]"),
    "lines in a cell": (rb"\pard\intbl a\par b\line c\cell d\cell\row\pard e\par f", "a<br>b<br>c|d|\ne\nf"),
    "numbers of old programs": (rb"{\pntext 1.\tab}a", " 1.\ta"),
    "numbers": (rb"{\listtext 1.\tab}a", "1.\ta"),
    "a soft hyphen": (rb"Donau\-dampf", "Donaudampf"),
    "bytes of a picture": (rb"a{\pict\bin4 {}}}}b", "ab"),
    "groups that never end": (rb"{{{a", "a"),
}
COUNTED = {
    "an embedded workbook": (
        rb"a{\object\objemb{\*\objclass Excel.Sheet.12}{\*\objdata 00}{\result {\pict 00}}}",
        (LeftOut(Part.ATTACHMENT, 1),),
    ),
    "an old equation": (
        rb"a{\object\objemb{\*\objclass Equation.3}{\*\objdata 00}{\result {\pict 00}}}",
        (LeftOut(Part.EQUATION, 1),),
    ),
    "a hidden prompt": (
        rb"a{\v{\field{\*\fldinst MACROBUTTON NoMacro [b]}{\fldrslt}}}",
        (LeftOut(Part.HIDDEN_TEXT, 1),),
    ),
    "hidden text": (rb"a{\v b}\v c\v0", (LeftOut(Part.HIDDEN_TEXT, 2),)),
    "a deletion": (rb"a{\deleted b}", (LeftOut(Part.DELETION, 1),)),
    "fields without results": (
        rb"a{\field{\*\fldinst PAGE}}{\field{\*\fldinst SYMBOL 252 \\f Wingdings}{\fldrslt\fs20}}",
        (LeftOut(Part.FIELD, 2),),
    ),
    "a drawn text of old programs": (rb"a{\*\do\dobxpage{\dptxbx{\dptxbxtext b}}}", (LeftOut(Part.TEXT_BOX, 1),)),
}


@pytest.mark.parametrize(("rtf", "shown"), SHOWN.values(), ids=SHOWN)
def test_rtf_says_what_people_see(rtf: bytes, shown: str) -> None:
    assert formats.read(Format.RTF, rb"{\rtf1\ansi " + rtf + b"}").text == shown


@pytest.mark.parametrize(("rtf", "parts"), COUNTED.values(), ids=COUNTED)
def test_what_rtf_leaves_out_is_counted(rtf: bytes, parts: tuple[LeftOut, ...]) -> None:
    assert formats.read(Format.RTF, rb"{\rtf1\ansi " + rtf + b"}") == Document("a", parts)


def test_bullet_of_a_font_of_symbols_is_a_bullet() -> None:
    read = formats.read(Format.RTF, rb"{\rtf1\ansi {\listtext\u61623\'b7\tab}one\par two \u61623? three}")
    assert read.text == "•\tone\ntwo \uf0b7 three"


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        (rb"{\rtf1\mac\ansicpg10000 Caf\'8e}", "Café"),
        (rb"{\rtf1\mac Caf\'8e}", "Café"),
        (rb"{\rtf1\ansi Caf\'e9}", "Café"),
        (rb"{\rtf1\ansi\ansicpg28592 \'e8}", "č"),
        (rb"{\rtf1\ansi\ansicpg20866 \'c1}", "а"),
        (rb"{\rtf1\pc Caf\'82}", "Café"),
        (rb"{\rtf1\pca Caf\'82}", "Café"),
        (rb"{\rtf1\ansi\ansicpg10006 \'e1}", "α"),
        (b"{\\rtf1\\ansi\\ansicpg1251 \xc8\xec\xff}", "Имя"),
        (rb"{\rtf1\ansi{\fonttbl{\f0\fnil\cpg1251 A;}}\f0 \'c8\'ec\'ff}", "Имя"),
        (rb"{\rtf1\mac{\fonttbl{\f0\fcharset78 Osaka;}}\f0 \'8e\'81\'96\'bc}", "氏名"),
        (rb"{\rtf1\mac{\fonttbl{\f0\fcharset82 A;}}\f0 \'f9}", "ש"),
        (b"\xef\xbb\xbf\r\n{\\rtf1 Caf\\'e9}", "Café"),
        (rb"{\rtf1\ansi{\fonttbl{\f0 Arial;}{\f1\fcharset177 B;}}\f0 Caf\'e9 \f1 \'f9}", "Café ש"),
        (rb"{\rtf1\ansi\ansicpg1251{\fonttbl\f0\fnil Arial;\f1\fcharset128 B;}\f0 \'c8\'ec\'ff}", "Имя"),
        (b"{\\rtf1\\ansi{\\fonttbl{\\f0\r\n\\fcharset204 A;}{\\f1\\fcharset0 B;}}\\f0 \\'c8\\'ec\\'ff}", "Имя"),
    ],
)
def test_charset_is_known_by_microsofts_number(content: bytes, shown: str) -> None:
    assert formats.read(Format.RTF, content).text == shown
