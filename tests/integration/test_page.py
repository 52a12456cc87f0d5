"""The page at `/` in a real browser: what a person does with it, by mouse, keyboard and phone."""

import csv
import io
import json
import random
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="the page is tested by Playwright")

from playwright.sync_api import Browser, Locator, Page, Route, expect  # noqa: E402

from pipelines.build import Models  # noqa: E402
from pipelines.ports import Vector  # noqa: E402
from tests.support.browser import Watched, chromium, launched  # noqa: E402
from tests.support.keys import make_key  # noqa: E402
from tests.support.live import ROOT  # noqa: E402
from tests.support.models import WordEmbedder  # noqa: E402
from tests.support.reranking import OverlapModel  # noqa: E402
from tests.support.server import threaded_server  # noqa: E402
from twofold import Client  # noqa: E402
from twofold.evaluation.readers import table  # noqa: E402
from twofold.schema import DocumentText  # noqa: E402

pytestmark = pytest.mark.skipif(
    chromium() is None,
    reason="no Chromium is installed: apt-get install chromium, or CHROMIUM=PATH",
)

DOCUMENTS = ROOT / "examples" / "demo" / "documents"
BREAD = [
    DOCUMENTS / name
    for name in ("enriched-doughs.docx", "the-oven.pdf", "yeast.txt", "rye-bread.html")
]
QUESTION = "how long is bread kept"
ASTRAL = "🥖🥐 𝔅read 𝕚s 𝖙he best. " * 40
"""Characters that JavaScript counts as two and the API as one."""

WCAG = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa")

ANSWER: dict[str, object] = {
    "results": [],
    "timings_ms": {"embed": 1, "recall": 2, "queue": 0, "rerank": 3, "fuse": 0.5, "total": 7},
    "candidates": 0,
    "cursor": None,
}


class HeldEmbedder(WordEmbedder):
    """Embeds passages once it is let to, so that a document can be seen on its way."""

    def __init__(self) -> None:
        super().__init__()
        self.let = threading.Event()
        self.let.set()

    def embed_passages(self, texts: Sequence[str]) -> Vector:
        assert self.let.wait(60)
        return super().embed_passages(texts)


@pytest.fixture(scope="module")
def embedder() -> HeldEmbedder:
    return HeldEmbedder()


@pytest.fixture(scope="module")
def url(memory_folder: Path, embedder: HeldEmbedder) -> Iterator[str]:
    """A server with the bread documents in `bread`."""
    models = Models(embedder, OverlapModel())
    with threaded_server(memory_folder / "page", models=models) as url:
        with Client(url) as client:
            accepted = client.add_files(BREAD, collection="bread", wait=60)
        assert {each.status for each in accepted.documents} == {"ready"}
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


@pytest.fixture
def watched(browser: Browser, url: str) -> Iterator[Callable[..., Page]]:
    """Opens pages, and ends by looking at what they asked for and complained of."""
    made: list[Watched] = []

    def open_page(address: str = "/", **options: object) -> Page:
        made.append(Watched(browser, url, **options))
        page = made[-1].context.new_page()
        page.goto(address)
        return page

    yield open_page
    for each in made:
        each.context.close()
        assert each.hosts == {urlsplit(url).netloc}
        assert each.complaints == []


def found(address: str = QUESTION, collection: str = "bread") -> str:
    return f"/?collection={collection}&q={address}"


def shown(page: Page) -> Page:
    """The page once it shows results."""
    expect(page.locator(".card").first).to_be_visible()
    return page


def add(url: str, collection: str, document: DocumentText) -> str:
    """A document that is ready; returns its id."""
    with Client(url) as client:
        answer = client.add_texts([document], collection=collection, wait=60)
    [added] = answer.documents
    assert added.status == "ready"
    return added.id


def state_of(page: Page) -> dict[str, str]:
    return {name: value for name, [value] in parse_qs(urlsplit(page.url).query).items()}


# --- Adding documents -------------------------------------------------------------------------


def test_chosen_files_are_seen_on_their_way_and_found_when_they_are_ready(
    watched: Callable[..., Page], embedder: HeldEmbedder
) -> None:
    page = watched("/?collection=chosen")
    expect(page.get_by_role("heading", name="No documents yet")).to_be_visible()
    page.get_by_role("button", name="Add documents").click()
    embedder.let.clear()
    try:
        with page.expect_file_chooser() as chooser:
            page.get_by_role("button", name="Choose files").click()
        chooser.value.set_files(BREAD)
        expect(page.locator("#added-list li")).to_have_count(len(BREAD))
        working = page.get_by_role("progressbar", name="Progress of yeast.txt").first
        expect(working).to_be_visible()
    finally:
        embedder.let.set()
    expect(page.locator("#added-list .state.ready")).to_have_count(len(BREAD))
    expect(page.locator("#kept-list .state.ready")).to_have_count(len(BREAD))
    page.get_by_role("link", name="Search", exact=True).click()
    page.get_by_label("Your question").fill("gold packet yeast")
    page.keyboard.press("Enter")
    assert "yeast.txt" in shown(page).locator(".card").first.inner_text()


def test_dropped_files_go_into_the_collection_and_a_refusal_says_why(
    watched: Callable[..., Page],
) -> None:
    page = watched("/?collection=dropped")
    files = page.evaluate_handle(
        """() => {
            const carried = new DataTransfer();
            carried.items.add(new File(["Rye ferments faster."], "rye.txt"));
            const png = new Uint8Array([137, 80, 78, 71, 13, 10, 26, 10]);
            carried.items.add(new File([png], "a.png"));
            return carried;
        }"""
    )
    page.dispatch_event("body", "dragenter", {"dataTransfer": files})
    expect(page.locator("#overlay")).to_contain_text("dropped")
    page.dispatch_event("body", "drop", {"dataTransfer": files})
    expect(page.locator("#overlay")).to_be_hidden()
    rows = page.locator("#added-list li")
    expect(rows.filter(has_text="rye.txt").locator(".state.ready")).to_be_visible()
    expect(rows.filter(has_text="a.png").locator(".trouble")).to_contain_text("image")
    expect(page.locator("#kept-list li")).to_have_count(1)


def test_pasted_text_with_metadata_can_be_filtered_and_the_address_keeps_the_filter(
    watched: Callable[..., Page],
) -> None:
    page = watched("/?view=documents&collection=pasted")
    for name, text, year in (("old", "The spiral mixer.", 2019), ("new", "The new mixer.", 2026)):
        if page.locator("#paste").is_hidden():
            page.get_by_role("button", name="Paste text").click()
        page.locator("#paste").get_by_label("Name").fill(f"{name}.txt")
        page.get_by_label("Text", exact=True).fill(text)
        page.locator("#metadata").evaluate("node => { node.closest('details').open = true; }")
        page.get_by_label("Metadata as JSON").fill(json.dumps({"year": year}))
        page.get_by_role("button", name="Add this text").click()
        row = page.locator("#added-list li").filter(has_text=f"{name}.txt")
        expect(row.locator(".state.ready")).to_be_visible()
    page.goto(found("mixer", "pasted"))
    expect(page.locator(".card")).to_have_count(2)
    page.locator("#filters > summary").click()
    page.get_by_role("button", name="Add a condition").click()
    page.get_by_label("Key 1").fill("year")
    assert "year" in page.locator("#filter-keys option").evaluate_all(
        "all => all.map(o => o.value)"
    )
    page.get_by_label("Comparison 1").select_option("gte")
    page.get_by_label("Value 1").fill("2020")
    page.get_by_label("Value 1").press("Tab")
    expect(page.locator(".card")).to_have_count(1)
    assert json.loads(state_of(page)["filter"]) == {"key": "year", "gte": 2020}
    page.reload()
    expect(page.locator(".card")).to_have_count(1)
    assert page.get_by_label("Value 1").input_value() == "2020"
    page.go_back()
    expect(page.locator(".card")).to_have_count(2)


def test_a_document_that_cannot_be_read_says_why_can_be_retried_and_deleted(
    watched: Callable[..., Page],
) -> None:
    page = watched("/?view=documents&collection=broken")
    page.set_input_files(
        "#files", {"name": "torn.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.7\ntorn"}
    )
    row = page.locator("#kept-list li").filter(has_text="torn.pdf")
    expect(row.locator(".state.failed")).to_be_visible()
    expect(row.locator(".trouble")).to_contain_text("PDF")
    with page.expect_response(re.compile("/retry")) as retried:
        row.get_by_role("button", name="Retry torn.pdf").click()
    assert retried.value.status == 202
    expect(row.locator(".state.failed")).to_be_visible()
    row.get_by_role("button", name="Delete torn.pdf").click()
    dialog = page.get_by_role("dialog", name="Delete this document?")
    dialog.get_by_role("button", name="Cancel").click()
    expect(row).to_be_visible()
    row.get_by_role("button", name="Delete torn.pdf").click()
    dialog.get_by_role("button", name="Delete").click()
    expect(row).to_have_count(0)
    expect(page.locator("#kept-notice")).to_contain_text("Nothing here yet")


# --- Searching --------------------------------------------------------------------------------


def test_results_show_what_the_api_says(watched: Callable[..., Page], url: str) -> None:
    with Client(url) as client:
        answer = client.search(QUESTION, collection="bread", highlight=True)
    page = shown(watched(found()))
    cards = page.locator(".card")
    expect(cards).to_have_count(len(answer.results))
    for index, result in enumerate(answer.results[:5]):
        card = cards.nth(index)
        assert card.locator(".open").inner_text() == result.name
        figures = card.locator(".figure dd").all_inner_texts()
        scores = (result.scores.recall, result.scores.rerank, result.score)
        assert figures == ["not scored" if one is None else f"{one:.3f}" for one in scores]
        if (more := card.locator(".more")).count():
            more.click()
        marked = card.locator(".passage mark").all_inner_texts()
        start = result.start
        assert marked == [result.text[s.start - start : s.end - start] for s in result.highlights]
        moved = card.locator(".move .hidden").inner_text()
        by = result.recall_rank - result.rank
        assert moved.startswith("rose" if by > 0 else "fell" if by < 0 else "stayed")
    assert page.locator(".slope").count() == len(answer.results)
    assert page.locator(".slope.rose").count() == sum(
        each.recall_rank > each.rank for each in answer.results
    )
    expect(page.locator("#report [data-status]")).to_have_attribute("data-status", "applied")
    assert "First stage: recall" in page.locator(".timings").inner_text()


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("partial", "scored 3 of 20 candidates"),
        ("timeout", "did not answer in time"),
        ("overloaded", "too much to do"),
        ("unavailable", "cannot be reached"),
        ("disabled", "did not run"),
        ("error", "failed"),
    ],
)
def test_what_the_reranker_did_not_do_is_said_with_its_reason(
    watched: Callable[..., Page], status: str, said: str
) -> None:
    rerank = {
        "status": status, "scored": 3, "depth": 20, "model": "m", "ms": 9.0, "cached": 0,
        "reason": "no worker that reranks is running",
    }  # fmt: skip
    page = watched()

    def answer(route: Route) -> None:
        route.fulfill(json={**ANSWER, "rerank": rerank})

    page.route("**/search", answer)
    page.get_by_label("Your question").fill("anything")
    page.keyboard.press("Enter")
    report = page.locator("#report")
    expect(report).to_contain_text(said)
    expect(report).to_contain_text("Reason: no worker that reranks is running")
    expect(page.get_by_role("heading", name="Nothing found")).to_be_visible()


def test_what_stands_before_a_question_does_not_come_after_its_answer(
    watched: Callable[..., Page],
) -> None:
    page = watched("/?view=server")
    held: list[Route] = []
    page.route("**/documents?*", lambda route: held.append(route))
    rerank = {"status": "applied", "scored": 0, "depth": 0, "model": "m", "ms": 1.0, "cached": 0}
    page.route("**/search", lambda route: route.fulfill(json={**ANSWER, "rerank": rerank}))
    with page.expect_request("**/documents?*"):
        page.get_by_role("link", name="Search", exact=True).click()
    page.get_by_label("Your question").fill("anything")
    page.keyboard.press("Enter")
    nothing = page.get_by_role("heading", name="Nothing found")
    expect(nothing).to_be_visible()
    for route in held:
        route.fulfill(json={"documents": [], "cursor": None})
    page.wait_for_timeout(300)
    expect(nothing).to_be_visible()


def test_options_are_in_the_request_and_in_the_address(watched: Callable[..., Page]) -> None:
    page = shown(watched(found()))
    page.locator("#options > summary").click()
    with page.expect_request("**/search") as asked:
        page.get_by_label("Second stage").select_option("off")
    assert asked.value.post_data_json["rerank"]["enabled"] is False
    expect(page.locator("#report [data-status]")).to_have_attribute("data-status", "disabled")
    with page.expect_request("**/search") as asked:
        page.get_by_label("Group by document").select_option("3")
    assert asked.value.post_data_json["group_by_document"] == 3
    expect(page.locator(".further").first).to_be_visible()
    assert (state_of(page)["rerank"], state_of(page)["group"]) == ("off", "3")
    expect(page.locator("#options-set")).to_have_text("2")
    page.get_by_role("button", name="Back to the defaults").click()
    expect(page.locator("#report [data-status]")).to_have_attribute("data-status", "applied")
    assert state_of(page) == {"collection": "bread", "q": QUESTION}


def test_what_of_a_search_had_no_effect_is_said_above_its_results(
    watched: Callable[..., Page],
) -> None:
    page = watched(f"{found()}&instruction=Find recipes")
    expect(page.locator(".warning")).to_have_count(2)
    expect(page.locator(".warning").first).to_contain_text("takes no instruction")
    expect(page.locator(".card").first).to_be_visible()


def test_further_pages_come_from_the_same_ranking(watched: Callable[..., Page]) -> None:
    page = shown(watched(f"{found()}&limit=3"))
    page.get_by_role("button", name="More results").click()
    expect(page.locator(".card")).to_have_count(6)
    assert [int(each) for each in page.locator(".rank").all_inner_texts()] == [1, 2, 3, 4, 5, 6]
    expect(page.locator(".slope")).to_have_count(6)


def test_an_error_is_the_sentence_of_the_api(watched: Callable[..., Page]) -> None:
    page = watched("/?collection=bread&q=rye&filter=%7Bbad")
    expect(page.get_by_role("alert")).to_contain_text("not valid JSON")
    expect(page.get_by_label("Filter as JSON")).to_be_visible()
    page.goto('/?collection=bread&q=rye&filter={"key":"year"}')
    expect(page.get_by_role("alert")).to_contain_text("a condition needs an operator")
    page.goto(found("rye", "nobodys"))
    expect(page.get_by_role("alert")).to_contain_text("nobodys")
    page.goto(found("rye"))
    shown(page).route("**/search", lambda route: route.abort())
    page.get_by_label("Your question").press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("The server does not answer")


def test_a_passage_is_marked_in_its_document_at_its_offsets(
    watched: Callable[..., Page], url: str
) -> None:
    text = f"{ASTRAL}\n\n# Zwieback\n\nZwieback is baked twice 🍞 and keeps for months.\n\n{ASTRAL}"
    add(url, "offsets", DocumentText(name="astral.md", text=text, media_type="text/markdown"))
    with Client(url) as client:
        first = client.search("zwieback twice", collection="offsets", limit=1).results[0]
    page = shown(watched(found("zwieback twice", "offsets")))
    page.locator(".card .open").first.click()
    located = page.locator("#located")
    expect(located).to_be_in_viewport()
    assert located.evaluate("node => node.textContent") == first.text
    words = " ".join(located.locator("mark").all_inner_texts()).lower().split()
    assert set(words) == {"zwieback", "twice"}
    assert state_of(page)["start"] == str(first.start)
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.wait_for_url(lambda address: "document=" not in address)
    page.go_back()
    expect(located).to_be_in_viewport()
    page.reload()  # as whoever was sent the address
    expect(located).to_be_in_viewport()
    page.go_back()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.locator(".card").first).to_be_visible()


def test_judgements_leave_the_browser_as_the_csv_that_eval_reads(
    watched: Callable[..., Page], url: str
) -> None:
    question = 'how long is "rye bread", kept?'
    with Client(url) as client:
        results = client.search(question, collection="bread").results
    good, bad, *_ = dict.fromkeys(each.document_id for each in results)
    page = shown(watched(f"/?collection=bread&q={question}"))
    for document, name in ((good, "Answers it"), (bad, "Answers it"), (bad, "Does not")):
        mark = page.locator(f'.mark[data-document="{document}"]', has_text=name).first
        mark.click()
        expect(mark).to_have_attribute("aria-pressed", "true")
    page.reload()
    expect(page.locator("#judged-count")).to_have_text("2 judgements on 1 question")
    with page.expect_download() as download:
        page.get_by_role("button", name="Export as CSV").click()
    assert download.value.suggested_filename == "judgements-bread.csv"
    rows = list(csv.reader(io.StringIO(Path(download.value.path()).read_text("utf-8"))))
    assert rows[0] == ["query", "document_id", "relevance"]
    assert sorted(rows[1:]) == sorted([[question, good, "1"], [question, bad, "0"]])
    judged = table.read(Path(download.value.path()))
    assert list(judged.queries.values()) == [question]
    assert {row.document: row.relevance for row in judged.rows} == {good: 1, bad: 0}
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#judged")).to_be_hidden()
    expect(page.locator('.mark[aria-pressed="true"]')).to_have_count(0)


def test_the_server_view_tells_of_parts_workers_queue_and_collections(
    watched: Callable[..., Page],
) -> None:
    ready = {
        "ready": False, "parts": {"store": "ok", "ingestion": "no worker runs"}, "embedder": "e5",
        "reranker": None, "documents": {"queued": 3, "parsing": 1, "ready": 1200},
        "workers": {"ingestion": 0},
    }  # fmt: skip
    made = {"embedder": "qwen3", "dimensions": 1024, "chunk_tokens": 200, "language": "german"}
    rebuild = {
        **made, "state": "waiting", "done": 7, "total": 8, "failed": 1,
        "reason": "Documents have failed.", "switch": "manual",
        "failures": [{"id": "a", "name": "a.pdf", "error": {"code": "x", "message": "Torn."}}],
        "comparison": {
            "queries": 2, "judged": 2, "overlap_10": 0.85,
            "old": {"ndcg_10": 0.5}, "new": {"ndcg_10": 0.75},
        },
    }  # fmt: skip
    bread = {"name": "bread", "documents": {"ready": 7, "failed": 1}, "passages": 1234}
    collections = [{**bread, **made, "embedder": "e5", "rebuild": rebuild}]
    page = watched()
    page.route("**/readyz", lambda route: route.fulfill(status=503, json=ready))
    page.route("**/collections", lambda route: route.fulfill(json={"collections": collections}))
    page.get_by_role("link", name="Server").click()
    body = page.locator("#server-body")
    expect(body.get_by_role("heading", name="Not ready")).to_be_visible()
    expect(body).to_contain_text("no worker runs, 0 workers")
    expect(body).to_contain_text("3 documents wait, 1 is being worked on.")
    row = listed(page, "bread")
    for said in (
        "8 documents · 1 failed · 1,234 passages · e5 (1024) · up to 200 tokens · german",
        "New: qwen3 (1024) · up to 200 tokens · german · 7 of 8 documents done",
        "2 questions: 85 % of the first ten documents are the same; nDCG@10 0.500 before, 0.750",
        "Documents have failed.",
        "a.pdf: Torn.",
    ):
        expect(row).to_contain_text(said)
    row.get_by_role("button", name="Rebuild bread").click()
    dialog = page.get_by_role("dialog", name="Rebuild bread")
    # What differs from the collection is what the rebuild was asked for.
    expect(dialog.get_by_label("Longest passage, in tokens")).to_have_value("")
    expect(dialog.get_by_label("Switch")).to_have_value("manual")
    page.keyboard.press("Escape")
    row.get_by_role("button", name="Switch bread").click()
    expect(page.get_by_role("dialog", name="Switch bread all the same?")).to_contain_text(
        "1 document that searches find now is missing"
    )
    page.keyboard.press("Escape")
    row.get_by_role("button", name="bread", exact=True).click()
    expect(page.locator("#kept-list li")).to_have_count(len(BREAD))


def listed(page: Page, name: str) -> Locator:
    """The row of a collection on the server view."""
    return page.locator(f'#collections-list li[data-name="{name}"]')


def test_a_collection_is_made_with_its_settings_and_deleted_after_a_yes(
    watched: Callable[..., Page], url: str
) -> None:
    page = watched("/?view=server")
    page.get_by_role("button", name="New collection").press("Enter")
    dialog = page.get_by_role("dialog", name="New collection")
    expect(dialog.get_by_label("Name")).to_be_focused()
    page.keyboard.type("gesetze")
    dialog.get_by_label("Longest passage, in tokens").fill("40")
    dialog.get_by_label("Language of the texts").fill("klingon")
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("alert")).to_contain_text("there is no stemmer")
    dialog.get_by_label("Language of the texts").fill("german")
    page.keyboard.press("Enter")
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("button", name="New collection")).to_be_focused()
    expect(listed(page, "gesetze")).to_contain_text("up to 40 tokens · german")
    with Client(url) as client:
        made = client.collection("gesetze")
    assert (made.chunk_tokens, made.language) == (40, "german")
    offered = page.locator("#collections option").evaluate_all("all => all.map(o => o.value)")
    assert "gesetze" in offered

    delete = page.get_by_role("button", name="Delete gesetze")
    delete.press("Enter")
    confirm = page.get_by_role("dialog", name="Delete the collection gesetze?")
    page.keyboard.press("Escape")
    expect(confirm).to_be_hidden()
    expect(delete).to_be_focused()
    delete.press("Enter")
    confirm.get_by_role("button", name="Delete").click()
    expect(listed(page, "gesetze")).to_have_count(0)
    with Client(url) as client:
        assert "gesetze" not in {each.name for each in client.collections()}


def test_a_rebuild_is_begun_watched_given_up_and_switched(
    watched: Callable[..., Page], url: str, embedder: HeldEmbedder
) -> None:
    add(url, "anew", DocumentText(name="rye.txt", text="Rye bread keeps for a week. " * 20))
    page = watched("/?view=server")
    row = listed(page, "anew")

    def rebuild(tokens: str) -> None:
        row.get_by_role("button", name="Rebuild anew").click()
        dialog = page.get_by_role("dialog", name="Rebuild anew")
        dialog.get_by_label("Longest passage, in tokens").fill(tokens)
        dialog.get_by_label("Switch").select_option("manual")
        dialog.get_by_label("Questions to compare").fill("how long does rye keep\n\nrye\n")
        dialog.get_by_role("button", name="Rebuild").click()
        expect(dialog).to_be_hidden()

    embedder.let.clear()
    try:
        rebuild("20")
        expect(row.get_by_role("progressbar", name="Rebuild of anew")).to_be_visible()
        expect(row.get_by_role("button", name="anew", exact=True)).to_be_focused()
        row.get_by_role("button", name="Give up anew").click()
        page.get_by_role("dialog").get_by_role("button", name="Give it up").click()
        expect(row.get_by_role("progressbar")).to_have_count(0)
    finally:
        embedder.let.set()
    expect(row.get_by_role("button", name="Rebuild anew")).to_be_visible()
    rebuild("30")
    expect(row).to_contain_text("2 questions: ")
    expect(row).to_contain_text("1 of 1 document done")
    row.get_by_role("button", name="Switch anew").click()
    expect(row.locator(".state")).to_have_text("rebuilt")
    expect(row).to_contain_text("up to 30 tokens")
    with Client(url) as client:
        assert client.collection("anew").chunk_tokens == 30


def test_where_there_is_no_collection_the_page_says_how_there_will_be_one(
    watched: Callable[..., Page],
) -> None:
    page = watched()
    page.route("**/collections", lambda route: route.fulfill(json={"collections": []}))
    page.get_by_role("link", name="Server").click()
    expect(page.locator("#collections-none")).to_contain_text("The first upload makes one")
    page.unroute("**/collections")
    expect(page.locator("#collections-none")).to_be_hidden()
    expect(listed(page, "bread")).to_be_visible()


def test_the_focus_stays_where_it_is_while_a_rebuild_goes_on(
    watched: Callable[..., Page],
) -> None:
    made = {"embedder": "e5", "dimensions": 8, "chunk_tokens": 9, "language": "german"}
    done = 0

    def answer(route: Route) -> None:
        nonlocal done
        rebuild = {**made, "state": "building", "done": done, "total": 99, "switch": "auto"}
        bread = {**made, "name": "bread", "documents": {"ready": 99}, "passages": 99}
        route.fulfill(json={"collections": [{**bread, "rebuild": rebuild}]})
        done += 1

    page = watched()
    page.route("**/collections", answer)
    page.get_by_role("link", name="Server").click()
    page.get_by_role("button", name="Give up bread").focus()
    before = done
    expect(listed(page, "bread")).to_contain_text(f"{before + 1} of 99 documents")
    expect(page.get_by_role("button", name="Give up bread")).to_be_focused()


# --- For everybody ----------------------------------------------------------------------------


def test_the_keyboard_alone_is_enough(watched: Callable[..., Page]) -> None:
    page = watched("/?collection=bread")
    page.keyboard.press("Tab")
    page.locator("body").press("/")
    expect(page.get_by_label("Your question")).to_be_focused()
    page.keyboard.type(QUESTION)
    page.keyboard.press("Enter")
    cards = shown(page).locator(".card")
    page.keyboard.press("ArrowDown")
    expect(cards.nth(0)).to_be_focused()
    outline = "node => getComputedStyle(node).outlineStyle"
    assert cards.nth(0).evaluate(outline) == "solid"
    page.keyboard.press("ArrowDown")
    expect(cards.nth(1)).to_be_focused()
    expect(page.locator(".slope.lit")).to_have_attribute("data-rank", "2")
    page.keyboard.press("Enter")
    dialog = page.locator("#passage")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(cards.nth(1)).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(cards.nth(0)).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(page.get_by_label("Your question")).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Escape")
    expect(page.get_by_label("Your question")).to_be_focused()


@pytest.mark.parametrize("view", ["search", "documents", "server"])
def test_a_phone_of_360_pixels_scrolls_no_sideways(watched: Callable[..., Page], view: str) -> None:
    page = watched(f"{found()}&view={view}", viewport={"width": 360, "height": 740}, has_touch=True)
    expect(page.locator(f"#{view}")).to_be_visible()
    if view == "search":
        shown(page)
        page.locator("#report-summary").click()
        page.locator("#options > summary").click()
        page.locator("#filters > summary").click()
        page.get_by_role("button", name="Add a condition").click()
    if view == "documents":
        expect(page.locator("#kept-list li")).to_have_count(len(BREAD))
    sideways = "() => document.documentElement.scrollWidth - innerWidth"
    assert page.evaluate(sideways) <= 0
    if view == "server":
        page.get_by_role("button", name="Rebuild bread").click()
        inner = "node => node.scrollWidth - node.clientWidth"
        assert page.locator("#settings").evaluate(inner) <= 0
    if view == "search":
        page.locator(".card .open").first.click()
        expect(page.locator("#located")).to_be_visible()
        assert page.evaluate(sideways) <= 0
        inner = "node => node.scrollWidth - node.clientWidth"
        assert page.locator("#passage-text").evaluate(inner) <= 0


def test_dark_and_light_follow_the_system_until_somebody_chooses(
    watched: Callable[..., Page],
) -> None:
    def paper() -> int:
        colour = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
        return sum(int(each) for each in re.findall(r"\d+", colour)[:3])

    page = watched("/?view=server", color_scheme="dark")
    dark = paper()
    page.emulate_media(color_scheme="light")
    light = paper()
    assert dark < 150 < 600 < light
    switch = page.locator("#theme")
    switch.click()
    switch.click()
    expect(switch).to_have_text("Theme: dark")
    assert paper() == dark
    page.reload()
    assert paper() == dark
    switch.click()
    assert paper() == light


def test_nothing_moves_for_those_who_asked_for_stillness(watched: Callable[..., Page]) -> None:
    page = watched(reduced_motion="reduce")
    page.evaluate("() => document.body.classList.add('busy')")
    assert (
        page.evaluate("() => getComputedStyle(document.body, '::before').animationName") == "none"
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_to_complain_of(watched: Callable[..., Page], scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    # axe itself is a script that the page's policy would keep out.
    page = watched(found(), color_scheme=scheme, bypass_csp=True)

    rules = {"type": "tag", "values": [*WCAG, "best-practice"]}
    if scheme == "dark":  # where only the colours are others
        rules = {"type": "rule", "values": ["color-contrast"]}

    def check() -> None:
        result = axe.run(page, options={"runOnly": rules})
        assert result.violations_count == 0, result.generate_report()

    shown(page)
    page.locator("#options > summary").click()
    page.locator("#filters > summary").click()
    page.get_by_role("button", name="Add a condition").click()
    page.locator(".why > summary").first.click()
    page.locator(".mark").first.click()
    check()
    page.locator(".card .open").first.click()
    expect(page.locator("#located")).to_be_visible()
    check()
    page.keyboard.press("Escape")
    for view, ready in (("documents", "#kept-list li"), ("server", ".tally"), ("search", ".card")):
        page.goto(f"/?view={view}&collection=bread&q={QUESTION if view == 'search' else ''}")
        expect(page.locator(ready).first).to_be_visible()
        check()
        if view == "server":
            for opener in ("New collection", "Rebuild bread"):
                page.get_by_role("button", name=opener).click()
                check()
                page.keyboard.press("Escape")
    page.goto("/?collection=nobodys")
    expect(page.locator(".empty")).to_be_visible()
    check()
    page.locator("#key-open").click()
    check()


# --- Strangers and enemies --------------------------------------------------------------------


def test_what_documents_say_is_shown_and_never_obeyed(
    watched: Callable[..., Page], url: str
) -> None:
    evil = '<img src=x onerror="window.owned=1"><script>window.owned=1</script>'
    text = f"<h1>{evil}</h1> zugzwang {evil} javascript:window.owned=1 {{{{7*7}}}} ${{owned}}"
    named, about = f"{evil}\"'>.txt", {"note": evil, "list": [evil, "</script>"]}
    document = add(url, "evil", DocumentText(name=named, text=text, metadata=about))
    page = shown(watched(found(f"zugzwang {evil}".replace("&", "%26"), "evil")))
    expect(page.locator(".card .passage")).to_contain_text("<h1><img src=x onerror=")
    expect(page.locator(".chips")).to_contain_text("<img src=x")
    page.locator(".card .open").click()
    expect(page.locator("#located")).to_contain_text("<script>window.owned=1</script>")
    page.keyboard.press("Escape")
    page.locator(".mark").first.click()
    page.get_by_role("link", name="Documents").click()
    expect(page.locator("#kept-list .open")).to_contain_text("<img src=x")
    page.goto(f"/?collection=evil&document={document}&start=%3Csvg/onload=owned=1%3E&mode={evil}")
    expect(page.locator("#passage-text")).to_contain_text("zugzwang")
    assert page.evaluate("() => window.owned") is None
    assert page.locator("main img, dialog img, main script, dialog script").count() == 0


def test_where_keys_are_asked_for_the_page_asks_for_one_and_keeps_it_in_the_tab(
    browser: Browser, tmp_path: Path
) -> None:
    keys = tmp_path / "keys.json"
    reader = make_key(keys, "acme", "read")["Authorization"].removeprefix("Bearer ")
    with threaded_server(tmp_path / "data", api_keys_file=keys) as url:
        watched = Watched(browser, url)
        page = watched.context.new_page()
        page.goto("/?collection=bread&q=rye")
        dialog = page.get_by_role("dialog", name="API key")
        expect(dialog).to_be_visible()
        expect(page.get_by_role("alert")).to_contain_text("key")
        page.get_by_label("Key", exact=True).fill("tf_000000000000_wrong")
        page.keyboard.press("Enter")
        expect(dialog).to_be_visible()
        page.get_by_label("Key", exact=True).fill(reader)
        page.keyboard.press("Enter")
        expect(dialog).to_be_hidden()
        expect(page.get_by_role("alert")).to_contain_text("bread")  # there is no such collection
        page.get_by_role("link", name="Documents").click()
        page.set_input_files("#files", BREAD[2])
        refused = page.locator("#added-list .trouble")
        expect(refused).to_contain_text("'write'")
        assert reader not in page.url
        assert page.evaluate("() => JSON.stringify(localStorage)").find(reader) < 0
        page.reload()
        expect(page.locator("#kept-notice")).to_contain_text("Nothing here yet")
        other = watched.context.new_page()
        other.goto("/?view=documents")
        expect(other.get_by_role("dialog", name="API key")).to_be_visible()
        watched.context.close()
        assert watched.hosts == {urlsplit(url).netloc}
        assert watched.complaints == []


# --- The functions below ----------------------------------------------------------------------


def in_page(page: Page, module: str, call: str, argument: object = None) -> object:
    """What an expression over a module of the page and an argument gives."""
    script = f"async (given) => {{ const m = await import('./page/{module}'); return {call}; }}"
    result: object = page.evaluate(script, argument)
    return result


def test_offsets_are_counted_as_python_counts_them(watched: Callable[..., Page]) -> None:
    chance = random.Random(7)
    page = watched()
    cases = []
    for _ in range(200):
        text = "".join(chance.choice("ab é🥖𝔅\n") for _ in range(chance.randrange(40)))
        start, end = sorted((chance.randrange(41), chance.randrange(41)))
        cases.append([text, start, end])
    sliced = in_page(page, "text.js", "given.map((each) => m.slice(...each))", cases)
    assert sliced == [text[start:end] for text, start, end in cases]
    lengths = in_page(page, "text.js", "given.map(([text]) => m.length(text))", cases)
    assert lengths == [len(text) for text, _, _ in cases]
    spans = [{"start": 14, "end": 16}, {"start": 12, "end": 15}, {"start": 19, "end": 30}]
    pieces = in_page(page, "text.js", "m.pieces(given[0], given[1], 10)", ["ab🥖cdefghijkl", spans])
    assert pieces == [
        {"text": "ab", "marked": False},
        {"text": "🥖cd", "marked": True},
        {"text": "e", "marked": True},
        {"text": "fgh", "marked": False},
        {"text": "ijkl", "marked": True},
    ]


def test_an_excerpt_is_where_the_words_are_and_is_made_of_whole_words(
    watched: Callable[..., Page],
) -> None:
    page = watched()
    text = f"{'Flour and water. ' * 60}The custard keeps for a day. {'Salt and malt. ' * 60}"
    at = text.index("custard")
    spans = [{"start": 100 + at, "end": 107 + at}]
    given = [text, spans, 100, 200]
    start, end = in_page(page, "text.js", "m.excerpt(...given)", given)  # type: ignore[misc]
    shown = text[start:end]
    assert "The custard keeps" in shown
    assert len(shown) <= 200
    assert text[start - 1] == " "
    assert text[end] == " "
    assert in_page(page, "text.js", "m.excerpt('short', [], 0, 200)") == [0, 5]


def test_a_filter_becomes_rows_and_rows_become_the_same_filter(
    watched: Callable[..., Page],
) -> None:
    page = watched()
    kept = [
        {"key": "year", "gte": 2020},
        {"and": [{"key": "a", "eq": "x"}, {"key": "b", "eq": "7"}, {"key": "c", "eq": True}]},
        {"or": [{"key": "a", "in": [1, 2]}, {"key": "b", "in": ["x", "y"]}]},
        {"or": [{"key": "a", "exists": False}, {"key": "b", "prefix": "2020"}]},
    ]
    call = "given.map((f) => { const r = m.rowsOf(f); return m.filterOf(r.rows, r.joined); })"
    assert in_page(page, "filters.js", call, kept) == kept
    nested = [{"not": {"key": "a", "eq": 1}}, {"key": "a", "gt": 1, "lt": 3}, {"and": [{"or": []}]}]
    assert in_page(page, "filters.js", "given.map(m.rowsOf)", nested) == [None] * len(nested)


def test_an_address_holds_the_whole_state_and_nothing_that_goes_without_saying(
    watched: Callable[..., Page],
) -> None:
    page = watched()
    state = {"q": "a & b = c?", "filter": '{"key":"x","eq":"#"}', "depth": "20", "group": "3"}
    call = "m.write({...m.DEFAULTS, ...given})"
    address = in_page(page, "address.js", call, state)
    assert isinstance(address, str)
    assert {name: value for name, [value] in parse_qs(address[1:]).items()} == state
    assert in_page(page, "address.js", "m.read(given)", address) == {
        **in_page(page, "address.js", "m.DEFAULTS"),  # type: ignore[dict-item]
        **state,
    }
    assert in_page(page, "address.js", "m.write(m.DEFAULTS)") == "./"


def test_moves_are_on_one_scale_and_what_left_the_list_is_seen(
    watched: Callable[..., Page],
) -> None:
    page = watched()
    results = [
        {"rank": rank, "recall_rank": recall, "name": "a.txt"}
        for rank, recall in ((1, 40), (2, 1), (3, 3))
    ]
    lines = in_page(page, "moves.js", "m.slopes(given)", results)
    assert [(each["before"], each["after"], each["kind"]) for each in lines] == [  # type: ignore[attr-defined]
        (3, 0, "rose"),
        (0, 1, "fell"),
        (2, 2, "stayed"),
    ]
    assert in_page(page, "moves.js", "m.left(given)", results) == [2]


def test_uploads_are_sent_in_parts_of_a_bearable_size(watched: Callable[..., Page]) -> None:
    page = watched()
    sizes = [10, 10, 90, 5, 5, 5, 200, 1]
    call = "m.batches(given.map((size) => ({size})), 3, 100).map((b) => b.map((f) => f.size))"
    assert in_page(page, "files.js", call, sizes) == [[10, 10], [90, 5, 5], [5], [200], [1]]
