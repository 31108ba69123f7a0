import pytest

from slack_markdown.blocks import LeafKind, parse_blocks, text_of


@pytest.mark.parametrize(
    ("markdown", "texts"),
    [
        ("    a\n\n    b", ["    a\n    b"]),
        ("    a\n\n\n    b\n\ntext", ["    a\n    b", "text"]),
        ("- x\n\n      a\n\n      b", ["x", "    a\n    b"]),
        ("    a\ntext", ["    a", "text"]),
    ],
)
def test_blank_line_does_not_end_indented_code(markdown: str, texts: list[str]) -> None:
    blocks = parse_blocks(markdown, last_line_incomplete=False).leaf_blocks
    assert [text_of(markdown, block.lines) for block in blocks] == texts
    assert sum(block.kind is LeafKind.INDENTED_CODE for block in blocks) == 1


@pytest.mark.parametrize("header", ["| <https://a.b|x> | y |", "| <#C1|general> | y |", "| a \\| x | y |"])
def test_pipe_in_slacks_markup_ends_no_cell(header: str) -> None:
    (table,) = parse_blocks(f"{header}\n|---|---|\n", last_line_incomplete=False).leaf_blocks
    assert table.kind is LeafKind.TABLE


@pytest.mark.parametrize("heading", ["# A", "## A ##", "A\n===", "A b\n-----"])
@pytest.mark.parametrize("around", ["{}", "> {}", "- {}", "1. {}"])
@pytest.mark.parametrize("below", ["text", "text\n<b>and</b> more", "2 * 3", "| a", "[a](b)", "世界"])
def test_text_directly_below_a_heading_is_a_paragraph(heading: str, around: str, below: str) -> None:
    indent = "> " if around.startswith(">") else " " * around.index("{")
    markdown = around.replace("{}", f"{heading}\n{below}".replace("\n", f"\n{indent}"))
    first, second = parse_blocks(markdown, last_line_incomplete=False).leaf_blocks
    assert (first.kind, second.kind) == (LeafKind.HEADING, LeafKind.PARAGRAPH)
    assert (text_of(markdown, first.lines), text_of(markdown, second.lines)) == (heading.split("\n")[0], below)


@pytest.mark.parametrize("around", ["> ", "- "])
@pytest.mark.parametrize(
    ("first", "texts"),
    [("a", ["a\nb"]), ("[a]: https://a.b", ["[a]: https://a.b", "b"])],
)
def test_only_a_paragraph_with_words_goes_on_outside_its_container(around: str, first: str, texts: list[str]) -> None:
    markdown = f"{around}{first}\nb"
    blocks = parse_blocks(markdown, last_line_incomplete=False).leaf_blocks
    assert [text_of(markdown, block.lines) for block in blocks] == texts
