"""Text of pages whose words are in the data for their scripts."""

import html
import json
import time

import pytest
from selectolax.lexbor import LexborHTMLParser

from mcp_server.extract.html.page_state import embedded_text
from mcp_server.extract.html.page_urls import PageUrls

SENTENCE = "The lighthouse keeper counted seven ships before the fog came in."
OTHER = "Nobody on the island had seen so many sails in one morning."


def embedded(markup: str) -> str:
    tree = LexborHTMLParser(markup)
    return embedded_text(tree, PageUrls(tree, "https://example.com/"))


def script(value: object, attributes: str = 'type="application/json"') -> str:
    return f"<script {attributes}>{json.dumps(value)}</script>"


STATE = {
    "buildId": "q8sH2kLmN0pQrStUvWxYz0123456789abcdefghijklmnopqrstuvwxyzABCDEF",
    "props": {
        "title": "Seven ships",
        "theme": {"color": "#fff", "font": "Inter, Arial, sans-serif"},
        "url": "https://example.com/a/very/long/address/of/this/page/that/is/no/text",
        "body": f"<p>{SENTENCE}</p><ul><li>one</li></ul><p><a href='/x'>More</a></p>",
        "again": SENTENCE,
        "css": ".a { color: red } .b { color: blue } and more rules for the page",
        "code": "function show(page) { return page.title and page.body or nothing }",
        "items": [{"id": 1, "text": OTHER}, {"id": 2, "text": OTHER}],
        "label": "OK",
    },
}
READ = (
    f"## Seven ships\n\n{SENTENCE}\n\n- one\n\n[More](https://example.com/x)\n\n{SENTENCE}"
    f"\n\n{OTHER}"
)


@pytest.mark.parametrize(
    "markup",
    [
        script(STATE, 'id="__NEXT_DATA__" type="application/json"'),
        f"<script>window.__INITIAL_STATE__ = {json.dumps(STATE)}; start()</script>",
        f"<script>window.__NUXT__={json.dumps(STATE)}</script>",
        f'<div id="app" data-page="{html.escape(json.dumps(STATE))}"></div>',
        f'<div data-preloaded="{html.escape(json.dumps({"topic_1": json.dumps(STATE)}))}"></div>',
    ],
    ids=["next", "assigned", "nuxt", "inertia", "discourse"],
)
def test_sentences_titles_and_html_are_read_in_order_and_code_is_not(markup: str) -> None:
    assert embedded(markup) == READ


def test_an_article_in_json_ld_is_enough() -> None:
    article = " ".join([SENTENCE, OTHER] * 6)
    page = {"@graph": [{"@type": "Article", "articleBody": article, "description": OTHER}]}
    assert embedded(script(page, 'type="application/ld+json"') + script(STATE)) == article


def test_a_description_in_json_ld_comes_first() -> None:
    page = {"@type": "Product", "name": "Lamp", "description": OTHER}
    text = embedded(script(STATE) + script(page, "type=application/ld+json"))
    assert text.startswith(OTHER)
    assert SENTENCE in text
    assert text.count(OTHER) == 1


def test_chinese_and_japanese_sentences_are_text() -> None:
    sentence = "灯台守は霧が来る前に七隻の船を数えた。"
    assert embedded(script({"a": sentence})) == sentence


def test_scripts_are_never_run_or_read_as_text() -> None:
    assert embedded(f"<script>var text = '{SENTENCE}';</script>") == ""
    assert (
        embedded(f"<script>window.__NUXT__=(function(a){{return '{SENTENCE}'}})()</script>") == ""
    )


@pytest.mark.parametrize(
    "markup",
    [
        '<script type="application/json">' + "[" * 200_000 + "</script>",
        '<script type="application/json">' + '{"a":' * 100_000 + "</script>",
        '<script type="application/json">{"text": "a lone \\ud83d surrogate here"}</script>',
        script({"a": json.dumps({"a": json.dumps([SENTENCE] * 10)})}),
        script([f"{SENTENCE} {n}" for n in range(20_000)]),
        script({"body": "<p>" * 50_000 + SENTENCE}),
        script({"body": "<a " * 100_000}),
        script("word " * 300_000),
        script({"text": 1, "body": None, "title": ["x"]}),
        "<script>window.__NUXT__" + " " * 500_000 + "</script>",
        "<div data-preloaded='{'></div>" * 1_000,
    ],
    ids="arrays objects surrogate nested many deep tags long types space damaged".split(),
)
def test_hostile_state_is_bounded_and_can_be_encoded(markup: str) -> None:
    started = time.process_time()
    text = embedded(markup)
    text.encode()
    assert len(text) <= 510_000
    assert time.process_time() - started < 3
