"""Removes markup for vendors' web apps from an answer's text. Pure.

Models write citations in the format of the web app that they were trained for, even in answers to API requests.
OpenAI's marks, such as `cite`, `filecite`, `navlist` and `image_group`, are between U+E200 and U+E201, with U+E202
between their parts. The name in an `entity` mark is kept, because it is part of the sentence. Other marks look like
`【4:0†source】` or `:contentReference[oaicite:0]{index=0}`.

The result doesn't depend on how the text is split into deltas. Only text that could begin a mark is withheld.
"""

import json
import re
from contextlib import suppress

_MARK = re.compile(
    "\ue200(?P<kind>[a-z_]{1,20})(?:\ue202(?P<parts>[^\ue200\ue201]{0,2000}))?\ue201"
    r"|【(?:\d{1,3}(?::\d{1,3})?†[^【】\n]{0,200}|turn\d{1,3}[a-z]{1,12}\d{1,3})】"
    r"|:contentReference\[oaicite:\d{1,4}\](?:\{index=\d{1,4}\})?"
)
_REFERENCE = ":contentReference[oaicite:"
_MAY_BEGIN = re.compile("[\ue200【:]")
_BEGUN = re.compile(
    "(?:\ue200[^\ue200\ue201]{0,2020}"
    r"|【(?:\d{1,3}(?::\d{0,3})?(?:†[^【】\n]{0,200})?|t[urn]{0,3}\d{0,3}[a-z]{0,12}\d{0,3})?"
    rf"|{re.escape(_REFERENCE)}\d{{0,4}}(?:\](?:\{{[index=\d]{{0,11}})?)?"
    rf"|{'|'.join(re.escape(_REFERENCE[:chars]) for chars in range(len(_REFERENCE) - 1, 0, -1))})\Z"
)
_CUT = re.compile(
    r"(?:\ue200|【\d{1,3}(?::\d{1,3})?†)[^\s\ue200【]*\Z"
    rf"|{re.escape(_REFERENCE)}[^\s:]*\Z"
)
"""Matches a mark that was cut off by an output limit. It extends only to the next space, where text can continue."""


class FrontEndMarks:
    def __init__(self) -> None:
        self._withheld = ""

    def add(self, delta: str) -> str:
        if not self._withheld and not _MAY_BEGIN.search(delta):
            return delta
        text = self._withheld + delta
        begun = _BEGUN.search(text)
        at = begun.start() if begun else len(text)
        self._withheld = text[at:]
        return _MARK.sub(_replacement, text[:at])

    def end(self) -> str:
        withheld, self._withheld = self._withheld, ""
        return _CUT.sub("", _MARK.sub(_replacement, withheld))


def _replacement(mark: re.Match[str]) -> str:
    with suppress(ValueError, RecursionError):
        match mark["kind"] == "entity" and json.loads(mark["parts"]):
            case [_, str(name), *_]:
                return name
    return ""
