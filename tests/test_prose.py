"""The check of the wording (prose.py), on samples. `make check` runs it on the docs and the product."""

from collections.abc import Mapping

import pytest

from tests.prose import MAX_LINES, problems

LONG = "Returns a text.\n" + "\n".join(f"    Line {number}." for number in range(MAX_LINES))
SAMPLES: Mapping[str, tuple[str, str, list[str]]] = {
    "a phrase in a page, across lines": (
        "a.md",
        "# Title\n\nAn edit, in\nplace of a post.\n",
        ["a.md:3: 'in\\nplace of': "],
    ),
    "code and links in a page": ("a.md", "`go on` and [a](anew.md)\n```\ngo on\n```\n", []),
    "a phrase in a docstring": ("a.py", '"""Runs.\n\nIt goes on.\n"""\n', ["a.py:3: 'goes on': "]),
    "a phrase in a comment": ("a.py", "x = 1  # Sent anew.\n", ["a.py:1: 'anew': "]),
    "a phrase in a string": ("a.py", 'print(f"{1} is on record")\n', ["a.py:1: 'on record': "]),
    "a name that is a phrase": ("a.py", 'go_on = {"anew": 1}\n', []),
    "an exception": ("a.py", "x = 1  # Sent anew.  # prose: a vendor's word\n", []),
    "a docstring that opens with a clause": ("a.py", 'x = 1\n"""What is asked."""\n', ["a.py:2: 'What': open with"]),
    "a question in a string": ("a.py", 'x = "What is asked?"\n', []),
    "a long docstring": ("a.py", f'def f():\n    """{LONG}"""\n', [f"a.py:{MAX_LINES + 2}: {MAX_LINES + 1} lines: at"]),
    "a long docstring with arguments": ("a.py", f'def f(x):\n    """{LONG}\n    `x`: a number.\n    """\n', []),
}


@pytest.mark.parametrize(("name", "source", "expected"), SAMPLES.values(), ids=SAMPLES)
def test_wording_that_is_never_right_is_reported_with_its_line(name: str, source: str, expected: list[str]) -> None:
    found = list(problems(name, source))
    assert len(found) == len(expected), found
    assert all(line.startswith(start) for line, start in zip(found, expected, strict=True)), found
