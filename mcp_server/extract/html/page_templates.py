"""Sum up a page as the tree of its templates.

A template is what all elements have in common that stand on one path of tags and class names:
the titles of all cards of a list, the bodies of all posts of a thread, the paragraphs of an
article. Pages are made by programs, so what is true of one such element (content or not) is
nearly always true of its likes, and some ninety templates say what thousands of elements say.
"""

import re
from collections.abc import Iterator
from functools import lru_cache

from selectolax.lexbor import LexborHTMLParser, LexborNode

_MAX_NAME_CHARS = 300
"""Of all names of one element together."""
_MAX_STYLE_CHARS = 2_000

_NAMING = ("id", "role", "itemprop")
"""Attributes, besides `class`, whose values name what an element is."""
_TELLING = frozenset((*_NAMING, "hidden", "style"))

_DIGITS = b"0123456789"
"""Left out of names, as they tell likes apart: `post-12`, `post-13`."""
_UNSEEN_STYLE = re.compile(
    r"display\s{0,9}:\s{0,9}none|visibility\s{0,9}:\s{0,9}hidden"
    r"|font-size\s{0,9}:\s{0,9}0(?:\.0{1,9})?(?![.\d])"
    r"|(?:text-indent|left|top)\s{0,9}:\s{0,9}-\d{4,9}|clip\s{0,9}:\s{0,9}rect\(\s{0,9}0"
)
_TRANSPARENT_STYLE = re.compile(r"opacity\s{0,9}:\s{0,9}0(?:\.0{1,9})?(?![.\d])")

_INLINE_TAGS = (
    "abbr acronym b bdi bdo big cite code data del dfn em font i ins kbd label mark nobr output "
    "q rb rp rt rtc ruby s samp slot small span strike strong sub sup time tt u var wbr math"
)
_CLUTTER_TAGS = (
    "script style template iframe object embed canvas svg audio video map datalist dialog link "
    "meta title head base frameset frame noframes noembed param source track area progress meter"
)
_IGNORED_TAGS = "br hr img picture"
_CONTROL_TAGS = "input select textarea"
_TEXT, _COMMENT = 2, 4


_BLOCK, _INLINE, _LINK, _IGNORED, _CLUTTER, _CONTROL, _STAND_IN, _BUTTON = range(8)
"""What the reader does at an element: only what is up to `_LINK` is entered in any case."""


class Template:
    """All elements on one path of tags and names, and what they hold.

    Attributes:
        tag: Tag name.
        names: Class names, id, role and itemprop of the first element, separated by spaces.
        parent: The template of their parents; None for the body.
        hidden: Whether the elements, or elements around them, say that they are not shown.
        elements: The elements, in document order; none is inside another.
        text_nodes: Text nodes of the elements that are in none of their block-level descendants.
        texts: The text of those, a line feed before each block.
        own_words, own_links, own_blocks: Words in those texts, words in links, and blocks.
        words, link_words, blocks: The same with all descendants.
        controls: Form fields, with all descendants.
        first: Words of the page before the first own text; -1 without any.
    """

    __slots__ = (
        "blocks",
        "controls",
        "elements",
        "first",
        "hidden",
        "link_words",
        "names",
        "own_blocks",
        "own_links",
        "own_words",
        "parent",
        "tag",
        "text_nodes",
        "texts",
        "words",
    )

    def __init__(self, tag: str, names: str, parent: "Template | None", hidden: bool) -> None:
        self.tag = tag
        self.names = names
        self.parent = parent
        self.hidden = hidden
        self.elements: list[LexborNode] = []
        self.text_nodes: list[LexborNode] = []
        self.texts: list[str] = []
        self.own_words = self.own_links = self.own_blocks = 0
        self.words = self.link_words = self.blocks = 0
        self.controls = 0
        self.first = -1

    def begin_block(self, page_words: int) -> None:
        """Begin a block of own text, behind so many words of the page."""
        self.own_blocks += 1
        self.texts.append("\n")
        if self.first < 0:
            self.first = page_words


class PageTemplates:
    """The templates of a page, and what is removed from it in any case.

    Attributes:
        all: In document order of their first elements: parents before their children.
        clutter: Elements without text for a reader, and where they are; none is inside another.
        with_buttons: Templates whose own text has buttons around some of it.

    Args:
        body: The element to read.
        is_shell: Whether the page shows next to nothing but what stands in for its scripts: then
            `noscript` is read like any other element, and so is `nav`, which a page that forgets
            to close it holds all its text in.
    """

    def __init__(self, body: LexborNode, *, is_shell: bool = False) -> None:
        self.clutter: list[tuple[LexborNode, Template]] = []
        self.with_buttons: set[Template] = set()
        self._is_shell = is_shell
        self._by_path: dict[tuple[Template, int, bytes, bool], Template] = {}
        self._path_names: dict[str, bytes] = {}
        root = Template("body", "", None, hidden=False)
        root.elements.append(body)
        self.all = [root]
        self._read(body, root)
        self._total_up()

    def _read(self, body: LexborNode, template: Template) -> None:  # noqa: C901 - calls cost
        """Visit all nodes in document order, without recursion: pages can be 100,000 deep."""
        kinds = _kinds()
        open_elements: list[tuple[Iterator[LexborNode], Template, bool]] = []
        block: Template | None = None
        in_link = False
        page_words = 0
        nodes = body.iter(include_text=True, skip_empty=True)
        while True:
            for node in nodes:
                tag_id = node.tag_id
                if tag_id == _TEXT:
                    text = node.text_content or ""
                    words = len(text.split())
                    if block is not template:
                        block = template
                        template.begin_block(page_words)
                    template.texts.append(text)
                    template.text_nodes.append(node)
                    template.own_words += words
                    if in_link:
                        template.own_links += words
                    page_words += words
                    continue
                kind = kinds.get(tag_id, _BLOCK)
                if kind > _LINK:
                    if kind == _IGNORED:
                        continue
                    kind = self._kind_inside(node, kind, template)
                    if kind > _LINK:
                        continue
                open_elements.append((nodes, template, in_link))
                if kind == _BLOCK:
                    block = None
                    template = self._template_of(node, tag_id, template)
                elif kind == _LINK:
                    in_link = True
                nodes = node.iter(include_text=True, skip_empty=True)
                break
            else:
                if not open_elements:
                    return
                nodes, outer, in_link = open_elements.pop()
                if outer is not template:
                    template = outer
                    block = None

    def _kind_inside(self, node: LexborNode, kind: int, template: Template) -> int:
        """Take note of an element that is no block of text; only some are looked into."""
        if kind == _BUTTON:
            self.with_buttons.add(template)
            return _INLINE
        if kind == _STAND_IN and self._is_shell:
            return _BLOCK
        self.clutter.append((node, template))
        if kind == _CONTROL:
            template.controls += 1
        return kind

    def _template_of(self, node: LexborNode, tag_id: int, parent: Template) -> Template:
        attributes = node.attributes
        names, hidden = "", False
        if attributes:
            names = attributes.get("class") or ""
            if not _TELLING.isdisjoint(attributes):
                for naming in _NAMING:
                    if naming in attributes:
                        names = f"{names} {attributes[naming]}"
                style = attributes.get("style") or ""
                hidden = "hidden" in attributes or _hides(style[:_MAX_STYLE_CHARS])
        path_names = self._path_names.get(names)
        if path_names is None:
            # Many times faster than `str.translate`.
            path_names = names[:_MAX_NAME_CHARS].encode("utf-8", "replace").translate(None, _DIGITS)
            self._path_names[names] = path_names
        key = (parent, tag_id, path_names, hidden)
        template = self._by_path.get(key)
        if template is None:
            template = Template(node.tag or "", names[:_MAX_NAME_CHARS], parent, hidden)
            self._by_path[key] = template
            self.all.append(template)
        template.elements.append(node)
        return template

    def _total_up(self) -> None:
        """Add to each template what its descendants hold, without those that are not shown.

        What hides most of a page is shown by its script; it is no hidden aside.
        """
        page_words = sum([template.own_words for template in self.all])
        for template in reversed(self.all):
            template.words += template.own_words
            if 2 * template.words >= page_words:
                template.hidden = False
            around = None if template.hidden else template.parent
            template.blocks += template.own_blocks
            if template.blocks:
                template.link_words += template.own_links
                if around is not None:
                    around.words += template.words
                    around.link_words += template.link_words
                    around.blocks += template.blocks
            if around is not None:
                around.controls += template.controls
        for template in self.all[1:]:
            if template.parent is not None and template.parent.hidden:
                template.hidden = True


@lru_cache(maxsize=1)
def _kinds() -> dict[int, int]:
    """What to do at which tag, by the parser's numbers, which may change between its versions."""
    maker = LexborHTMLParser("")
    kinds = {_COMMENT: _IGNORED}
    for kind, tags in (
        (_INLINE, _INLINE_TAGS),
        (_LINK, "a"),
        (_IGNORED, _IGNORED_TAGS),
        (_CLUTTER, _CLUTTER_TAGS),
        (_CONTROL, _CONTROL_TAGS),
        (_STAND_IN, "noscript nav"),
        (_BUTTON, "button"),
    ):
        for tag in tags.split():
            kinds[maker.create_node(tag).tag_id] = kind
    return kinds


@lru_cache(maxsize=2_048)
def _hides(style: str) -> bool:
    """Whether an inline style hides; transparent and moved is about to be faded in, and shown."""
    style = style.lower()
    if _UNSEEN_STYLE.search(style):
        return True
    return "transform" not in style and _TRANSPARENT_STYLE.search(style) is not None
