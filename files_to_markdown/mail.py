"""Converts email to Markdown: headers, text, and the names of attachments.

Python's parser splits an email into its parts. It gets the bytes as Latin-1, so that each text and header can be
decoded from its bytes here (charsets.py), because mailers declare charsets that don't exist, the wrong charset, or none
at all.
"""

import base64
import quopri
import re
from collections.abc import Iterator, Sequence
from email import message_from_string
from email.errors import InvalidBase64LengthDefect
from email.message import Message
from email.policy import compat32
from itertools import islice
from typing import Any, TypeAlias

from files_to_markdown.charsets import decode
from files_to_markdown.document import Draft, Part
from files_to_markdown.markup import read_html

_Part: TypeAlias = "Message[Any, Any]"
_HEADERS = ("From", "To", "Cc", "Bcc", "Date", "Subject")
_BODIES = ("text/plain", "text/html")
_CALENDAR = "text/calendar"
_MAILS_WITHIN = ("message/rfc822", "message/global", "message/news")
"""Types of parts that contain emails. Other message types are reports, which consist of fields."""
_PIECES = ("message/partial", "message/external-body")
"""Types of parts whose content is stored elsewhere."""
_MAX_DEPTH = 5
_MAX_FIELDS = 50
_WORD = re.compile(r"=\?([\w.:+-]{1,60})(?:\*[\w-]{0,60})?\?([bq])\?([^?]*)\?=", re.IGNORECASE)
_BETWEEN_WORDS = re.compile(r"(\?=)\s+(?==\?)")
_EMLX = re.compile(rb"\s{0,20}(\d{1,10})[ \t]{0,20}\r?\n")
"""Matches the size of an email, which Apple Mail writes before it."""
_MBOX = re.compile(rb"(?:\A|\r?\n\r?\n)From [^\n]*\r?\n")
_UNSAID = ("VTIMEZONE", "VALARM")
"""Parts of an invitation that only programs use. The same is true of lines that begin with "X-"."""
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]")
_MANY_WORDS = 50
_MAX_CHOICES = 10
"""Maximum depth of nested alternatives, because choosing one examines its whole content."""
_MAX_MAILS = 2_000
_MAX_HEADER_CHARS = 50_000
_SAMPLE_CHARS = 20_000
"""The number of characters at an alternative's beginning to examine when choosing one."""


def read_mail(content: bytes, draft: Draft) -> None:
    content = content.removeprefix(b"\xef\xbb\xbf")
    if size := _EMLX.match(content):
        content = content[size.end() : size.end() + int(size[1])]
    mails = [mail for mail in _MBOX.split(content) if mail.strip()] if _MBOX.match(content) else [content]
    draft.record_left_out(Part.END, count=len(mails) > _MAX_MAILS)
    for mail in mails[:_MAX_MAILS]:
        add_mail(message_from_string(mail.decode("latin-1")), draft)


def add_mail(mail: _Part, draft: Draft, depth: int = 0) -> None:
    """Adds an email whose strings have one character per byte. `depth`: the number of emails that this one is nested
    in."""
    for name in _HEADERS:
        if value := " ".join(_header_of(mail, name, draft).split()):
            draft.add(f"{name}: {value}", "\n")
    draft.add("---")
    attached = []
    for part, is_shown in _parts_of(mail, is_shown=True):
        kind = part.get_content_type()
        name = _file_name_of(part, draft)
        is_within = part.get_content_maintype() == "message" and kind not in _PIECES
        if is_within and depth < _MAX_DEPTH and _subparts(part):
            _add_attached(part, draft, depth)
        elif kind == _CALENDAR and not _is_attached(part):
            draft.add(f"Invitation:\n{_calendar_text(_text_of(part, draft))}")
        elif _is_body(part, mail, name):
            if is_shown and kind == "text/html":
                read_html(_text_of(part, draft), draft)
            elif is_shown:
                draft.add(_unflow(part, _text_of(part, draft)))
        elif is_shown or name:
            attached.append(name or _title_of(part, draft))
    draft.record_left_out(Part.ATTACHMENT, attached, count=0)


def _is_body(part: _Part, mail: _Part, name: str) -> bool:
    """Returns whether a part is text to read as part of the email. A body can have a file name. An email without parts
    is its own body."""
    if _is_attached(part) and part is not mail:
        return False
    # A part that should have parts but doesn't is text.
    return part.get_content_type() in _BODIES or (part.get_content_maintype() in ("text", "multipart") and not name)


def _add_attached(part: _Part, draft: Draft, depth: int) -> None:
    """Adds an attached email, or the fields that a report has for each recipient."""
    for inner in _attached_mails(part):
        if part.get_content_type() not in _MAILS_WITHIN:
            fields = (
                f"{name}: {' '.join(_decode_words(str(value), draft).split())}" for name, value in inner.raw_items()
            )
            draft.add("\n".join(islice(fields, _MAX_FIELDS)))
            draft.add(_text_of(inner, draft))
        else:
            draft.add("Attached mail:")
            add_mail(inner, draft, depth + 1)


def _parts_of(part: _Part, *, is_shown: bool, depth: int = 0) -> Iterator[tuple[_Part, bool]]:
    """Yields each of an email's parts and whether to show it. Only one of several alternatives is shown, and a page's
    resources (multipart/related), such as its style sheets, aren't. An attached email counts as one part."""
    inner = _subparts(part) if part.get_content_maintype() == "multipart" else []
    if not inner:
        yield part, is_shown
        return
    kind = part.get_content_subtype()
    chosen = _best_alternative(inner) if kind == "alternative" and depth < _MAX_CHOICES else None
    for one in inner:
        is_resource = (
            kind == "related" and one.get_content_maintype() == "text" and one.get_content_type() not in _BODIES
        )
        is_one_shown = is_shown and chosen in (None, one) and not is_resource
        yield from _parts_of(one, is_shown=is_one_shown, depth=depth + 1)


def _subparts(part: _Part) -> list[_Part]:
    payload = part.get_payload()
    return [one for one in payload if isinstance(one, Message)] if isinstance(payload, list) else []


def _attached_mails(part: _Part) -> list[_Part]:
    """Returns the emails in a part. Some programs encode attached emails, although the standards forbid that."""
    encoding = _header_of(part, "Content-Transfer-Encoding", Draft()).lower()
    inner = _subparts(part)
    if encoding not in ("base64", "quoted-printable"):
        return inner
    raw = _bytes_of(inner[0].as_string(policy=compat32.clone(mangle_from_=False)))
    decoded = _from_base64(raw) if encoding == "base64" else quopri.decodestring(raw)
    kind = part.get_content_type()
    return _subparts(message_from_string(f"Content-Type: {kind}\n\n{decoded.decode('latin-1')}"))


def _best_alternative(parts: Sequence[_Part]) -> "_Part | None":
    """Returns the first part with non-blank plain text, otherwise the first with HTML. Some plain text only refers to
    the HTML."""
    plain, page = (next((part for part in parts if _word_count(part, kind)), None) for kind in _BODIES)
    if plain and page and _word_count(page, "text/html") > 2 * _word_count(plain, "text/plain") + _MANY_WORDS:
        return page
    return plain or page


def _word_count(part: _Part, kind: str) -> int:
    draft = Draft()
    for one in part.walk():
        if one.get_content_type() == kind == "text/html":
            read_html(_text_of(one, draft)[:_SAMPLE_CHARS], draft)
        elif one.get_content_type() == kind:
            draft.add(_text_of(one, draft)[:_SAMPLE_CHARS])
    return len(draft.document().text.split())


def _is_attached(part: _Part) -> bool:
    return part.get_content_disposition() == "attachment"


def _file_name_of(part: _Part, draft: Draft) -> str:
    for name, header in (("filename", "content-disposition"), ("name", "content-type")):
        if isinstance(value := part.get_param(name, "", header), tuple):
            return _decode(_bytes_of(value[2]), value[0] or "", draft)
        if value:
            return _decode_words(value[:_MAX_HEADER_CHARS], draft)
    return ""


def _title_of(part: _Part, draft: Draft) -> str:
    mail = next(iter(_subparts(part)), None) if part.get_content_type() == "message/rfc822" else None
    return (_header_of(mail, "Subject", draft) if mail else "") or part.get_content_type()


def _header_of(mail: _Part, name: str, draft: Draft) -> str:
    raw = next((str(value) for key, value in mail.raw_items() if key.lower() == name.lower()), "")
    raw = raw[:_MAX_HEADER_CHARS]
    return _decode_words(raw, draft).strip() or raw.strip()


def _decode_words(raw: str, draft: Draft) -> str:
    """Decodes the encoded words in a header or name. A character can be split across two words."""
    parts: list[tuple[str, bytes]] = []
    at = 0
    raw = _BETWEEN_WORDS.sub(r"\1", raw)
    for word in _WORD.finditer(raw):
        parts += [("", _bytes_of(raw[at : word.start()])), (word[1].lower(), _unpack_word(word[2].lower(), word[3]))]
        at = word.end()
    parts.append(("", _bytes_of(raw[at:])))
    joined: list[tuple[str, bytes]] = []
    for charset, content in filter(lambda part: part[1], parts):
        if joined and joined[-1][0] == charset:
            joined[-1] = charset, joined[-1][1] + content
        else:
            joined.append((charset, content))
    return "".join(_decode(content, charset, draft) for charset, content in joined)


def _unpack_word(encoding: str, word: str) -> bytes:
    if encoding == "q":
        return quopri.decodestring(_bytes_of(word), header=True)
    return _from_base64(_bytes_of(word))


def _from_base64(damaged: bytes) -> bytes:
    digits = _NOT_BASE64.sub(b"", damaged)
    whole = digits[: len(digits) - (len(digits) % 4 == 1)]
    return base64.b64decode(whole + b"=" * (-len(whole) % 4))


def _bytes_of(raw: str) -> bytes:
    return raw.encode("latin-1", errors="replace")


def _text_of(part: _Part, draft: Draft) -> str:
    payload = part.get_payload(decode=True)
    if not isinstance(payload, bytes) or isinstance(part.get_payload(), list):
        return ""
    if any(isinstance(defect, InvalidBase64LengthDefect) for defect in part.defects):
        payload = _from_base64(payload)
    try:
        charset = part.get_content_charset("")
    except (LookupError, ValueError, TypeError):
        charset = ""
    return _decode(payload, charset, draft)


def _decode(content: bytes, charset: str, draft: Draft) -> str:
    letters = decode(content, (charset,))
    if letters is None:
        return content.replace(b"\0", b"").decode(errors="replace").replace("\r\n", "\n")
    draft.record_guess(letters.guess)
    return letters.text


def _unflow(part: _Part, text: str) -> str:
    """Restores the paragraphs of a text whose lines were wrapped for transport (RFC 3676)."""
    if str(part.get_param("format", "")).lower() != "flowed":
        return text
    is_space_kept = str(part.get_param("delsp", "")).lower() != "yes"
    lines: list[str] = []
    open_depth = None
    for line in text.split("\n"):
        words = line.lstrip(">")
        depth = len(line) - len(words)
        words = words.removeprefix(" ")
        if open_depth == depth:
            lines[-1] += words
        else:
            lines.append(f"{'>' * depth}{' ' if depth else ''}{words}")
        open_depth = depth if words.endswith(" ") and words != "-- " else None
        if open_depth is not None and not is_space_kept:
            lines[-1] = lines[-1][:-1]
    return "\n".join(lines)


def _calendar_text(text: str) -> str:
    lines, unsaid = [], ""
    for line in re.sub(r"\n[ \t]", "", text).strip().split("\n"):
        begun = line.removeprefix("BEGIN:").strip()
        unsaid = unsaid or (begun if begun in _UNSAID else "")
        if not unsaid and not line.startswith("X-"):
            lines.append(line)
        if line.strip() == f"END:{unsaid}":
            unsaid = ""
    return "\n".join(lines)
