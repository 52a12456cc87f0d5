"""Headless Chromium for the tests of the page, where one is installed."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, expect, sync_playwright

PATIENCE_MS = 30_000

EXPECTED = "Failed to load resource:"
"""What a browser logs for every refusal of the API, which the page itself handles. What a policy
forbids is said in other words."""


def chromium() -> str | None:
    """The browser: what CHROMIUM names, else what is on the path under a usual name."""
    names = (os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome")
    return next((found for name in names if (found := shutil.which(name))), None)


@contextmanager
def launched() -> Iterator[Browser]:
    """The browser, running as long as the block."""
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        # Containers have neither the rights for a sandbox nor much shared memory.
        browser = playwright.chromium.launch(
            executable_path=chromium(), args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


class Watched:
    """A context of the browser that notes what a page must not do.

    Attributes:
        hosts: Of every request.
        complaints: Errors in scripts, and what the console says of them.
    """

    def __init__(self, browser: Browser, url: str, **options: object) -> None:
        self.hosts: set[str] = set()
        self.complaints: list[str] = []
        self.context: BrowserContext = browser.new_context(
            base_url=url, **{"viewport": {"width": 1280, "height": 860}, **options}
        )
        self.context.set_default_timeout(PATIENCE_MS)
        self.context.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))
        self.context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        self.context.on("console", self._hear)

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not message.text.startswith(EXPECTED):
            self.complaints.append(message.text)
