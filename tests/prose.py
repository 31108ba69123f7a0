"""Prints the wording in the docs and the product that is never right, and fails if there is any. `make check` runs it.

It finds phrases, docstrings that open with a clause instead of a noun or a verb, and docstrings that are too long. A
line that ends with `# prose: ` and a reason is an exception.
"""

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PACKAGES = (
    "bot",
    "handlers",
    "demo",
    "slack_markdown",
    "files_to_markdown",
    "slack_pacing",
    "slack_probe",
    "sandbox/slack_sandbox",
)
CHECKED = ("*.md", ".env.example", "docs/**/*.md", "sandbox/*.md", *(f"{folder}/**/*.py" for folder in PACKAGES))
MAX_LINES = 12  # of a docstring without lines for arguments
MAX_MODULE_LINES = 45
INSTEAD: Mapping[str, str] = {
    "in place of": "instead of",
    "on record": "recorded",
    "by now": "currently",
    "anew": "again",
    "mend|mends|mended|mending": "fix",
    "a press|the press": "a click, or a verb",
    "(?:say|says|said|saying|tell|tells|told|telling) of": "report, mention",
    "(?:know|knows|knew|known|hear|hears|heard|reads) of": "know about",
    "go on|goes on|went on|gone on": "continue, resume",
    "those who": "a noun",
    "stands? (?:above|below|under|there)": "is shown, is listed, is in effect",
    "each (?:second|third|fourth|fifth|tenth)": "every second, …",
    "in no list|leads? nowhere": "a verb with not",
    "kinds? of (?:a )?(?:person|persons|people|users?)": "user type",
    "may ask": "can ask",
    "I do not|I will not|can not": "a contraction, cannot",
    "forbids to|belongs? into": "forbids …ing, belongs to",
    "presser's|all but the text of|quiet me here|questions ahead of you|posts are questions": "another sentence",
    "caps? tokens|need none|as a file's words|more than the asker's words": "another sentence",
    # Other names for what docs/contributors/glossary.md defines.
    "allowances?": "quota",
    "errands?|leftovers?": "outbox entry",
    "hand-overs?|take-overs?": "handover, takeover",
    "(?:log|logs|logged|logging) in(?:to)?": "sign in",
    "DMs?": "direct message",
    "e-mails?": "email",
}
PHRASES = {re.compile(rf"\b(?:{words})\b".replace(" ", r"\s+"), re.I): right for words, right in INSTEAD.items()}
ARGUMENT = re.compile(r"^ *`\w+`:", re.M)
CLAUSE = re.compile(r"(?:What|Who|Whose|Where|Which|How|All (?:that|who|of which))\b")
NOT_PROSE = re.compile(r"^```.*?^```|`[^`\n]*`|\]\([^)\s]*\)|https?://\S+", re.M | re.S)


class Text(NamedTuple):
    line: int
    text: str
    max_lines: int = 0  # 0 if it isn't a docstring


def problems(name: str, source: str) -> Iterator[str]:
    """Yields a line for each problem in a file's prose."""
    lines = source.splitlines()
    for text in _texts(source) if name.endswith(".py") else [Text(1, source)]:
        prose = NOT_PROSE.sub(lambda match: re.sub(r"[^\n]", "`", match[0]), text.text)
        found = [*_docstring_problems(text)] if text.max_lines else []
        for phrase, right in PHRASES.items():
            found += [(match.start(), f"{match[0]!r}: use {right}") for match in phrase.finditer(prose)]
        for at, problem in found:
            line = text.line + prose.count("\n", 0, at)
            if "# prose: " not in lines[line - 1]:
                yield f"{name}:{line}: {problem}"


def _texts(source: str) -> Iterator[Text]:
    tree = ast.parse(source)
    lengths = {id(node.value): MAX_LINES for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    if tree.body and isinstance(first := tree.body[0], ast.Expr):
        lengths[id(first.value)] = MAX_MODULE_LINES
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield Text(node.lineno, node.value, lengths.get(id(node), 0))
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield Text(token.start[0], token.string)


def _docstring_problems(docstring: Text) -> Iterator[tuple[int, str]]:
    if opening := CLAUSE.match(docstring.text):
        yield 0, f"{opening[0]!r}: open with a noun or a verb"
    if (length := docstring.text.count("\n") + 1) > docstring.max_lines and not ARGUMENT.search(docstring.text):
        yield len(docstring.text), f"{length} lines: at most {docstring.max_lines}"


if __name__ == "__main__":
    paths = sorted({path for pattern in CHECKED for path in ROOT.glob(pattern) if path.parent.name != "tests"})
    found = [line for path in paths for line in problems(str(path.relative_to(ROOT)), path.read_text("utf-8"))]
    sys.stdout.writelines(f"{line}\n" for line in found)
    sys.exit("Rewrite the sentences, or end the line with `# prose: ` and a reason." if found else 0)
