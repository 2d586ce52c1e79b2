"""Know pages that would hold the HTML parser for minutes, before it is asked.

The parser takes time linear in the size of a page, but quadratic in how deep its elements are
within each other.
"""

import re
from collections import Counter

_MAX_BYTES = 10_000_000
_MAX_TAGS = 300_000
"""Beyond these the tree costs gigabytes."""
_MAX_DEPTH = 5_000
"""Elements within elements: takes a fifth of a second; ten times as many take more than six."""

_TAG = re.compile(rb"<(/?)([a-zA-Z][^\s/>]{0,30})")
_NEVER_DEEP = frozenset(
    b"area base br col embed hr img input link meta param source track wbr "
    b"body caption colgroup dd dt head html li optgroup option p rp rt tbody td tfoot th thead "
    b"tr".split()
)
"""Tags without an end, and those that the next one of their kind ends."""


def is_too_much_to_parse(markup: bytes) -> bool:
    """Whether a page is too large or too deep for the parser.

    Takes linear time, and next to none for ordinary pages. What is made to be overlooked here is
    left to the limits of the process that reads it.
    """
    if len(markup) > _MAX_BYTES:
        return True
    tags = markup.count(b"<")
    return tags > _MAX_TAGS or (tags > _MAX_DEPTH and _is_too_deep(markup, tags))


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
