"""Long code of an answer, which comes as a file, too."""

import pytest

from bot.reply.attachments import code_files

LONG = "".join(f"{number:09}\n" for number in range(2_400))


@pytest.mark.parametrize(
    ("text", "files"),
    [
        (f"```rust\n{LONG}```", {"code-1.rs": LONG}),
        (
            f"~~~\n{LONG}~~~\n```sh\nls\n```\n````SQL x\n{LONG}```\n````",
            {"code-1.txt": LONG, "code-2.sql": f"{LONG}```\n"},
        ),
        (f"1. ```exe\n   {LONG[:-1].replace(chr(10), chr(10) + '   ')}\n   ```", {"code-1.txt": LONG}),
        (f"```yaml\n{LONG}", {"code-1.yaml": LONG}),
        (LONG, {}),
    ],
    ids=["one", "two of three", "in a list", "still open", "none"],
)
def test_long_code_is_attached_with_the_extension_of_its_info_string(text: str, files: dict[str, str]) -> None:
    assert {file.title: file.content.decode() for file in code_files(text, "1.0")} == files
