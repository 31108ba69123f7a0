"""The docs name only files, links and names that exist, and the diagram of a job matches its transitions."""

import re
import runpy
import tomllib
from pathlib import Path

import pytest

from benchmarks.path_of_a_mention import main_rows
from bot import __version__
from bot.checks.slack import SCOPE_LOSSES
from bot.core.channel_settings import CHANNEL_SETTINGS
from bot.core.job import TRANSITIONS, State
from bot.slack.manifest import AGENT_SCOPE, EMAIL_SCOPE, GROUPS_SCOPE, PINS_SCOPE, SEARCH_SCOPE, scopes_of
from bot.store.schema import ExpiryTime, metadata

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *ROOT.glob("*_markdown/*.md"),
        *(ROOT / "sandbox").glob("*.md"),
        *(ROOT / "slack_pacing").glob("*.md"),
    ]
)
PATH = re.compile(
    r"(?<![\w/.-])(?:bot|handlers|demo|examples|files_to_markdown|slack_markdown|slack_pacing|slack_probe|sandbox|tests|benchmarks|deploy)/[\w/.-]*\w"
)
LINK = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)")
NAMED_IN = re.compile(r"^\|[^|]+\| `([\w/.]+)` \| ([^|]+) \|$", re.MULTILINE)
"""A row of the table "Where is …?": question, file, names in that file."""
NAMED_BEFORE = re.compile(r"(`\w+`)\s+\(`([\w/]+\.py)`\)")
"""A name with its file: `picture` (`bot/core/picture.py`)."""
METHOD = re.compile(r"`([A-Z]\w+)\.(\w+)`")


def page(path: Path) -> str:
    return str(path.relative_to(ROOT))


def anchors(path: Path) -> set[str]:
    """Returns the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", PAGES, ids=page)
def test_files_named_by_a_page_exist(path: Path) -> None:
    named = set(PATH.findall(path.read_text()))
    # The sandbox's pages name its own files.
    root = ROOT / "sandbox" if path.parent.name == "sandbox" else ROOT
    assert sorted(name for name in named if not (root / name).exists()) == []


@pytest.mark.parametrize("path", PAGES, ids=page)
def test_relative_links_of_a_page_resolve(path: Path) -> None:
    broken = []
    for target, anchor in LINK.findall(path.read_text()):
        linked = path.parent / target if target else path
        if not linked.exists() or (anchor and anchor not in anchors(linked)):
            broken.append(f"{target}#{anchor}" if anchor else target)
    assert broken == []


def test_readme_fits_a_first_screen() -> None:
    assert len((ROOT / "README.md").read_text().split()) <= 900


def test_badges_show_what_the_package_declares() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    changelog = (ROOT / "CHANGELOG.md").read_text()
    release = "unreleased" if f"Unreleased (will be {__version__})" in changelog else "released"
    declared = {
        "version": f"{__version__}, {release}",
        "python": project["requires-python"].removeprefix(">=") + "+",
        "license": project["license"],
    }
    readme = (ROOT / "README.md").read_text()
    for name, value in declared.items():
        assert f"(docs/badges/{name}.svg)" in readme
        label, shown = re.findall(r">([^<>]+)</text>", (ROOT / f"docs/badges/{name}.svg").read_text())
        assert (label, shown) == (name, value)


def test_pages_of_the_site_are_listed_in_its_navigation() -> None:
    """Sphinx reports other pages as orphans, in `make site`."""
    conf = runpy.run_path(str(ROOT / "docs/conf.py"))
    listed = re.findall(r"^[\w/-]+$", conf["toctrees"]((ROOT / "docs/README.md").read_text()), re.MULTILINE)
    built = {path for pattern in conf["include_patterns"] for path in ROOT.glob(pattern.replace("**", "**/*.md"))}
    assert sorted(f"{name}.md" for name in [*listed, "README"]) == sorted(map(page, built))


@pytest.mark.parametrize("name", ["docs/contributors/architecture.md", "sandbox/FIDELITY.md"])
def test_modules_named_without_a_path_are_in_the_sandbox(name: str) -> None:
    named = set(re.findall(r"`([\w/]+\.py)`", (ROOT / name).read_text()))
    named -= {path for path in named if PATH.fullmatch(path)}
    assert named
    assert sorted(module for module in named if not (ROOT / "sandbox/slack_sandbox" / module).exists()) == []


def test_names_in_the_where_is_table_and_in_recipes_are_in_their_files() -> None:
    text = (ROOT / "docs/contributors/architecture.md").read_text()
    recipes = text.partition("\n## Recipes\n")[2].partition("\n## ")[0]
    rows = NAMED_IN.findall(text) + [(file, name) for name, file in NAMED_BEFORE.findall(recipes)]
    assert len(rows) > 40
    missing = [
        f"{file}: {name}"
        for file, names in rows
        for name in re.findall(r"`([^`]+)`", names)
        if not re.search(rf"\b{re.escape(name)}\b", (ROOT / file).read_text())
    ]
    modules = [path.read_text() for path in (ROOT / "bot").rglob("*.py")]
    missing += [
        f"{owner}.{name}"
        for owner, name in METHOD.findall(recipes)
        if not any(f"class {owner}" in module and f"def {name}(" in module for module in modules)
    ]
    assert missing == []


def test_main_functions_of_a_mention_are_listed_with_their_docstrings() -> None:
    """`python -m benchmarks.path_of_a_mention --main` prints the rows."""
    listed = re.findall(r"^\| \d+ \| .*$", (ROOT / "docs/contributors/architecture.md").read_text(), re.MULTILINE)
    assert listed == main_rows()


def test_diagram_of_a_job_has_all_transitions_that_change_its_state() -> None:
    """Erasure is left out: it can remove the row in any state."""
    text = (ROOT / "docs/contributors/architecture.md").read_text().replace("[*]", State.ABSENT.value)
    arrows = re.findall(r"^    (\w+) --> (\w+): (\w+)$", text, re.MULTILINE)
    table = {
        (state.value, target.value, event.value)
        for (state, event), target in TRANSITIONS.items()
        if target not in (state, State.ABSENT)
    }
    assert sorted(arrows) == sorted(table)


def test_docs_name_what_a_channels_settings_have_and_nothing_else() -> None:
    text = re.sub(r"\s+", " ", (ROOT / "docs/admins/channels.md").read_text())
    said = re.search(r"Each channel can have its own values for these settings: ([^.]*)\.", text)
    assert said is not None
    assert re.findall(r"\*([^*]+)\*", said[1]) == [setting.words.label for setting in CHANNEL_SETTINGS.values()]


def test_command_for_operators_has_the_user_the_settings_and_the_database_of_the_unit() -> None:
    unit = dict(re.findall(r"^(\w+)=(.*)$", (ROOT / "deploy/typist.service").read_text(), re.MULTILINE))
    page = (ROOT / "docs/admins/setup.md").read_text()
    command = re.search(r"systemd-run .*?\"\$@\"", page, re.DOTALL)
    assert command is not None
    said = command[0].replace("\\\n", " ").split()
    assert {"-p", f"User={unit['User']}", f"WorkingDirectory={unit['WorkingDirectory']}"} <= set(said)
    assert f"EnvironmentFile={unit['EnvironmentFile']}" in said
    assert unit["Environment"] in said
    assert " ".join(said[-4:]) == unit["ExecStart"].removesuffix("run") + '"$@"'


def test_security_page_has_each_scope_and_what_is_lost_without_it() -> None:
    page = (ROOT / "docs/admins/security.md").read_text()
    rows = dict(re.findall(r"^\| `([a-z_:.]+)` \| ([^|]+) \|$", page, re.MULTILINE))
    assert list(rows) == scopes_of(agent=True, extra=(PINS_SCOPE, SEARCH_SCOPE, GROUPS_SCOPE, EMAIL_SCOPE))
    # The Agents feature is known by its scope, so nothing says that it is missing.
    assert {scope: loss for scope, loss in rows.items() if scope != AGENT_SCOPE} == SCOPE_LOSSES


def period(hours: float) -> str:
    return "an hour" if hours == 1 else f"{hours:g} hours" if hours < 24 else f"{hours / 24:g} days"


def test_retention_of_each_table_is_documented() -> None:
    page = (ROOT / "docs/admins/security.md").read_text()
    said = page.partition("### How large the database can grow\n")[2].partition("\nMemory")[0]
    assert set(re.findall(r"`([a-z_]+)`", said)) == set(metadata.tables)
    lines = re.split("\n- |; ", said)
    for table in metadata.tables.values():
        for kind in (column.type for column in table.columns):
            if isinstance(kind, ExpiryTime) and kind.kept_s:
                kept = f" {period(kind.kept_s / 3600)}"
                assert any(f"`{table.name}`" in line and kept in line for line in lines), f"{table.name}:{kept}"
