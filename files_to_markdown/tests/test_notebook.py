import json

import pytest

from files_to_markdown import formats
from files_to_markdown.document import Document, Format, LeftOut, Part

CELLS = [
    {"cell_type": "markdown", "source": ["# Plan\n", "\n", "Twelve days"], "attachments": {"a.png": {}}},
    {
        "cell_type": "code",
        "source": "print(1)\nplot()",
        "outputs": [
            {"output_type": "stream", "name": "stdout", "text": ["1\n", "2\n"]},
            {"output_type": "display_data", "data": {"image/png": "aGk=", "text/plain": "<Figure size 1>"}},
            {"output_type": "execute_result", "data": {"text/html": "<b>3</b>", "text/plain": ["3"]}},
            {
                "output_type": "error",
                "ename": "KeyError",
                "evalue": "'x'",
                "traceback": ["\x1b[31mline 1\x1b[0m", "line 2"],
            },
        ],
    },
    {"cell_type": "raw", "source": ["```"]},
]
MARKDOWN = """\
# Plan

Twelve days

```r
print(1)
plot()
```

Output:
```
1
2
```

Output:
```
3
```

Output:
```
KeyError: 'x'
line 1
line 2
```

```"""


def read(notebook: object) -> Document:
    return formats.read(Format.NOTEBOOK, json.dumps(notebook).encode())


def test_cells_and_the_text_of_outputs_are_read_and_pictures_named() -> None:
    document = read({"nbformat": 4, "metadata": {"language_info": {"name": "r"}}, "cells": CELLS})
    assert (document.text, document.left_out) == (MARKDOWN, (LeftOut(Part.PICTURE, 2),))


def test_older_notebook_keeps_cells_in_worksheets() -> None:
    cell = {
        "cell_type": "code",
        "input": ["1 + 1"],
        "outputs": [
            *({"output_type": "pyout", "text": ["2"], kind: "aGk="} for kind in ("png", "jpeg", "svg")),
            {"output_type": "pyerr", "ename": "KeyError", "evalue": "x", "traceback": ["line 1"]},
        ],
    }
    ends = [{"cells": [{"cell_type": "markdown", "source": end}]} for end in ("End", "Appendix")]
    read_ = read({"nbformat": 3, "worksheets": [{"cells": [cell]}, *ends]})
    shown = "```python\n1 + 1\n```\n\nOutput:\n```\nKeyError: x\nline 1\n```\n\nEnd\n\nAppendix"
    assert read_ == Document(shown, (LeftOut(Part.PICTURE, 3),))


PAGES = {
    "page alone": ({"text/html": "<h2>Sum</h2><p>42"}, "Output:\n\n## Sum\n\n42", 0),
    "plain form that names a class": (
        {"text/html": ["<b>42</b>"], "text/plain": "<IPython.core.display.HTML object>"},
        "Output:\n\n42",
        0,
    ),
    "plain form that says something": (
        {"text/html": "<b>42</b>", "text/plain": "<Axes: >"},
        "Output:\n```\n<Axes: >\n```",
        0,
    ),
    "chart of a script": ({"text/html": "<div>Sales</div><script>draw()</script>"}, "Output:\n\nSales", 1),
    "chart of another program": ({"application/vnd.plotly.v1+json": {}}, "", 1),
    "chart with its data": (
        {"application/vnd.dataresource+json": {}, "text/html": "<script>a</script>", "text/plain": "a  1"},
        "Output:\n```\na  1\n```",
        0,
    ),
}


@pytest.mark.parametrize("name", PAGES)
def test_output_without_a_plain_form_is_read_as_a_page_or_named(name: str) -> None:
    data, shown, pictures = PAGES[name]
    document = read({"cells": [{"cell_type": "code", "source": "a", "outputs": [{"data": data}]}]})
    assert document.text == f"```python\na\n```\n\n{shown}".strip()
    assert document.left_out == ((LeftOut(Part.PICTURE, pictures),) if pictures else ())


def test_what_is_no_notebook_stays_a_text() -> None:
    for text in ("{", '{"cells": 3}', '{"cells": [1, null, "a"]}', "{}", '{"cells": ' + "[" * 5_000):
        assert formats.read(Format.NOTEBOOK, text.encode()).text == text


def test_cells_of_any_form_are_read_as_far_as_they_go() -> None:
    cells = [
        {"source": 3, "outputs": "x"},
        {"source": "Twelve", "outputs": [{"data": [], "text": {}}, 7], "attachments": 1},
    ]
    assert read({"metadata": [], "cells": cells}).text == "Twelve"
