"""A link says where it leads."""

import pytest

from bot.core.answering.links import misleads
from bot.core.answering.markdown import rendered


@pytest.mark.parametrize(
    "link",
    [
        "[bank.com](https://evil.com)",
        "[bank.example](https://evil.com)",
        "[https://bank.com/login](https://evil.com)",
        "[see bank.com for more](https://evil.com)",
        "[www.bank](https://evil.com)",
        "[//bank.com](https://evil.com)",
        "[ftp://bank.com](https://evil.com)",
        "[bank.com:443/x](https://evil.com)",
        "[support@bank.com](https://evil.com)",
        r"[bank\.com](https://evil.com)",
        "[bank&period;com](https://evil.com)",
        "[**bank**.com](https://evil.com)",
        "[`bank.com`](https://evil.com)",
        "[ｂａｎｋ．ｃｏｍ](https://evil.com)",
        "[bank。com](https://evil.com)",
        "[b\u200bank.com](https://evil.com)",
        "[bank.com](https://bank.com@evil.com)",
        "[bank.com](https:/evil.com)",
        r"[bank.com](https:\\evil.com)",
        '[bank.com]( https://evil.com "https://bank.com" )',
        "[bank.com](<https://evil.com>)",
        "![bank.com](https://evil.com)",
        "| [bank.com](https://evil.com) |\n|---|",
        "[^1]: [bank.com](https://evil.com)",
        "> \t[bank.com](https://evil.com)",
        ">\t [bank.com](https://evil.com)",
        "> | a | b |\n|--|--|\n    [bank.com](https://evil.com)",
        "> [^1]: x[bank.com](https://evil.com)",
    ],
)
def test_a_label_that_is_another_address_shows_the_real_one(link: str) -> None:
    for growing in (False, True):
        shown = rendered(f"{link}\n\nAnd so on.", growing=growing)
        assert "(https://evil.com)" in shown
        assert "](" not in shown


@pytest.mark.parametrize(
    ("label", "address"),
    [
        ("the docs", "https://docs.example"),
        ("bank.com", "https://www.bank.com/x"),
        ("www.bank.com", "https://bank.com"),
        ("https://bank.com", "https://bank.com/login"),
        ("os.path", "https://docs.python.org"),
        ("version 1.2.3", "https://evil.com"),
        ("and so on...then", "https://evil.com"),
    ],
)
def test_other_labels_stay(label: str, address: str) -> None:
    assert not misleads(label, address)
    assert rendered(f"[{label}]({address})", growing=False) == f"[{label}]({address})"
