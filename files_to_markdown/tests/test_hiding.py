"""Invisible elements of a page aren't part of the document, and are reported as left out."""

import pytest

from files_to_markdown import formats
from files_to_markdown.document import Document, Format, LeftOut, Part

SEEN = "Twelve days"
HIDDEN = [
    '<p style="display:none">x</p>',
    '<p style="DISPLAY : None !important">x</p>',
    '<div style="color:red;visibility: hidden">x<p>x</div>',
    '<p style="font-size:0px">x</p>',
    '<p style="opacity: .0">x</p>',
    '<span style="mso-hide:all">x</span>',
    '<div style="max-height:0;overflow:hidden"><b>x</b></div>',
    '<div style="height:0; width:0; overflow-y:hidden">x</div>',
    '<div style="position:absolute;left:-9999px">x</div>',
    '<div style="clip:rect(0 0 0 0)">x</div>',
    '<div style="width:1px;height:1px;overflow:hidden">x</div>',
    '<p style="font-size:1px">x</p>',
    '<p style="font:0/0 Arial">x</p>',
    '<div style="font-size:0">x<b style="font-size:2em">x</b></div>',
    '<style>.a{font-size:16px}</style><div style="display:none"><p class=a style="font-size:9px">x</p></div>',
    '<div style="font-size:9px"><p style="font-size:0">x</p></div>',
    '<p style="color: transparent">x</p>',
    '<p style="color:rgba(0,0,0,0.0)">x</p>',
    '<p style="transform:scale(0)">x</p>',
    '<p style="filter: opacity(0%)">x</p>',
    '<p style="clip-path:circle(0)">x</p>',
    '<p style="margin-top:-9999px">x</p>',
    '<p style="display/* a */:none">x</p>',
    '<p style="visibility:collapse">x</p>',
    '<p style="content-visibility:hidden">x</p>',
    '<p style="text-indent:-999px">x</p>',
    '<p style="margin-left:-1000px">x</p>',
    '<p style="clip-path:inset(50%)">x</p>',
    '<p style="color:#12345600">x</p>',
    '<p style="color:hsla(0,0%,0%,0)">x</p>',
    "<p hidden>x",
    "<ul><li hidden>x</ul>",
    "<div hidden>x<br><img src=a><div>x</div>x</div>",
    "<div hidden></b>x</div>",
    "<dialog>x</dialog>",
    "<style>.a{display:none}</style><p class='b a'>x</p>",
    "<style>p.a, #b { color: red; display: none }</style><p class=a>x</p><p id=b>x</p>",
    "<style>/* .a{display:block} */ .a{display:none}</style><p class=A>x</p>",
    "<style media=screen>.a{display:none}</style><p class=a>x</p>",
    "<style media=all>.a{display:none}</style><p class=a>x</p>",
    "<style>@charset 'utf-8';.a{display:none}</style><p class=a>x</p>",
    "<style>#b{display:none} .a{display:block}</style><p class=a id=b>x</p>",
    "<style>.a{display:none} i{display:inline}</style><i class=a>x</i>",
    "<style>.a{display:none}</style><style>@media print{.a{display:block}}</style><p class=a>x</p>",
    f"<div hidden>{'<b>' * 2_000}x{'</b>' * 2_000}</div>",
]
NOT_HIDDEN = [
    '<p style="display:block">x</p>',
    '<p style="font-size:0.9em;opacity:0.5;height:0">x</p>',
    '<div style="font-size:0"><div style="font-size:0px"><b style="font-size:13px">x</b></div></div>',
    '<table><tr><td style="font-size:0;line-height:0"> <table style="font:normal 1rem a"><tr><td>x</table></table>',
    "<style>.a{font-size:0}.b{font-size:small}</style><div class=a><p class=b>x</p></div>",
    "<div style=font-size:0><p hidden></div><p>x",
    '<div style="font-size:0"><input value=x></div>',
    '<h1 style="background-clip:text;color:transparent">x</h1>',
    '<div style="background-color:transparent">x</div>',
    '<div style="position:absolute;left:50%;margin-left:-480px">x</div>',
    '<div style="left:-99px;margin-left:-999px">x</div>',
    '<p style="color:#ff0000">x</p>',
    "<dialog open>x</dialog>",
    "<style>#b{display:block} .a{display:none}</style><p class=a id=b>x</p>",
    "<style>.a{display:inline} i{display:none}</style><i class=a>x</i>",
    "<style>.a{display:none} .a{display:block}</style><p class=a>x</p>",
    "<style>.a{display:none}</style><p class=a style='display: block'>x</p>",
    "<style>@media print{.a{display:none}}</style><p class=a>x</p>",
    "<style media=print>.a{display:none}</style><p class=a>x</p>",
    "<style>.a .b, .a:hover, .a > p {display:none}</style><p class=a>x</p>",
    "<style>/* .a{display:none} </style><p class=a>x</p>",
    "<ul><li hidden><li>x</ul>",
    "<p hidden><p>x",
    "<p hidden><ul><li>x</ul>",
    "<dl><dt hidden><dd>x</dl>",
    "<table><tr><td hidden><td>x</table>",
    "<table><tr hidden><td></td><tr><td>x</td></table>",
    '<input style="display:none" type=checkbox><p>x</p>',
]


def read(page: str) -> Document:
    return formats.read(Format.HTML, f"<html><body><p>{SEEN}</p>{page}<p>{SEEN}</p></body></html>".encode())


@pytest.mark.parametrize("page", HIDDEN)
def test_what_people_cannot_see_is_left_out_and_named(page: str) -> None:
    document = read(page)
    assert ("x" in document.text, document.text.count(SEEN)) == (False, 2)
    assert [left.part for left in document.left_out if left.part is not Part.PICTURE] == [Part.HIDDEN_TEXT]


@pytest.mark.parametrize("page", NOT_HIDDEN)
def test_what_people_can_see_is_read(page: str) -> None:
    document = read(page)
    assert ("x" in document.text, document.text.count(SEEN), document.left_out) == (True, 2, ())


def test_hidden_element_without_words_is_not_named() -> None:
    assert read("<div hidden> <img src=a></div>").left_out == ()


@pytest.mark.parametrize(
    "sheet", ["{" * 100_000, "/*" * 100_000, "@media" * 30_000, ".a{" * 60_000, "a," * 100_000 + "{display:none}"]
)
def test_style_sheets_take_linear_time(sheet: str) -> None:
    """The process that reads documents ends after a few seconds of CPU time."""
    assert read(f"<style>{sheet}</style>").text.count(SEEN) == 2


@pytest.mark.parametrize(
    "style",
    [
        "font:" * 400,
        "color:rgba(" + "1," * 990,
        *(pytest.param(style, marks=pytest.mark.long) for style in ("font: 1" * 280, "font" + " " * 1_990)),
        *(pytest.param(style, marks=pytest.mark.long) for style in ("/*" * 1_000, "0" * 2_000)),
    ],
)
def test_styles_of_elements_take_linear_time(style: str) -> None:
    assert read(f'<b style="{style}">a</b>' * 2_000).text.count(SEEN) == 2


def test_words_of_no_size_beside_seen_ones_are_left_out_and_named() -> None:
    """MJML, which creates many mails, writes all columns like this."""
    column = '<td style="font-size:0px">x<div style="font-size:13px">Thirteen</div>x</td>'
    document = read(f"<table><tr>{column}{column}</tr></table>")
    assert "| Thirteen | Thirteen |" in document.text
    assert ("x" in document.text, document.left_out) == (False, (LeftOut(Part.HIDDEN_TEXT, 2),))


def test_struck_by_style_is_struck() -> None:
    page = '<p><span style="text-decoration: underline line-through">Old</span> New</p>'
    assert "~~Old~~ New" in read(page).text


def test_films_and_drawings_with_words_are_named() -> None:
    page = "<video src=a></video><svg><text>Q1</text><text>Q2</text></svg><svg><path d=x /></svg>"
    assert read(page).left_out == (LeftOut(Part.RECORDING, 1), LeftOut(Part.PICTURE, 1))
