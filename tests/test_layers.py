"""What import-linter can't check: its lists of modules are complete."""

import tomllib

import grimp

from tests.processes import REPOSITORY


def contract(name: str) -> dict[str, list[str]]:
    """Returns the contract whose name begins so."""
    contracts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    return next(contract for contract in contracts if contract["name"].startswith(name))


def test_each_pure_module_of_pacing_and_reply_stays_pure() -> None:
    pure = contract("Pure modules")
    graph = grimp.build_graph("bot", include_external_packages=True)
    found = {
        module
        for package in ("bot.pacing", "bot.reply")
        for module in graph.find_children(package)
        if not graph.find_upstream_modules(module).intersection(pure["forbidden_modules"])
    }
    assert found == {module for module in pure["source_modules"] if module.startswith(("bot.pacing.", "bot.reply."))}


def test_each_module_that_reads_documents_is_left_to_the_process_that_reads_them() -> None:
    listed = contract("Only the process that reads a document")
    graph = grimp.build_graph("files_to_markdown", include_external_packages=True)
    others = ("__main__", "benchmarks", "child", "embedded", "isolation", "plain_images", "tests")
    sources = {name for name in listed["source_modules"] if name in graph.modules}
    imported = sources.union(*map(graph.find_upstream_modules, sources))
    readers = graph.find_children("files_to_markdown") - imported - {f"files_to_markdown.{name}" for name in others}
    assert readers == {name for name in listed["forbidden_modules"] if name.startswith("files_to_markdown.")}
