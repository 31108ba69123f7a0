"""Which elements of a page people can't see. What they hide is no part of the document, and counts as left out."""

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
    "<p hidden>x",
    "<ul><li hidden>x</ul>",
    "<div hidden>x<br><img src=a><div>x</div>x</div>",
    "<div hidden></b>x</div>",
    "<dialog>x</dialog>",
    "<style>.a{display:none}</style><p class='b a'>x</p>",
    "<style>p.a, #b { color: red; display: none }</style><p class=a>x</p><p id=b>x</p>",
    "<style>/* .a{display:block} */ .a{display:none}</style><p class=A>x</p>",
    "<style>.a{display:none}</style><style>@media print{.a{display:block}}</style><p class=a>x</p>",
    f"<div hidden>{'<b>' * 2_000}x{'</b>' * 2_000}</div>",
]
NOT_HIDDEN = [
    '<p style="display:block">x</p>',
    '<p style="font-size:0.9em;opacity:0.5;height:0">x</p>',
    "<dialog open>x</dialog>",
    "<style>.a{display:none} .a{display:block}</style><p class=a>x</p>",
    "<style>.a{display:none}</style><p class=a style='display: block'>x</p>",
    "<style>@media print{.a{display:none}}</style><p class=a>x</p>",
    "<style media=print>.a{display:none}</style><p class=a>x</p>",
    "<style>.a .b, .a:hover, .a > p {display:none}</style><p class=a>x</p>",
    "<style>/* .a{display:none} </style><p class=a>x</p>",
    "<ul><li hidden><li>x</ul>",
    "<p hidden><p>x",
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
    """The process that reads documents ends after seconds of CPU."""
    assert read(f"<style>{sheet}</style>").text.count(SEEN) == 2


def test_struck_by_style_is_struck() -> None:
    page = '<p><span style="text-decoration: underline line-through">Old</span> New</p>'
    assert "~~Old~~ New" in read(page).text


def test_films_and_drawings_with_words_are_named() -> None:
    page = "<video src=a></video><svg><text>Q1</text><text>Q2</text></svg><svg><path d=x /></svg>"
    assert read(page).left_out == (LeftOut(Part.RECORDING, 1), LeftOut(Part.PICTURE, 1))
