"""Reading a page back."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

VOID = {"meta", "link", "img", "input", "br", "line", "polyline", "path"}


class Page(HTMLParser):
    """A page's elements and text; refuses one whose elements are not closed in order."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, {key: value or "" for key, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, {key: value or "" for key, value in attrs}))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        """Attributes of all elements of a kind."""
        return [attributes for name, attributes in self.elements if name == tag]

    def check(self, folder: Path) -> None:
        """Nothing is loaded, every link leads somewhere, every control and picture has a name."""
        ids = [attributes["id"] for _, attributes in self.elements if "id" in attributes]
        assert len(ids) == len(set(ids))
        for _, attributes in self.elements:
            assert not [key for key in attributes if key.startswith("on")]
            assert attributes.get("src", "data:").startswith("data:")
            assert attributes.get("aria-labelledby", ids[0]) in ids
        for attributes in self.all("a"):
            file, _, place = attributes["href"].partition("#")
            assert not re.match("[a-z]+:|/", file)
            if file and not re.fullmatch(r"sub-\w+\.html", file):
                assert (folder / file).exists(), file
            elif not file:
                assert place in ids
        assert all("alt" in image for image in self.all("img"))
        assert [script for script in self.all("script") if script.get("type", "") != "application/json"] == [{}]
        assert self.all("html") == [{"lang": "en"}]
