"""The Slack app that a person creates during `typist init`: on a Slack page, or with a configuration token.

Slack's page gets the manifest from its URL. Since July 2026, people have reported that the page can lose the manifest
before the editor opens, and that the editor can still require it in the URL. The URL therefore includes the manifest.
People can also paste it from the clipboard, if the terminal supports that, or from a file.

Slack has no method for installing an app or creating an app-level token, so a person always does both.
"""

import asyncio
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bot.checks.report import fail, ok
from bot.cli import terminal
from bot.cli.connections import open_slack
from bot.errors import RateLimited, Refusal, Refused
from bot.settings import Settings

CREATE_METHOD = "apps.manifest.create"
CREATE_PAGE = "https://api.slack.com/apps?new_app=1&manifest_json="
INSTALL_PAGE = "https://api.slack.com/apps/{app_id}/install-on-team"

CREATE = """Create the app in Slack, unless you already have it:

1. {open}
2. If Typist's manifest isn't there, choose 'From a manifest' and paste it. Enter copies it to the clipboard, if your
   terminal allows that. It is also in {file}
3. Choose your workspace and click 'Create and Install' (on an older page: Next, then Create).

Or generate an app configuration token (xoxe.xoxp-…, at api.slack.com/apps, below the list of apps) and paste it here.
Then I'll create the app, and you only have to install it."""
OFFER = "SLACK_CONFIG_TOKEN is set. I can create the app with it, unless you have one already."
INSTALL = "Now install it. {open} There, click Install to your workspace → Allow."
OPEN, OPEN_YOURSELF = "Press Enter to open {link} in your browser.", "Open {link} in your browser."
OPENED = "Opened in your browser. If no page appeared, press Enter to see its URL."
ENTER_CREATES, ENTER_OPENS, ENTER_SHOWS = (
    "Press Enter to create the app",
    "Press Enter to open the page",
    "Press Enter to see the page's URL",
)


class NewApp:
    def __init__(self, manifest: Mapping[str, Any], file: Path, env: Mapping[str, str], config_token: str) -> None:
        self._manifest = json.dumps(manifest, separators=(",", ":"))
        self._file = file
        self._env = env
        self._config_token = config_token
        self._page, self._link_text = CREATE_PAGE + quote(self._manifest, safe="/:,"), "api.slack.com/apps"
        self._has_browser = terminal.has_browser(env)

    def introduce(self) -> None:
        print(OFFER if self._config_token else CREATE.format(open=self._opening_sentence(), file=self._file))

    @property
    def enter_prompt(self) -> str:
        if self._config_token:
            return ENTER_CREATES
        return ENTER_OPENS if self._has_browser else ENTER_SHOWS

    def on_enter(self, our_settings: Settings) -> None:
        if self._config_token:
            self.create(our_settings)
            return
        if self._page.startswith(CREATE_PAGE):
            terminal.copy_to_clipboard(self._file.read_text(), self._env)
        if self._has_browser and terminal.open_browser(self._page):
            print(OPENED)
        else:
            print(f"\n{self._page}\n")
        self._has_browser = False

    def create(self, ours: Settings) -> bool:
        # Imported here because it loads Slack's libraries.
        from bot.checks.slack import new_app_fix

        self._config_token = ""
        try:
            app_id = asyncio.run(_create_app(ours, self._manifest))
        except (RateLimited, Refused) as error:
            name = "ratelimited" if isinstance(error, RateLimited) else error.error
            print(*fail(f"Slack didn't create the app ({name}).", new_app_fix(name)).lines(), "", sep="\n")
            self.introduce()
            return False
        print(*ok(f"Created the app {app_id}.").lines(), sep="\n")
        self._page = INSTALL_PAGE.format(app_id=app_id)
        self._link_text = self._page.removeprefix("https://")
        self._has_browser = terminal.has_browser(self._env)
        print(INSTALL.format(open=self._opening_sentence()))
        return True

    def _opening_sentence(self) -> str:
        link = terminal.link(self._page, self._link_text, self._env)
        return (OPEN if self._has_browser else OPEN_YOURSELF).format(link=link)


async def _create_app(ours: Settings, manifest: str) -> str:
    async with open_slack(ours, ours.slack_config_token) as slack:
        answer = await slack.call(CREATE_METHOD, manifest=manifest)
    if not isinstance(app_id := answer.get("app_id"), str):
        raise Refused(CREATE_METHOD, "no app in the response", Refusal.TRANSIENT)
    return app_id


@contextmanager
def manifest_file(manifest: Mapping[str, Any]) -> Iterator[Path]:
    descriptor, name = tempfile.mkstemp(prefix="typist-manifest-", suffix=".json")
    try:
        with os.fdopen(descriptor, "w") as file:
            json.dump(manifest, file, indent=2)
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)
