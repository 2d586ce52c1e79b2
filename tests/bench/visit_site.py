"""A site on this machine for measuring visits: made pages of three sizes, real ones of a folder.

    python -m tests.bench.visit_site [FOLDER]     # prints its origins, serves until stdin closes

`/SIZE/NUMBER` is a made page of about SIZE KB, told from its sisters by the number in its title and
its first sentence; `/real/ROUND/NUMBER` is a page of FOLDER (`*.html.gz`), the same in every round.
The site has several addresses of 127.0.0.0/8, as pages that are visited at once seldom share one.
"""

import gzip
import json
import random
import re
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, cast

import anyio
from anyio.abc import SocketAttribute, SocketStream

SIZES_KB = (17, 67, 460)
HOSTS = tuple(f"127.0.0.{last}" for last in range(1, 17))
MAX_REAL = 300
_MAX_REQUEST_BYTES = 16_384
_NUMBER = "@NUMBER@"
_ROOT = Path(__file__).resolve().parents[2]
_PATH = re.compile(rb"GET /(\w{1,8})/(\d{1,9})(?:/(\d{1,9}))? ")
_WORDS = (
    "river harbour stone survey council the of and a to in winter grain bridge market engineer "
    "valley record lantern between road under settlement with measured from water century along "
    "timber for archive it station was eastern which lowland their signal an before after letter "
    "by map at guild on coast as were mill parish through ferry report is that copper".split()
)


def mark(number: int) -> str:
    """What a text has if it holds the main part of the made page of this number."""
    return f"survey of the year {number:08d}"


def made_page(size_kb: int) -> str:
    """A page as the web has them, the same each time; `@NUMBER@` stands for eight digits.

    It has scripts and styles in its head, navigation, an article with headings, paragraphs, links,
    lists, tables and code, a column of teasers, and a footer.

    Args:
        size_kb: about how long it is in UTF-8, in units of 1,000 bytes; at least 10.
    """
    chance = random.Random(size_kb)
    around = max(1, min(12, size_kb // 12))
    head, foot = _head(chance, around), _foot(chance, around)
    parts: list[str] = []
    left = size_kb * 1_000 - len(head) - len(foot)
    while left > 1_000:  # half a part
        parts.append(_part(chance, len(parts) + 1))
        left -= len(parts[-1])
    return "".join((head, *parts, foot))


def _sentence(chance: random.Random, words: int) -> str:
    return " ".join(chance.choices(_WORDS, k=words)).capitalize() + "."


def _link(chance: random.Random) -> str:
    words = chance.choices(_WORDS, k=2)
    return f'<a class="link" href="/topic/{"-".join(words)}?ref=nav">{" ".join(words).title()}</a>'


def _links(chance: random.Random, count: int, name: str) -> str:
    items = (f'<li class="{name}-item">{_link(chance)}</li>' for _ in range(count))
    return f'<ul class="{name}">\n' + "\n".join(items) + "\n</ul>\n"


def _head(chance: random.Random, around: int) -> str:
    rules = (f".c{n}{{margin:{n}px;color:#{chance.randrange(4096):03x}}}" for n in range(30))
    numbers = [chance.randrange(1_000) for _ in range(150)]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f"<title>Survey {_NUMBER} | The Valley Record</title>\n"
        '<meta name="description" content="A record of the valley.">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<style>{''.join(rules)}</style>\n"
        f"<script>window.state = {json.dumps(numbers)};</script>\n</head>\n<body>\n"
        '<div class="banner" role="dialog"><p>We use cookies.</p><button>Accept</button></div>\n'
        f'<header><nav aria-label="Main">{_links(chance, 4 + 2 * around, "menu")}</nav></header>\n'
        f'<main><article class="post"><h1>Survey {_NUMBER}</h1>\n'
        '<p class="byline">By Ada Marsh, <time datetime="2026-03-04">4 March 2026</time></p>\n'
        f"<p>This is the survey of the year {_NUMBER}. {_sentence(chance, 40)}</p>\n"
    )


def _part(chance: random.Random, number: int) -> str:
    paragraphs = "".join(
        f"<p>{_sentence(chance, 30)} <em>{_sentence(chance, 6)}</em> {_sentence(chance, 22)} "
        f"{_link(chance)}, {_sentence(chance, 25)}</p>\n"
        for _ in range(3)
    )
    more = (_list, _table, _code)[number % 3](chance)
    figure = (
        f'<figure><img src="/images/{number}.jpg" alt="Plate {number}" loading="lazy">'
        f"<figcaption>{_sentence(chance, 8)}</figcaption></figure>\n"
    )
    return (
        f'<section class="c{number % 30}"><h2 id="part-{number}">Part {number}</h2>\n'
        f"{paragraphs}{more}{figure if number % 2 else ''}</section>\n"
    )


def _list(chance: random.Random) -> str:
    items = "".join(f"<li>{_sentence(chance, 12)}</li>\n" for _ in range(6))
    return f"<ul>\n{items}</ul>\n"


def _table(chance: random.Random) -> str:
    rows = "".join(
        f"<tr><td>{1900 + n}</td><td>{' '.join(chance.choices(_WORDS, k=2))}</td>"
        f"<td>{chance.randrange(10_000):,}</td><td>{chance.random():.3f}</td></tr>\n"
        for n in range(8)
    )
    head = "<tr><th>Year</th><th>Place</th><th>Depth</th><th>Share</th></tr>"
    return f"<table><thead>{head}</thead><tbody>\n{rows}</tbody></table>\n"


def _code(chance: random.Random) -> str:
    lines = "\n".join(f"depth[{n}] = measure({chance.choice(_WORDS)!r}, {n})" for n in range(6))
    return f"<p>It was read with <code>measure</code>:</p><pre><code>{lines}</code></pre>\n"


def _foot(chance: random.Random, around: int) -> str:
    teasers = "".join(
        f'<div class="card"><h3>{_link(chance)}</h3><p>{_sentence(chance, 14)}</p>'
        '<span class="tag">News</span></div>\n'
        for _ in range(2 * around)
    )
    return (
        f'</article>\n<aside class="sidebar"><h2>Read more</h2>{teasers}</aside></main>\n'
        f"<footer>{_links(chance, 6 + 2 * around, 'foot')}"
        "<p>© 2026 The Valley Record</p></footer>\n"
        "</body></html>\n"
    )


class Pages:
    """What the site serves."""

    def __init__(self, real: Path | None) -> None:
        self._made = {str(size): made_page(size) for size in SIZES_KB}
        files = sorted(real.glob("*.html.gz")) if real else []
        # Evenly from the folder, which is ordered by where the pages come from.
        picked = [files[n * len(files) // MAX_REAL] for n in range(MAX_REAL)] if files else []
        self._real = [gzip.decompress(file.read_bytes()) for file in dict.fromkeys(picked)]

    def body(self, request: bytes) -> bytes | None:
        """The page that a request asks for, if there is one."""
        asked = _PATH.match(request)
        if asked is None:
            return None
        folder, first = asked[1].decode(), int(asked[2])
        if folder == "real" and asked[3] and int(asked[3]) < len(self._real):
            return self._real[int(asked[3])]
        made = self._made.get(folder)
        return made.replace(_NUMBER, f"{first:08d}").encode() if made else None

    @property
    def real_count(self) -> int:
        """How many real pages there are."""
        return len(self._real)


async def _answer(pages: Pages, stream: SocketStream) -> None:
    waiting = b""
    async with stream:
        try:
            while True:
                while b"\r\n\r\n" not in waiting and len(waiting) < _MAX_REQUEST_BYTES:
                    waiting += await stream.receive()
                request, _, waiting = waiting.partition(b"\r\n\r\n")
                body = pages.body(request)
                status = "200 OK" if body else "404 Not Found"
                charset = "" if request.startswith(b"GET /real/") else "; charset=utf-8"
                head = (
                    f"HTTP/1.1 {status}\r\nContent-Type: text/html{charset}\r\n"
                    f"Content-Length: {len(body or b'')}\r\n\r\n"
                )
                await stream.send(head.encode() + (body or b""))
        except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            return


async def _serve(pages: Pages) -> None:
    async with anyio.create_task_group() as tasks:
        origins: list[str] = []
        for host in HOSTS:
            listener = await anyio.create_tcp_listener(local_host=host)
            port = listener.extra(SocketAttribute.local_port)
            origins.append(f"http://{host}:{port}")
            tasks.start_soon(listener.serve, partial(_answer, pages))
        print(json.dumps({"origins": origins, "real": pages.real_count}), flush=True)
        await anyio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)
        tasks.cancel_scope.cancel()


@dataclass(frozen=True, slots=True)
class Site:
    """The site, as those who ask it see it."""

    origins: tuple[str, ...]
    """One for each of `HOSTS`."""
    real_count: int
    """How many real pages it has."""

    def made(self, size_kb: int, number: int) -> str:
        """The URL of a made page; neighbours are on different hosts."""
        return f"{self.origins[number % len(self.origins)]}/{size_kb}/{number}"

    def real(self, turn: int, number: int) -> str:
        """The URL of a real page, another one in each turn."""
        return f"{self.origins[number % len(self.origins)]}/real/{turn}/{number}"


@contextmanager
def running_site(real: Path | None = None) -> Generator[Site]:
    """The site in a process of its own, so that what it takes is not counted as a visitor's."""
    command = [sys.executable, "-m", "tests.bench.visit_site", *([str(real)] if real else [])]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=_ROOT
    ) as process:
        try:
            told = json.loads(cast(IO[bytes], process.stdout).readline())
            yield Site(tuple(told["origins"]), told["real"])
        finally:
            process.terminate()


if __name__ == "__main__":
    anyio.run(_serve, Pages(Path(sys.argv[1]) if sys.argv[1:] else None))
