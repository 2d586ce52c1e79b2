"""Make a large corpus from Debian's documentation packages, to measure an index with.

    apt-get install --no-install-recommends python3-doc postgresql-doc linux-doc \
        cppreference-doc-en-html rust-doc debian-handbook git-doc apache2-doc erlang-doc octave-doc
    python tests/bench/debian_corpus.py OUT.jsonl [--also OTHER.jsonl.gz] [--whole]

Each HTML page below `/usr/share/doc` is cut into passages of 150 words, and each package of apt's
lists gives one record; `--also` puts another corpus before them. With `--whole` pages are not cut.
Figures depend on the packages and their versions: give both sizes beside them.
"""

import argparse
import gzip
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

from selectolax.lexbor import LexborHTMLParser

DOCUMENTATION = Path("/usr/share/doc")
PASSAGE_WORDS = 150
MAX_PAGE_BYTES = 5_000_000
NOT_TEXT = ["script", "style", "nav", "header", "footer"]

Row = dict[str, str]


def pages(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Path, title and text of each HTML page, once where links lead to it twice."""
    seen: set[Path] = set()
    for path in sorted(folder.rglob("*.html")):
        real = path.resolve()
        if real in seen or not real.is_file() or real.stat().st_size > MAX_PAGE_BYTES:
            continue
        seen.add(real)
        tree = LexborHTMLParser(real.read_bytes())
        heading = tree.css_first("title")
        title = " ".join(heading.text().split()) if heading else path.stem
        tree.strip_tags(NOT_TEXT)
        body = tree.body
        if body is not None:
            yield path.relative_to(folder).as_posix(), title[:300], body.text(separator="\n")


def cut(key: str, title: str, text: str) -> Iterator[Row]:
    """A page in passages of `PASSAGE_WORDS` words."""
    words = text.split()
    for number, start in enumerate(range(0, len(words), PASSAGE_WORDS)):
        passage = " ".join(words[start : start + PASSAGE_WORDS])
        yield {"_id": f"{key}#{number}", "title": title, "text": passage}


def packages() -> Iterator[Row]:
    """One record per package that apt knows: its name, its summary, its description."""
    told = subprocess.run(["apt-cache", "dumpavail"], check=True, capture_output=True, text=True)
    for block in told.stdout.split("\n\n"):
        fields = dict(
            line.split(": ", 1) for line in block.splitlines() if ": " in line and line[0] != " "
        )
        name, summary = fields.get("Package"), fields.get("Description")
        if name and summary:
            parts = [summary, fields.get("Section", ""), fields.get("Depends", "")]
            yield {"_id": f"package/{name}", "title": name, "text": "\n".join(filter(None, parts))}


def copy_of(path: Path) -> Iterator[Row]:
    """The rows of a JSON Lines file."""
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as lines:
        for line in lines:
            yield json.loads(line)


def rows(options: argparse.Namespace) -> Iterator[Row]:
    """All documents of the corpus."""
    if options.also:
        yield from copy_of(options.also)
    for key, title, text in pages(DOCUMENTATION):
        if options.whole:
            yield {"_id": key, "title": title, "text": text}
        else:
            yield from cut(key, title, text)
    yield from packages()


def main() -> None:
    """Write the corpus and say how large it is."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--also", type=Path)
    parser.add_argument("--whole", action="store_true")
    options = parser.parse_args()
    count = size = 0
    seen: set[str] = set()
    with options.out.open("w", encoding="utf-8") as file:
        for row in rows(options):
            if row["_id"] not in seen and row["text"].strip():
                seen.add(row["_id"])
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
                count += 1
                size += len(row["title"].encode()) + len(row["text"].encode())
    print(f"{count:,} documents, {size / 1e6:.1f} MB of titles and texts in {options.out}")


if __name__ == "__main__":
    main()
