"""A page of HTML is a proxy's, whatever it says: its status decides what it means."""

import pytest

from bot.errors import EndReason
from bot.models.failures import RequestAttempt

BEGINNINGS = ["<html>", "\n <!DOCTYPE html>", "<HEAD>", "<body class='x'>", "<?xml version='1.0'?>"]
WORDS = {
    EndReason.UNREADABLE: "404 page not found",
    EndReason.OUT_OF_CREDIT: "Payment required",
    EndReason.UNKNOWN_MODEL: "The model is not found",
    EndReason.BAD_KEY: "The authorization header is missing",
    EndReason.CONTEXT_TOO_LONG: "Your request is too long",
    EndReason.REFUSED: "Your request was blocked",
    EndReason.OVERLOADED: "Service unavailable, too busy",
    EndReason.RATE_LIMITED: "Too many requests",
}
STATUSES = {
    400: EndReason.UNREADABLE,
    401: EndReason.BAD_KEY,
    403: EndReason.BAD_KEY,
    404: EndReason.UNREADABLE,
    413: EndReason.CONTEXT_TOO_LONG,
    429: EndReason.RATE_LIMITED,
    500: EndReason.SERVER_ERROR,
    502: EndReason.UNREACHABLE,
    503: EndReason.OVERLOADED,
    504: EndReason.UNREACHABLE,
}


def reason(body: str, status: int) -> EndReason:
    return RequestAttempt("openai/m", "").reported_failure(body, status).reason


@pytest.mark.parametrize(("meant", "words"), WORDS.items())
def test_words_of_a_sentence_decide(meant: EndReason, words: str) -> None:
    assert reason(words, 400) is meant


@pytest.mark.parametrize(("status", "meant"), STATUSES.items())
def test_status_of_a_page_decides(status: int, meant: EndReason) -> None:
    pages = [beginning + words for beginning in BEGINNINGS for words in WORDS.values()]
    assert {page: reason(page, status) for page in pages} == dict.fromkeys(pages, meant)
