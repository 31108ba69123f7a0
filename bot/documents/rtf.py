"""RTF as Markdown. striprtf reads it; what it would lose is rewritten first."""

import re

from bot.documents.document import Draft, Part
from bot.text import paired

_ASIDE = re.compile(rb"\{(?:\\\*)?\\(?:footnote|(?:header|footer)[lrf]?|shp|shpinst|shptxt)(?![a-z])")
_EQUATION = re.compile(rb"\\moMath(?![A-Za-z])")
_DELETED = re.compile(rb"\\deleted(?![a-z0])")


def read_rtf(content: bytes, draft: Draft) -> None:
    """Adds an rtf file to a draft. The cells of a table's row stand between bars."""
    from striprtf.striprtf import rtf_to_text

    # striprtf would drop footnotes, headers, footers and text boxes: so they become plain groups. What somebody deleted
    # while changes were tracked becomes a group that it drops.
    content = _DELETED.sub(rb"\\*\\deleted", _ASIDE.sub(rb"{\\plain ", content))
    # RTF is ASCII, with other characters escaped.
    text = rtf_to_text(content.decode("latin-1"), errors="replace")  # type: ignore[no-untyped-call]
    # It writes an emoji as the two halves of its escape.
    draft.add(paired(text))
    draft.leave_out(Part.COMMENT, count=content.count(b"{\\*\\annotation"))
    draft.leave_out(Part.EQUATION, count=len(_EQUATION.findall(content)))
    # Word writes a picture twice, once for old readers.
    pictures = content.count(b"{\\pict") - content.count(b"{\\nonshppict")
    draft.leave_out(Part.PICTURE, count=max(0, pictures))
