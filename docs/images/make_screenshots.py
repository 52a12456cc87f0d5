"""Make the pictures of the page from the documents of the demo, with a server of their own.

The results are committed; run this after a change of the page, where a Chromium is installed:

    make screenshots
"""

import io
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from playwright.sync_api import Browser, Page

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT))

from tests.support.browser import launched  # noqa: E402 - found once the root is on the path
from tests.support.live import live_server  # noqa: E402
from twofold import Client  # noqa: E402

QUESTION = "How long is custard pastry kept?"
READY_S = 120
SCALE = 1.5
COLOURS = 192  # what text and bars need; a picture stays below 200 kB


def main() -> None:
    """Serve the documents, and take the pictures."""
    with TemporaryDirectory() as folder, live_server(Path(folder)) as server:
        with Client(server.url) as client:
            files = sorted((ROOT / "examples" / "demo" / "documents").iterdir())
            client.add_files(files, wait=READY_S)
            client.search("What is a poolish?")  # the first search of a process is its slowest
        with launched() as browser:
            search(browser, server.url)
            passage(browser, server.url)
            phone(browser, server.url)
            rebuilt(browser, server.url)


def search(browser: Browser, url: str) -> None:
    """The results of a question, and what each stage did for them."""
    page = asked(browser, url, "light", 1200, 900)
    keep(page, "page-search")


def passage(browser: Browser, url: str) -> None:
    """Where the first result stands in its document, in the dark."""
    page = asked(browser, url, "dark", 1200, 760)
    page.locator(".card .open").first.click()
    page.locator("#located").wait_for()
    keep(page, "page-passage")


def phone(browser: Browser, url: str) -> None:
    """The same results on a phone."""
    page = asked(browser, url, "light", 390, 844)
    page.locator("#report-summary").click()
    keep(page, "page-phone")


def rebuilt(browser: Browser, url: str) -> None:
    """A collection that waits for its switch."""
    with Client(url) as client:
        queries = [{"query": QUESTION}, {"query": "What is a poolish?"}]
        settings = {"chunk_tokens": 100, "switch": "manual", "queries": queries}
        client.rebuild_collection("default", wait=READY_S, **settings)
    page = opened(browser, f"{url}/?view=server", "light", 1200, 860)
    page.get_by_role("button", name="Switch default").wait_for()
    keep(page, "page-server")


def asked(browser: Browser, url: str, scheme: str, width: int, height: int) -> Page:
    """The page with its results, as large as that."""
    page = opened(browser, f"{url}/?q={QUESTION}", scheme, width, height)
    page.locator(".card").first.wait_for()
    return page


def opened(browser: Browser, address: str, scheme: str, width: int, height: int) -> Page:
    """A page in a window of that size."""
    page = browser.new_page(
        viewport={"width": width, "height": height},
        device_scale_factor=SCALE,
        color_scheme="dark" if scheme == "dark" else "light",
    )
    page.goto(address)
    return page


def keep(page: Page, name: str) -> None:
    """Write what is in sight as a small PNG."""
    picture = Image.open(io.BytesIO(page.screenshot()))
    picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(
        HERE / f"{name}.png", optimize=True
    )


if __name__ == "__main__":
    main()
