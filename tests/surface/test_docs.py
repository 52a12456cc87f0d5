"""The pages of docs/: what they tell the reader to type works, and what they link to is there."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.live import ROOT, Live, live_server
from tests.support.snippets import dead_links, runnable
from twofold import Client

PAGES = sorted((ROOT / "docs").glob("*.md"))
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
ANCHOR = re.compile(r"\]\(([^)#:]*)#([^)]+)\)")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """One for all pages, with the documents of the demo, as whoever reads them has it."""
    folder = tmp_path_factory.mktemp("docs")
    with live_server(folder, EMBEDDER="minilm", RERANKER="late-interaction") as live:
        with Client(live.url) as twofold:
            files = sorted((ROOT / "examples" / "demo" / "documents").iterdir())
            twofold.add_files(files, collection="bread", wait=120)
        yield live


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("curl"), reason="the pages talk to the server with curl")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_snippet_works_in_the_order_in_which_it_is_read(
    page: Path, server: Live, tmp_path: Path
) -> None:
    for snippet in runnable(page):
        snippet.must_work(server.url, tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_file_that_a_page_links_to_exists(page: Path) -> None:
    assert dead_links(page) == []


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md"], ids=lambda page: page.stem)
def test_every_section_that_a_page_links_to_exists(page: Path) -> None:
    for target, anchor in ANCHOR.findall(page.read_text("utf-8")):
        aim = page if not target else page.parent / target
        assert anchor in anchors(aim), f"{page.name} -> {target}#{anchor}"


def test_every_page_is_in_the_table_of_contents() -> None:
    contents = (ROOT / "docs" / "README.md").read_text("utf-8")
    assert [page.name for page in PAGES if f"({page.name})" not in contents] == ["README.md"]


def anchors(page: Path) -> set[str]:
    """What GitHub calls the headings of a page."""
    headings = HEADING.findall(page.read_text("utf-8"))
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}
