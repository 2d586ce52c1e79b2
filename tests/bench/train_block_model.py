"""Train the weights by which `mcp_server.extract.html.content_model` knows content.

    .venv-bench/block-model/bin/python -m tests.bench.train_block_model ../shared/data/extraction
        [--write] [--folds FOLDER]

Prints the quality on pages of sites that were not trained on (five folds of sites), then, with
`--write`, trains on all pages and writes the weights. Needs numpy, scipy and scikit-learn, which
the project itself does not: `python -m tests.bench.environments block-model` makes an environment
that has them. With `--folds` nothing is printed: the weights of each fold go into a folder, beside
`folds.json`, which says for each page the weights that were trained on other sites than its own.

A page's text is aligned with the true text by runs of four words: a word is content where one of
the runs that it is in occurs in the truth.
"""

import argparse
import json
from collections import Counter
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np  # pyright: ignore[reportMissingImports]
from scipy import sparse  # pyright: ignore[reportMissingImports]
from selectolax.lexbor import LexborHTMLParser
from sklearn.linear_model import (  # pyright: ignore[reportMissingImports]
    LogisticRegression,
)

from mcp_server.extract.html.content_model import ContentModel, Weights
from mcp_server.extract.html.main_content import choose, read_templates
from mcp_server.extract.html.name_meanings import signs_of
from mcp_server.extract.html.page_templates import Template
from mcp_server.extract.html.template_features import NUMBERS, describe, short_words
from tests.bench.extraction_pages import (
    PAGE_TYPES,
    TruePage,
    load_pages,
    word_scores,
    words_of,
)

RUN = 4
"""Words that must follow each other in page and truth."""
FOLDS = 5
BINS = 10
MIN_PAGES = 3
"""A sign that is on fewer pages is not learned."""
REGULARISATION = 0.04
MAX_STEPS = 150
"""Of the solver. It does not converge in so few, which is as good and takes a minute less."""
WEIGHT_POWER = 0.7
"""Of a template's share of its page's words: what decides the score weighs more."""
MIN_WEIGHT = 0.01
"""Smaller weights (log-odds) are left out of the file."""
WEIGHTS_FILE = Path(__file__).parents[2] / "mcp_server/extract/html/content_weights.json"


@dataclass
class Example:
    """One page: its templates, what is known of them, and how much of each is content."""

    page: TruePage
    site: str
    templates: list[Template]
    texts: list[Counter[str]]
    signs: list[Counter[str]]
    numbers: np.ndarray
    content: np.ndarray
    weights: np.ndarray


def site_of(url: str) -> str:
    """About the registered domain: enough to keep a site's pages together."""
    labels = urlsplit(url).netloc.split(".")
    is_country_second_level = len(labels) > 2 and len(labels[-2]) <= 3 and len(labels[-1]) == 2
    return ".".join(labels[-3 if is_country_second_level else -2 :])


def covered(words: list[str], truth: list[str]) -> list[bool]:
    """Which words are in a run of words that the truth has too."""
    runs = set(zip(*(truth[start:] for start in range(RUN)), strict=False))
    flags = [False] * len(words)
    for start, run in enumerate(zip(*(words[start:] for start in range(RUN)), strict=False)):
        if run in runs:
            flags[start : start + RUN] = [True] * RUN
    return flags


def chain_signs(template: Template) -> Counter[str]:
    signs = Counter(f"word {word}" for word in short_words(template))
    distance = 0
    ancestor: Template | None = template
    while ancestor is not None:
        reach = "near" if distance < 2 else "far"
        signs.update(f"{reach} {sign}" for sign in signs_of(ancestor.tag, ancestor.names))
        ancestor = ancestor.parent
        distance += 1
    return signs


def example_of(page: TruePage) -> Example:
    tree = LexborHTMLParser(page.html)
    body = tree.body
    assert body is not None
    templates = read_templates(body).all
    described = describe(templates)
    order = {node.mem_id: place for place, node in enumerate(body.traverse(include_text=True))}
    nodes = sorted(
        (order[node.mem_id], index, words_of(node.text_content or ""))
        for index, template in enumerate(described)
        for node in template.text_nodes
    )
    flags = iter(covered([word for *_, words in nodes for word in words], page.truth_words))
    texts = [Counter[str]() for _ in described]
    hits = np.zeros(len(described))
    for _, index, words in nodes:
        texts[index].update(words)
        hits[index] += sum(next(flags) for _ in words)
    counts = np.array([max(1, text.total()) for text in texts], float)
    return Example(
        page=page,
        site=site_of(page.url) or page.id,
        templates=templates,
        texts=texts,
        signs=[chain_signs(template) for template in described],
        numbers=np.array(list(described.values()), float).reshape(-1, len(NUMBERS)),
        content=np.minimum(1, hits / counts),
        weights=(counts / max(1, counts.sum())) ** WEIGHT_POWER + 1e-4,
    )


def bin_edges(examples: list[Example]) -> dict[str, list[float]]:
    table = np.vstack([example.numbers for example in examples])
    edges: dict[str, list[float]] = {}
    for column, name in enumerate(NUMBERS):
        cuts = np.quantile(table[:, column], np.linspace(0, 1, BINS + 1)[1:-1])
        rounded = sorted({float(f"{cut:.3g}") for cut in cuts})
        edges[name] = [cut for cut in rounded if cut > table[:, column].min()]
    return edges


def train(examples: list[Example]) -> Weights:
    edges = bin_edges(examples)
    pages_with = Counter(sign for example in examples for sign in set().union(*example.signs))
    names = sorted(sign for sign, pages in pages_with.items() if pages >= MIN_PAGES)
    columns = {name: column for column, name in enumerate(names)}
    firsts: dict[str, int] = {}
    width = len(names)
    for name in NUMBERS:
        firsts[name] = width
        width += len(edges[name]) + 1
    rows: list[int] = []
    cols: list[int] = []
    values: list[float] = []
    row = 0
    for example in examples:
        binned = [
            firsts[name] + np.searchsorted(edges[name], example.numbers[:, column], side="right")
            for column, name in enumerate(NUMBERS)
        ]
        for index, signs in enumerate(example.signs):
            known = [(columns[sign], count) for sign, count in signs.items() if sign in columns]
            known += [(int(column[index]), 1) for column in binned]
            rows += [row] * len(known)
            cols += [column for column, _ in known]
            values += [count for _, count in known]
            row += 1
    table = sparse.csr_matrix((values, (rows, cols)), shape=(row, width))
    content = np.concatenate([example.content for example in examples])
    weights = np.concatenate([example.weights for example in examples])
    weights *= 0.5 / weights.mean()
    is_in, is_out = content > 0, content < 1
    model = LogisticRegression(C=REGULARISATION, max_iter=MAX_STEPS)
    model.fit(
        sparse.vstack([table[is_in], table[is_out]]),
        np.r_[np.ones(is_in.sum()), np.zeros(is_out.sum())],
        sample_weight=np.r_[(weights * content)[is_in], (weights * (1 - content))[is_out]],
    )
    learned = [float(f"{weight:.2f}") for weight in model.coef_[0]]
    by_reach: dict[str, dict[str, float]] = {"near": {}, "far": {}, "word": {}}
    for name, weight in zip(names, learned[: len(names)], strict=True):
        reach, sign = name.split(" ", 1)
        if abs(weight) >= MIN_WEIGHT:
            by_reach[reach][sign] = weight
    starts = [*firsts.values(), width]
    return Weights(
        bias=round(float(model.intercept_[0]), 3),
        near=by_reach["near"],
        far=by_reach["far"],
        words=by_reach["word"],
        edges=edges,
        bins={
            name: learned[start:end]
            for name, (start, end) in zip(NUMBERS, pairwise(starts), strict=True)
        },
    )


def scores_of(example: Example, weights: Weights) -> tuple[float, float, float]:
    judged = ContentModel(weights).judge(example.templates)
    chosen = choose(example.templates, judged)
    kept = Counter[str]()
    for text, template in zip(example.texts, judged, strict=True):
        if template in chosen:
            kept.update(text)
    return word_scores(kept, Counter(example.page.truth_words))


def folds_of(examples: list[Example]) -> dict[str, int]:
    """The fold of each site."""
    sites = sorted({example.site for example in examples})
    np.random.default_rng(0).shuffle(sites)
    return {site: place % FOLDS for place, site in enumerate(sites)}


def write_folds(examples: list[Example], folder: Path) -> None:
    """Train once for each fold, on the others, and write weights and who is judged by which."""
    fold = folds_of(examples)
    for held_out in range(FOLDS):
        weights = train([example for example in examples if fold[example.site] != held_out])
        (folder / f"{held_out}.json").write_text(json.dumps(weights), encoding="utf-8")
    judged_by = {example.page.id: f"{fold[example.site]}.json" for example in examples}
    (folder / "folds.json").write_text(json.dumps(judged_by), encoding="utf-8")


def cross_validate(examples: list[Example]) -> None:
    fold = folds_of(examples)
    by_type: dict[str, list[tuple[float, float, float]]] = {name: [] for name in PAGE_TYPES}
    for held_out in range(FOLDS):
        weights = train([example for example in examples if fold[example.site] != held_out])
        for example in examples:
            if fold[example.site] == held_out:
                by_type[example.page.page_type].append(scores_of(example, weights))
    for name, scores in [*by_type.items(), ("all", list(chain(*by_type.values())))]:
        precision, recall, f1 = np.mean(scores, axis=0)
        fails = np.mean([score[1] < 0.2 for score in scores])
        print(f"{name:14} F1 {f1:.3f}  P {precision:.3f}  R {recall:.3f}  fail {fails:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the weights of the content model.")
    parser.add_argument("data", type=Path)
    parser.add_argument("--write", action="store_true", help="write the weights into the package")
    parser.add_argument("--folds", type=Path, help="write the weights of the folds here, only")
    options = parser.parse_args()
    examples = [example_of(page) for page in load_pages(options.data)]
    if options.folds:
        write_folds(examples, options.folds)
        return
    cross_validate(examples)
    if options.write:
        weights = train(examples)
        WEIGHTS_FILE.write_text(
            json.dumps(weights, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8"
        )
        print(f"{WEIGHTS_FILE.name}: {WEIGHTS_FILE.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
