"""HTML features in addition to text: boxes, values, list numbers, superscripts, and lines in cells."""

import pytest

from files_to_markdown import formats
from files_to_markdown.document import Document, Format, LeftOut, Part


def read(page: str) -> Document:
    return formats.read(Format.HTML, page.encode())


CONTROLS = {
    "ticked box": ("<input type=checkbox checked> Approved", "☒ Approved"),
    "empty box": ("<label><input type='checkbox'>Rejected</label>", "☐ Rejected"),
    "box of a task list": ("<ul><li><input type=checkbox checked disabled>done", "- ☒ done"),
    "boxes in cells": (
        "<table><tr><td><input type=checkbox>a<td><input type=CheckBox checked=''>b</table>",
        "| ☐ a | ☒ b |\n|---|---|",
    ),
    "radio buttons": ("<input type=radio checked>Yes <input type=radio>No", "◉ Yes ○ No"),
    "box of a script": ("<span role=checkbox aria-checked=true></span>Yes", "☒ Yes"),
    "switch of a script": ("<div role=switch aria-checked=false>Off</div>", "☐ Off"),
    "box of a script without a state": ("<span role=checkbox></span>Yes", "Yes"),
    "state without a box": ("<div aria-checked=true>On</div>", "On"),
    "option between words": ("Size<select><option>S</select>only", "Size S only"),
    "chosen option": ("Size <select><option>S<option selected>M<option>L</select> only", "Size M only"),
    "first option": ("<select><option>S</option><option>M</option></select>", "S"),
    "several options": (
        "<select multiple><option selected>S</option><option>M</option></select>",
        "☒ S ☐ M",
    ),
    "options in a box": ("<select size=2><option>S<option selected>M</select>", "☐ S ☒ M"),
    "options in a box of one line": ("<select size=1><option>S<option selected>M</select>", "M"),
    "last of two chosen options": ("<select><option selected>S<option selected>M<option>L</select>", "M"),
    "groups of options": ("<select><optgroup label=a><option>S<optgroup><option selected label=M></select>", "M"),
    "choice without an end": ("<select><option>S<p>below", "S\n\nbelow"),
    "text": (
        "Name: <input value='Ada Lovelace'>, <input type=date value=2026-11-22>",
        "Name: Ada Lovelace , 2026-11-22",
    ),
    "lines of text": ("<textarea>\nfirst</textarea>", "first"),
    "button": ("<input type=submit value=Send>", "Send"),
    "unseen": ("a<input type=hidden value=x><input type=password value=y><input type=file value=z>b", "ab"),
    "suggestions": ("<input value=x><datalist><option>S</datalist>", "x"),
}
LISTS = {
    "start": ("<ol start=3><li>c<li>d</ol>", "3. c\n4. d"),
    "values": ("<ol><li value=7>g<li>h<li value=-1>i</ol>", "7. g\n8. h\n-1. i"),
    "letters": ("<ol type=a start=26><li>z<li>aa</ol>", "z. z\naa. aa"),
    "roman": ("<ol type=I><li>a<li>b<li>c<li>d</ol>", "I. a\nII. b\nIII. c\nIV. d"),
    "capital letters": ("<ol type=A start=28><li>a</ol>", "AB. a"),
    "small roman": ("<ol type=i start=4><li>a</ol>", "iv. a"),
    "reversed": ("<ol reversed start=2><li>a<li>b</ol>", "2. a\n1. b"),
    "reversed from nobody knows where": ("<ol reversed><li>a<li>b</ol>", "- a\n- b"),
    "other type": ("<ol type=hebrew start=x><li>a</ol>", "1. a"),
    "zero as a letter": ("<ol type=a start=0><li>a</ol>", "0. a"),
    "in a cell": (
        "<table><tr><td>To do:<ol start=2><li>a<li>b</ol><ul><li>c</ul></table>",
        "| To do:<br>2. a<br>3. b<br>- c |\n|---|",
    ),
}
EMPTY = {
    "title": ("<title></title><p>Hello", "Hello"),
    "heading": ("<h2><img width=1 height=1></h2>Hello", "Hello"),
    "item": ("<ul><li> </li></ul>Hello", "Hello"),
    "heading around a block": ("<h2><p>Hello</p></h2>you", "## Hello\n\nyou"),
    "item around a block": ("<ul><li><p>Hello</p>you</ul>", "- Hello\nyou"),
}
"""Blocks without words don't pass on a mark."""
WORDS = {
    "end of a link that has not begun": ("a</a> b", "a b"),
    "quoted": ("He said <q>twelve</q>.", 'He said "twelve".'),
    "power": ("10<sup>6</sup> and 10<sup>-3</sup>", "10^6 and 10^-3"),
    "longer power": ("(a+b)<sup>n + 1</sup>", "(a+b)^(n + 1)"),
    "index": ("H<sub>2</sub>O", "H_2O"),
    "power by style": ("10<span style='font-size:8pt;vertical-align:super'>6</span><span>!</span>", "10^6!"),
    "mark of a footnote": ("word<sup>[1]</sup>, <sup>1</sup>Note", "word[1], 1Note"),
    "within each other": ("2<sup>2<sup>3</sup></sup>", "2^23"),
    "without an end": ("2<sup>3<p>4<sup>5</sup>", "23\n\n4^5"),
    "soft hyphens": ("Donau&shy;dampf&#173;schiff", "Donaudampfschiff"),
    "reading of characters": ("<ruby>漢<rt>kan</rt></ruby>", "漢(kan)"),
    "reading in parentheses": ("<ruby>漢<rp>(</rp><rt>kan</rt><rp>)</rp></ruby>", "漢(kan)"),
    "readings with and without parentheses": (
        "<ruby>漢<rp>(</rp><rt>kan</rt><rp>)</rp></ruby><ruby>字<rt>ji</rt></ruby>",
        "漢(kan)字(ji)",
    ),
    "struck words and code": (
        "<s>a</s>, <del>b</del>, <strike>c</strike>, <code>d</code><pre><code>e</code></pre>",
        "~~a~~, ~~b~~, ~~c~~, `d`\n\n```\ne\n```",
    ),
    "struck in code": ("<pre>a <span style='text-decoration: line-through'>b</span></pre>", "```\na b\n```"),
    "addresses that hold data": (
        "<a href='mailto:a@b.example'>a</a> <a href='data:b'>b</a> <a href='cid:c'>c</a>",
        "[a](mailto:a@b.example) b c",
    ),
    "other addresses": (
        "<a href='ftp://x.example/a'>a</a> <a href='javascript:b()'>b</a> <a href='c.html'>c</a>",
        "[a](ftp://x.example/a) b c",
    ),
    "lines in a cell": ("<table><tr><td>a<br>b<br><br><p>c</p><div>d</div></table>", "| a<br>b<br>c<br>d |\n|---|"),
}
QUOTATIONS = {
    "in a mail": (
        "<p>I agree.</p><blockquote>Shall we?<br>By May?</blockquote>Yes, by May.",
        "I agree.\n\n> Shall we?\n> By May?\n\nYes, by May.",
    ),
    "within one another": ("<blockquote>b<blockquote><p>a</blockquote>c</blockquote>d", "> b\n\n> > a\n\n> c\n\nd"),
    "of a list": ("<blockquote><ol><li>a<li>b</ol></blockquote>", "> 1. a\n> 2. b"),
    "of code": ("<blockquote><pre>a\n b</pre></blockquote>c", "> ```\n> a\n>  b\n> ```\n\nc"),
    "without an end": ("<blockquote>a", "> a"),
    "without a beginning": ("</blockquote>a<blockquote>b", "a\n\n> b"),
    "without words": ("<blockquote> <p></p></blockquote>a", "a"),
    "too many": (f"{'<blockquote>' * 12}a", f"{'> ' * 10}a"),
}


@pytest.mark.parametrize(
    ("page", "shown"),
    [*CONTROLS.values(), *LISTS.values(), *EMPTY.values(), *WORDS.values(), *QUOTATIONS.values()],
    ids=[*CONTROLS, *LISTS, *EMPTY, *WORDS, *(f"quotation {name}" for name in QUOTATIONS)],
)
def test_html_says_what_people_see(page: str, shown: str) -> None:
    assert read(f"<body>{page}").text == shown


NAMED = {
    "<video src=a></video><audio src=b></audio>": (Part.RECORDING, 2),
    "<embed type=video/mp4 src=a>": (Part.RECORDING, 1),
    "<object type=audio/mpeg data=a></object>": (Part.RECORDING, 1),
    "<object data=a.pdf></object>": (Part.ATTACHMENT, 1),
    "<iframe src=https://a.example>x</iframe>": (Part.ATTACHMENT, 1),
    "<frameset><frame src=a.html><frame src=b.html><noframes>b</noframes></frameset>": (Part.ATTACHMENT, 2),
    "<math><mi>a</mi></math>": (Part.EQUATION, 1),
    "<svg><text>40 units</text></svg>": (Part.PICTURE, 1),
}


@pytest.mark.parametrize("page", NAMED)
def test_what_of_a_page_is_no_text_is_named(page: str) -> None:
    assert read(f"<body>a{page}").left_out == (LeftOut(*NAMED[page]),)


@pytest.mark.parametrize(
    "how", ["style='display:none'", "hidden", "width=0 height=0", "width=0px", "height=1", "width=9 height=1px"]
)
def test_page_within_a_page_that_nobody_sees_is_not_named(how: str) -> None:
    assert read(f"<body>a<iframe {how}>x</iframe>b") == Document("ab")
    assert read("<body>a<span hidden><iframe src=b>x</iframe></span>b") == Document("ab")


def test_pictures_of_a_page_are_counted_without_those_that_nobody_sees() -> None:
    page = read("a<img src=b alt='a plan'><img src=c><img width=1 height=1>")
    assert page == Document("a![a plan]", (LeftOut(Part.PICTURE, 2),))
