"""The report of a replay, as totals and as an HTML page.

The page runs and loads nothing, because it contains text from models and people. The page shows an answer's Markdown
nearly as Slack does, and lists the largest differences first. The URL of each link is shown as text. Answers are in the
format of results.jsonl.
"""

import hashlib
import re
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from statistics import median
from typing import Any

from bot.core.unseen import visible
from bot.core.usage import AnswerUsage, Thumb, UsageLine, UsageReport
from bot.errors import EndReason
from bot.store.replays import Given
from slack_markdown.blocks import LeafBlock, LeafKind, code_content, parse_blocks, table_rows
from slack_markdown.dialects import as_markdown
from slack_markdown.render import styled_inlines

Line = Mapping[str, Any]
ALIKE, NO_VERDICT = "alike", "no verdict"
"""Verdicts of a judge other than "then" and "now"."""
TIMES = "Total times end when Slack had shown the whole answer (then) and when it was written (now)."
UNFINISHED = "Not asked again, because the replay was killed: job {}."
EMPHASIS = {"*": "i", "_": "i", "**": "b", "__": "b", "~": "s", "~~": "s"}
FILTERS = {"down": "Only 👎", "tools": "Only with tool calls or web searches"}
GROUPS = ("Worse, or ended differently", "Better, or disliked then", "Different words", "The same words")
STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:80em;padding:0 1em;color:#1d1c1d}"
    "table{border-collapse:collapse}td,th{padding:.2em 1em;text-align:right;border-bottom:1px solid #ddd}"
    "td:first-child{text-align:left;padding-left:0}section{border-top:2px solid #ddd;margin-top:2em}p{margin:.5em 0}"
    "h2{font-size:1.2em;margin-top:2em}h3{font-size:1em;margin:.5em 0}.pair table{margin:.5em 0}"
    ".answer{overflow:auto;overflow-wrap:anywhere;max-height:32em;padding:.2em .7em}"
    ".answer{background:#f6f6f6;border-radius:6px}.answer pre{background:#eee}.pair>div{min-width:0}"
    ".pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,22em),1fr));gap:1em}small{color:#616061}"
    "pre{white-space:pre-wrap;overflow-wrap:anywhere;font:inherit;margin:0;padding:.7em;background:#f6f6f6;"
    "border-radius:6px;max-height:32em;overflow:auto}section>pre{background:#eef4fb}"
    "summary{cursor:pointer}summary h2{display:inline-block}"
) + "".join(f"body:has(#{name}:checked) section:not(.{name}){{display:none}}" for name in FILTERS)
DIGEST = b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
PAGE = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    f"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-{DIGEST}'\">"
    f"<title>{{title}}</title><style>{STYLE.replace('{', '{{').replace('}', '}}')}</style><h1>{{title}}</h1>"
    "<table>{rows}</table>{notes}"
    + "".join(f'<p><label><input type="checkbox" id="{name}"> {label}</label>' for name, label in FILTERS.items())
    + "{sections}"
)


def answer_values(given: Given) -> dict[str, Any]:
    used, last = totals(given.uses), given.uses[-1]
    return {
        "model": last.model,
        "end": given.end.value,
        "usd": used.cost_usd,
        "first_word_s": last.first_token_s,
        "seconds": given.seconds,
        "input_tokens": used.input_tokens,
        "output_tokens": used.output_tokens,
        "chars": len(given.text),
        "text": given.text,
        "calls": len(given.tools),
        "searches": used.web_searches,
    }


def totals(uses: Iterable[AnswerUsage], thumbs: Iterable[Thumb] = ()) -> UsageLine:
    report = UsageReport("model")
    report.add_attempts(uses, thumbs)
    return report.total


def labeled_totals(lines: Sequence[Line], then: UsageLine) -> list[list[str]]:
    """Returns labeled totals for both sides. `then`: the earlier totals, in the format of `typist usage`."""
    now = totals(_use_of(line["now"]) for line in lines)

    def median_cells(name: str, form: str) -> list[str]:
        known = [[line[at][name] for line in lines if line[at][name] is not None] for at in ("then", "now")]
        return [form.format(median(values)) if values else "-" for values in known]

    refusals = (sum(line[at]["end"] == EndReason.REFUSED for line in lines) for at in ("then", "now"))
    return [
        ["", "then", "now"],
        ["answers", f"{then.answers:,}", f"{now.answers:,}"],
        ["failures", f"{then.failures:,}", f"{now.failures:,}"],
        ["refusals", *map("{:,}".format, refusals)],
        ["input tokens", f"{then.input_tokens:,}", f"{now.input_tokens:,}"],
        ["output tokens", f"{then.output_tokens:,}", f"{now.output_tokens:,}"],
        ["USD", f"{then.cost_usd:,.6f}", f"{now.cost_usd:,.6f}"],
        ["seconds to the first word (median)", *median_cells("first_word_s", "{:.2f}")],
        ["seconds in total (median)", *median_cells("seconds", "{:.2f}")],
        ["characters (median)", *median_cells("chars", "{:,.0f}")],
        ["👎", f"{then.thumbs_down:,}", ""],
        *_verdicts([line["judge"] for line in lines if "judge" in line]),
    ]


def _verdicts(judged: Sequence[Line]) -> list[list[str]]:
    if not judged:
        return []
    count = Counter(one.get("verdict", NO_VERDICT) for one in judged)
    return [
        ["judged better", *(f"{count[at]:,}" for at in ("then", "now"))],
        ["judged alike", f"{count[ALIKE]:,}", f"{count[ALIKE]:,}"],
        ["without a verdict", f"{count[NO_VERDICT]:,}", f"{count[NO_VERDICT]:,}"],
        ["USD for the judge", "", f"{sum(one['usd'] for one in judged):,.6f}"],
    ]


def _use_of(given: Line) -> AnswerUsage:
    tokens, end = (given["input_tokens"], given["output_tokens"]), EndReason(given["end"])
    return AnswerUsage(0.0, 0, "", "", given["model"], end, *tokens, given["usd"], given["first_word_s"])


def page(
    title: str,
    sums: Iterable[Sequence[str]],
    lines: Sequence[Line],
    names: Mapping[str, str],
    notes: Iterable[str] = (),
) -> str:
    sections = ""
    for group, heading in enumerate(GROUPS):
        if in_group := [line for line in lines if _group(line) == group]:
            of_lines = "".join(_section(line, names) for line in in_group)
            count = f"{len(in_group):,} of {len(lines):,}"
            sections += f"<details open><summary><h2>{heading} ({count})</h2></summary>{of_lines}</details>"
    below = "".join(map(_small, notes))
    return PAGE.format(title=_escape_text(title), rows=_rows(sums), notes=below, sections=sections)


def _rows(rows: Iterable[Sequence[str]], shown: Callable[[str], str] | None = None) -> str:
    return "".join(f"<tr>{''.join(f'<td>{(shown or _escape_text)(cell)}</td>' for cell in row)}</tr>" for row in rows)


def _group(line: Line) -> int:
    then, now, verdict = line["then"], line["now"], line.get("judge", {}).get("verdict")
    if verdict == "then" or then["end"] != now["end"]:
        return 0
    if verdict == "now" or line["thumbs_down"]:
        return 1
    return 3 if then["text"].split() == now["text"].split() else 2


def _section(line: Line, names: Mapping[str, str]) -> str:
    where = names.get(line["channel"], line["channel"])
    about = f"{line['asked'][:16].replace('T', ' ')} UTC · {where} · job {line['job']} {'👎' * line['thumbs_down']}"
    if "judge" in line:
        about += f" · {_verdict(line['judge'])}"
    sides = [line["then"], line["now"]]
    pair = "".join(f"<div>{_small(_heading(at, line[at]))}{_to_html(line[at]['text'])}</div>" for at in ("then", "now"))
    shown = {"down": line["thumbs_down"], "tools": any(side.get("calls") or side.get("searches") for side in sides)}
    classes = " ".join(name for name in FILTERS if shown[name])
    thread = f"<p>{_link(line['link'], 'Open in Slack')}</p>" if line.get("link") else ""
    return (
        f'<section class="{classes}">{_small(about)}{thread}{_preformatted(line["question"])}'
        f'<div class="pair">{pair}</div></section>'
    )


def _verdict(judge: Line) -> str:
    verdict = judge.get("verdict", NO_VERDICT)
    better = f"{verdict} is better" if verdict in ("then", "now") else verdict
    return f"judge: {better}, ${judge['usd']:.6f}"


def _heading(at: str, given: Line) -> str:
    first, whole = ("-" if given[name] is None else f"{given[name]:.2f} s" for name in ("first_word_s", "seconds"))
    used = f"${given['usd']:.6f} · {given['input_tokens']:,} tokens in, {given['output_tokens']:,} out"
    times = f"first word {first}, all {'shown' if at == 'then' else 'written'} {whole}"
    counts = {"tool calls": given.get("calls"), "web searches": given.get("searches")}
    lookups = "".join(f" · {count:,} {what}" for what, count in counts.items() if count)
    return f"{at}: {given['model']} · {given['end']} · {used} · {times} · {given['chars']:,} characters{lookups}"


def _to_html(markdown: str) -> str:
    markdown = as_markdown(markdown.replace("\0", "\ufffd"))
    leaves = parse_blocks(markdown, last_line_incomplete=False).leaf_blocks
    return f'<div class="answer" dir="auto">{"".join(_leaf_to_html(markdown, leaf) for leaf in leaves)}</div>'


def _leaf_to_html(markdown: str, leaf: LeafBlock) -> str:
    first, lines = leaf.lines[0], [markdown[line.content : line.end] for line in leaf.lines]
    match leaf.kind:
        case LeafKind.FENCED_CODE:
            return _preformatted(code_content(markdown, leaf))
        case LeafKind.INDENTED_CODE:
            return _preformatted("\n".join(lines))
        case LeafKind.TABLE:
            return f"<table>{_rows(table_rows(lines), _inlines_to_html)}</table>"
        case LeafKind.HEADING:
            return f"<h3>{_inlines_to_html(lines[0].strip('# '))}</h3>"
    marker = markdown[first.start : first.content]
    indent = "&emsp;" * ((len(marker) - len(marker.lstrip())) // 2)
    text = _inlines_to_html("\n".join(lines)).replace("\n", "<br>")
    return f"<p>{indent}{_escape_text(re.sub('^[-+*]$', '•', marker.strip()))} {text}</p>"


def _inlines_to_html(markdown: str) -> str:
    html, opened = "", list[str]()
    for text, style in styled_inlines(markdown):
        if style in EMPHASIS:
            is_end = opened[-1:] == [style]
            html += f"<{'/' * is_end}{EMPHASIS[opened.pop() if is_end else style]}>"
            opened += [] if is_end else [style]
        elif style == "code":
            html += f"<code>{_escape_text(text)}</code>"
        else:
            html += _link(text) if text.startswith(("http://", "https://")) else _escape_text(text)
    return html + "".join(f"</{EMPHASIS[style]}>" for style in reversed(opened))


def _link(url: str, label: str = "") -> str:
    return f'<a href="{_escape_text(url)}" rel="noreferrer">{_escape_text(label or url)}</a>'


def _small(text: str) -> str:
    return f"<p><small>{_escape_text(text)}</small></p>"


def _preformatted(text: str) -> str:
    return f'<pre dir="auto">{_escape_text(text)}</pre>'


def _escape_text(text: str) -> str:
    return escape(visible(text))
