"""Which addresses the model can know: those that it was shown."""

from collections.abc import Mapping
from typing import cast

from agent_client.agent.page_address import address_at, addresses_in, page_key, trimmed

_MAX_META_VALUES = 10_000
_MAX_SCHEME_CHARS = 10
"""With what stands behind it."""


class SeenUrls:
    """The addresses in the question, in the history and in every tool result of one run.

    Texts are kept by reference. An address that a model copied is found by looking for it as it
    stands; only for one that is not found so are all addresses read, of each text once.
    """

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._shown: dict[str, str] = {}
        """How the address of a page was shown first, by the page's key."""
        self._scanned = 0

    def add_text(self, text: str) -> None:
        """Take in a text that the model was shown."""
        self._texts.append(text)

    def add_meta(self, meta: Mapping[str, object]) -> None:
        """Take in what a tool told about its result beside the text, such as final addresses."""
        left = _MAX_META_VALUES
        waiting: list[object] = [meta]
        while waiting and left:
            left -= 1
            value = waiting.pop()
            if isinstance(value, Mapping):
                waiting.extend(cast(Mapping[object, object], value).values())
            elif isinstance(value, list | tuple):
                waiting.extend(cast(list[object], value))
            elif isinstance(value, str) and "://" in value[:_MAX_SCHEME_CHARS]:
                self._shown.setdefault(page_key(value), value)

    def __contains__(self, url: str) -> bool:
        """Whether the page of this address was named in any of the texts."""
        key = page_key(url)
        if key in self._shown:
            return True
        if self._stands_as_it_is(url):
            self._shown[key] = url
            return True
        while self._scanned < len(self._texts):
            for shown in addresses_in(self._texts[self._scanned]):
                self._shown.setdefault(page_key(shown), shown)
            self._scanned += 1
        return key in self._shown

    def as_shown(self, url: str) -> str:
        """A known address as it was shown, whatever spelling of it a model has chosen.

        A page has many spellings: codes instead of letters, slashes at the end, the other scheme.
        What chooses among them can tell a site something. The fragment is the model's own: it is
        not sent.

        Raises:
            KeyError: the address is not known.
        """
        if url not in self:
            raise KeyError(url)
        if self._stands_as_it_is(url):
            return url
        shown, _, _ = self._shown[page_key(url)].partition("#")
        _, mark, fragment = url.partition("#")
        return f"{shown}{mark}{fragment}"

    def _stands_as_it_is(self, url: str) -> bool:
        # Without a scheme it could be the end of another address: of another host.
        if "://" not in url[:_MAX_SCHEME_CHARS] or trimmed(url) != url:
            return False
        for text in reversed(self._texts):
            at = text.find(url)
            while at >= 0:
                if address_at(text, at) == url:
                    return True
                at = text.find(url, at + len(url))
        return False
