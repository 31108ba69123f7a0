"""Texts that repeat something hostile."""

import re
from collections.abc import Iterator

from slack_markdown import render

# The repeated text for each shape. A pair is repeated inside out: openers, then closers. In a triple, the first and
# last part occur once.
SHAPES: dict[str, str | tuple[str, str] | tuple[str, str, str]] = {
    "words": "word ",
    "one word": "a",
    "one word, then punctuation": ("", "a", "1!é"),
    "capitals": "A",
    "underscores in a word": "a_",
    "digits": "7",
    "spaces": " ",
    "spaces in a line": ("a", " ", "b"),
    "tabs": "\t",
    "line breaks": "\n",
    "blank lines with spaces": " \n",
    "carriage returns": "\r",
    "dots": ".",
    "dots and letters": "a.",
    "hosts": "bank.com ",
    "one long host": ("[", "a.", "com](https://evil.example)"),
    "signs of addresses": "a@",
    "slashes": "/",
    "stop tokens": "<|im_end|>",
    "tags of thoughts": "</think>a",
    "stop tokens in open code": "`<|a|>",
    "calls without an end": "<tool_call>{",
    "calls of nothing": "<tool_call>a</tool_call>",
    "parameters without an end": "<function=a><parameter=b>",
    "headers": "<|im_start|>assistant\n",
    "schemes": "a+",
    "URLs": "https://a.example/",
    "hosts with letters of other scripts": "https://\u0456.\u0456 ",
    "distinct hosts": " ".join(f"https://{chr(0x4E00 + n)}.{chr(0x5E00 + n)}" for n in range(2_000)),
    "long hosts": "https://" + "\u0456." * 39 + " ",
    "hosts with text behind them": "https://a" + ".\u0456\u4e16" * 80 + " ",
    "hosts with user names": "https://,,,,,@a ",
    "one long user name": ("https://", ",", "@a"),
    "hosts with entities": "https://&#1110;.a ",
    "entities of slashes": "&colon;&sol;&sol;",
    "addresses of one digit": "https://1 ",
    "addresses of files": "https://a.slack.com/docs/T0A/F0SECRET ",
    "addresses of files, joined": "https://a.slack.com/docs/T0A/F0SECRET",
    "URLs in bold": "**https://a.example** ",
    "letters that NFKC makes longer": "㏂",
    "the longest letter of NFKC": "\ufdfa",
    "labels that NFKC makes longer": "[" + "㏂" * 150 + "](https://evil.example) ",
    "combining marks": "a" + "\u0301" * 20,
    "one letter with marks": ("a", "\u0301", ""),
    "marks alone": "\u0301",
    "joiners alone": "\u200d",
    "right-to-left marks": "\u202ea\u202d",
    "invisible letters": "\u200b\u2060",
    "surrogates": "\ud83d",
    "emoji with joiners": "👩\u200d",
    "CJK": "世",
    "bold CJK": "世**界**",
    "open CJK emphasis": "世*界 ",
    "asterisks": "*",
    "open emphasis": "*a ",
    "open bold": "**a ",
    "emphasis that closes nothing": "a* ",
    "emphasis of all kinds": "*a _b ~~c ",
    "emphasis that might close": "*a_b*",
    "nested emphasis": ("*a ", " b*"),
    "runs of other lengths": "* ** *** **** ",
    "underscores": "_",
    "tildes": "~",
    "underscores and tildes": "_~",
    "backticks": "`",
    "open code spans": "` `` ``` ",
    "code spans": "`a` ",
    "code spans of all lengths": " ".join("`" * n for n in range(1, 150)),
    "brackets": "[",
    "closing brackets": "]",
    "nested brackets": ("[", "]"),
    "nested links": ("[", "](a)"),
    "open links": "[a](",
    "open pointed links": "[a](<",
    "open titles": '[a](b "',
    "titles of all kinds": "[a](b \"' (",
    "open parentheses": ("[a]", "(", ""),
    "nested parentheses": ("[a](", "(a)", ")"),
    "links": "[a](b) ",
    "deceptive links": "[bank.com](https://evil.example) ",
    "images": "![",
    "nested images": ("![a", "](b)"),
    "images in links": "[![a](b)](c) ",
    "images behind exclamation marks": "!![a](b)",
    "exclamation marks": ("", "!", "[a](b)"),
    "backslashes": ("", "\\", "![a](b)"),
    "escaped brackets": "\\[",
    "definitions without an end": ("]:", "\\[", ""),
    "definitions": "[a]: b\n",
    "definitions of other labels": "".join(f"[{n}]: b{n}\n" for n in range(900)),
    "definitions and uses": ("[a]: <b>\n\n", "[a] ", ""),
    "uses in brackets": ("[a]: b\n\n", "[", "]"),
    "titles of definitions": '[a]: b "',
    "angle brackets": "<",
    "open autolinks": "<https://a",
    "autolinks": "<https://a.example> ",
    "mail addresses": "<a@b.example> ",
    "instructions": "<!channel> <@U1> ",
    "instructions in code": ("```\n", "<a:", "|\n"),
    "entities": "&amp;",
    "half entities": "&am",
    "ampersands": "&",
    "headings": "# a\n",
    "a heading with inner spaces": ("# a", " ", "#b"),
    "a heading with closing sequences": ("# ", "a # ", ""),
    "underlined headings": "a\n---\n",
    "thematic breaks": "---\n",
    "dashes": "-",
    "dashes in a line": "- ",
    "lists": "- a\n",
    "deep lists": "".join("  " * n + "- a\n" for n in range(60)),
    "lists in a line": "1. ",
    "numbers": "1.\n",
    "quotes": "> ",
    "lines of quotes": "> a\n",
    "lazy lines": ("> a\n", "b\n", ""),
    "deep quotes": ">" * 29 + " a\n",
    "tasks": "- [ ] a\n",
    "open fences": "```\n",
    "fences in lists": "- ```\n",
    "fences of all lengths": "".join("`" * n + "\n" for n in range(3, 100)),
    "one block of code": ("```\n", "code\n", ""),
    "indented code": "    a\n",
    "rows of pipes": "|\n",
    "rows without a delimiter": "| a | b |\n",
    "pipes": "|",
    "tables": "|a|\n|-|\n|b|\n\n",
    "one table": ("|a|b|\n|-|-|\n", "|c|d|\n", ""),
    "one wide table": ("|a" * 30 + "|\n" + "|-" * 30 + "|\n", "|c|d|\n", ""),
    "delimiter rows": "|-|\n",
    "one delimiter row": ("| a |\n", "|-", "x"),
    "mentions": "<@U123|ada> ",
    "half mentions": "<@U123|",
    "times": "<!date^1^{date}|x>",
    "text between fences": "a ``` b ",
    "sentence ends": "a. ",
    "sentence ends with brackets": (".", ")", "a"),
    "no-break spaces": "\u00a0",
    "line separators": "a\u2028",
    "reasoning without words": "<think></think>",
    "names of limits": "max_",
    "open tags": "<b",
    "opening tags": "<b>",
    "tags of bold": "<b>a</b> ",
    "nested tags": ("<b>", "</b>"),
    "nested tags of all kinds": ("<b><i><s><ul><li>", "</li></ul></s></i></b>"),
    "closing tags": "</b>",
    "line breaks in HTML": "<br>",
    "line breaks in a row": ("| a | b |\n|---|---|\n| ", "a<br>", " | b |\n"),
    "paragraphs in HTML": "<p>a</p>",
    "rows in HTML": "<tr><td>a</td><td>b</td></tr>\n",
    "lists in HTML": "<ul><li>a",
    "code in HTML": "<code>",
    "superscripts": "a<sup>2</sup>",
    "open superscripts": "<sup>",
    "open addresses in HTML": "<a href=",
    "addresses in HTML": '<a href="https://a.example">b</a> ',
    "quotation marks in tags": "<a b='<a b=\"",
    "attributes": ("<a", " b=c", ">"),
    "spaces in a tag": ("<div", " ", '"'),
    "open tags with spaces": "<div" + " " * 900 + '"',
    "comments": "<!-- ",
    "ends of comments": "<!-- -->",
    "dollars": "$",
    "formulas in dollars": "$x^2$ ",
    "sums in dollars": "$1 + \\text{ k",
    "cell ends in code": ("| a | b |\n|---|---|\n| ", "`a|b` and $P(A|B)$ ", ""),
    "bold with a space inside": "**a: **b ",
    "marks between spaces": ". ** ~~ ",
    "open formulas": "\\(",
    "open formulas on lines": "\\[\n",
    "formulas before sentences": "\\[\n" * 300 + "\\(" * 90 + "with five words behind all of them ",
    "open formulas between blank lines": "\\[\nx = y\n\n",
    "formulas with blank lines": "$$\n\n- a\n",
    "formulas": "\\(x^2\\) ",
    "environments": "\\begin{a}",
    "rows of environments": "$$\\begin{cases}" + "a & \\\\" * 150 + "\\end{cases}$$ ",
    "nested environments": "$$" + "\\begin{cases}" * 60 + "&" * 90 + "$$ ",
    "footnotes": "a[^1]",
    "notes": "[^note]: a\n",
    "half footnotes": "[^a",
    "one long footnote": ("a[^", "a", "]"),
    "links in Slack's markup": "<https://a.example|b> ",
    "half links in Slack's markup": "<https://a.example|",
    "pipes in Slack's markup": ("<https:", "|", ">"),
    "addresses with spaces": "[a](https://a b) ",
    "open addresses with spaces": "[a](https://a b (",
    "parentheses and spaces in an address": ("[a](https://a", " (", ")"),
    "a gap in an open address": ("[a](https://a.example", " ", "x"),
    "gaps in open addresses": "[a](https://a.example" + " " * 40 + "x ",
    "tabs in open addresses": "| [a](mailto:a@b.example" + "\t a" * 20 + " | x |\n",
    "entities of other characters": "&mdash;",
    "bold before letters": "**a:**b ",
    "bold in words": "a**(b)**c ",
    "open bold in words": "a**(b ",
}


ANSWERS = {
    "HTML": """\
<h2>Results</h2><p>The <b>first</b> run, see <a href="https://a.example/x">the log</a>:<br>2<sup>10</sup> rows.</p>
<ul><li>One <code>a&lt;b</code></li><li>Two<ul><li>Inner</li></ul></li></ul>
<table><tr><th>Name</th><th>Sum</th></tr><tr><td>a</td><td>1</td></tr></table>
<details><summary>More</summary>Text <!-- and a note --> here.</details>
""",
    "LaTeX": """\
So \\(x^2 + y_1\\) is at most $\\frac{a}{b}$, which costs $5 or $6:

$$
\\begin{aligned} a &= b \\\\ c &= d \\end{aligned}
$$

\\[ E = mc^2 \\]
""",
    "Slack's markup and links": """\
See <https://a.example/x|the *plan*>, <@U123>, <#C1|general> and **bold**text: [bank.com](https://evil.example "t").
![an image](https://a.example/i.png) <a@b.example> https://gіthub.com/x [ref][1], [my file](https://a.example/a b.pdf).
世界**重要。**文字 ~~gone~~ __bold__ word_with_underscores &mdash; &amp; \\* done.

[1]: https://a.example "Title"
""",
    "a document in a fence": """\
```markdown
# Setup

```sh
ls | wc -l
```

Done.
```

- [ ] item

  ```py
  x = 1
  ```
> quote
> | a | b |
> |---|---|
> | 1 | 2 |
""",
    "marks of a template": """\
<think>Well, `a < b`.</think><|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>4.
<tool_call>{"name": "a", "arguments": {"b": 1}}</tool_call><|im_end|>
""",
}
_TOKEN = re.compile(r"\w+|\s+|[^\w\s]")


def grown(answer: str, most_tokens: int, chars: int) -> Iterator[tuple[str, str]]:
    """Yields each part of an answer (up to `most_tokens` tokens, or a line) and the answer with that part repeated.
    Equal parts after equal characters are yielded once. All words count as equal."""
    starts = [token.start() for token in _TOKEN.finditer(answer)] + [len(answer)]
    spans = [(start, end) for at, start in enumerate(starts) for end in starts[at + 1 : at + 1 + most_tokens]]
    spans += [line.span() for line in re.finditer(r".+\n+", answer)]
    seen: dict[tuple[str, str], tuple[int, int]] = {}
    for start, end in spans:
        before, part = answer[max(0, start - 1) : start], answer[start:end]
        seen.setdefault(("a" if before.isalnum() else before, "a" if part.isalnum() else part), (start, end))
    for start, end in seen.values():
        part = answer[start:end]
        yield part, answer[:start] + part * (chars // len(part)) + answer[end:]


def text_of(shape: str, chars: int) -> str:
    parts = SHAPES[shape]
    if isinstance(parts, str):
        return (parts * (chars // len(parts) + 1))[:chars]
    if len(parts) == 2:
        opener, closer = parts
        count = chars // len(opener + closer)
        return opener * count + closer * count
    first, repeated, last = parts
    return first + (repeated * (chars // len(repeated) + 1))[: chars - len(first + last)] + last


def forget_renderings() -> None:
    for cached in vars(render).values():
        if hasattr(cached, "cache_clear"):
            cached.cache_clear()
