"""Know pages that would hold the HTML parser for minutes, before it is asked.

The parser takes time linear in the size of a page, but quadratic in how deep its elements are
within each other and in how many attributes one of them has.
"""

import re
from collections import Counter
from collections.abc import Iterator

_MAX_BYTES = 10_000_000
_MAX_TAGS = 300_000
"""Beyond these the tree costs gigabytes."""
_MAX_DEPTH = 5_000
"""Elements within elements: takes a fifth of a second; ten times as many take more than six."""
_MAX_ATTRIBUTES = 5_000
"""Of one element: take a tenth of a second; ten times as many take eleven."""

_STEP_BYTES = 4 * 1024
"""Half of the length from which on a tag is looked into; its attributes take two bytes each."""
_LONG_TAG = re.compile(rb"<[a-zA-Z][^<>]{%d,}" % (2 * _STEP_BYTES))
_QUOTED = re.compile(rb"\"[^\"]*\"|'[^']*'")
_TAG = re.compile(rb"<(/?)([a-zA-Z][^\s/>]{0,30})")
_NEVER_DEEP = frozenset(
    b"area base br col embed hr img input link meta param source track wbr "
    b"body caption colgroup dd dt head html li optgroup option p rp rt tbody td tfoot th thead "
    b"tr".split()
)
"""Tags without an end, and those that the next one of their kind ends."""


def is_too_much_to_parse(markup: bytes) -> bool:
    """Whether a page is too large, too deep or too full of attributes for the parser.

    Takes linear time, and next to none for ordinary pages. What is made to be overlooked here is
    left to the limits of the process that reads it.
    """
    if len(markup) > _MAX_BYTES:
        return True
    tags = markup.count(b"<")
    if tags > _MAX_TAGS or _has_too_many_attributes(markup):
        return True
    return tags > _MAX_DEPTH and _is_too_deep(markup, tags)


def _has_too_many_attributes(markup: bytes) -> bool:
    return any(map(_is_full_of_attributes, _long_tags(markup))) and any(
        _is_full_of_attributes(tag[0]) for tag in _LONG_TAG.finditer(_without_scripts(markup))
    )


def _is_full_of_attributes(tag: bytes) -> bool:
    return len(_QUOTED.sub(b"", tag).split()) > _MAX_ATTRIBUTES


def _long_tags(markup: bytes) -> Iterator[bytes]:
    """All that `_LONG_TAG` finds: looks into those alone that hold a whole step.

    Most long scripts and data are passed over, as a `>` stands before them.
    """
    tag, seen = -1, 0
    for start in range(0, len(markup) - _STEP_BYTES, _STEP_BYTES):
        step = start, start + _STEP_BYTES
        if markup.find(b">", *step) >= 0 or markup.find(b"<", *step) >= 0:
            continue
        last, seen = markup.rfind(b"<", seen, start), start
        if last > tag:
            tag = last
            found = _LONG_TAG.match(markup, tag)
            if found:
                yield found[0]


def _without_scripts(markup: bytes) -> bytes:
    first, *others = markup.split(b"<script")
    return first + b"".join(piece.partition(b"</script")[2] for piece in others)


def _is_too_deep(markup: bytes, tags: int) -> bool:
    if tags - 2 * markup.count(b"</") <= _MAX_DEPTH:
        return False
    unclosed = Counter[bytes]()
    depth = 0
    for end, name in _TAG.findall(markup):
        tag = name.lower()
        if not end and tag not in _NEVER_DEEP:
            unclosed[tag] += 1
            depth += 1
            if depth > _MAX_DEPTH:
                return True
        elif end and unclosed[tag]:
            unclosed[tag] -= 1
            depth -= 1
    return False
