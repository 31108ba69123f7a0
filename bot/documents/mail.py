"""Mails as files: the headers that people see, and the text."""

import email
import email.policy
from email.message import MIMEPart
from typing import Any

from bot.core.documents import Part
from bot.documents import markup
from bot.documents.draft import Draft

_HEADERS = ("From", "To", "Cc", "Date", "Subject")


def read(content: bytes, draft: Draft) -> None:
    """Adds an eml file to a draft."""
    mail = email.message_from_bytes(content, policy=email.policy.default)
    for name in _HEADERS:
        if value := " ".join(str(mail.get(name, "")).split()):
            draft.add(f"{name}: {value}", "\n")
    draft.add("---")
    body = mail.get_body(("plain", "html"))
    text = _text(body) if body is not None else ""
    if body is not None and body.get_content_type() == "text/html":
        markup.read(text, draft)
    else:
        draft.add(text.replace("\r\n", "\n"))
    attached = [part.get_filename() or part.get_content_type() for part in mail.iter_attachments()]
    draft.leave_out(Part.ATTACHMENT, attached, count=0)


def _text(body: "MIMEPart[Any, Any]") -> str:
    """Returns a part's text, even if nobody knows the encoding that it names."""
    try:
        return str(body.get_content())
    except (LookupError, OSError):
        payload = body.get_payload(decode=True)
        return payload.decode(errors="replace") if isinstance(payload, bytes) else ""
