"""The page in a real browser: Chromium without a window, driven by Playwright."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from support.front import call
from support.serving import Served, serving

import crossrank
from crossrank import Index
from crossrank.inference.cross_encoder import CrossEncoder

pytestmark = pytest.mark.browser
AXE = Path(sys.prefix, "node_modules", "axe-core", "axe.min.js")
# Pictures for the documentation are written here, if it is named.
PICTURES = os.environ.get("CROSSRANK_PICTURES")
QUESTION = "How can I sleep when there is a lot of noise around me?"
# What it moves up, its probability and its marked sentence are all plain to see.
PICTURED = "How do I stop a bicycle brake from squealing?"
HOSTILE = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'
WIDE, PHONE = {"width": 1200, "height": 780}, {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample texts, and an index of them."""
    folder = tmp_path_factory.mktemp("page")
    shutil.copytree(Path(crossrank.__file__).parent / "samples" / "texts", folder / "notes")
    Index(folder / "index").add([folder / "notes"])
    return folder


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[Served]:
    with serving("--index", str(folder / "index")) as running:
        yield running


def expect(seen: Any) -> Any:
    """Playwright's, which waits until it is so; imported here, since only `make test-page` installs it."""
    from playwright.sync_api import expect as awaited

    return awaited(seen)


class Pages:
    """Opens pages, and remembers what they complained of and asked for."""

    def __init__(self, browser: Any) -> None:
        self.browser = browser
        self.contexts: list[Any] = []
        self.problems: list[str] = []
        self.asked: list[str] = []
        # Parts of messages that the browser itself writes where a test makes a request fail.
        self.expected: list[str] = []

    def open(self, address: str, *, bypass_csp: bool = False, **options: Any) -> Any:
        options = {"viewport": WIDE, "reduced_motion": "reduce", **options}
        context = self.browser.new_context(
            bypass_csp=bypass_csp, permissions=["clipboard-read", "clipboard-write"], **options
        )
        self.contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda message: message.type == "error" and self.problems.append(message.text))
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("dialog", lambda dialog: self.problems.append(f"dialog {dialog.message}"))
        page.on("request", lambda request: self.asked.append(request.url))
        page.goto(address)
        return page

    def close(self) -> None:
        for context in self.contexts:
            context.close()


@pytest.fixture
def pages(browser: Any) -> Iterator[Pages]:
    opened = Pages(browser)
    yield opened
    opened.close()
    problems = [one for one in opened.problems if not any(text in one for text in opened.expected)]
    assert problems == [], "the page broke a rule of its own, or an error was not handled"


def link(served: Served, query: str = QUESTION, **view: object) -> str:
    values = {"q": query, "candidates": 20, "top_n": 5, **view}
    return f"{served.url}/#{urlencode({name: str(value) for name, value in values.items()})}"


def wait_for_results(page: Any, count: int) -> None:
    expect(page.locator("#after > li")).to_have_count(count)


def shown(page: Any) -> list[str]:
    """The passages on the right, by id."""
    return page.eval_on_selector_all("#after > li", "items => items.map(item => item.dataset.key)")


def set_slider(page: Any, slider: str, value: int) -> None:
    page.eval_on_selector(
        slider,
        "(slider, value) => { slider.value = value; for (const kind of ['input', 'change']) "
        "slider.dispatchEvent(new Event(kind, {bubbles: true})); }",
        value,
    )


def found(served: Served, **values: object) -> list[Any]:
    body = json.dumps({"query": QUESTION, **values}).encode()
    return json.loads(call(f"{served.url}/search", body)[1])["hits"]


def test_both_rankings_are_shown_with_a_line_for_each_of_the_best(served: Served, pages: Pages) -> None:
    page = pages.open(f"{served.url}/")
    page.fill("#query", QUESTION)
    page.keyboard.press("Enter")
    wait_for_results(page, 5)
    expect(page.locator("#after mark")).to_have_count(5)  # which may move the lines
    expected = found(served, top_n=None)
    assert shown(page) == [hit["document"]["id"] for hit in expected[:5]]
    before = page.eval_on_selector_all("#before > li", "items => items.map(item => item.dataset.key)")
    ranked = sorted(expected, key=lambda hit: hit["candidate"]["rank"])
    assert before == [hit["document"]["id"] for hit in ranked]
    for hit, item in zip(expected, page.query_selector_all("#after > li"), strict=False):
        text = item.inner_text()
        assert f"{hit['score']:.3f}" in text
        moved = hit["candidate"]["rank"] - hit["rank"]
        assert ("▲" if moved > 0 else "▼" if moved < 0 else "=") in text
        [line] = [
            one for one in page.query_selector_all("path.line")
            if one.get_attribute("data-key") == hit["document"]["id"]
        ]  # fmt: skip
        kind = "up" if moved > 0 else "down" if moved < 0 else "same"
        assert kind in str(line.get_attribute("class")).split()
        # From the rank on the left to the passage on the right.
        box, end = item.query_selector(".rank").bounding_box(), line.bounding_box()
        assert min(abs(box["y"] + 14 - edge) for edge in (end["y"], end["y"] + end["height"])) < 6
    assert "First stage" in page.inner_text("#timings")
    assert "5 results of 20 candidates" in page.text_content("#status")
    assert {address.split("/")[2] for address in pages.asked} == {served.url.split("/")[2]}


def test_the_sentence_and_words_that_a_score_comes_from_are_marked(served: Served, pages: Pages) -> None:
    page = pages.open(link(served))
    expect(page.locator("#after mark")).to_have_count(5)
    for hit, item in zip(
        found(served, top_n=5, explain=True), page.query_selector_all("#after > li"), strict=True
    ):
        best = hit["spans"][0]
        assert item.query_selector("mark").text_content() == hit["text"][best["start"] : best["end"]]
        words = sorted(best["words"], key=lambda word: word["start"])
        marked = [word.text_content() for word in item.query_selector_all("mark b")]
        assert marked == [hit["text"][word["start"] : word["end"]] for word in words]
        assert item.query_selector(".text").text_content() == hit["text"], "nothing is lost around the mark"
    # More hits are marked as they are shown, and what is marked stays so.
    set_slider(page, "#top-n", 8)
    expect(page.locator("#after mark")).to_have_count(8)


def test_marks_count_characters_as_people_do(served: Served, pages: Pages) -> None:
    page = pages.open(f"{served.url}/")
    page.check("input[value=paste]", force=True)
    page.fill("#passages", "🎉🎉 A party for everyone. Bakers bake bread.\n\nA tide table.")
    page.fill("#query", "Who bakes bread?")
    page.keyboard.press("Enter")
    expect(page.locator("#after > li:first-child mark")).to_have_text("Bakers bake bread.")


def test_marks_are_seen_also_at_the_end_of_long_passages(served: Served, pages: Pages) -> None:
    page = pages.open(f"{served.url}/")
    page.check("input[value=paste]", force=True)
    page.fill("#passages", "Trains run along the coast in summer. " * 20 + "Bakers bake bread.")
    page.fill("#query", "Who bakes bread?")
    page.keyboard.press("Enter")
    mark = page.locator("#after mark")
    expect(mark).to_have_text("Bakers bake bread.")
    text = page.locator("#after .text").bounding_box()
    assert mark.bounding_box()["y"] + 5 < text["y"] + text["height"]


def test_sliders_change_what_is_shown_and_a_link_shows_it_again(served: Served, pages: Pages) -> None:
    page = pages.open(link(served))
    wait_for_results(page, 5)
    searches = len([address for address in pages.asked if address.endswith("/search")])
    set_slider(page, "#top-n", 8)
    wait_for_results(page, 8)
    assert len([one for one in pages.asked if one.endswith("/search")]) == searches, "nothing is asked again"
    set_slider(page, "#candidates", 6)
    wait_for_results(page, 6)
    assert page.locator("#before > li").count() == 6
    page.click("#copy-link")
    expect(page.locator("#copy-link")).to_have_text("Copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    again = pages.open(copied)
    wait_for_results(again, 6)
    assert shown(again) == shown(page)
    assert again.input_value("#query") == QUESTION
    # Another view in the same window, as from the history.
    again.goto(link(served, "How is vaccine kept cold?", top_n=2))
    wait_for_results(again, 2)
    assert "vaccine" in shown(again)[0]


def test_only_probable_passages_are_shown(served: Served, pages: Pages) -> None:
    question = "How is vaccine kept cold?"
    page = pages.open(link(served, question, top_n=20))
    wait_for_results(page, 20)
    searches = len([address for address in pages.asked if address.endswith("/search")])
    hits = found(served, query=question, top_n=None)
    for least in (0.1, 0.3):
        set_slider(page, "#min-probability", least)
        probable = [hit["document"]["id"] for hit in hits if hit["probability"] >= least]
        assert 0 < len(probable) < 20
        wait_for_results(page, len(probable))
        assert shown(page) == probable
        assert page.locator("path.line").count() == len(probable), "the others have no line"
    assert page.text_content("#min-probability-value") == "0.3"
    assert len([one for one in pages.asked if one.endswith("/search")]) == searches, "nothing is asked again"
    page.click("#copy-curl")
    expect(page.locator("#copy-curl")).to_have_text("Copied")
    assert '"min_probability":0.3' in page.evaluate("navigator.clipboard.readText()")
    again = pages.open(page.url)
    wait_for_results(again, len(probable))
    assert again.input_value("#min-probability") == "0.3"
    set_slider(again, "#min-probability", 0.95)
    again.wait_for_selector("text=No passage is relevant enough.")
    wait_for_results(again, 0)


def test_a_model_without_probabilities_shows_everything(
    pages: Pages, folder: Path, tiny: CrossEncoder
) -> None:
    with serving(tiny.name, "--index", str(folder / "index")) as running:
        page = pages.open(link(running, min_probability=0.5))
        wait_for_results(page, 5)
        assert page.is_hidden("#probability-option")
        page.close()


def test_long_passages_are_read_whole(served: Served, pages: Pages) -> None:
    page = pages.open(f"{served.url}/")
    page.check("input[value=paste]", force=True)
    page.fill(
        "#passages", "Trains run along the coast in summer. " * 100 + "Bakers bake bread.\n\nA tide table."
    )
    page.fill("#query", "Who bakes bread?")
    page.keyboard.press("Enter")
    page.wait_for_selector("#notices >> text=truncated to what the model reads")
    page.check("#windows")
    first = page.locator("#after > li:first-child")
    expect(first).to_contain_text("answers best.")
    expect(first.locator("mark")).to_have_text("Bakers bake bread.")
    assert page.locator("#notices > li").count() == 0
    page.click("#copy-curl")
    expect(page.locator("#copy-curl")).to_have_text("Copied")
    assert '"long_documents":"windows"' in page.evaluate("navigator.clipboard.readText()")
    again = pages.open(page.url)
    expect(again.locator("#after > li:first-child")).to_contain_text("answers best.")
    assert again.is_checked("#windows")


def test_a_filter_is_applied_and_a_wrong_one_is_explained(served: Served, pages: Pages) -> None:
    page = pages.open(link(served, filter="source>=z"))
    page.wait_for_selector("text=No passage matches.")
    page.fill("#filter", "nonsense")
    page.keyboard.press("Enter")
    page.wait_for_selector("#error:not([hidden])")
    assert "FIELD OPERATOR VALUE" in page.inner_text("#error")
    page.fill("#filter", "source!=x; source!=y")
    page.keyboard.press("Enter")
    wait_for_results(page, 5)
    assert page.is_hidden("#error")
    pages.expected.append("400")


@pytest.mark.parametrize("kind", ["curl", "python"])
@pytest.mark.parametrize("query", [QUESTION, "It's \"quoted\" $HOME `x` \\n 'é' \u2028 {}"])
def test_what_is_copied_runs_and_finds_what_is_shown(
    kind: str, query: str, served: Served, pages: Pages, tmp_path: Path
) -> None:
    page = pages.open(link(served, query, candidates=7, top_n=3, filter="source!=x"))
    wait_for_results(page, 3)
    page.click(f"#copy-{kind}")
    expect(page.locator(f"#copy-{kind}")).to_have_text("Copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    command = ["bash", "-c", copied] if kind == "curl" else [sys.executable, "-c", copied]
    run = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=True, cwd=tmp_path,
        env={**os.environ, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"},
    )  # fmt: skip
    if kind == "curl":
        assert [hit["document"]["id"] for hit in json.loads(run.stdout)["hits"]] == shown(page)
    else:
        lines = [line for line in run.stdout.splitlines() if ".txt#" in line]
        assert [line.split()[2] for line in lines] == shown(page)


def test_a_source_opens_its_file_at_the_passage(served: Served, pages: Pages, folder: Path) -> None:
    page = pages.open(link(served))
    wait_for_results(page, 5)
    hit = found(served)[0]
    page.click("#after > li:first-child button.source")
    page.wait_for_selector("dialog[open]")
    metadata = hit["document"]["metadata"]
    assert metadata["file"] in page.inner_text("#viewer-place")
    assert f"line {metadata['line']}" in page.inner_text("#viewer-place")
    assert page.text_content("#viewer-text") == Path(metadata["file"]).read_text().strip()
    assert page.text_content("#viewer-text mark") == hit["text"]
    assert page.locator("#viewer-text mark").is_visible()
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="hidden")
    focused = page.evaluate("document.activeElement.closest('li')?.dataset.key")
    assert focused == hit["document"]["id"], "the focus is where it was"


def test_all_of_it_works_by_keyboard(served: Served, pages: Pages) -> None:
    page = pages.open(f"{served.url}/")
    page.wait_for_selector("#welcome:not([hidden])")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("/")
    page.keyboard.type("How is vaccine kept cold?")
    page.keyboard.press("Enter")
    wait_for_results(page, 5)
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('#after button.source')"):
            break
        assert page.evaluate(
            "(box => box.width > 0 && getComputedStyle(document.activeElement.matches('.modes input') ? "
            "document.activeElement.nextElementSibling : document.activeElement).outlineStyle !== 'none')"
            "(document.activeElement.getBoundingClientRect())"
        ), "what has the focus is seen"
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.closest('li').dataset.key") == shown(page)[1]
    assert page.locator("#before li.chosen, path.chosen, #after li.chosen").count() == 3
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog[open]")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="hidden")


def test_pasted_passages_are_reranked(served: Served, pages: Pages) -> None:
    page = pages.open(f"{served.url}/")
    page.check("input[value=paste]", force=True)
    page.fill("#passages", "A tide table.\nBakers bake bread.\n\n")
    page.fill("#query", "Who bakes bread?")
    page.keyboard.press("Enter")
    wait_for_results(page, 2)
    assert shown(page) == ["1", "0"]
    assert page.locator("path.line.up, path.line.down").count() == 2
    assert page.inner_text("#before-heading") == "As pasted"
    assert "Bakers bake bread." in page.inner_text("#after > li:first-child")
    again = pages.open(page.url)
    wait_for_results(again, 2)
    assert shown(again) == ["1", "0"]
    page.click("#copy-python")
    copied = page.evaluate("navigator.clipboard.readText()")
    run = subprocess.run(
        [sys.executable, "-c", copied], capture_output=True, text=True, timeout=60, check=True,
        env={**os.environ, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"},
    )  # fmt: skip
    assert run.stdout.splitlines()[0].endswith("Bakers bake bread.")
    # Of several lines, with a blank line between them.
    page.fill("#passages", "A tide\ntable.\n\nBakers\nbake bread.\n\n\nBees.")
    page.keyboard.press("Tab")
    page.click("#submit")
    wait_for_results(page, 3)
    page.fill("#passages", " \n ")
    page.click("#submit")
    page.wait_for_selector("text=Paste at least one passage.")


def test_an_empty_index_shows_how_to_fill_it_and_is_searched_once_it_is(
    pages: Pages, folder: Path, tmp_path: Path
) -> None:
    with serving("--index", str(tmp_path / "index")) as running:
        pages.expected.append("ERR_CONNECTION")  # the page asks again and again for the index
        page = pages.open(f"{running.url}/")
        page.wait_for_selector("text=The index is empty")
        assert f"crossrank index add {tmp_path / 'index'} notes/ report.pdf" in page.inner_text("#welcome")
        shutil.copytree(folder / "index", tmp_path / "index")
        page.wait_for_selector("text=Ask your files")
        assert "14 files · 124 passages" in page.inner_text("#about")
        page.fill("#query", QUESTION)
        page.keyboard.press("Enter")
        wait_for_results(page, 5)
    with serving() as running:
        page = pages.open(f"{running.url}/")
        page.wait_for_selector("text=There is no index yet")
        assert "crossrank serve --index my-index" in page.inner_text("#welcome")


def test_a_damaged_index_is_told_of(pages: Pages, tmp_path: Path, folder: Path) -> None:
    shutil.copytree(folder / "index", tmp_path / "index")
    (tmp_path / "index" / "index.sqlite").write_bytes(b"x" * 10_000)
    with serving("--index", str(tmp_path / "index")) as running:
        page = pages.open(f"{running.url}/")
        page.wait_for_selector("text=The index cannot be searched")
        assert "damaged" in page.inner_text("#welcome")
        pages.expected.append("ERR_CONNECTION")


def test_nothing_of_a_document_or_a_question_is_html(pages: Pages, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    text = f"{HOSTILE} about potatoes. " * 3
    name = "<img src=x onerror=hacked=1>.md"
    (tmp_path / "notes" / name).write_text(f"---\ntitle: '{HOSTILE}'\n---\n{text}")
    fields = dict.fromkeys(("title", "page", "line", "id"), HOSTILE)
    record = {"text": f"potatoes {HOSTILE}", **fields}
    (tmp_path / "notes" / "b.jsonl").write_text(json.dumps(record))
    Index(tmp_path / "index").add([tmp_path / "notes"])
    with serving("--index", str(tmp_path / "index")) as running:
        elements = "document.querySelectorAll('main *, dialog *').length"
        view = urlencode({"q": f"potatoes {HOSTILE}", "filter": f"x!=a{HOSTILE}"})
        page = pages.open(f"{running.url}/#{view}")
        page.wait_for_selector("#after > li")
        expect(page.locator("#after mark")).to_have_count(page.locator("#after > li").count())
        before = page.evaluate(elements)
        for number in range(page.locator("#after button.source").count()):
            page.locator("#after button.source").nth(number).click()
            page.wait_for_selector("dialog[open]")
            assert "<img src=x" in page.inner_text("#viewer-text")
            assert page.locator("#viewer-text > *").count() == 1, "the mark alone"
            page.keyboard.press("Escape")
        assert page.locator("main img, main script, main a, dialog img, dialog script").count() == 0
        assert page.evaluate("window.hacked") is None
        assert page.evaluate(elements) <= before + 1
        # An error shows what was sent.
        page.fill("#filter", HOSTILE)
        page.keyboard.press("Enter")
        page.wait_for_selector("#error:not([hidden])")
        assert "<img" in page.inner_text("#error")
        assert page.locator("#error *").count() == 0
        pages.expected.append("400")


def test_a_script_that_was_slipped_in_does_not_run(served: Served, pages: Pages) -> None:
    page = pages.open(f"{served.url}/")
    refused = page.evaluate(
        "() => { try { document.body.innerHTML = '<b>x</b>'; return false; } catch { return true; } }"
    )
    assert refused, "the policy keeps texts from becoming HTML"
    page.evaluate("() => { const s = document.createElement('script'); document.body.append(s); "
                  "try { s.textContent = 'window.hacked=1'; } catch {} }")  # fmt: skip
    page.evaluate("() => { const i = new Image(); i.src = 'https://example.org/'; document.body.append(i); }")
    page.wait_for_timeout(200)
    assert page.evaluate("window.hacked") is None
    assert any("Content Security Policy" in problem for problem in pages.problems)
    pages.expected.append("")


def test_headers_keep_the_page_to_itself(served: Served) -> None:
    import urllib.request

    for path in ("/", "/page/page.js", "/page/page.css"):
        with urllib.request.urlopen(f"{served.url}{path}") as answer:
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert "frame-ancestors 'none'" in policy
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            tag = answer.headers["ETag"]
        assert call(f"{served.url}{path}", headers={"If-None-Match": tag})[0] == 304
    for name in ("", "__init__.py", "../app.py", "..%2fapp.py", "%2e%2e/app.py"):
        path = f"/page/{name}"
        assert call(f"{served.url}{path}")[0] == 404


def test_a_server_with_a_key_asks_for_it(pages: Pages, folder: Path) -> None:
    environment = {"CROSSRANK_API_KEY": "a-secret-key"}
    with serving("--index", str(folder / "index"), environment=environment) as running:
        page = pages.open(f"{running.url}/")
        page.wait_for_selector("#key-option:not([hidden])")
        page.fill("#query", QUESTION)
        page.fill("#key", "a-secret-key")
        page.keyboard.press("Enter")
        wait_for_results(page, 5)
        assert page.is_hidden("#key-option")
        assert page.is_hidden("#error")
        page.click("#after > li:first-child button.source")
        page.wait_for_selector("dialog[open]")
        page.keyboard.press("Escape")
        page.click("#copy-curl")
        copied = page.evaluate("navigator.clipboard.readText()")
        assert "$CROSSRANK_API_KEY" in copied
        assert "a-secret-key" not in copied
        run = subprocess.run(
            ["bash", "-c", copied], capture_output=True, text=True, timeout=60, check=True,
            env={**os.environ, **environment, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"},
        )  # fmt: skip
        assert [hit["document"]["id"] for hit in json.loads(run.stdout)["hits"]] == shown(page)
        page.fill("#query", "Another question")
        page.evaluate("sessionStorage.clear()")
        page.click("#submit")
        page.wait_for_selector("#error:not([hidden])")
        assert "key" in page.inner_text("#error")
    pages.expected.append("401")


def test_a_server_that_has_ended_is_told_of(pages: Pages, folder: Path) -> None:
    with serving("--index", str(folder / "index")) as running:
        page = pages.open(link(running))
        wait_for_results(page, 5)
        running.stop()
        page.click("#submit")
        page.wait_for_selector("text=The server does not answer")
    pages.expected.append("ERR_")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
def test_axe_finds_no_violation(viewport: dict[str, int], scheme: str, served: Served, pages: Pages) -> None:
    assert AXE.is_file(), "axe-core is fetched by make test-page"
    options = {"viewport": viewport, "color_scheme": scheme, "bypass_csp": True}

    def check(page: Any, what: str) -> None:
        page.evaluate(AXE.read_text())
        result = page.evaluate(
            "axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', "
            "'best-practice']})"
        )
        found = [(one["id"], [node["html"][:120] for node in one["nodes"]]) for one in result["violations"]]
        assert found == [], what

    page = pages.open(f"{served.url}/", **options)
    page.wait_for_selector("#welcome:not([hidden])")
    check(page, "before a question")
    page.check("input[value=paste]", force=True)
    check(page, "with room for passages")
    page = pages.open(link(served), **options)
    wait_for_results(page, 5)
    check(page, "results")
    page.locator("summary").first.click()
    page.locator("#after > li").nth(2).hover()
    check(page, "an explanation, and an emphasised line")
    page.locator("#after button.source").first.click()
    page.wait_for_selector("dialog[open]")
    check(page, "a file")
    page.keyboard.press("Escape")
    page.fill("#filter", "nonsense")
    page.keyboard.press("Enter")
    page.wait_for_selector("#error:not([hidden])")
    check(page, "an error")
    pages.expected.append("400")


def test_on_a_phone_nothing_is_wider_than_the_screen(served: Served, pages: Pages) -> None:
    for width in (320, 390):
        page = pages.open(link(served), viewport={"width": width, "height": 700}, has_touch=True)
        wait_for_results(page, 5)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("path.line").count() == 5
        page.locator("#after button.source").first.click()
        page.wait_for_selector("dialog[open]")
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_pictures_for_the_documentation(served: Served, pages: Pages, tmp_path: Path) -> None:
    found(served, query=PICTURED, top_n=None)  # its times would be those of a first search
    for name, options in {
        "page-light": {"viewport": WIDE, "color_scheme": "light"},
        "page-dark": {"viewport": WIDE, "color_scheme": "dark"},
        "page-phone": {"viewport": PHONE, "color_scheme": "light"},
    }.items():
        page = pages.open(link(served, PICTURED), **options)
        expect(page.locator("#after mark")).to_have_count(5)
        page.evaluate("document.activeElement.blur()")
        # Nothing in them is of the machine that they are made on, such as a full path.
        picture = Path(PICTURES or tmp_path, f"{name}.png")
        page.screenshot(path=picture, animations="disabled")
        assert 10_000 < picture.stat().st_size < 200_000


def test_the_address_of_a_passage_is_encoded(served: Served, folder: Path) -> None:
    passage = quote(f"{(folder / 'notes' / 'potatoes.txt').resolve()}#1", safe="")
    assert json.loads(call(f"{served.url}/passages/{passage}")[1])["text"] == "Growing potatoes"
