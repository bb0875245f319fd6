"""The built site in a real browser, at the width of a desk and of a phone, in light and in dark colours."""

from __future__ import annotations

import functools
import http.server
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.browser
SITE = Path(__file__).parents[2] / "build" / "site"
# Screenshots are written here, if it is named.
PICTURES = os.environ.get("CROSSRANK_PICTURES_OF_SITE")
PAGES = ["index.html", "tutorial.html", "concepts.html", "scores.html", "api/index.html", "comparison.html"]
SIZES = {"desk": {"width": 1280, "height": 900}, "phone": {"width": 390, "height": 844}}


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    assert (SITE / "index.html").exists(), "run make docs"
    handler = functools.partial(Quiet, directory=str(SITE))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_pages_fit_their_window_and_load_nothing_from_elsewhere(
    browser: Any, address: str, size: str, scheme: str
) -> None:
    page = browser.new_page(viewport=SIZES[size], color_scheme=scheme)
    asked: list[str] = []
    problems: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: message.type == "error" and problems.append(message.text))
    for name in PAGES:
        page.goto(f"{address}/{name}")
        page.wait_for_load_state("networkidle")
        assert page.evaluate("document.body.dataset.mdColorScheme") == {"light": "default"}.get(
            scheme, "slate"
        )
        assert page.evaluate("document.documentElement.scrollWidth") <= SIZES[size]["width"], name
        broken = "[...document.images].filter(image => image.loading != 'lazy' && !image.naturalWidth).length"
        assert page.evaluate(broken) == 0, name
        if PICTURES:
            page.screenshot(path=Path(PICTURES, f"{name.replace('/', '-')[:-5]}-{size}-{scheme}.png"))
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []
    assert problems == []
    page.close()


def test_the_search_finds_a_page(browser: Any, address: str) -> None:
    page = browser.new_page(viewport=SIZES["desk"])
    page.goto(f"{address}/index.html")
    page.keyboard.press("/")
    page.keyboard.type("truncated tokens")
    page.wait_for_selector(".md-search-result__item")
    links = page.eval_on_selector_all(".md-search-result__link", "links => links.map(link => link.href)")
    assert any("scores.html" in link or "long-documents.html" in link for link in links)
    page.close()
