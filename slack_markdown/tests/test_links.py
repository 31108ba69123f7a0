"""Deceptive links, bare URLs, and URLs of Slack files."""

import re

import pytest
from confusable_homoglyphs.confusables import confusables_data
from hypothesis import example, given, settings
from hypothesis import strategies as st

from slack_markdown.escaping import HAIR_SPACE
from slack_markdown.links import (
    MAX_AUTHORITY_CHARS,
    MAX_DESTINATIONS,
    MAX_INTERNATIONAL_CHARS,
    MAX_NAMED_HOSTS,
    file_ids_in,
    is_closed_file,
    is_deceptive,
    might_have_link,
    with_ascii_hosts,
    without_schemes,
)
from slack_markdown.pages import Pages
from slack_markdown.render import max_sent_chars, render_page, stable_prefix


@pytest.mark.parametrize(
    "link",
    [
        "[bank.com](https://evil.com)",
        "[bank.example](https://evil.com)",
        "[www.bank](https://evil.com)",
        "[//bank.com](https://evil.com)",
        "[ftp://bank.com](https://evil.com)",
        r"[bank\.com](https://evil.com)",
        "[bank&period;com](https://evil.com)",
        "[**bank**.com](https://evil.com)",
        "[`bank.com`](https://evil.com)",
        "[bank。com](https://evil.com)",
        "[b\u200bank.com](https://evil.com)",
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
        shown = render_page(f"{link}\n\nAnd so on.", growing=growing)
        assert "(https://evil.com)" in shown
        assert "](" not in shown


BLANK = {
    "nothing": "[]({})",
    "a space": "[ ]({})",
    "an invisible character": "[\u200b]({})",
    "a filler that counts as a letter": "[\u3164]({})",
    "a blank of Braille": "[\u2800]({})",
    "a space as an entity": "[&nbsp;]({})",
    "an invisible character as an entity": "[&#8203;]({})",
    "a line break": "[<br>]({})",
    "a comment": "[<!-- the bank -->]({})",
    "blank code": "[` `]({})",
    "an image without a label": "![]({})",
    "an image with an invisible one": "![\u2060]({})",
}


@pytest.mark.parametrize("link", BLANK.values(), ids=BLANK)
def test_link_without_a_label_shows_its_address(link: str) -> None:
    url = "https://evil.example/?q=x"
    assert render_page(f"So {link.format(url)} it is", growing=False) == f"So {url} it is"
    assert render_page(f"**{link.format(url)}**\n\nand", growing=True).partition("\n")[0] in (url, f"**{url}**")
    for beside in ("[.bank.example](https://a.example)", "![b](https://a.example)", "b"):
        assert f"{url} " in render_page(f"{link.format(url)}{beside}", growing=False)


@pytest.mark.parametrize(
    "written",
    [
        "sort(v, [](x) { })",
        "f = []() { }",
        "[ ](//evil.example)",
        "[](javascript:a)",
        "handlers[name]()",
        "[Docs]( )",
        "**[`f`]()**",
    ],
)
def test_brackets_without_a_label_or_an_address_are_text(written: str) -> None:
    sent = render_page(written, growing=False)
    assert sent == written.replace("[", "\\[").replace("]", "\\]")
    assert len(sent) <= max_sent_chars(written)
    for around in ("![{}", "[bank.example {}", "{} bank.example](https://evil.example)"):
        assert sent in render_page(around.format(written), growing=False)


@pytest.mark.parametrize("label", ["[\u200b][r]", "[][r]", "[ ][r]"])
def test_no_reference_without_a_label_is_a_link(label: str) -> None:
    sent = render_page(f"So {label}\n\n[r]: https://evil.example", growing=False)
    assert sent.startswith(f"So {label}".replace("[", "\\[", 1).replace("]", "\\]", 1))


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
    "a dot between Korean words": ("bank\u318dcom", "https://evil.io"),
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
    "an uncommon top-level domain": ("bank.ventures", "https://evil.io"),
    "a network's own top-level domain": ("vault.internal", "https://evil.io"),
    "a top-level domain in its script": ("\u94f6\u884c.\u4e2d\u56fd", "https://evil.io"),
    "a top-level domain in Punycode": ("bank.xn--p1ai", "https://evil.io"),
    "a top-level domain with an accent": ("bank.\u0107om", "https://evil.io"),
    "a top-level domain with a digit": ("bank.c0m", "https://evil.io"),
    "a top-level domain with other letters": ("bank.corn", "https://evil.io"),
    "no space behind a host": ("bank.com.Please sign in", "https://evil.io"),
    "an alphabet of its own": ("\u2c83\u2c81\u2c9b\u2c95.\u2ca5\u2c9f\u2c99", "https://evil.io"),
    "small capitals": ("\u0299\u1d00\u0274\u1d0b.\u1d04\u1d0f\u1d0d", "https://evil.io"),
    "squared letters": ("\U0001f171\U0001f170\U0001f17d\U0001f17a.\U0001f172\U0001f17e\U0001f17c", "https://evil.io"),
    "regional indicators": ("bank.\U0001f1e8\U0001f1f4\U0001f1f2", "https://evil.io"),
    "mathematical letters": (
        "\U0001d4eb\U0001d4ea\U0001d4f7\U0001d4f4.\U0001d4ec\U0001d4f8\U0001d4f6",
        "https://evil.io",
    ),
    "Lisu letters": ("\ua4d0\ua4ee\ua4e0\ua4d7.\ua4da\ua4f3\ua4df", "https://evil.io"),
    "mixed scripts in both": (
        "bank\u043f\u043e\u0447\u0442\u0430.com",
        "https://bank\u043f\u043e\u0447\u0442\u0430.com",
    ),
    "a defanged dot": ("bank[.]com", "https://evil.io"),
    "a slash of another kind": ("https:\u2215\u2215intranet", "https://evil.io"),
    "an IPv4 address": ("10.0.0.1", "https://evil.io"),
    "a hexadecimal address": ("0x7f.0.0.1", "https://evil.io"),
    "an octal address": ("0177.0.0.01", "https://evil.io"),
    "an address as one number": ("2130706433", "https://evil.io"),
    "an address as one hexadecimal number": ("0x7f000001", "https://evil.io"),
    "a short address with a scheme": ("http://127.1/", "https://evil.io"),
    "an address in Arabic digits": ("\u0661\u0662\u0667.\u0660.\u0660.\u0661", "https://evil.io"),
    "another address in hexadecimal": ("10.0.0.1", "http://0x0a000002"),
    "an IPv6 address": ("2001:db8::1", "https://evil.io"),
    "an IPv6 address with a scheme": ("http://[::1]/", "https://evil.io"),
    "a host with a port": ("localhost:8080", "https://evil.io"),
    "a host with the port of TLS": ("intranet:443", "https://evil.io"),
    "a user name in the label": ("https://bank.com@evil.io/", "https://evil.io/"),
    "a user name in both": ("https://bank.com@evil.io/", "https://bank.com@evil.io/"),
    "a host that browsers don't fold": ("strasse.de", "https://stra\u00dfe.de"),
    "a mark in the target": ("bank.com", "https://ba\u0332nk.com"),
    "an ideographic full stop in the target": ("bank.com", "https://bank.com\u3002evil.io"),
    "an encoded full stop in the target": ("bank.com", "https://bank.com%2eevil.io"),
    "a stranger's host below a public suffix": ("github.io", "https://evil.github.io"),
    "no scheme in the target": ("bank.com", "evil.io"),
    "no host in the target": ("bank.com", "javascript:alert(1)"),
    "a slash that only some readers know in the target": ("bank.com", "https://evil.io\uff0f.bank.com"),
    "a bracket in the target": ("bank.com", "https://[evil.io/.bank.com"),
    "two mailboxes": ("ceo@bank.com", "mailto:x@evil.io,ceo@bank.com"),
    "two mailboxes, encoded": ("ceo@bank.com", "mailto:x@evil.io%2Cceo@bank.com"),
    "a copy to another mailbox": ("ceo@bank.com", "mailto:ceo@bank.com?cc=x@evil.io"),
    "a copy behind a subject": ("ceo@bank.com", "mailto:ceo@bank.com?subject=a&bcc=x@evil.io"),
    "a copy behind an entity": ("ceo@bank.com", "mailto:ceo@bank.com?subject=a&amp;cc=x@evil.io"),
    "a copy in a subject's second line": ("ceo@bank.com", "mailto:ceo@bank.com?subject=a%0D%0ACc:x@evil.io"),
    "another recipient in the query": ("ceo@bank.com", "mailto:ceo@bank.com?to=x@evil.io"),
    "a mailbox that is longer": ("help@bank.com", "mailto:help@bank.com.evil.io"),
    "a longer mailbox in the label": ("help@bank.com.evil.io", "mailto:help@bank.com"),
    "a second mailbox in the label": ("help@bank.com,x@evil.io", "mailto:help@bank.com"),
    "a second mailbox in the address": ("Mail help@bank.com.", "mailto:help@bank.com,x@evil.io"),
    "another mailbox before a full stop": ("Mail help@bank.com.", "mailto:help@evil.io"),
    "another mailbox of the host": ("alice@gmail.com", "mailto:mallory@gmail.com"),
    "mail of its host": ("bank.com", "mailto:x@bank.com"),
    "another telephone number": ("+49 30 1234567", "tel:+900111"),
    "an app that opens": ("Open the channel", "slack://user?team=T1&id=U2"),
    "an app's own host": ("bank.com", "slack://bank.com/x"),
    "a script": ("Open", "javascript:alert(1)"),
    "one of many words": ("Please sign in at bank.com today", "https://evil.io"),
}


@pytest.mark.parametrize(("label", "address"), DECEPTIVE.values(), ids=DECEPTIVE)
def test_label_that_names_another_host_is_deceptive(label: str, address: str) -> None:
    assert is_deceptive(label, address)
    shown = render_page(f"[{label}]({address})", growing=False)
    assert "](" not in shown


HONEST = {
    "words": ("the docs", "https://docs.example"),
    "its host": ("bank.com", "https://bank.com/x"),
    "its host without www": ("bank.com", "https://www.bank.com/x"),
    "its host with www": ("www.bank.com", "https://bank.com"),
    "its host without www, under which others have hosts": ("github.io", "https://www.github.io/x"),
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
    "its host with a full stop": ("bank.com.", "https://bank.com"),
    "its host in full width": ("bank.com", "https://\uff22\uff21\uff2e\uff2b.com/"),
    "its host with an ideographic full stop": ("bank.com", "https://bank\u3002com/"),
    "its host as browsers encode it": ("stra\u00dfe.de", "https://xn--strae-oqa.de/"),
    "its host with vowel signs": (
        "\u092d\u093e\u0930\u0924.\u092d\u093e\u0930\u0924",
        "https://\u092d\u093e\u0930\u0924.\u092d\u093e\u0930\u0924",
    ),
    "its host with an emoji": ("i\u2764.ws", "https://i\u2764.ws"),
    "its address in another form": ("127.0.0.1", "http://2130706433/"),
    "its whole address": ("https://x.com/foo.zone/a.md", "https://x.com/foo.zone/a.md"),
    "a ticket": ("20261122", "https://example.com/t?id=20261122"),
    "a file beside": ("README.md", "README.md"),
    "Japanese sentences": ("\u6674\u308c\u3002\u660e\u65e5\u306f\u96e8", "https://example.com"),
    "Russian sentences": ("\u041f\u0440\u0438\u0432\u0435\u0442. \u041c\u0438\u0440", "https://example.com"),
    "an accented file": ("r\u00e9sum\u00e9.pdf", "https://example.com"),
    "a time": ("2026-11-22 10:30:15", "https://example.com"),
    "a name with colons": ("std::vector", "https://example.com"),
    "a price": ("$1.50", "https://example.com"),
    "a long version": ("130.0.6723.91", "https://example.com"),
    "a line": ("line:120", "https://example.com"),
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
    "mail among words": ("Mail Help@bank.com", "mailto:help@bank.com"),
    "mail at the end of a sentence": ("Mail help@bank.com.", "mailto:help@bank.com"),
    "mail before a comma": ("Mail help@bank.com, please", "mailto:help@bank.com"),
    "mail before a colon": ("help@bank.com: support", "mailto:help@bank.com"),
    "mail before an exclamation mark": ("Mail help@bank.com!", "mailto:help@bank.com"),
    "mail in parentheses": ("Support (help@bank.com)", "mailto:help@bank.com"),
    "mail with a question in its subject": ("help@bank.com", "mailto:help@bank.com?subject=Why%3F"),
    "mail with a subject": ("help@bank.com", "mailto:help@bank.com?subject=Hi%20there&body=x"),
    "its host at the end of a sentence": ("Sign in at bank.com.", "https://bank.com/login"),
    "its host before a comma": ("bank.com, the bank", "https://bank.com"),
    "its host with a slash": ("https://bank.com/", "https://bank.com"),
    "its host without the slash": ("https://bank.com", "https://bank.com/"),
    "its host in parentheses": ("The bank (bank.com)", "https://bank.com"),
    "its host before an exclamation mark": ("Go to bank.com!", "https://bank.com"),
    "mail without a name": ("Write to us", "mailto:help@bank.com"),
    "its telephone number": ("+49 (30) 1234-567", "tel:+49301234567"),
}


@pytest.mark.parametrize(("label", "address"), HONEST.values(), ids=HONEST)
def test_label_that_names_its_own_host_or_file_is_honest(label: str, address: str) -> None:
    assert not is_deceptive(label, address)
    assert render_page(f"[{label}]({address})", growing=False) == f"[{label}]({address})"


INVISIBLE = [
    *"\ufe00\ufe0e\ufe0f\u034f\u180b\u180e\u17b4\u17b5\u2800\u200b\u200c\u200d\u200e\u202e\u2060\u2063\u2066\u206a\u00ad\u061c\ufeff",
    *"\u3164\u115f\u1160\uffa0\u0300\u0332\u0336\u0489\u20dd\u20e3\u2009\u200a\u202f\ufff9\ufffc\ue000\x00\x7f\u0085",
    *"\U000e0100\U000e01ef\U000e0001\U000e0061\U0001d173\U0001bca0\U000f0000\U0010fffd",
]
"""Characters of every type that are invisible or drawn over the previous letter."""


DOTS = [
    *"\u2024\u2027\u00b7\u2022\u2219\u22c5\u3002\uff0e\uff61\ufe52\u0701\u0702\ua4f8\u16eb\u1427\ua60e\u2e31\u2e33\u0660\u06f0\u30fb\uff65\ua78f"
]


DOTS += [*"\U00010a50\U0001d16d", "[.]", "&period;", "&#46;", "\\."]


BY_LETTER = {
    letter: [
        letter,
        letter.upper(),
        chr(ord(letter) + 0xFEE0),
        chr(ord(letter) - ord("a") + 0x1D4EA),
        chr(ord(letter) - ord("a") + 0x24D0),
        *[found["c"] for found in confusables_data[letter] if len(found["c"]) == 1 and found["c"].isalpha()],
    ]
    for letter in "abcdefghijklmnopqrstuvwxyz"
}


@st.composite
def disguised_hosts(draw: st.DrawFn) -> str:
    """Returns labels that look like a host, with invisible characters and with confusable letters and dots."""
    host = draw(
        st.sampled_from(["bank.com", "paypal.com", "login.microsoftonline.com", "barclays.co.uk", "vault.zone"])
    )
    pieces = []
    for character in host:
        pieces.append(draw(st.sampled_from(BY_LETTER.get(character, [".", *DOTS]))))
        pieces += draw(st.lists(st.sampled_from(INVISIBLE), max_size=2))
    before, after = draw(
        st.sampled_from([("", ""), ("", "/login"), ("Sign in at ", " now"), ("https://", "/"), ("**", "**")])
    )
    return before + "".join(pieces) + after


@given(disguised_hosts())
@example("bank\u0660\ufe00com")
def test_host_is_never_all_that_shows_of_a_link_to_another_host(label: str) -> None:
    assert is_deceptive(label, "https://evil.example/x")
    shown = render_page(f"See [{label}](https://evil.example/x) for more.", growing=False)
    assert not re.search(r"\]\(", shown)
    assert "https://evil.example/x" in shown


@pytest.mark.parametrize("label", ["ba{}nk.com", "bank{}.com", "bank.{}com", "bank.co{}m", "{}bank.com{}"])
def test_characters_that_do_not_show_hide_no_host(label: str) -> None:
    hiding = [ascii(one) for one in INVISIBLE if not is_deceptive(label.replace("{}", one), "https://evil.example")]
    assert hiding == []


@pytest.mark.parametrize(
    "text",
    [
        "[bank](https://evil.com)[.com](https://evil.com)",
        "[ba](https://evil.com)[nk](https://evil.com)[.com](https://evil.com)",
        "[bank](https://evil.com)[.](https://evil.com)[com](https://evil.com)",
        "bank.[com](https://evil.com)",
        "**bank**[.com/login](https://evil.com)",
        "bank.[co][1]\n\n[1]: https://evil.com\n",
        "bank.![com](https://evil.com)",
    ],
)
def test_host_that_begins_before_a_label_is_not_all_that_shows(text: str) -> None:
    shown = render_page(text, growing=False)
    assert "com](" not in shown
    assert "\\[" in shown or "(https://evil.com)" in shown.rpartition("]")[2]


@pytest.mark.parametrize(
    "text",
    [
        "docs.[python.org](https://docs.python.org/3)",
        "https://bank.com/[login](https://example.com)",
        "(see bank.com:[docs](https://example.com))",
        "[bank.com](https://bank.com)[, docs](https://example.com)",
        "[one](https://example.com)[two](https://example.com)",
    ],
)
def test_link_directly_behind_other_text_stays_one(text: str) -> None:
    assert render_page(text, growing=False) == text


@pytest.mark.parametrize("label", ["[bank.com]", "[bank.com][]", "![bank.com]"])
@pytest.mark.parametrize("between", ["\n\n", "\n\nMore.\n\n"])
def test_label_that_is_defined_in_another_paragraph_is_no_link_to_another_host(label: str, between: str) -> None:
    shown = render_page(f"See {label}.{between}[bank.com]: https://evil.com\n", growing=False)
    assert shown.startswith(f"See {label.replace('[bank.com]', chr(92) + '[bank.com' + chr(92) + ']')}.")


def test_label_with_too_many_hosts_or_destinations_to_compare_is_deceptive() -> None:
    honest = "https://bank.com"
    assert not is_deceptive("bank.com", *[honest] * MAX_DESTINATIONS)
    assert is_deceptive("bank.com", *[honest] * (MAX_DESTINATIONS + 1))
    assert not is_deceptive("bank.com " * MAX_NAMED_HOSTS, honest)
    assert is_deceptive("bank.com " * (MAX_NAMED_HOSTS + 1), honest)


CYRILLIC = "https://g\u0456thub.com/a_b?c#d"


GITHUB = "https://xn--gthub-n2e.com/a_b?c#d"


SENT = {
    "a Cyrillic letter": (CYRILLIC, GITHUB),
    "a scheme in capitals": (CYRILLIC.upper(), "HTTPS://xn--gthub-n2e.com/A_B?C#D"),
    "a Cyrillic host": ("http://\u043f\u043e\u0447\u0442\u0430.\u0440\u0444.", "http://xn--80a1acny.xn--p1ai."),
    "an umlaut": ("https://www.gr\u00fcn.de:8080/", "https://www.xn--grn-ioa.de:8080/"),
    "full-width letters": ("https://\uff47ithub.com", "https://github.com"),
    "an ideographic full stop": ("https://bank\u3002com/", "https://bank.com/"),
    "a full-width dot": ("https://bank\uff0ecom/", "https://bank.com/"),
    "a combining mark": ("https://ba\u0332nk.com", "https://xn--bank-w2c.com"),
    "a user name": ("https://github.com@evil.example/x", "https://evil.example/x"),
    "a user name with a password": ("https://github.com:443@evil.example", "https://evil.example"),
    "a user name that Markdown reads": (r"https://github.com\@evil.example", "https://evil.example"),
    "two user names": ("https://a@github.com@evil.example", "https://evil.example"),
    "an entity for an at sign": ("https://github.com&#64;evil.example", "https://evil.example"),
    "an entity for a letter": ("https://g&#1110;thub.com/", "https://xn--gthub-n2e.com/"),
    "an entity for the colon": ("https&colon;//g\u0456thub.com", "https&colon;//xn--gthub-n2e.com"),
    "backslashes": (r"https:\/\/g" + "\u0456thub.com", r"https:\/\/xn--gthub-n2e.com"),
    "an entity in the scheme": ("&#104;ttps://g\u0456thub.com", "&#104;ttps://xn--gthub-n2e.com"),
    "an encoded full stop": ("https://github.com%2Eevil.example", "https://github.com.evil.example"),
    "an address as a number": ("https://2130706433/", "https://127.0.0.1/"),
    "a hexadecimal address": ("https://0x7f.1/", "https://127.0.0.1/"),
    "an octal address": ("https://0177.0.0.01.", "https://127.0.0.1."),
    "bold": (f"**{CYRILLIC}**", GITHUB),
    "brackets": (f"({CYRILLIC})", f"({GITHUB})"),
    "a label": (f"[{CYRILLIC}](https://evil.example)", f"{GITHUB} (https://evil.example)"),
    "an autolink to an address": ("<https://2130706433>", "https://127.0.0.1"),
    "a sentence behind a host": ("https://a.com\u3002\u8c22", f"https://a.com{HAIR_SPACE}\u3002\u8c22"),
    "words behind a host": ("https://a.com\u8bf7.evil.io", f"https://a.com{HAIR_SPACE}\u8bf7.evil.io"),
    "a bracket behind a host": ("https://a.com\uff08b@c.d\uff09", f"https://a.com{HAIR_SPACE}\uff08b@c.d\uff09"),
    "a comma and an address behind a host": ("https://a.com,b@c.d", f"https://a.com{HAIR_SPACE},b@c.d"),
    "a Chinese host and a sentence": (
        "https://\u4f8b\u5b50.com\u3002\u8c22",
        f"https://xn--fsqu00a.com{HAIR_SPACE}\u3002\u8c22",
    ),
    "a comma behind a path": ("https://a.com/x\uff0c\u8c22", f"https://a.com/x{HAIR_SPACE}\uff0c\u8c22"),
    "a bracket behind a query": ("\u300chttps://a.com?q=1\u300d", f"\u300chttps://a.com?q=1{HAIR_SPACE}\u300d"),
    "a path behind a Chinese host": (
        "https://\u4f8b\u5b50.com/x\u3002",
        f"https://xn--fsqu00a.com/x{HAIR_SPACE}\u3002",
    ),
    "an Arabic comma behind a path": ("https://a.com/x\u060c", f"https://a.com/x{HAIR_SPACE}\u060c"),
    "two paths": (
        "https://a.com/x\u3001https://b.com/y\u3002",
        f"https://a.com/x{HAIR_SPACE}\u3001https://b.com/y{HAIR_SPACE}\u3002",
    ),
    "a comma in a label and a destination": (
        "[\u540d\uff0c](https://a.com/x\uff0cy)",
        "[\u540d\uff0c](https://a.com/x\uff0cy)",
    ),
    "an invisible letter behind a host": (
        "https://github.com\u200b.evil.example",
        f"https://github.com{HAIR_SPACE}\u200b.evil.example",
    ),
    "too long a user name": (
        "https://" + "a" * MAX_AUTHORITY_CHARS + "@evil.example",
        f"https://{HAIR_SPACE}" + "a" * MAX_AUTHORITY_CHARS + "@evil.example",
    ),
    "too many letters": (
        "https://" + "\u0456" * MAX_INTERNATIONAL_CHARS + ".com",
        f"https://{HAIR_SPACE}" + "\u0456" * MAX_INTERNATIONAL_CHARS + ".com",
    ),
}


@pytest.mark.parametrize(("written", "sent"), SENT.values(), ids=SENT)
def test_host_of_a_bare_url_says_where_it_leads(written: str, sent: str) -> None:
    assert render_page(f"See {written} and so on", growing=False) == f"See {sent} and so on"


AS_WRITTEN = {
    "a host": "https://github.com",
    "a port": "http://localhost:8080/x",
    "an IPv4 address": "http://127.0.0.1:3000/",
    "an IPv6 address": "http://[::1]/",
    "an at sign in the path": "https://medium.com/@ada",
    "another script in the path": "https://ru.wikipedia.org/wiki/\u041c\u0438\u0440",
    "a sentence's end": "https://github.com.",
    "a mail address beside": "https://github.com, ada@github.com",
    "code": "`https://g\u0456thub.com`",
    "a comma in code": "`https://a.com/x\uff0cy`",
    "no link": "ssh://git@github.com and ftp://g\u0456thub.com",
}


@pytest.mark.parametrize("written", AS_WRITTEN.values(), ids=AS_WRITTEN)
def test_url_that_says_where_it_leads_is_sent_as_written(written: str) -> None:
    assert render_page(written, growing=False) == with_ascii_hosts(written) == written


@pytest.mark.parametrize("around", ["{}", "# {}", "> - {} x", "| {} |\n|---|\n| {} |", "a\n\n{}\n\nb"])
def test_host_says_where_it_leads_in_every_block(around: str) -> None:
    text = around.replace("{}", CYRILLIC)
    assert render_page(text, growing=False) == text.replace(CYRILLIC, GITHUB)


URL_PIECES = [
    *("https://", "HTTP://", "http://", "https:\\/\\/", "https&colon;//", "&#104;ttps://", "://", "ftp://"),
    *("github.com", "bank", ".com", ".", "a.example", "2130706433", "0x7f.1", "localhost", "[::1]", "gr\u00fcn.de"),
    *("g\u0456thub.com", "\u043f\u043e\u0447\u0442\u0430.\u0440\u0444", "\u3002", "\uff0e", "\uff47", "\u0332"),
    *("\u200b", "\u8bf7", "\uff0c", "\uff08", "@", "&#64;", "\\@", "%40", "%2e", ":80", ":", "/", "/x", "?", "#"),
    *("&#1110;", "&#11", "&", "]", "[", ")", "(", "](", "**", "_", "`", "|", "\n", " ", " and ", ",", "\\", "!"),
    *("\u4e16\u754c", "é", "<", ">", "'", "\U0001f4a9", "\u0456" * 30, "a" * 90),
]


URLS = st.lists(st.sampled_from(URL_PIECES), max_size=24).map("".join)


@pytest.mark.parametrize("url", ["https://\u0456.\u0456 ", "https://1 ", "https://\u0456", "https://a@b "])
def test_page_of_hosts_fits_into_a_message(url: str) -> None:
    pages = Pages(max_full_pages=1)
    pages.append(url * 4_000)
    assert len(render_page(pages.full_pages[0].markdown, growing=False)) <= 12_000


def test_host_that_grows_is_held_back() -> None:
    for text in ("See https://github.com", "See https://g\u0456", "See https://", "See https://g&#11"):
        assert render_page(text, growing=True) == "See"
        assert stable_prefix(text) in ("See", "See ")
    assert render_page(f"See {CYRILLIC}", growing=True) == f"See {GITHUB}"


CANVAS = "https://acme.slack.com/docs/T0ACME/F0SECRET"


CODE = "`acme.slack.com/docs/T0ACME/F0SECRET`"


FILES = {
    "a canvas": CANVAS,
    "a file": "https://acme.slack.com/files/U0ADA/F0SECRET/plan.pdf",
    "a list": "https://acme.slack.com/lists/T0ACME/F0SECRET",
    "a list's item": "https://acme.slack.com/lists/T0ACME/F0SECRET?record_id=Rec1",
    "a channel's canvas": "https://acme.slack.com/canvas/C0GENERAL",
    "a file's content": "https://files.slack.com/files-pri/T0ACME-F0SECRET/plan.pdf",
    "a thumbnail": "https://files.slack.com/files-tmb/T0ACME-F0SECRET-1a2b/plan_360.png",
    "a public link": "https://slack-files.com/T0ACME-F0SECRET-1a2b",
    "an organization's host": "https://acme.enterprise.slack.com/docs/E0ACME/F0SECRET",
    "the app's host": "https://app.slack.com/docs/T0ACME/F0SECRET",
    "GovSlack": "https://acme.slack-gov.com/docs/T0ACME/F0SECRET",
    "without TLS": "http://acme.slack.com/docs/T0ACME/F0SECRET",
    "capitals": "HTTPS://ACME.SLACK.COM/docs/T0ACME/F0SECRET",
    "an encoded path": "https://acme.slack.com/%64ocs/T0ACME/%460SECRET",
    "full-width letters": "https://acme.\uff53lack.com/docs/T0ACME/F0SECRET",
    "an invisible letter": "https://acme.sl\u00adack.com/docs/T0ACME/F0SECRET",
    "a port": "https://acme.slack.com:443/docs/T0ACME/F0SECRET",
    "a user name": "https://ada@acme.slack.com/docs/T0ACME/F0SECRET",
    "an id alone": "https://acme.slack.com/x?file=F0SECRET",
    "a host of files, without an id": "https://files.slack-gov.com/plan.pdf",
    "a list without an id": "https://acme.slack.com/lists/T0ACME",
}


NO_FILES = [
    "https://acme.slack.com/archives/C0GENERAL/p1700000000000100?thread_ts=1700000000.000100&cid=C0GENERAL",
    "https://slack.com/help/articles/203950418",
    "https://docs.slack.dev/reference/methods/files.info",
    "https://slack.com.evil.example/docs/T0ACME/F0SECRET",
    "https://myslack.com/docs/T0ACME/F0SECRET",
    "https://a.example/files/F0SECRET",
    "https://slack-files.com/",
]


@pytest.mark.parametrize("address", FILES.values(), ids=FILES)
def test_address_of_a_file_is_known_in_all_its_forms(address: str) -> None:
    assert is_closed_file(address)


@pytest.mark.parametrize("address", NO_FILES)
def test_other_addresses_stay_links(address: str) -> None:
    for text in (f"See {address} now.", f"See [it]({address})."):
        assert render_page(text, growing=False) == text
    assert without_schemes(address) == address


def test_address_of_a_file_is_sent_as_code() -> None:
    assert render_page(f"See {CANVAS}, please.", growing=False) == f"See {CODE}, please."
    assert render_page(f"See [the plan]({CANVAS}).", growing=False) == f"See the plan ({CODE})."
    assert render_page(f"See <{CANVAS}>.", growing=False) == f"See {CODE}."
    code = f"`{CANVAS}` and\n\n```\ncurl {CANVAS}\n```"
    assert render_page(code, growing=False) == code


def test_ids_of_files_are_found_in_a_text() -> None:
    text = f"{CANVAS} <{FILES['a public link'].replace('SECRET', 'BOARD')}|a> https://a.example/files/F0NONE"
    assert list(file_ids_in(text)) == ["F0SECRET", "F0BOARD"]


PIECES = [
    "https://", "http://", "https:\\/\\/", "https&colon;//", "&#104;ttps://", "acme.", "slack.com", "SLACK.COM",
    "slack&period;com", "\uff53lack.com", "files.slack.com", "slack-files.com", "/docs/T0A/", "/files/U0A/",
    "F0SECRET", "/F0OTHER", "/x", "%46", "[", "](", "]", ")", "(", "<", ">", "`", "``", "**", "*", "_", "!", "\\",
    " ", "\n", "\n\n", ": ", "[a]: ", "[a]", "| ", "|---|\n", "word", "世界", "@", "&", ".", ",", "# ", "- ", "```\n",
    f"{CANVAS} ", f"[a]({CANVAS}) ", f"<{CANVAS}>", f"**{CANVAS}**", f"[b]: {CANVAS}\n",
]  # fmt: skip


TEXTS = st.lists(st.sampled_from(PIECES), max_size=24).map("".join)


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("https://bank.com", True),
        ("`https://bank.com`", True),
        ("[bank](bank.com)", True),
        ("see bank.com.", True),
        ("see evil.com/?q=secret", True),
        ("see EVIL.Co.UK", True),
        ("see пример.рф now", True),
        ("see evil。com", True),
        ("ada@bank.com", True),
        ("<mailto:ada@bank.com>", True),
        ("mailto:ada", True),
        ("www.x", True),
        ("Version 3.11, i.e. no address. Really.", False),
        ("`main.py` and `asyncio.run` are code", False),
        ("```\nimport os.path\nprint(evil.com)", False),
        ("a growing `asyncio.run", False),
        ("1.5.2", False),
        ("bank.nosuchtld", False),
    ],
)
def test_hosts_and_mailboxes_count_as_addresses_also_without_a_scheme(text: str, counts: bool) -> None:
    assert might_have_link(text) is counts


@settings(max_examples=2 * settings().max_examples)
@given(URLS | TEXTS)
@example(">>```")
@example("https://%40")
@example("[a]: https://[a](")
@example(f"[b]: {CANVAS}\n" + "[b](" * 40)
def test_room_for_hosts_and_addresses_never_falls(text: str) -> None:
    closing = len("\n```") + text.count("`") + 2 * text.count(">") + 2 * text.count("- ")
    others = 4 * text.count("\\") + 4 * text.count("]") + closing
    assert len(render_page(text, growing=False)) <= max_sent_chars(text) + others
    sizes = [max_sent_chars(text[:end]) for end in range(len(text) + 1)]
    assert sizes == sorted(sizes)


@given(URLS)
@example("https://\u00e9&#1110;.com and")
@example("https://g\u0456thub.com**")
@example("https://\n&#1110;")
def test_appended_beginning_of_a_url_stays(text: str) -> None:
    final = render_page(text, growing=False)
    if "]:" not in text and "|" not in text:
        assert all(final.startswith(stable_prefix(text[:end])) for end in range(len(text) + 1))


@given(TEXTS)
@example(f"{CANVAS}.pdf ")
@example(f"{CANVAS}/**a** ")
@example(f"**{CANVAS}****{CANVAS}**_a")
@example(f"**See {CANVAS}** or *the other {CANVAS}*_a")
def test_appended_beginning_of_a_files_address_stays(text: str) -> None:
    final = render_page(text, growing=False)
    if not any(exception in text for exception in ("]:", "|", "](\n", "&")):
        assert all(final.startswith(stable_prefix(text[:end])) for end in range(len(text) + 1))
