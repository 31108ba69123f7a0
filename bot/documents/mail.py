"""Mails as files: the headers that people see, and the text."""

import email
import email.policy
from collections.abc import Iterator, Sequence
from email.errors import MessageError
from email.message import MIMEPart
from typing import Any, TypeAlias

from bot.core.documents import Part
from bot.documents import markup
from bot.documents.draft import Draft

_Part: TypeAlias = "MIMEPart[Any, Any]"
_TEXTS = ("text/plain", "text/html")
_HEADERS = ("From", "To", "Cc", "Date", "Subject")


def read(content: bytes, draft: Draft) -> None:
    """Adds an eml file to a draft."""
    mail = email.message_from_bytes(content, policy=email.policy.default)
    for name in _HEADERS:
        if value := " ".join(_header(mail, name).split()):
            draft.add(f"{name}: {value}", "\n")
    draft.add("---")
    attached = []
    for part, is_shown in _parts(mail, is_shown=True):
        if part.get_content_type() in _TEXTS and not part.is_attachment() and not part.get_filename():
            _add(part if is_shown else None, draft)
        else:
            attached.append(_name(part))
    draft.leave_out(Part.ATTACHMENT, attached, count=0)


def _parts(part: _Part, *, is_shown: bool) -> Iterator[tuple[_Part, bool]]:
    """Yields the parts of a mail, and whether they are shown: of alternatives, one is. Mails in it stay whole."""
    if part.get_content_maintype() != "multipart" or not part.is_multipart():
        yield part, is_shown
        return
    inner = list(part.iter_parts())
    chosen = _alternative(inner) if part.get_content_subtype() == "alternative" else None
    for one in inner:
        yield from _parts(one, is_shown=is_shown and chosen in (None, one))


def _alternative(parts: Sequence[_Part]) -> "_Part | None":
    """Returns the first part with plain text, or else the first with HTML. Plain text may be empty."""
    for kind in _TEXTS:
        for part in parts:
            if any(one.get_content_type() == kind and _text(one).strip() for one in part.walk()):
                return part
    return None


def _add(part: "_Part | None", draft: Draft) -> None:
    if part is None:
        return
    if part.get_content_type() == "text/html":
        markup.read(_text(part), draft)
    else:
        draft.add(_text(part).replace("\r\n", "\n"))


def _name(part: _Part) -> str:
    """Returns an attachment's name, a mail's subject, or else its type."""
    mail = part.get_payload(0) if part.get_content_type() == "message/rfc822" and part.is_multipart() else None
    subject = _header(mail, "Subject") if isinstance(mail, MIMEPart) else ""
    return part.get_filename() or subject or part.get_content_type()


def _header(mail: _Part, name: str) -> str:
    """Returns a header's text, as it is written if Python can't parse it: its parser fails in many ways."""
    try:
        return str(mail.get(name, ""))
    except (AttributeError, LookupError, TypeError, ValueError, MessageError):
        return next((str(value) for key, value in mail.raw_items() if key.lower() == name.lower()), "")


def _text(body: _Part) -> str:
    """Returns a part's text, even if nobody knows the encoding that it names."""
    try:
        return str(body.get_content())
    except (LookupError, OSError, ValueError):
        payload = body.get_payload(decode=True)
        return payload.decode(errors="replace") if isinstance(payload, bytes) else ""
