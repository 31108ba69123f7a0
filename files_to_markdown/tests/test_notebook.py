"""Notebooks: cells and the text of their outputs."""

import json

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
            {"output_type": "error", "ename": "KeyError", "evalue": "'x'", "traceback": ["\x1b[31mline 1\x1b[0m"]},
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
        "outputs": [{"output_type": "pyout", "text": ["2"], "png": "aGk="}],
    }
    text = read({"nbformat": 3, "worksheets": [{"cells": [cell, {"cell_type": "markdown", "source": "End"}]}]}).text
    assert text == "```python\n1 + 1\n```\n\nEnd"


def test_what_is_no_notebook_stays_a_text() -> None:
    for text in ("{", '{"cells": 3}', '{"cells": [1, null, "a"]}', "{}", '{"cells": ' + "[" * 5_000):
        assert formats.read(Format.NOTEBOOK, text.encode()).text == text


def test_cells_of_any_form_are_read_as_far_as_they_go() -> None:
    cells = [
        {"source": 3, "outputs": "x"},
        {"source": "Twelve", "outputs": [{"data": [], "text": {}}, 7], "attachments": 1},
    ]
    assert read({"metadata": [], "cells": cells}).text == "Twelve"
