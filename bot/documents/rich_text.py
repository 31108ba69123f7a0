"""RTF."""

import re

from bot.core.documents import Part
from bot.documents.draft import Draft

_ASIDE = re.compile(rb"\{(?:\\\*)?\\(?:footnote|(?:header|footer)[lrf]?)\b")


def read(content: bytes, draft: Draft) -> None:
    """Adds an rtf file to a draft. The cells of a table's row stand between bars."""
    from striprtf.striprtf import rtf_to_text

    # striprtf would drop footnotes, headers and footers: so they become plain groups.
    content = _ASIDE.sub(rb"{\\plain ", content)
    # RTF is ASCII, with other characters escaped.
    draft.add(rtf_to_text(content.decode("latin-1"), errors="replace"))  # type: ignore[no-untyped-call]
    draft.leave_out(Part.COMMENT, count=content.count(b"{\\*\\annotation"))
    draft.leave_out(Part.PICTURE, count=content.count(b"{\\pict"))
