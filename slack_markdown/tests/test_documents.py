"""A Markdown document in a fence is one code block even if it contains fences of the same length."""

import pytest
from markdown_it import MarkdownIt

from slack_markdown.blocks import fences_after, last_lines
from slack_markdown.render import render_page, stable_prefix
from slack_markdown.tests.markdown_texts import paged

PARSER = MarkdownIt("commonmark")


BODY = "# Setup\n\n```sh\npip install setup\n```\n\nThe setup is done."


TEXT = "Here it is:\n\n{}\n\nThe last sentence."


# The source, and the code that readers see.
DOCUMENTS = {
    "one block": (f"```markdown\n{BODY}\n```", BODY),
    "language in short": (f"```md\n{BODY}\n```", BODY),
    "language in capitals, with a title": (f"```Markdown title=README.md\n{BODY}\n```", BODY),
    "several blocks": (f"```markdown\n{BODY}\n{BODY}\n```", f"{BODY}\n{BODY}"),
    "block at the end": ("```markdown\nsetup\n```sh\nls setup\n```\n```", "setup\n```sh\nls setup\n```"),
    "block alone": ("```markdown\n```sh\nls setup\n```\n```", "```sh\nls setup\n```"),
    "document in a document": (f"```md\n```md\n{BODY}\n```\nsetup\n```", f"```md\n{BODY}\n```\nsetup"),
    "longer fences": ("````md\nsetup\n````sh\nls\n````\n````", "setup\n````sh\nls\n````"),
    "longer fences inside": ("```md\nsetup\n````sh\n```\n````\n```", "setup\n````sh\n```\n````"),
    "shorter fences inside": (f"````md\n```\nsetup\n```\n{BODY}\n````", f"```\nsetup\n```\n{BODY}"),
    "tildes": (f"~~~markdown\n{BODY.replace('`', '~')}\n~~~", BODY.replace("`", "~")),
    "other fences inside": (f"~~~markdown\n```\nsetup\n```\n{BODY}\n~~~", f"```\nsetup\n```\n{BODY}"),
    "no block": ("```markdown\nsetup\n```", "setup"),
    "in a list": ("- Do:\n  ```md\n  setup\n  ```sh\n  ls\n  ```\n  ```\n- And", "setup\n```sh\nls\n```"),
    "in a quote": ("> ```md\n> setup\n> ```sh\n> ls\n> ```\n> ```\n", "setup\n```sh\nls\n```"),
}


def code_of(sent: str) -> list[str]:
    return [token.content.rstrip("\n") for token in PARSER.parse(sent) if token.type == "fence"]


@pytest.mark.parametrize(("document", "code"), DOCUMENTS.values(), ids=DOCUMENTS)
def test_document_is_code_as_a_whole(document: str, code: str) -> None:
    sent = render_page(TEXT.format(document), growing=False)
    assert code_of(sent) == [code]
    assert sent.endswith("\n\nThe last sentence.")


@pytest.mark.parametrize("document", [document for document, _ in DOCUMENTS.values()], ids=DOCUMENTS)
def test_document_stays_code_while_it_grows(document: str) -> None:
    text = TEXT.format(document)
    whole, code, appended = render_page(text, growing=False), code_of(render_page(text, growing=False))[0], ""
    for end in range(len(text)):
        stable = stable_prefix(text[:end])
        assert whole.startswith(stable)
        assert stable.startswith(appended)
        appended = stable
        shown = code_of(render_page(text[:end], growing=True))
        assert not shown or code.startswith(shown[0])
        assert len(shown) < 2
    assert "The last sentence." not in appended[: appended.find(code)]


@pytest.mark.parametrize("language", ["markdown", "md"])
def test_document_goes_on_over_pages(language: str) -> None:
    body = "# Setup\n\n```sh\n" + "".join(f"setup {n}{n}{n}\n" for n in range(30)) + "```\n\nThe setup is done."
    pages = paged(TEXT.format(f"```{language}\n{body}\n```"), 120)
    assert len(pages) > 3
    for page in pages:
        sent = render_page(page.markdown, growing=False)
        assert len(code_of(sent)) <= 1
        assert sent.count("setup") == "".join(code_of(sent)).count("setup")
    assert pages[2].markdown.startswith(f"```{language}\n```sh\nsetup ")
    assert pages[-1].markdown.endswith("\n```\n\nThe last sentence.")


# Lines, and the fences that are open after them.
OPEN = [
    (["```markdown", "```sh"], ("```markdown", "```sh")),
    (["```markdown", "```sh", "```"], ("```markdown",)),
    (["```markdown", "```sh", "```", "```"], ()),
    (["```python", "```sh"], ("```python",)),
    (["```python", "```sh", "```"], ()),
    # A bare fence in a document can't be distinguished from its end.
    (["```markdown", "```"], ()),
    (["```markdown", "````sh", "```"], ("```markdown", "````sh")),
    # Such a fence would close the one that is sent.
    (["```markdown", "```sh", "``````"], ()),
    (["```markdown", "``````sh"], ("```markdown",)),
    (["```markdown", "~~~sh"], ("```markdown",)),
    (["~~~markdown", "~~~sh`"], ("~~~markdown", "~~~sh`")),
    (["```markdown", "```sh`"], ("```markdown",)),
    (["```not`a fence"], ()),
    (["```mdx", "```sh", "```"], ()),
    (["```md"] * 40, ("```md",) * 30),
]


@pytest.mark.parametrize(("lines", "opened"), OPEN)
def test_bare_fence_closes_the_innermost_block(lines: list[str], opened: tuple[str, ...]) -> None:
    fences: tuple[str, ...] = ()
    for line in lines:
        fences = fences_after(line, fences)
    assert fences == opened


def test_end_of_a_long_text_is_read_in_its_document() -> None:
    lines = "setup\n" * 1_000
    assert last_lines(f"```md\n```sh\n{lines}").startswith("```md\n```sh\nsetup\n")
    assert last_lines(f"```md\n```sh\n{lines}```\n").startswith("```md\n```sh\nsetup\n")
    assert last_lines(f"```md\n```sh\n```\n```\n{lines}").startswith("\nsetup\n")
