"""Find the main content of a web page.

A page is summed up as templates (`page_templates`), a small trained model judges how likely each
is content (`content_model`), and those are kept that make the best expected answer as a whole.
"""

import re
from collections.abc import Iterable

from selectolax.lexbor import LexborHTMLParser, LexborNode

from mcp_server.extract.html.content_model import content_model
from mcp_server.extract.html.page_templates import PageTemplates, Template

_FEW_WORDS = 30
"""A page that shows fewer is an empty shell; what stands in for scripts is its content then."""
_OMISSION_COST = 0.5
"""Weight of words left out against words too many, measured; below 1, less doubtful text stays."""
_SHORT_PAGE_WORDS = 250
_DOUBTFUL_SHARE = 0.3
"""Of the threshold: from here on, parts of kept content are kept with it."""
_PARTS_OF_CONTENT = frozenset(
    "h1 h2 h3 h4 h5 h6 p table caption thead tbody tr td th pre ul ol li dl dt dd blockquote "
    "figure figcaption".split()
)
_MAX_LEVELS_AROUND = 12
"""Deeper nesting of lists, tables and quotes is not looked through."""
_MAIN_TAGS = ("main", "article")
_ASIDE_TAGS = ("nav", "aside", "header", "footer", "form", "menu")
_ASIDE_NAMES = re.compile(
    r"\b(?:footer|sidebar|nav|navbar|navigation|menu|breadcrumbs?|cookies?|related|share|social)\b",
    re.IGNORECASE,
)
_CELL_TAGS = ("td", "th")
_WRAPPERS = ("form", "noscript")
"""With `button`: elements that say nothing about the text in them."""


def select_main_content(tree: LexborHTMLParser) -> LexborNode:
    """Drop what is not main content from a freshly parsed page and return what holds the rest.

    Scripts, styles, form fields, navigation and what the page itself hides go in any case;
    `noscript` is kept only where it stands in for the content of an empty shell. Takes time linear
    in the nodes. Mutates the tree: no node that was got before may be used afterwards.

    Raises:
        ValueError: The tree has no element at all.
    """
    page = tree.body or tree.root
    if page is None:
        raise ValueError("an empty tree has no content")
    outline = read_templates(page)
    judged = content_model().judge(outline.all)
    removed = _drop_all_but(choose(outline.all, judged), outline)
    page.unwrap_tags(_wrappers(outline, removed))
    return page


def read_templates(page: LexborNode) -> PageTemplates:
    """The templates of a page; with what stands in for scripts if it shows next to nothing else."""
    outline = PageTemplates(page)
    if outline.all[0].words < _FEW_WORDS:
        shell = PageTemplates(page, is_shell=True)
        if shell.all[0].words >= max(_FEW_WORDS, 2 * outline.all[0].words):
            return shell
    return outline


def content_threshold(judged: dict[Template, float]) -> float:
    """The probability from which on templates are kept.

    Chosen for each page such that the expected F1 over words is highest: on a page whose content
    the model is sure of it is high, on a page of doubtful parts low, so that no page comes out
    empty. (The rule that the best F1 threshold is half of the best F1: Lipton, Elkan and
    Naryanaswamy, "Optimal Thresholding of Classifiers to Maximize F1 Measure", 2014.)
    """
    ranked = sorted(
        [(probability, template.own_words) for template, probability in judged.items()],
        reverse=True,
    )
    total = _OMISSION_COST * sum([probability * words for probability, words in ranked])
    threshold = best = content = kept = 0.0
    for probability, words in ranked:
        content += probability * words
        kept += words
        expected = content / (kept + total)
        if expected > best:
            best = expected
            threshold = probability
    return threshold


def choose(templates: list[Template], judged: dict[Template, float]) -> set[Template]:
    """The templates that are kept: what is likely content, and what belongs to it.

    An article's headings, tables, code and lists are short, and so each alone is doubtful: they
    stay where most of what is around them does. The one main heading always stays.
    """
    threshold = content_threshold(judged)
    # The model has seen few short pages; short texts of theirs that it doubts are mostly content.
    short = threshold * min(1.0, templates[0].words / _SHORT_PAGE_WORDS)
    asides = _asides(templates) if short < threshold else set[Template]()
    kept = {
        template
        for template, probability in judged.items()
        if probability >= threshold or (probability >= short and template not in asides)
    }
    kept_words = dict.fromkeys(templates, 0)
    for template in reversed(templates):
        if template in kept:
            kept_words[template] += template.own_words
        if template.parent is not None:
            kept_words[template.parent] += kept_words[template]
    main_headings = [template for template in judged if template.tag == "h1"]
    parts = {
        template
        for template, probability in judged.items()
        if probability >= _DOUBTFUL_SHARE * threshold
        and template.tag in _PARTS_OF_CONTENT
        and 2 * template.own_links <= template.own_words
        and _is_within(template, kept_words)
    }
    if len(main_headings) == 1 and len(main_headings[0].elements) == 1:
        parts.add(main_headings[0])
    parts.update(
        template
        for template in judged.keys() & _plain_parts(templates)
        if 2 * template.own_links <= template.own_words
    )
    return kept | parts


def _asides(templates: Iterable[Template]) -> set[Template]:
    """What stands in elements that are for something else than content."""
    asides: set[Template] = set()
    for template in templates:
        is_named_so = template.tag in _ASIDE_TAGS or _ASIDE_NAMES.search(template.names)
        if is_named_so or template.parent in asides:
            asides.add(template)
    return asides


def _plain_parts(templates: Iterable[Template]) -> set[Template]:
    """Elements without any name, directly in the page or in its main part.

    The names of elements are what tells content from the rest. Where there is none, someone wrote
    the page by hand or from Markdown, and all of it is content but navigation.
    """
    plain: set[Template] = set()
    for template in templates:
        is_top = template.parent is None or template.tag in _MAIN_TAGS
        is_named = template.names or template.tag in _ASIDE_TAGS
        if not is_named and (is_top or template.parent in plain):
            plain.add(template)
    return plain


def _is_within(template: Template, kept_words: dict[Template, int]) -> bool:
    """Whether most of what is around a part of content is kept."""
    around = template.parent
    for _ in range(_MAX_LEVELS_AROUND):
        if around is None:
            return False
        if around.tag not in _PARTS_OF_CONTENT and around.words >= 2 * template.own_words:
            return 2 * kept_words[around] >= around.words
        around = around.parent
    return False


def _wrappers(outline: PageTemplates, removed: set[Template]) -> list[str]:
    """The tags to unwrap that are left in a page: looking for others would take long."""
    left = {template.tag for template in outline.all if template not in removed}
    tags = [tag for tag in _WRAPPERS if tag in left]
    return tags if outline.with_buttons <= removed else [*tags, "button"]


def _drop_all_but(kept: set[Template], outline: PageTemplates) -> set[Template]:
    """Remove the elements of templates without kept text, and the other text that is not kept.

    Returns:
        The templates whose elements are gone.
    """
    holding: set[Template] = set()
    for template in reversed(outline.all):
        if template in kept or template in holding:
            holding.add(template)
            if template.parent is not None:
                holding.add(template.parent)
    removed: set[Template] = set()
    for template in outline.all:
        if template.parent in removed:
            removed.add(template)
        elif template not in holding and (template.words or template.hidden):
            removed.add(template)
            _drop_elements(template)
    for node, template in outline.clutter:
        if template not in removed:
            node.decompose()
    for template in outline.all:
        if template.text_nodes and template in holding and template not in kept:
            _drop_text(template)
    return removed


def _drop_elements(template: Template) -> None:
    for element in template.elements:
        if template.tag not in _CELL_TAGS:
            element.decompose()
            continue
        child = element.first_child  # the empty cell stays: the columns of a table hang on it
        while child is not None:
            following = child.next
            child.decompose()
            child = following


def _drop_text(template: Template) -> None:
    """Remove own text, and the links and the like that it leaves empty."""
    elements = {element.mem_id for element in template.elements}
    for node in template.text_nodes:
        parent = node.parent
        node.decompose()
        while parent is not None and parent.first_child is None and parent.mem_id not in elements:
            emptied = parent
            parent = parent.parent
            emptied.decompose()
