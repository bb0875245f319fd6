"""Checks the built site: every link leads somewhere, and no page loads anything from elsewhere.

python docs/site/check.py build/site

MkDocs checks the links of Markdown; this reads the HTML, with what the theme and the API pages add.
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# Attributes that make a browser fetch something when it shows the page.
LOADING = {("script", "src"), ("img", "src"), ("link", "href"), ("iframe", "src"), ("source", "src")}
# Links of `link` elements that only say something.
SAYING = {"canonical", "alternate", "prev", "next"}


class Page(HTMLParser):
    """The anchors of a page, what it links to, and what it loads."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: set[str] = set()
        self.loads: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what an element links to or loads."""
        values = {name: value for name, value in attrs if value}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        for name in ("href", "src"):
            if name not in values or values.get("rel") in SAYING:
                continue
            (self.loads if (tag, name) in LOADING else self.links).add(values[name])


def problems(site: Path) -> list[str]:
    """What is wrong with the site, a line each."""
    pages = {path.resolve(): Page(path) for path in site.rglob("*.html") if path.name != "404.html"}
    found = []
    for path, page in pages.items():
        name = path.relative_to(site.resolve())
        found += [f"{name} loads {url} from elsewhere" for url in page.loads if urlsplit(url).netloc]
        for url in page.links | page.loads:
            parts = urlsplit(url)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            if not target.exists():
                found.append(f"{name} links to {url}, which does not exist")
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
                found.append(f"{name} links to {url}, which has no such heading")
    for style in site.rglob("*.css"):
        if "url(http" in style.read_text(encoding="utf-8") or "@import" in style.read_text(encoding="utf-8"):
            found.append(f"{style.relative_to(site)} loads something from elsewhere")
    return sorted(found)


if __name__ == "__main__":
    site = Path(sys.argv[1])
    if not (site / "index.html").exists():
        sys.exit(f"there is no site in {site}; build it with make docs")
    if found := problems(site):
        sys.exit("\n".join(found))
    print(f"{len(list(site.rglob('*.html')))} pages: links are sound, and nothing is loaded from elsewhere")
