"""Judge how likely the templates of a page are content.

The model is a logistic regression over what names, short texts and binned numbers say: one sum per
template, which needs no library at run time and can be read, weight by weight, in its data file.

The weights (`content_weights.json`, made by `tests/bench/train_block_model.py`) derive from the
Web Content Extraction Benchmark (WCXB) by Murrough Foley, licensed under CC BY 4.0
(https://creativecommons.org/licenses/by/4.0/); they hold words and numbers, none of its text.
"""

import json
from bisect import bisect_right
from functools import lru_cache
from importlib.resources import files
from itertools import islice
from math import exp
from operator import getitem
from typing import TypedDict

from mcp_server.extract.html.name_meanings import signs_of_word, words_of
from mcp_server.extract.html.page_templates import Template
from mcp_server.extract.html.template_features import (
    GROUP_SIZES,
    NUMBERS,
    Numbers,
    describe_in_groups,
    short_words,
)

_WEIGHTS_FILE = "content_weights.json"
_MAX_LOG_ODDS = 30.0
_REMEMBERED_WORDS = 16_384
"""Of names: some forty of each page are new."""


class Weights(TypedDict):
    """What the model learned, in log-odds of being content.

    Attributes:
        bias: Of a template about which nothing is known.
        near: By sign (see `signs_of`) of the template's element and of its parent.
        far: By sign of the ancestors above those.
        words: By word of short texts.
        edges: By number, the upper bounds of all bins but the last, ascending.
        bins: By number, the weights of its bins.
    """

    bias: float
    near: dict[str, float]
    far: dict[str, float]
    words: dict[str, float]
    edges: dict[str, list[float]]
    bins: dict[str, list[float]]


class ContentModel:
    """The weights, ready for use."""

    def __init__(self, weights: Weights) -> None:
        self._bias = weights["bias"]
        self._words = weights["words"]
        edges = iter([weights["edges"][name] for name in NUMBERS])
        bins = iter([weights["bins"][name] for name in NUMBERS])
        self._edges = [list(islice(edges, size)) for size in GROUP_SIZES]
        self._bins = [list(islice(bins, size)) for size in GROUP_SIZES]
        near, far = weights["near"], weights["far"]
        known = {sign: (near.get(sign, 0.0), far.get(sign, 0.0)) for sign in near.keys() | far}

        @lru_cache(maxsize=_REMEMBERED_WORDS)
        def known_signs(word: str) -> dict[str, tuple[float, float]] | None:
            return {sign: known[sign] for sign in signs_of_word(word) if sign in known} or None

        @lru_cache(maxsize=4_096)
        def weigh(tag: str, names: str) -> tuple[float, float]:
            found = {"": known.get(f"<{tag}>", (0.0, 0.0))}
            for word in dict.fromkeys(words_of(names)):  # names repeat their words
                signs = known_signs(word)
                if signs is not None:
                    found.update(signs)
            near = far = 0.0
            for near_weight, far_weight in found.values():
                near += near_weight
                far += far_weight
            return near, far

        self._weigh = weigh

    def judge(self, templates: list[Template]) -> dict[Template, float]:
        """The probability that it is content, for each shown template with text of its own."""
        above = self._weigh_chains(templates)
        described = describe_in_groups(templates, self._weigh_group)
        return {
            template: _probability(
                sum(weights, self._bias + above[template]) + self._weigh_words(template)
            )
            for template, weights in described.items()
        }

    def _weigh_group(self, group: int, numbers: Numbers) -> float:
        places = map(bisect_right, self._edges[group], numbers)
        return sum(map(getitem, self._bins[group], places))

    def _weigh_words(self, template: Template) -> float:
        known = self._words
        return sum([known[word] for word in short_words(template) if word in known])

    def _weigh_chains(self, templates: list[Template]) -> dict[Template, float]:
        """What the names of each shown template and of all its ancestors add up to."""
        own: dict[Template, tuple[float, float]] = {}
        far: dict[Template, float] = {}
        sums: dict[Template, float] = {}
        for template in templates:
            if template.hidden or not template.words:
                continue
            own[template] = self._weigh(template.tag, template.names)
            near = own[template][0]
            far_above = 0.0
            parent = template.parent
            if parent is not None:
                near += own[parent][0]
                far_above = far[parent]
                if parent.parent is not None:
                    far_above += own[parent.parent][1]
            far[template] = far_above
            sums[template] = near + far_above
        return sums


def _probability(log_odds: float) -> float:
    return 1.0 / (1.0 + exp(-max(-_MAX_LOG_ODDS, min(_MAX_LOG_ODDS, log_odds))))


@lru_cache(maxsize=1)
def content_model() -> ContentModel:
    """The model with the weights of this package, loaded once per process."""
    file = files("mcp_server.extract.html").joinpath(_WEIGHTS_FILE)
    return ContentModel(json.loads(file.read_text(encoding="utf-8")))
