"""How often texts are decoded right, by their label and without one, and at what cost.

    python tests/bench/charsets.py FOLDER

FOLDER holds one folder per charset (`windows-1250-polish`, `EUC-JP`, …) with files in it. A file
counts as right when its whole text is what its charset's codec gives. "Without" blanks the labels
inside the file as well.
"""

import argparse
import re
import time
from collections.abc import Callable
from pathlib import Path

from mcp_server.visit.charset import charset_of, codec_of_label

LABEL_OF_FOLDER = re.compile(r"^(iso-8859-\d+|windows-\d+)-.*")
INNER_LABEL = re.compile(rb"(?:encoding|charset)=[\"']?[\w-]+[\"']?")


def unlabelled(body: bytes) -> bytes:
    """The body without what it says of its own charset."""
    return INNER_LABEL.sub(b"", body[:5_000]) + body[5_000:]


def measure(name: str, files: list[tuple[str, bytes]], guess: Callable[[str, bytes], str]) -> None:
    """Print one line of the table."""
    wrong: list[str] = []
    started = time.process_time()
    charsets = [guess(label, body) for label, body in files]
    spent = time.process_time() - started
    for (label, body), charset in zip(files, charsets, strict=True):
        if body.decode(charset, "replace") != body.decode(codec_of_label(label), "replace"):
            wrong.append(f"{label}->{charset}")
    share = 1 - len(wrong) / len(files)
    print(f"{name:12} {share:.3f} of {len(files)}  {spent / len(files) * 1000:.2f} CPU-ms", *wrong)


def main() -> None:
    """Measure all files of a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    paths = sorted(path for path in parser.parse_args().folder.glob("*/*") if path.is_file())
    files = [(LABEL_OF_FOLDER.sub(r"\1", path.parent.name), path.read_bytes()) for path in paths]
    bare = [(label, body if b"\x00" in body[:99] else unlabelled(body)) for label, body in files]
    charset_of(b"\xe9t\xe9")  # the detector's tables
    measure("by label", files, lambda label, body: charset_of(body, label=label, is_html=True))
    measure("without", bare, lambda _, body: charset_of(body, is_html=True))
    measure("as utf-8", bare, lambda _, body: charset_of(body, label="utf-8", is_html=True))


if __name__ == "__main__":
    main()
