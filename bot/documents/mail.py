"""Mails as Markdown: their headers and texts, and the names of what is attached."""

import email
import email.policy
from collections.abc import Iterator, Sequence
from email.errors import MessageError
from email.message import MIMEPart
from typing import Any, TypeAlias

from bot.documents.document import Draft, Part
from bot.documents.markup import read_html

_Part: TypeAlias = "MIMEPart[Any, Any]"
_BODIES = ("text/plain", "text/html")
_HEADERS = ("From", "To", "Cc", "Date", "Subject")


def read_mail(content: bytes, draft: Draft) -> None:
    """Adds an eml file to a draft."""
    mail = email.message_from_bytes(content, policy=email.policy.default)
    for name in _HEADERS:
        if value := " ".join(_header_of(mail, name).split()):
            draft.add(f"{name}: {value}", "\n")
    draft.add("---")
    attached = []
    for part, is_shown in _parts_of(mail, is_shown=True):
        if part.get_content_type() not in _BODIES or part.is_attachment() or part.get_filename():
            attached.append(_name_of(part))
        elif is_shown and part.get_content_type() == "text/html":
            read_html(_body_of(part), draft)
        elif is_shown:
            draft.add(_body_of(part).replace("\r\n", "\n"))
    draft.leave_out(Part.ATTACHMENT, attached, count=0)


def _parts_of(part: _Part, *, is_shown: bool) -> Iterator[tuple[_Part, bool]]:
    """Yields the parts of a mail, and whether each is shown: of alternatives, one is. An attached mail is one part."""
    if part.get_content_maintype() != "multipart" or not part.is_multipart():
        yield part, is_shown
        return
    inner = list(part.iter_parts())
    chosen = _alternative(inner) if part.get_content_subtype() == "alternative" else None
    for one in inner:
        yield from _parts_of(one, is_shown=is_shown and chosen in (None, one))


def _alternative(parts: Sequence[_Part]) -> "_Part | None":
    """Returns the first part with plain text, or else with HTML, that isn't blank; None if there is none."""
    for kind in _BODIES:
        for part in parts:
            if any(one.get_content_type() == kind and _body_of(one).strip() for one in part.walk()):
                return part
    return None


def _name_of(part: _Part) -> str:
    """Returns an attachment's name, a mail's subject, or else its type."""
    mail = part.get_payload(0) if part.get_content_type() == "message/rfc822" and part.is_multipart() else None
    subject = _header_of(mail, "Subject") if isinstance(mail, MIMEPart) else ""
    return part.get_filename() or subject or part.get_content_type()


def _header_of(mail: _Part, name: str) -> str:
    """Returns a header's text, "" if it is missing. Python's parser fails in many ways: then the text is as written."""
    try:
        return str(mail.get(name, ""))
    except (AttributeError, LookupError, TypeError, ValueError, MessageError):
        return next((str(value) for key, value in mail.raw_items() if key.lower() == name.lower()), "")


def _body_of(body: _Part) -> str:
    """Returns a part's text, even if nobody knows the encoding that it names."""
    try:
        return str(body.get_content())
    except (LookupError, OSError, ValueError):
        payload = body.get_payload(decode=True)
        return payload.decode(errors="replace") if isinstance(payload, bytes) else ""
