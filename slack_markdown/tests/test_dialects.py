"""HTML, LaTeX and Slack's own markup, as models write them, are sent as the Markdown that they mean.

Each row is tested complete and in pieces of one character, with edits and with streams.
"""

import re

import pytest

from slack_markdown.escaping import HAIR_SPACE as HAIR
from slack_markdown.render import first_words, max_sent_chars, render_page, stable_prefix

CELLS = "| a | b |\n|---|---|\n| "


BREAKS = [
    ("a<br>b<br/>c<br />d<BR>e", "a\nb\nc\nd\ne"),
    ("a<br>\nb<br>", "a\nb"),
    ("a<br><br>b", f"a\n{HAIR}\nb"),
    ("Pros:<br>- cheap<br># fast", f"Pros:\n{HAIR}- cheap\n{HAIR}# fast"),
    ("- a<br>b", "- a\nb"),
    ("# Title<br>More\n", "# Title; More"),
    (f"{CELLS}first<br>second | x |\n", f"{CELLS}first; second | x |"),
    (f"{CELLS}First.<br/>Second<br> | <br>x |\n", f"{CELLS}First. Second | x |"),
    (f"{CELLS}<ul><li>a</li><li>b</li></ul> | <p>c</p><p>d</p> |\n", f"{CELLS}a; b | c; d |"),
    ("- item<br/>  more\n1. a<br>b", "- item\nmore\n1. a\nb"),
    ("> quote<br>more\n\n**Name:** Ada<br>**Role:** Dev", "> quote\nmore\n\n**Name:** Ada\n**Role:** Dev"),
    (f"{CELLS}• a<br>• b | **x**<br>*y* |\n", f"{CELLS}• a; • b | **x** *y* |"),
    (f"{CELLS}<span style='a'>x</span> | <!-- c -->y |\n", f"{CELLS}x | y |"),
    (f"{CELLS}<pre>one<br>two</pre> | <code>a<br/>b|c</code> |\n", f"{CELLS}`one two` | `a b\\|c` |"),
    ("<code>one<br>two</code>", "`one`\n`two`"),
    ("<p>One</p>\n<p>Two</p>", "One\nTwo"),
    ("a<hr>b", "a\n———\nb"),
]


TAGS = [
    ("<b>bold</b>, <STRONG>b</STRONG>, <i>i</i>, <em>e</em>, <del>d</del>", "**bold**, **b**, *i*, *e*, ~~d~~"),
    ("<b><i>x</i></b> <b>x</b><b>y</b> **<b>x</b>**", f"***x*** **x**{HAIR}**y** **x**"),
    ("a<b>(x)</b>b <b> s </b>t <b></b>", f"a{HAIR}**(x)**{HAIR}b  **s** t"),
    ("<b>世界</b>和", f"**世界**{HAIR}和"),
    ("<b>never closed\n\nnext", "never closed\n\nnext"),
    ("<kbd>Ctrl</kbd>+<code>a * b</code> <code>&lt;b&gt;</code>", "`Ctrl`+`a * b` `<b>`"),
    ("<code>a ` b</code>", "`` a ` b ``"),
    ("<code>a `` b</code>", "`a ˋˋ b`"),
    ("H<sub>2</sub>O, 10<sup>6</sup>, 5<sup>th</sup>, x<sub>i,j</sub>", "H₂O, 10⁶, 5ᵗʰ, x\\_(i,j)"),
    (
        "SO<sub>4</sub><sup>2-</sup> a<sub>ij</sub> e<sup>-x</sup> 1<sup>st</sup> T<sub>max</sub>",
        "SO₄²⁻ aᵢⱼ e⁻ˣ 1ˢᵗ Tₘₐₓ",
    ),
    ("<kbd>⌘</kbd><kbd>`</kbd> **<kbd>Esc</kbd>**", f"`⌘`{HAIR}`` ` `` **`Esc`**"),
    ("x<sup>2y*</sup> y<sup>[1](https://a.b)</sup>", "x^(2y\\*) y[1](https://a.b)"),
    ("<u>u</u> <mark>m</mark> <span style='a:\">\"'>s</span> <font color=red>f</font>", "u m s f"),
    ('<a href="https://a.b/?x=1&amp;y=2">the <b>page</b></a>', "[the **page**](https://a.b/?x=1&y=2)"),
    ("<a href='https://evil.example'>bank.com</a>", "bank.com (https://evil.example)"),
    ("<a href='javascript:a()'>x</a> <a href='#top'>top</a>", "x (javascript:a%28%29) top"),
    ('<img src="https://a.b/i.png" alt="A > B"> <img src="i.png" alt="B">', "[A > B](https://a.b/i.png) B"),
    ("<ul>\n    <li>One</li>\n    <li>Two</li>\n</ul>\nAfter", "• One\n• Two\nAfter"),
    ("<ol start=3><li>a</li><li>b</li></ol>", f"{HAIR}3. a\n{HAIR}4. b"),
    ("<details>\n<summary>More</summary>\n\nText.\n\n</details>", "**More**\n\n\nText."),
    ("<h2>Title</h2><blockquote>Said</blockquote>", "**Title**\nSaid"),
    ("<table><tr><th>A</th><th>B</th></tr>\n<tr>\n <td>1</td>\n <td>2</td>\n</tr></table>", "A \\| B\n1 \\| 2"),
    ("<pre><code>def f():\n    return 1\n</code></pre>", "`def f():`\n`    return 1`"),
    ("a <!-- note --> b<wbr>c &nbsp;&mdash; &lt;b&gt; &#8238;", "a  bc \u00a0— &lt;b&gt; &#8238;"),
    ("<div>- no list</div><span># no heading</span>", f"{HAIR}- no list\n{HAIR}# no heading"),
]


TEXT = [
    (
        "<T> List<String> Map<K, V> Option<B> <your-name>",
        "&lt;T> List&lt;String> Map&lt;K, V> Option&lt;B> &lt;your-name>",
    ),
    ("cp <source> <code> and a < b and c > d", "cp &lt;source> &lt;code> and a &lt; b and c > d"),
    ("Use the <p> tag, <b> or <li> and a<b>c", "Use the &lt;p> tag, &lt;b> or &lt;li> and a&lt;b>c"),
    ("x <= 5, a <- b, <-> <3 </ <<EOF", "x &lt;= 5, a &lt;- b, &lt;-> &lt;3 &lt;/ &lt;&lt;EOF"),
    (
        "{{name}} {% if x %} <%= x %> <Foo /> <Foo bar={1} />",
        "{{name}} {% if x %} &lt;%= x %> &lt;Foo /> &lt;Foo bar={1} />",
    ),
    ("<script>x()</script> <style>b</style>", "&lt;script>x()&lt;/script> &lt;style>b&lt;/style>"),
    ("\\<br\\> \\<b>", "&lt;br\\> &lt;b>"),
    ("`<br>` ``<b>`` `\\(x\\)` `$x^2$`", "`<br>` ``<b>`` `\\(x\\)` `$x^2$`"),
    ("```\n<br> \\(x\\)\n```\n\n    <b>x</b>", "```\n<br> \\(x\\)\n```\n\n    <b>x</b>"),
    ("$5 and $10, US$7, $HOME/bin:$PATH", "$5 and $10, US$7, $HOME/bin:$PATH"),
    ("$(id) $(pwd)/x ${A:-b} ${A}/$(b) $x->y $_GET $$ $?", "$(id) $(pwd)/x ${A:-b} ${A}/$(b) $x->y $_GET $$ $?"),
    ("kill $$ now and echo $$", "kill $$ now and echo $$"),
    ("$5-$10, $5 + $3 = $8, $20 / month, $1/1K to $2/1K", "$5-$10, $5 + $3 = $8, $20 / month, $1/1K to $2/1K"),
    ("\\(optional\\) \\[1\\] \\[x\\](y)", "\\(optional\\) \\[1\\] \\[x\\](y)"),
    ("2*(3+4)*5 a*.b*c", "2*(3+4)*5 a*.b\\*c"),
    # oobabooga/textgen#5608: these are products, although CommonMark reads emphasis.
    ("5! = 5*4*3*2*1, not *2*3*", "5! = 5\\*4\\*3\\*2\\*1, not *2\\*3*"),
    ("V = w*h*d, 2*x*3 | 5x*y*z", "V = w\\*h\\*d, 2\\*x\\*3 | 5x\\*y\\*z"),
    ("un*believ*able, `5*4*3`, 2**3**4, 1 *2* 3", "un*believ*able, `5*4*3`, 2**3**4, 1 *2* 3"),
    ("https://a.b/?x=1&copy=$a$b", "https://a.b/?x=1&copy=$a$b"),
    ("See __init__.py and a.__dict__, f.__call__()", r"See \_\_init\_\_.py and a.\_\_dict\_\_, f.\_\_call\_\_()"),
    (
        "[__init__.py](https://a.b/__init__.py) **__main__.py**",
        r"[\_\_init\_\_.py](https://a.b/__init__.py) **\_\_main\_\_.py**",
    ),
    ("- __init__.py\n- `__init__.py` __bold__.", "- \\_\\_init\\_\\_.py\n- `__init__.py` __bold__."),
    ("__bold__ __Bold__. __two words__.x x.__a__b", "__bold__ __Bold__. __two words__.x x.__a__b"),
    ("Date: __/__/____ at __:__", r"Date: \_\_/\_\_/\_\_\_\_ at \_\_:\_\_"),
    ("Call (___) ___-____, $____.__ or ______", r"Call (___) \_\_\_-\_\_\_\_, $\_\_\_\_.\_\_ or ______"),
    ("https://a.b/?q=5*4*3 https://a.b/__init__.py", "https://a.b/?q=5%2A4%2A3 https://a.b/%5F%5Finit%5F%5F.py"),
    ("https://a.b/x。5*4*3", f"https://a.b/x{HAIR}。5\\*4\\*3"),
]


EMPHASIS = [
    ("**Status:**OK", f"**Status:**{HAIR}OK"),
    ('**"Quoted"**word', f'**"Quoted"**{HAIR}word'),
    ("word**(bold)**", f"word{HAIR}**(bold)**"),
    ("*(x)*y, ~~(a)~~b, __a:__b", f"*(x)*{HAIR}y, ~~(a)~~{HAIR}b, __a:__{HAIR}b"),
    ("***both:***x **Итог:**да **Total:**5", f"***both:***{HAIR}x **Итог:**{HAIR}да **Total:**{HAIR}5"),
    ("**`c`**x, **[l](https://a.b)**x, **_i_**x", f"**`c`**{HAIR}x, **[l](https://a.b)**{HAIR}x, **_i_**{HAIR}x"),
    ("**Done ✅**Next, word**✅ Done**", f"**Done ✅**{HAIR}Next, word{HAIR}**✅ Done**"),
    (
        "**50%**off **$100**off **ملاحظة:**نص **(重要)**内容",
        f"**50%**{HAIR}off **$100**off **ملاحظة:**{HAIR}نص **(重要)**{HAIR}内容",
    ),
    ('*foo "*bar*" baz*', '*foo "*bar*" baz*'),
]


APART = [
    ("**Note: **text", "**Note:** text"),
    ("** Note:** text", "**Note:** text"),
    ("__Note: __text", "__Note:__ text"),
    ("~~ x ~~", "~~x~~"),
    ("**注意： **内容", "**注意：** 内容"),
    ("**重要 **内容", "**重要** 内容"),
    ("** 注意：**内容", f"**注意：**{HAIR}内容"),
    ("**Important! **Do not\n**More: **b", "**Important!** Do not\n**More:** b"),
    ("** bold **", "**bold**"),
    ("** bold ** and ** more **", "**bold** and ** more **"),
    ("**bold ** text", "**bold** text"),
    ("- **Note: **text\n- ** x ** y", "- **Note:** text\n- **x** y"),
    ("**Note that\nthis: **text", "**Note that\nthis:** text"),
    ("***Both: ***x", "***Both:*** x"),
    ("~~old: ~~new and ~~ gone ~~.", "~~old:~~ new and ~~gone~~."),
    ("Text. ** Note:** more", "Text. **Note:** more"),
    ("| ** a ** | **b: **c |\n|---|---|\n| ** x ** | y |\n", "| **a** | **b:** c |\n|---|---|\n| **x** | y |"),
    ("**Итог: **да", "**Итог:** да"),
    ("**ملاحظة: **نص", "**ملاحظة:** نص"),
    ("**Note (x): **text", "**Note (x):** text"),
    ("**“Quote.” **text", "**“Quote.”** text"),
    ("**Done ✅ **next", "**Done ✅** next"),
    ("**A: **b and **C: **d", "**A:** b and **C:** d"),
    ("**Note – **text", "**Note –** text"),
    ("**Note: **`code`", "**Note:** `code`"),
    ("**Note: **[l](https://a.b)", "**Note:** [l](https://a.b)"),
    ("**https://a.b: **x", "https://a.b: x"),
    ("**Note:  ** text", "**Note:** text"),
    ("> **Note: **text", "> **Note:** text"),
    ("# **Note: **text", "# **Note:** text"),
    ("**Note：**文本 **重点： **x", f"**Note：**{HAIR}文本 **重点：** x"),
    ("**Is it? **Yes, **Right! **no", "**Is it?** Yes, **Right!** no"),
    ("**1. **First", "**1.** First"),
    ("**Step 1: **Do **this** now", "**Step 1:** Do **this** now"),
]
"""Emphasis with spaces inside its marks, where people mean emphasis."""


NOT_APART = [
    "*a *b",
    "2 ** 3 ** 4",
    "**/*.py and **/*.js",
    "src/**: **docs",
    "US$**a: **b",
    "a ** b",
    "footnote* and that*",
    "f(**a, **b)",
    "**kwargs and **options",
    "Pass **kwargs. **Note:** more",
    "x = 2 ** (3) ** y",
    "*Prices exclude VAT. *Terms apply.",
    "Name: __ Age: __ end",
    "__ is the capital of __.",
    "__init __x",
    "Price** net. ** Excludes VAT",
    "**\n\na **",
    "** first note\n** second note",
    "a ** b, c ** d.",
    "**Label: **value** x",
    "`**Note: **`x ** y",
    "\\** a ** b",
    "**never closed: text",
    "Use **kwargs: **Important** x",
    "```\n**Note: **x\n```",
    "5 ~~ 6",
    "** unclosed " + "word " * 40 + "end**",
    "**/a. **/b",
]
"""Operators, path patterns, parameters, footnotes, blanks to fill in, and what CommonMark reads as emphasis."""


SLACK = [
    ("<https://a.b/?b=1&c=2|the page>", "[the page](https://a.b/?b=1&c=2)"),
    ("**<https://a.b/?b=1&amp;c=2|x>**", "**[x](https://a.b/?b=1&c=2)**"),
    ("<https://evil.example|bank.com>", "bank.com (https://evil.example)"),
    ("<https://a.b>, <mailto:a@b.c|Mail>, <mailto:a@b.c>", "https://a.b, [Mail](mailto:a@b.c), a@b.c"),
    ("<#C456|general> <#C456> <@U123|Ada Example> <@U123>", "#general #C456 @Ada Example @U123"),
    ("<!here> <!channel|channel> <!subteam^S1|@team>", "@here @channel @team"),
    ("<@U0123ABCD>, <#C0123ABCD>, <!subteam^S0123ABCD>", "someone, a channel, a group"),
    ("<@U0123ABCD|Ada> <#C0123ABCD|> <@USERNAME>", "@Ada a channel @USERNAME"),
    ("<!date^1392734382^{date} at {time}|Feb 18> <!date^1^{date}>", "Feb 18 &lt;!date^1^{date}>"),
    (f"{CELLS}<https://a.b|x> | <@U1|Ada> |\n", f"{CELLS}[x](https://a.b) | @Ada |"),
    (
        '<https://a.b/(x)|p> <https://a.b/)"`|q> <https://a.b|>',
        "[p](https://a.b/%28x%29) [q](https://a.b/%29%22%60) https://a.b",
    ),
    ("- <https://a.b|x>", "- [x](https://a.b)"),
]


ADDRESSES = [
    ("[doc](https://a.b/my file (1).pdf)", "[doc](https://a.b/my%20file%20(1).pdf)"),
    (
        '[t](https://a.b/a b "title") ![p](path with space.png)',
        '[t](https://a.b/a%20b "title") [p](path%20with%20space.png)',
    ),
    ("[c](https://a.b/ä ö\\b c)", "[c](https://a.b/ä%20ö\\b%20c)"),
    ("[n](https://a.b\nc) [e](see this)", "[n](https://a.b\nc) [e](see this)"),
    ("[t](https://a.b (Title)) [p](<https://a.b/a b>)", "[t](https://a.b (Title)) [p](https://a.b/a%20b)"),
    ("[bank.com](https://evil.example/a b)", "bank.com (https://evil.example/a%20b)"),
]


GAP = " " * 40


OPEN_GAPS = [
    f"[the page](https://docs.example{GAP}x and more text.",
    "[the page](https://docs.example" + "\t" * 40 + "x and more text.",
    "[a](https://docs.example" + "".join(f"{' ' * n}a" for n in range(1, 12)),
    f"{CELLS}[docs](https://docs.example/a/b{GAP}| x |",
    f"[a](https://docs.example{GAP}(x{GAP}(y",
    f"[a](mailto:a@b.example{GAP}x",
    f'[a](https://docs.example{GAP}x "b{GAP}c)',
    f"![a](docs{GAP}x",
    "[a](https://docs.example" + " (a)" * 40 + " (",
]
"""Not a URL, and there are 2^40 ways to divide the gap."""


CLOSED_GAPS = [
    (f'[a](https://b.example{GAP}c "d{GAP}e")', f'[a](https://b.example{40 * "%20"}c "d{GAP}e")'),
    (f"[a](mailto:a@b.example{GAP}x{GAP})", f"[a](mailto:a@b.example{40 * '%20'}x{GAP})"),
    ("![a](b" + "\t" * 40 + "c)", f"[a](b{40 * '%20'}c)"),
    ("![a](  )", "!\\[a\\](  )"),
]


FORMULAS = [
    ("\\( \\pi r^2 \\), \\[ E = mc^2 \\]", "`\\pi r^2`, `E = mc^2`"),
    ("$x^2$ $n$ $$a+b$$ \\(f(x)\\)", "`x^2` `n` `a+b` `f(x)`"),
    ("\\begin{equation}x=1\\end{equation}", "`x=1`"),
    ("So\n\\[\na = b \\\\\nc = d\n\\]\nend", "So\n`a = b`\n`c = d`\nend"),
    ("1. \\( x^2 \\) and\n   $$\n   y\n   $$", "1. `x^2` and\n   `y`"),
    ("$f(x)$, $O(1)$, $(0, 1)$, $[0,1]$, $|x|$", "`f(x)`, `O(1)`, `(0, 1)`, `[0,1]`, `|x|`"),
    ("$42$, $1 + 1 = 2$, $3 \\times 4$, $5x + 3 = 0$", "`42`, `1 + 1 = 2`, `3 \\times 4`, `5x + 3 = 0`"),
    ("$5 \\text{ km/h}$, $3 \\cdot \\sqrt{x^2 + 1}$", "`5 \\text{ km/h}`, `3 \\cdot \\sqrt{x^2 + 1}`"),
    ("$\\text{price} = \\$5$, $100 \\text{ km}$", "`\\text{price} = \\$5`, `100 \\text{ km}`"),
    ("\\begin{itemize}\n\\item a\n\\end{itemize}", "`\\begin{itemize}`\n`\\item a`\n`\\end{itemize}`"),
    (f"{CELLS}$x^2$ | \\(y\\) |\n", f"{CELLS}`x^2` | `y` |"),
    ("$$ a + b\n= c $$", "`a + b`\n`= c`"),
    ("\\begin{align}\na &= b \\\\\nc &= d\n\\end{align}", "`a = b`\n`c = d`"),
    ("\\begin{align*} a &= b & c &= d \\\\[4pt] e &= f \\nonumber \\end{align*}", "`a = b  c = d`\n`e = f`"),
    ("\\begin{equation}\\begin{split} a &= b\\\\ &= c\\end{split}\\end{equation}", "`a = b`\n`= c`"),
    ("\\begin{eqnarray} a & = & b \\\\ c & = & d \\end{eqnarray}", "`a = b`\n`c = d`"),
    ("\\[f(x) = \\begin{cases} 1 & x > 0 \\\\ 0, & x = 0 \\\\ \\end{cases}\\]", "`f(x) = { 1, x > 0`\n`0, x = 0 }`"),
    ("so \\(\\begin{cases} 1 & x \\\\ 0 & y \\end{cases}\\) and", "so `{ 1, x; 0, y }` and"),
    ("$\\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix}$ and", "`( 1  2; 3  4 )` and"),
    ("\\begin{array}{cc} a & b \\\\ \\hline c & d \\end{array}", "`a  b`\n`c  d`"),
    (f"{CELLS}$$\\begin{{aligned}} a &= b \\\\ c &= d \\end{{aligned}}$$ | x |\n", f"{CELLS}`a = b; c = d` | x |"),
    ("$$a \\& b \\\\ c$$ \\(x \\& y\\) \\[\\\\\\]", "`a \\& b`\n`c` `x \\& y` `\\\\`"),
    ("\\begin{tabular}{ll} a & b \\\\ c & d \\end{tabular}", "`\\begin{tabular}{ll} a & b \\\\ c & d \\end{tabular}`"),
]


FOOTNOTES = [
    (
        "A claim[^1] **here.**[^2]\n\n[^1]: The note's text.\n[^2]: https://a.example",
        f"A claim¹ **here.**{HAIR}²\n\n¹ The note's text.\n² https://a.example",
    ),
    ('One[^1][^23], "two" [^3].', 'One¹,²³, "two" ³.'),
    (
        "x[^note] y[^a] z[^X]\n\n[^note]: Named.\n[^a]: One letter.",
        "x\\[note\\] yᵃ z\\[X\\]\n\n\\[note\\] Named.\nᵃ One letter.",
    ),
    ("[^1]: A note that nothing cites.", "¹ A note that nothing cites."),
    (
        "- item[^1]\n\n> quote[^2]\n>\n> [^2]: **Bold** [link](https://b.example)",
        "- item¹\n\n> quote²\n>\n> ² **Bold** [link](https://b.example)",
    ),
    (f"{CELLS}1[^1] | 2[^fn-2] |\n", f"{CELLS}1¹ | 2\\[fn-2\\] |"),
    ("# Head[^1]\n", "# Head¹"),
    ("[^1]: [evil.example](https://good.example)", "¹ evil.example (https://good.example)"),
]
"""Slack has no footnotes."""


NO_FOOTNOTES = [
    "Use [^a-z], [^abc]+, x[^bcd]y, x[^0-9] or [^0].",
    "`x[^1]` and \\[^1], [^1](https://a.example)",
    "```\nx[^1]\n\n[^1]: y\n```",
    "[^] [^ ] [^a b] [^",
]


SURPLUS_CELLS = [
    (f"{CELLS}string | number | A union |\n", f"{CELLS}string | number \\| A union |"),
    (f"{CELLS}1 | 2 | 3\n| 4 | 5 | 6 | 7 |", f"{CELLS}1 | 2 \\| 3\n| 4 | 5 \\| 6 \\| 7 |"),
    (f"{CELLS}`a|b` | c | **d**", f"{CELLS}`a\\|b` | c \\| **d**"),
    (f"{CELLS}a \\| b | c |\n| d |", f"{CELLS}a \\| b | c |\n| d |"),
    (f"{CELLS}\\(a|b\\) | <https://a.b|c> | d", f"{CELLS}`a\\|b` | [c](https://a.b) \\| d"),
    ("> | a |\n> |:-:|\n> | 1 | 2 |\n", "> | a |\n> |:-:|\n> | 1 \\| 2 |"),
    ("```\n| a |\n|---|\n| 1 | 2 |\n```", "```\n| a |\n|---|\n| 1 | 2 |\n```"),
]
"""Slack drops cells that don't have a column."""


DISPLAYS = [
    ("$$\na = b\n\n+ c\n$$\n\nThen.", "`a = b`\n`+ c`\n\nThen."),
    ("$$\na\n- b\n= c\n$$\nafter", "`a`\n`- b`\n`= c`\nafter"),
    ("We get: \\[\n\\sum x\n=\n\n> 0\n\\]", "We get: `\\sum x`\n`=`\n`> 0`"),
    ("\\begin{align*}\na\n\n1. b\n# c\n---\n\\end{align*}", "`a`\n`1. b`\n`# c`\n`---`"),
    ("$$\n\\begin{aligned}\na\n\n- b\n\\end{aligned}\n$$", "`a`\n`- b`"),
    ("1. So:\n\n   $$\n   a\n\n   - b\n   $$\n\n2. Next", "1. So:\n\n   `a`\n`- b`\n\n2. Next"),
    ("> $$\n> a\n>\n> - b\n> $$\n\nend", "> `a`\n`- b`\n\nend"),
    ("- So:\n$$\na | b\n--- | ---\n\nc\n$$\n- z", "- So:\n`a | b`\n`--- | ---`\n`c`\n- z"),
    ("$$ a\n\n    = b $$\n\n- x\n\n$$\nc\n\nd\n$$", "`a`\n`    = b`\n\n- x\n\n`c`\n`d`"),
    ("$$\r\na\r\n\r\n- b\r\n$$", "`a`\n`- b`"),
]
"""Lines that are blank or would begin another block belong to the surrounding formula."""


NO_DISPLAYS = [
    "```\n$$\na\n\n- b\n$$\n```",
    "- ```sh\n  echo $$\n\n  - b\n  $$\n  ```",
    "    $$\n    a\n\n    - b\n    $$",
    "`$$`\n\n- a\n\n`$$` `\n$$\n- b\n$$`",
    "- $$ Luigi\n- $$$ Mario\n- $$ Bob",
    "Price: $$\n\n- a\n\nPrice: $$",
    "A – $$\nB – $$$\nC – $$",
    "$$ – moderate\n$$$ – expensive",
    "$$ = moderate\n\n- a\n\n$$ = fair",
    "kill $$\n\nthen echo $$",
    "$$\nThis is no formula at all\n\n- item\n$$",
    "$$\nnever closed\n\n- item\n",
    "$$\na\n\n- b\n" + "c + d\n" * 200 + "$$",
    "\\[1\\] a\n\n- b \\[2\\]",
]


CELL_ENDS = [
    (f"{CELLS}$P(A|B)$ | \\(|x|\\) |\n", f"{CELLS}`P(A\\|B)` | `\\|x\\|` |"),
    (f"{CELLS}$$\\|v\\|$$ | <code>a|b</code> |\n", f"{CELLS}`\\|v\\|` | `a\\|b` |"),
    (f"{CELLS}`ls | head` | `a||b` ``x`|`` |\n", f"{CELLS}`ls \\| head` | `a\\|\\|b` ``x`\\|`` |"),
    (f"{CELLS}`a \\| b` | `c` |\n", f"{CELLS}`a \\| b` | `c` |"),
    (f"{CELLS}Use ` here | and ` there |\n", f"{CELLS}Use ` here | and ` there |"),
    ("# `a|b` $|x|$", "# `a|b` `|x|`"),
    (f"{CELLS}[Home | Acme](https://a.b/p) | c |\n", f"{CELLS}[Home \\| Acme](https://a.b/p) | c |"),
    (f'{CELLS}c | **[a|b | c](https://a.b/(x) "t")** |\n', f'{CELLS}c | **[a\\|b \\| c](https://a.b/(x) "t")** |'),
    (f"{CELLS}[`a|b` | c](https://a.b) |\n", f"{CELLS}[`a\\|b` \\| c](https://a.b) |"),
    (f"{CELLS}![a | b](https://a.b/i.png) | [c](x) |\n", f"{CELLS}[a \\| b](https://a.b/i.png) | [c](x) |"),
    (f"{CELLS}[bank.com | x](https://evil.example) | c", f"{CELLS}bank.com \\| x (https://evil.example) | c"),
    (f"{CELLS}[ | ] |\n| [a | b] |\n", f"{CELLS}[ | ] |\n| [a | b] |"),
]
"""A `|` in code, a formula or a link's label is text, though Slack treats it as the end of a table cell."""


THEMATIC_BREAKS = [
    ("A sentence.\n---\nb", "A sentence.\n\n---\nb"),
    ("**Note:**\n---\n### b", "**Note:**\n\n---\n### b"),
    ("内容（二）。\n---\nb", "内容（二）。\n\n---\nb"),
    ("a\nb\n-----\n", "a\nb\n\n-----"),
    ("---\ntitle: a\ntags: [b]\n---\n\n# c", "---\ntitle: a\ntags: [b]\n\n---\n\n# c"),
    ("> > a.\n> > ---\n> > b", "> > a.\n> >\n> > ---\n> > b"),
    ("1. a\n   b\n   ---\n   c", "1. a\n   b\n\n   ---\n   c"),
    ("Title\n---\nb", "Title\n---\nb"),
    ("Hello, world!\n-------------\nb", "Hello, world!\n-------------\nb"),
    ("a\nb\n===\nc.\n--\nd.\n***\ne", "a\nb\n===\nc.\n--\nd.\n***\ne"),
    ("- a.\n---\n```\nb.\n---\n```", "- a.\n---\n```\nb.\n---\n```"),
]
"""`---` directly below text is only sometimes a title's underline."""


CALLOUTS = [
    ("> [!NOTE]\n> Read this.", "> **Note**\n> Read this."),
    ("> [!TIP] Read this.\n> And this.", "> **Tip** Read this.\n> And this."),
    ("> [!warning]\n>\n> - **one**\n> - two\n\nafter", "> **Warning**\n>\n> - **one**\n> - two\n\nafter"),
    ("- a\n  > [!IMPORTANT]\n  > b", "- a\n  > **Important**\n  > b"),
    ("> [!CAUTION]- *Folded*\n> text", "> **Caution** *Folded*\n> text"),
    ("> > [!Abstract]\n> > text", "> > **Abstract**\n> > text"),
    ("> [!NOTE](https://a.b) [!NOTE]\n> [!NOTE]", "> [!NOTE](https://a.b) [!NOTE]\n> [!NOTE]"),
    ("[!abc] matches others\n\n```\n> [!NOTE]\n```", "[!abc] matches others\n\n```\n> [!NOTE]\n```"),
]


UNCHANGED = [(text, text.rstrip()) for text in NO_DISPLAYS + NO_FOOTNOTES + NOT_APART + OPEN_GAPS]


ROWS = (
    CELL_ENDS
    + BREAKS
    + TAGS
    + TEXT
    + EMPHASIS
    + SLACK
    + ADDRESSES
    + CLOSED_GAPS
    + FORMULAS
    + FOOTNOTES
    + SURPLUS_CELLS
    + DISPLAYS
    + APART
    + THEMATIC_BREAKS
    + CALLOUTS
    + UNCHANGED
)


@pytest.mark.parametrize(("written", "sent"), ROWS)
def test_dialect_is_sent_as_markdown(written: str, sent: str) -> None:
    assert render_page(written, growing=False) == sent
    assert len(sent) <= max_sent_chars(written)


@pytest.mark.parametrize(("written", "sent"), ROWS)
def test_no_beginning_is_appended_that_changes(written: str, sent: str) -> None:
    assert all(sent.startswith(stable_prefix(written[:k])) for k in range(len(written) + 1))


@pytest.mark.parametrize(("written", "sent"), CELL_ENDS + BREAKS + TAGS + SLACK + FORMULAS + SURPLUS_CELLS + DISPLAYS)
def test_no_frame_shows_half_a_mark(written: str, sent: str) -> None:
    for k in range(len(written) + 1):
        frame = render_page(written[:k], growing=True)
        if "lt;" not in sent:
            assert "lt;" not in frame, written[:k]
        assert not re.search(r"(?<!\\)\$|\\[(\[]", frame), written[:k]


@pytest.mark.parametrize(("written", "sent"), APART + CALLOUTS)
def test_no_frame_shows_a_mark_that_is_taken_back(written: str, sent: str) -> None:
    frames = [render_page(written[:k], growing=True).rstrip("*_~`") for k in range(len(written) + 1)]
    assert [frame for frame in frames if not sent.startswith(frame.rstrip())] == []


def test_words_of_dialects_are_read_in_a_preview() -> None:
    assert first_words("> [!NOTE] Read this.", growing=False) == "Note Read this."
    assert first_words("<p><b>Done</b>:<br>10<sup>6</sup> rows</p> <!here>", growing=False) == "Done: 10⁶ rows; @here"
