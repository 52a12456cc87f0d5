import re
import shutil

import pytest

from pipelines.settings import Settings
from tests.support.live import ROOT, live_server
from tests.support.snippets import dead_links, runnable, snippets
from twofold.schema import SearchResponse

PAGE = ROOT / "README.md"
README = PAGE.read_text("utf-8")


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("curl"), reason="the README talks to the server with curl")
def test_every_snippet_of_the_readme_works_in_the_order_in_which_it_is_read(tmp_path):
    todo = runnable(PAGE)
    assert {each.language for each in todo} == {"sh", "python"}
    with live_server(tmp_path, EMBEDDER="minilm", RERANKER="late-interaction") as server:
        for snippet in todo:
            snippet.must_work(server.url, tmp_path)


def test_the_answer_shown_in_the_readme_is_one_that_the_api_could_give():
    shown = [each.code for each in snippets(PAGE) if each.language == "json"]
    assert shown
    for answer in shown:
        response = SearchResponse.model_validate_json(answer)
        for result in response.results:
            assert result.end - result.start >= len(result.text.rstrip("… "))


def test_every_setting_is_documented_with_its_default_and_no_other():
    page = (ROOT / "docs" / "settings.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `TWOFOLD_(\w+)` \| ([^|]*) \|", page, re.MULTILINE))
    defaults = {
        name.upper(): "" if field.default is None else str(field.default)
        for name, field in Settings.model_fields.items()
    }
    assert {name: default.strip("` ") for name, default in rows.items()} == defaults


def test_every_file_that_the_readme_links_to_exists():
    assert dead_links(PAGE) == []


def test_the_result_of_the_demo_is_seen_without_scrolling():
    head = "\n".join(README.splitlines()[:40])
    assert "make demo" in head
    assert "both stages" in head
