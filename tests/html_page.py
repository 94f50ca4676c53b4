"""What an HTML page says and what it is made of, for the tests that read pages without a browser."""

from __future__ import annotations

from html.parser import HTMLParser


class HtmlPage(HTMLParser):
    """A page that was read.

    Attributes:
        tags: Names of all elements, in their order.
        attributes: Names and values of all attributes, in their order.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self._texts: list[str] = []
        self._silent = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag in ("script", "style"):
            self._silent = tag

    def handle_endtag(self, tag: str) -> None:
        if tag == self._silent:
            self._silent = ""

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self._texts.append(data)

    def values(self, *names: str) -> list[str]:
        """Return the values, where they are not empty, of the attributes of these names."""
        return [value for name, value in self.attributes if name in names and value]

    @property
    def ids(self) -> list[str]:
        """The anchors of the page."""
        return self.values("id")

    @property
    def text(self) -> str:
        """What a person reads, with single spaces; scripts and styles are left out."""
        return " ".join(" ".join(self._texts).split())
