"""Removes markup for vendors' own front ends from an answer's text. Pure.

Models write citations in the format of the pages that they were trained for, even where no such page displays them.
OpenAI's are between U+E200 and U+E201, with U+E202 between their parts: `cite`, `filecite`, `navlist`, `image_group`.
The name of an `entity` is kept, because it is part of its sentence. Others are `【4:0†source】` and
`:contentReference[oaicite:0]{index=0}`.

The result doesn't depend on how the text is split into deltas, and no more text is withheld than could begin a mark.
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
"""A mark that was cut off by an output limit. After a space, words can follow a mark that is never closed."""


class FrontEndMarks:
    def __init__(self) -> None:
        self._held = ""

    def add(self, delta: str) -> str:
        if not self._held and not _MAY_BEGIN.search(delta):
            return delta
        text = self._held + delta
        begun = _BEGUN.search(text)
        at = begun.start() if begun else len(text)
        self._held = text[at:]
        return _MARK.sub(_shown, text[:at])

    def end(self) -> str:
        held, self._held = self._held, ""
        return _CUT.sub("", _MARK.sub(_shown, held))


def _shown(mark: re.Match[str]) -> str:
    with suppress(ValueError, RecursionError):
        match mark["kind"] == "entity" and json.loads(mark["parts"]):
            case [_, str(name), *_]:
                return name
    return ""
