"""Deceptive links: a label that names another host than the link leads to."""

import pytest

from bot.core.reply.markdown.links import is_deceptive
from bot.core.reply.markdown.render import rendered


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
def test_deceptive_link_is_sent_as_text_with_its_destination(link: str) -> None:
    for growing in (False, True):
        shown = rendered(f"{link}\n\nAnd so on.", growing=growing)
        assert "(https://evil.com)" in shown
        assert "](" not in shown


DECEPTIVE = {
    "a host above": ("bank.com", "https://bank.com.evil.io"),
    "a host that ends with it": ("bank.com", "https://evilbank.com"),
    "a host that is part of it": ("www.bank.com", "https://ank.com"),
    "a subdomain of the target": ("login.bank.com", "https://bank.com"),
    "a user name before the host": ("bank.com", "https://bank.com@evil.io/"),
    "a user name and a password": ("bank.com", "https://bank.com:443@evil.io/"),
    "a port": ("bank.com:8443", "https://evil.io:8443"),
    "a path": ("bank.com", "https://evil.io/bank.com"),
    "a file in the path": ("bank.com", "https://evil.io/files/bank.com"),
    "a fragment": ("bank.com", "https://evil.io/#bank.com"),
    "a query": ("bank.com", "https://evil.io/?bank.com"),
    "a backslash": ("bank.com", "https://evil.io\\@bank.com"),
    "a Cyrillic letter in the target": ("paypal.com", "https://p\u0430ypal.com"),
    "a Cyrillic letter in both": ("p\u0430ypal.com", "https://p\u0430ypal.com"),
    "a Cyrillic end": ("bank.\u0441\u043em", "https://evil.io"),
    "all letters Cyrillic": ("\u0440\u0430\u0443\u0440\u0430.\u0441\u043e\u043c", "https://evil.io"),
    "a Greek letter": ("g\u03bf\u03bfgle.com", "https://evil.io"),
    "fullwidth letters": ("ｂａｎｋ．ｃｏｍ", "https://evil.io"),
    "a character like a dot": ("bank\u2024com", "https://evil.io"),
    "an accent": ("b\u00e4nk.com", "https://bank.com"),
    "punycode": ("bank.com", "https://xn--bnk-7cd.com"),
    "punycode in the label": ("xn--bnk-7cd.com", "https://bank.com"),
    "bidi marks": ("\u2066bank\u2069.\u200ecom", "https://evil.io"),
    "a soft hyphen": ("ba\u00adnk.com", "https://evil.io"),
    "a country": ("sparkasse.de", "https://evil.io"),
    "a country below a name": ("barclays.co.uk", "https://evil.co.uk"),
    "an address with a scheme": ("http://intranet/login", "https://evil.io"),
    "a number": ("https://10.0.0.1/", "https://10.0.0.2/"),
    "mail": ("help@bank.com", "mailto:help@evil.io"),
    "a file with a scheme": ("https://main.rs", "https://evil.io/main.rs"),
    "a file elsewhere": ("main.rs", "https://evil.io/other"),
    "a name with two dots": ("bank.com.py", "https://evil.io/bank.com.py"),
    "a shop at .sh": ("www.bank.sh", "https://evil.io/www.bank.sh"),
    "one of many words": ("Please sign in at bank.com today", "https://evil.io"),
}


@pytest.mark.parametrize(("label", "address"), DECEPTIVE.values(), ids=DECEPTIVE)
def test_label_that_names_another_host_is_deceptive(label: str, address: str) -> None:
    assert is_deceptive(label, address)
    shown = rendered(f"[{label}]({address})", growing=False)
    assert "](" not in shown


HONEST = {
    "words": ("the docs", "https://docs.example"),
    "its host": ("bank.com", "https://bank.com/x"),
    "its host without www": ("bank.com", "https://www.bank.com/x"),
    "its host with www": ("www.bank.com", "https://bank.com"),
    "its host with a scheme": ("https://bank.com", "https://bank.com/login"),
    "its host in capitals": ("GitHub.com", "https://github.com/x"),
    "its host with a port": ("localhost:8080", "http://localhost:8080/x"),
    "an address with a port": ("http://localhost:8080/x", "http://localhost:8080/x"),
    "a number": ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
    "its domain": ("python.org", "https://docs.python.org/3"),
    "its host in its own letters": ("m\u00fcnchen.de", "https://m\u00fcnchen.de/amt"),
    "the same as it is looked up": ("m\u00fcnchen.de", "https://xn--mnchen-3ya.de/amt"),
    "a Russian host": (
        "\u043f\u043e\u0447\u0442\u0430.\u0440\u0444",
        "https://\u043f\u043e\u0447\u0442\u0430.\u0440\u0444/x",
    ),
    "a Chinese host": ("\u4f8b\u5b50.com", "https://\u4f8b\u5b50.com/x"),
    "Node.js": ("Node.js", "https://nodejs.org/en"),
    "Vue.js": ("Vue.js 3", "https://vuejs.org/guide"),
    "Socket.IO": ("Socket.IO", "https://socket.io/docs"),
    "a Python file": ("interfaces.py", "https://github.com/o/r/blob/main/src/interfaces.py"),
    "a Python file with a line": ("interfaces.py", "https://github.com/o/r/blob/main/src/interfaces.py#L10"),
    "a path of a file": ("src/interfaces.py", "https://github.com/o/r/blob/main/src/interfaces.py"),
    "a Markdown file": ("README.md", "https://github.com/o/r/blob/main/README.md"),
    "a Rust file": ("`main.rs`", "https://github.com/o/r/blob/main/src/main.rs?plain=1"),
    "a shell script": ("install.sh", "https://example.com/install.sh"),
    "a TypeScript file": ("index.ts", "https://github.com/o/r/blob/main/index.ts"),
    "a JSON file": ("package.json", "https://example.com"),
    "an HTML file": ("index.html", "https://example.com"),
    "a member": ("os.path", "https://docs.python.org"),
    "a function": ("asyncio.gather()", "https://docs.python.org/3"),
    "a version": ("version 1.2.3", "https://example.com"),
    "dots": ("and so on...then", "https://example.com"),
    "an abbreviation": ("e.g. this", "https://example.com"),
    "mail": ("help@bank.com", "mailto:help@bank.com"),
}


@pytest.mark.parametrize(("label", "address"), HONEST.values(), ids=HONEST)
def test_label_that_names_its_own_host_or_file_is_honest(label: str, address: str) -> None:
    assert not is_deceptive(label, address)
    assert rendered(f"[{label}]({address})", growing=False) == f"[{label}]({address})"
