"""What import-linter can't check: its lists of modules are complete."""

import tomllib

import grimp

from tests.processes import REPOSITORY


def contract(name: str) -> dict[str, list[str]]:
    contracts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    return next(contract for contract in contracts if contract["name"].startswith(name))


def test_each_pure_module_of_pacing_and_reply_stays_pure() -> None:
    pure = contract("Pure modules")
    graph = grimp.build_graph("bot", "slack_pacing", include_external_packages=True)
    found = {
        module
        for package in ("slack_pacing", "bot.reply")
        for module in graph.find_children(package)
        if not module.endswith((".tests", ".benchmarks"))
        and not graph.find_upstream_modules(module).intersection(pure["forbidden_modules"])
    }
    assert found == {module for module in pure["source_modules"] if module.startswith(("slack_pacing.", "bot.reply."))}
