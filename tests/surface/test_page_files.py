"""The page as files: served as they should be, whole, and without a word to any other host."""

import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest

from services.api.page import ASSETS
from tests.support.live import ROOT
from tests.support.service import running

STATIC = ROOT / "services" / "api" / "page" / "static"
SCRIPTS = sorted(STATIC.glob("*.js"))
VOID = frozenset({"meta", "link", "input", "img", "br", "hr"})
MARKUP_FROM_TEXT = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment"
    r"|\beval\(|new Function|javascript:|setHTMLUnsafe|srcdoc"
)


class Page(HTMLParser):
    """Reads the page, and fails on what a browser would have to mend.

    Attributes:
        tags: Every element with its attributes, in order.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"{tag} says something twice"
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, f"</{tag}> at {self.getpos()}"

    def values(self, name: str) -> list[str]:
        """What an attribute is, wherever it is."""
        return [value for _, attrs in self.tags if (value := attrs.get(name)) is not None]


@pytest.fixture(scope="module")
def page() -> Page:
    return Page((STATIC / "index.html").read_text("utf-8"))


async def fetched(folder: Path, method: str, path: str) -> httpx.Response:
    async with running(folder) as (client, _):
        return await client.request(method, path)


@pytest.mark.anyio
async def test_every_file_is_served_with_its_type_and_a_policy_that_forbids_the_rest(
    tmp_path: Path,
) -> None:
    types = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg"}
    async with running(tmp_path) as (client, _):
        for path in ASSETS:
            answer = await client.get(path)
            assert answer.status_code == 200
            ending = "html" if path == "/" else path.rpartition(".")[2]
            assert answer.headers["content-type"].startswith(types[ending])
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "frame-ancestors 'none'" in policy
            assert "trusted-types 'none'" in policy
            assert "unsafe" not in policy
            assert "http" not in policy
            for name, value in {
                "x-content-type-options": "nosniff",
                "x-frame-options": "DENY",
                "referrer-policy": "no-referrer",
                "cache-control": "no-store",
            }.items():
                assert answer.headers[name] == value
            head = await client.head(path)
            assert (head.status_code, head.content) == (200, b"")
        # The policies of everything else are as they were.
        assert "script-src" not in (await client.get("/docs")).headers["content-security-policy"]
        api = (await client.get("/healthz")).headers["content-security-policy"]
        assert api == "default-src 'none'; frame-ancestors 'none'"


@pytest.mark.anyio
async def test_the_page_is_no_operation_of_the_api(tmp_path: Path) -> None:
    document = (await fetched(tmp_path, "GET", "/openapi.json")).json()
    assert not [path for path in document["paths"] if path == "/" or path.startswith("/page")]


def test_every_file_of_the_folder_is_served_and_used(page: Page) -> None:
    files = {file.name for file in STATIC.iterdir()}
    assert {"/" if name == "index.html" else f"/page/{name}" for name in files} == set(ASSETS)
    named = {value.removeprefix("page/") for value in (*page.values("src"), *page.values("href"))}
    for script in SCRIPTS:
        imports = set(re.findall(r'from "\./([\w.]+)"', script.read_text("utf-8")))
        assert imports <= files, script.name
        named |= imports
    assert files - {"index.html"} <= named


def test_nothing_in_the_page_leads_to_another_host(page: Page) -> None:
    namespace = "http://www.w3.org/2000/svg"  # a name, which nothing fetches
    for file in STATIC.iterdir():
        text = file.read_text("utf-8").replace(namespace, "")
        assert not re.search(r"(https?|wss?)://|[\"'(]//|@import|url\(", text), file.name
    for value in (*page.values("src"), *page.values("href"), *page.values("action")):
        assert not value.startswith(("/", "http"))


def test_nothing_is_inline_and_no_text_becomes_markup(page: Page) -> None:
    for tag, attributes in page.tags:
        assert tag not in ("style", "iframe", "object", "base")
        assert "style" not in attributes
        assert not [name for name in attributes if name.startswith("on")]
        if tag == "script":
            assert attributes.get("src")
    for script in SCRIPTS:
        assert not MARKUP_FROM_TEXT.search(script.read_text("utf-8")), script.name


def test_the_page_names_what_it_refers_to_once(page: Page) -> None:
    ids = Counter(page.values("id"))
    assert [name for name, count in ids.items() if count > 1] == []
    for attribute in ("for", "list", "aria-labelledby", "aria-controls"):
        assert set(page.values(attribute)) <= set(ids)
    asked = {
        name
        for script in SCRIPTS
        for name in re.findall(r'byId\("([\w-]+)"\)', script.read_text("utf-8"))
    }
    assert asked - {"located", "moves"} <= set(ids)  # two are made by scripts


def test_every_field_and_button_has_a_name(page: Page) -> None:
    assert all("alt" in attributes for tag, attributes in page.tags if tag == "img")
    labelled = set(page.values("for"))
    html = (STATIC / "index.html").read_text("utf-8")
    for tag, attributes in page.tags:
        if tag in ("input", "select", "textarea"):
            name = attributes.get("id") or f'name="{attributes.get("name")}"'
            wrapped = re.search(
                rf"<label[^>]*>(?:(?!</label>).)*{re.escape(name)}", html, re.DOTALL
            )
            assert wrapped or name in labelled or attributes.get("aria-label"), attributes


def test_the_page_stays_small() -> None:
    assert sum(len(asset.body) for asset in ASSETS.values()) < 125_000
