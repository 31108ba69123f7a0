"""Bare URLs: what Slack makes a link of shows the host that the link leads to."""

from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.core.reply.markdown import hosts
from bot.core.reply.markdown.bare_urls import MAX_AUTHORITY_CHARS, MAX_INTERNATIONAL_CHARS, with_ascii_hosts
from bot.core.reply.markdown.emphasis import HAIR_SPACE
from bot.core.reply.markdown.render import rendered, sent_chars
from bot.core.reply.markdown.stable import stable_prefix
from bot.core.reply.messages import PageView
from bot.core.reply.pages import Pages
from bot.slack.format import reply_blocks
from tests.core.stored_messages import leaves, stored

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
    assert rendered(f"See {written} and so on", growing=False) == f"See {sent} and so on"


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
    "no link": "ssh://git@github.com and ftp://g\u0456thub.com",
}


@pytest.mark.parametrize("written", AS_WRITTEN.values(), ids=AS_WRITTEN)
def test_url_that_says_where_it_leads_is_sent_as_written(written: str) -> None:
    assert rendered(written, growing=False) == with_ascii_hosts(written) == written


@pytest.mark.parametrize("around", ["{}", "# {}", "> - {} x", "| {} |\n|---|\n| {} |", "a\n\n{}\n\nb"])
def test_host_says_where_it_leads_in_every_block(around: str) -> None:
    text = around.replace("{}", CYRILLIC)
    assert rendered(text, growing=False) == text.replace(CYRILLIC, GITHUB)


def test_host_says_where_it_leads_in_plain_text_and_previews() -> None:
    code = "```\ncurl https://ada:secret@g\u0456thub.com\n```"
    text = f"See {CYRILLIC} and `https://a@b.example`.\n\n{code}"
    plain = reply_blocks.message(PageView(text, plain=True))["text"]
    assert GITHUB in plain
    assert plain.endswith(code)
    assert "`https://a@b.example`" in plain
    assert GITHUB in reply_blocks.message(PageView(text))["text"]


URL_PIECES = [
    *("https://", "HTTP://", "http://", "https:\\/\\/", "https&colon;//", "&#104;ttps://", "://", "ftp://"),
    *("github.com", "bank", ".com", ".", "a.example", "2130706433", "0x7f.1", "localhost", "[::1]", "gr\u00fcn.de"),
    *("g\u0456thub.com", "\u043f\u043e\u0447\u0442\u0430.\u0440\u0444", "\u3002", "\uff0e", "\uff47", "\u0332"),
    *("\u200b", "\u8bf7", "\uff0c", "\uff08", "@", "&#64;", "\\@", "%40", "%2e", ":80", ":", "/", "/x", "?", "#"),
    *("&#1110;", "&#11", "&", "]", "[", ")", "(", "](", "**", "_", "`", "|", "\n", " ", " and ", ",", "\\", "!"),
    *("\u4e16\u754c", "é", "<", ">", "'", "\U0001f4a9", "\u0456" * 30, "a" * 90),
]
URLS = st.lists(st.sampled_from(URL_PIECES), max_size=24).map("".join)


@given(URLS)
@example("https://g\u0456thub.com")
@example("https://github.com@evil.example")
@example("https://&gr\u00fcn.de")
@example("https://github.com:80gr\u00fcn.de")
@example("https://github.com&gr\u00fcn.de")
@example("https://github.com)gr\u00fcn.de")
@example("https://\\\u0456.com")
@example("https://\uff47**gr\u00fcn.de")
@example("<https://>\U0001f4a9")
@example("<https://>\\@")
def test_slack_links_no_host_that_is_not_as_it_is_looked_up(text: str) -> None:
    for leaf in leaves(stored(PageView(f"See {text}"))):
        # No browser opens a URL with one of these in its host, unless it is an IPv6 address.
        if leaf["type"] == "link" and "text" not in leaf and not set("[]|") & set(leaf["url"]):
            # Browsers read a backslash as a slash.
            authority = urlsplit(leaf["url"].replace("\\", "/")).netloc
            assert "@" not in authority
            assert authority.isascii()
            assert not hosts.ipv4(authority) or hosts.ipv4(authority) == authority


@given(URLS)
@example("https://\u00e9&#1110;.com and")
@example("https://g\u0456thub.com**")
def test_appended_beginning_of_a_url_stays(text: str) -> None:
    final = rendered(text, growing=False)
    beginnings = [stable_prefix(text[:end]) for end in range(len(text) + 1)]
    if "]:" not in text and "|" not in text:
        assert all(final.startswith(beginning) for beginning in beginnings)


@given(URLS)
@example("https://%40")
def test_room_for_hosts_never_falls(text: str) -> None:
    others = 4 * text.count("\\") + 4 * text.count("]") + len("\n```") + text.count("`")
    assert len(rendered(text, growing=False)) <= sent_chars(text) + others
    sizes = [sent_chars(text[:end]) for end in range(len(text) + 1)]
    assert sizes == sorted(sizes)


@pytest.mark.parametrize("url", ["https://\u0456.\u0456 ", "https://1 ", "https://\u0456", "https://a@b "])
def test_page_of_hosts_fits_into_a_message(url: str) -> None:
    pages = Pages(max_full=1)
    pages.append(url * 4_000)
    assert len(rendered(pages.full[0].markdown, growing=False)) <= 12_000


def test_host_that_grows_is_held_back() -> None:
    for text in ("See https://github.com", "See https://g\u0456", "See https://", "See https://g&#11"):
        assert rendered(text, growing=True) == "See"
        assert stable_prefix(text) in ("See", "See ")
    assert rendered(f"See {CYRILLIC}", growing=True) == f"See {GITHUB}"
