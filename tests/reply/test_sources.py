"""The list of sources below an answer: which pages it shows, and what its links say."""

import pytest

from bot.core import texts
from bot.models.events import Citation
from bot.reply.sources import (
    MAX_RECORDED,
    MAX_SHOWN,
    MAX_URL_CHARS,
    Source,
    plain_list,
    shown_sources,
    with_citation,
)

PAGE = "https://docs.example.com/a?b=1#c"


@pytest.mark.parametrize(
    ("url", "title", "label"),
    [
        (PAGE, "A page", "docs.example.com · A page"),
        ("http://www.example.com/", "", "example.com"),
        (PAGE, "  two\n lines\t ", "docs.example.com · two lines"),
        (PAGE, "x" * 200, f"docs.example.com · {'x' * 69}…"),
        (f"https://example.com/{'x' * (MAX_URL_CHARS - 20)}", "", "example.com"),
        (f"https://{'x' * 63}.com/", "", f"{'x' * 63}.com"),
        ("https://wwwx.example/www.", "y" * 70, f"wwwx.example · {'y' * 70}"),
        # A title may claim what it likes: the host comes first.
        ("https://evil.example/login", "bank.com · Log in", "evil.example · bank.com · Log in"),
        (PAGE, "moc.knab \u202ereversed", "docs.example.com · moc.knab reversed"),
        ("https://bücher.example/", "Books", "xn--bcher-kva.example · Books"),
        # Browsers keep these letters; an older standard has them as ss and as another sigma.
        ("https://fa\u00df.example/", "", "xn--fa-hia.example"),
        ("https://\u03c3\u03b1\u03c2.example/", "", "xn--mxa8ab.example"),
        # A Cyrillic letter that looks like a Latin one.
        ("https://b\u0430nk.com/", "Bank", "xn--bnk-6cd.com · Bank"),
    ],
)
def test_label_begins_with_the_host_that_the_link_leads_to(url: str, title: str, label: str) -> None:
    assert shown_sources([Citation(url, title)]) == (Source(url, label),)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "docs.example.com",
        "javascript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "slack://channel?id=C1",
        "mailto:a@example.com",
        "https://",
        "https://localhost/",
        "https://bank.com@evil.example/",
        "https://evil.example\\@bank.com/",
        "https://bank.com%2eevil.example/",
        "https://example.com/a b",
        "https://example.com/\u202e",
        "https://exa\nmple.com/",
        "https://[::1",
        f"https://example.com/{'x' * (MAX_URL_CHARS - 19)}",
        f"https://{'x' * 64}.com/",
        "https://user@example.com/",
        "https://exa..mple.com/",
        "https://acme.slack.com/files/U1/F1/plan.pdf",
    ],
)
def test_what_is_no_plain_web_address_is_not_shown(url: str) -> None:
    assert with_citation((), Citation(url, "A page")) == ()
    assert shown_sources([Citation(url, "A page")]) == ()


def test_each_page_is_listed_once_in_the_order_of_the_answer() -> None:
    citations = with_citation(
        with_citation(with_citation((), Citation("https://b.example/", "B")), Citation(PAGE)), Citation(PAGE)
    )
    assert [source.url for source in shown_sources(citations)] == ["https://b.example/", PAGE]


def test_plain_list_numbers_the_addresses() -> None:
    assert plain_list([Source("https://b.example/", "B"), Source(PAGE, "A")]) == (
        f"{texts.answers.SOURCES}\n1. https://b.example/\n2. {PAGE}"
    )
    assert plain_list(()) == ""


def test_list_and_record_are_bounded() -> None:
    citations: tuple[Citation, ...] = ()
    for number in range(100):
        citations = tuple(with_citation(citations, Citation(f"https://example.com/{number}", "")))
    urls = [f"https://example.com/{number}" for number in range(MAX_RECORDED)]
    assert [citation.url for citation in citations] == urls
    assert [source.url for source in shown_sources(citations)] == urls[:MAX_SHOWN]
