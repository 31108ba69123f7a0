"""Converts Word and PowerPoint equations to a line of text, because text doesn't have fractions or powers."""

from xml.etree.ElementTree import Element

from files_to_markdown.archive import attribute, local_name

_AROUND = {
    "num": ("(", ")"),
    "den": ("/(", ")"),
    "sup": ("^(", ")"),
    "sub": ("_(", ")"),
    "deg": ("[", "]"),
    "rad": ("√(", ")"),
    "mr": ("", "; "),
}
"""The delimiters to put around parts of an equation."""


def equation(element: Element) -> str:
    """Returns an equation on one line, such as (a)/(b)."""
    name = local_name(element)
    if name == "t":
        return element.text or ""
    if name == "chr":
        return attribute(element, "val")
    if name == "naryPr" and all(local_name(child) != "chr" for child in element):
        return "∫"
    text = "".join(map(equation, element))
    before, after = _AROUND.get(name, ("", ""))
    if name == "d":
        signs = {
            local_name(sign): attribute(sign, "val")
            for child in element
            if local_name(child) == "dPr"
            for sign in child
        }
        before, after = signs.get("begChr", "("), signs.get("endChr", ")")
    return f"{before}{text}{after}" if text else ""
