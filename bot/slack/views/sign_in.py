"""Builds the modal for signing in to an MCP server, with a link to the server's page and a field for a URL or code.
Pure."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import urlsplit

from bot.core import texts
from bot.core.asks import ApprovalPlace
from bot.slack.blockkit import (
    Json,
    field_values,
    input_field,
    modal,
    rich_text,
    rich_text_element,
    rich_text_section,
    span,
    text_area,
    text_line,
)
from bot.slack.views.modal import Modal, place_of_call

_ID = "sign_in_address"
_ENTRY = "address"


@dataclass(frozen=True, slots=True)
class SubmittedSignIn:
    place: ApprovalPlace
    entry: str | None = field(repr=False)
    """The pasted URL or the code, or None if the person confirmed a code on the server's page."""


def _sign_in_modal(
    server: str, url: str, place: ApprovalPlace, *, with_code: bool, user_code: str = "", device_url: str = ""
) -> Json:
    """Returns the sign-in modal for a server. `url`: the URL of the sign-in page, or "" if people only confirm a code.
    `with_code`: whether the sign-in ends on Typist's own page. `user_code`: a code to confirm at `device_url` instead
    of entering anything."""
    of_code = texts.accounts.THEN_TYPE, texts.accounts.KEEP_CODE, texts.accounts.CODE, "WDJB-MJHT"
    of_address = texts.accounts.THEN_COPY, texts.accounts.NEVER_ELSEWHERE, texts.accounts.ADDRESS, "http://127.0.0.1:…"
    then, never, label, example = of_code if with_code else of_address
    if not url:
        then, never = texts.accounts.device_code_instructions(user_code), texts.accounts.CONFIRM_FIRST
    page = url or device_url
    link = _bold_link(page, texts.accounts.open_page(server, _host(page)))
    steps = {
        "type": "rich_text_list",
        "style": "ordered",
        "elements": [rich_text_section(link), rich_text_section(span(then))],
    }
    warning = rich_text_element("rich_text_section", span(never, "italic"))
    shown = [steps, warning]
    if url and user_code:
        confirm = _bold_link(device_url, texts.accounts.confirm_page(_host(device_url)))
        shown.append(
            rich_text_section(span(texts.accounts.ON_A_PHONE), confirm, span(texts.accounts.confirm_then(user_code)))
        )
    text_field = text_line if with_code else text_area
    fields = [input_field(_ENTRY, label, text_field(placeholder=example), optional=bool(user_code))] if url else []
    submit = texts.accounts.SIGN_IN if url else texts.accounts.DONE
    return modal(_ID, texts.accounts.SIGN_IN_TITLE, [rich_text(shown), *fields], asdict(place), submit=submit)


def _bold_link(url: str, text: str) -> Json:
    return {"type": "link", "url": url, "text": text, "style": {"bold": True}}


def _host(url: str) -> str:
    return urlsplit(url).netloc


def _parse_submission(view: Mapping[str, Any]) -> SubmittedSignIn:
    return SubmittedSignIn(place_of_call(view), field_values(view).get(_ENTRY) or None)


SIGN_IN_MODAL = Modal(_ID, _sign_in_modal, _parse_submission, lambda _: _ENTRY)
