"""Removes sign-in URLs from messages, because they must be entered in a modal. A placeholder replaces each URL."""

import re
from collections.abc import Iterable
from dataclasses import replace
from urllib.parse import unquote

from bot.core import texts
from bot.core.conversation import Message, Question

CODE_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
"""Letters used in the codes on Typist's page. There are no vowels, so that codes can't spell words, and no letters that
look like digits (RFC 8628, 6.1)."""
_CODE = re.compile(rf"(?<!\w)[{CODE_LETTERS}]{{4}}[ -]?[{CODE_LETTERS}]{{4}}(?!\w)", re.IGNORECASE)
_WORD = re.compile(r"[^\s<>]+")
_STATE = re.compile(r"(?<![\w-])state=[\w-]{43}(?![\w-])", re.ASCII)
_PART = re.compile(r"(?<![\w-])(?:code|state)=[^\s<>&]+", re.ASCII)
_AFTER_URL = ")]}.,;:!?'\"*`"


class SignInUrls:
    """Recognizes sign-in URLs by their beginning, which is one of Typist's redirect URLs, or by their code and
    state."""

    def __init__(self, redirect_uris: Iterable[str] = ()) -> None:
        # Some browsers copy a URL without its scheme.
        uris = {re.escape(uri.partition("://")[2]) for uri in redirect_uris}
        self._url_beginning = re.compile(rf"(?:{'|'.join(uris)})(?:-[A-Za-z0-9_-]+)?\?") if uris else None

    def has_url(self, text: str) -> bool:
        # Another URL can include one in its query.
        return self._url_beginning is not None and any(map(self._matches_url, {text, unquote(text)}))

    def _matches_url(self, text: str) -> bool:
        assert self._url_beginning is not None
        return bool(self._url_beginning.search(text) or ("code=" in text and _STATE.search(text)))

    def without_urls(self, text: str) -> str:
        if not self.has_url(text):
            return text
        whole = _PART.sub(texts.accounts.SIGN_IN_URL_REMOVED, _WORD.sub(self._without_url, text))
        return _CODE.sub(texts.accounts.SIGN_IN_URL_REMOVED, whole)

    def message_without_urls(self, message: Message) -> Message:
        return replace(
            message, text=self.without_urls(message.text), attached_text=self.without_urls(message.attached_text)
        )

    def question_without_urls(self, question: Question) -> Question:
        if not self.has_url(question.text):
            return question
        message, had_sign_in = self.message_without_urls(question.as_message()), self.has_url(question.own_text)
        text, attached_chars = message.full_text, message.attached_chars
        return replace(question, text=text, attached_chars=attached_chars, had_sign_in=had_sign_in)

    def _without_url(self, word: re.Match[str]) -> str:
        if not self.has_url(word[0]):
            return word[0]
        begun = self._url_beginning.search(word[0]) if self._url_beginning else None
        at = begun.start() if begun else 0
        before, address = word[0][:at].removesuffix("https://").removesuffix("http://"), word[0][at:]
        return f"{before}{texts.accounts.SIGN_IN_URL_REMOVED}{address[len(address.rstrip(_AFTER_URL)) :]}"
