"""Plain text, JSON, JSON Lines, CSV and XML."""

import json
import time

import pytest

from mcp_server.extract import EXTRACTORS, extract
from mcp_server.extract.types import Extracted, SourceInfo
from mcp_server.extract.xml_tree import parse_xml


def read(body: str | bytes, media_type: str, charset: str = "utf_8") -> Extracted:
    data = body.encode() if isinstance(body, str) else body
    return extract(
        data, SourceInfo(url="https://example.com/a", media_type=media_type, charset=charset)
    )


@pytest.mark.parametrize(
    "media_type", ["text/plain", "text/markdown", "text/csv", "text/tab-separated-values"]
)
def test_text_is_never_altered(media_type: str) -> None:
    text = "  a,b;\t<b>c</b>\n\n\n\n    def f():\n        return [1](2) \n"
    assert read(text, media_type).text == text


def test_a_byte_order_mark_is_no_text() -> None:
    assert read(b"\xef\xbb\xbfwords", "text/plain").text == "words"
    assert read("\ufeff{}".encode("utf-16-le"), "application/json", "utf_16_le").text == "{}"


def test_json_over_several_lines_stays_as_it_is() -> None:
    text = '{\n    "a": 1.10\n}'
    assert read(text, "application/json").text == text


def test_one_long_line_of_json_is_laid_out_and_what_is_short_stays_together() -> None:
    text = read(
        '{"a":1.10,"big":12345678901234567890,"b":[{"c":"d\\u00e9"},[]],"long":["%s"]}'
        % ("x" * 99),
        "application/json",
    ).text
    assert text.split("\n") == [
        "{",
        ' "a": 1.10,',
        ' "big": 12345678901234567890,',
        ' "b": [{"c": "dé"}, []],',
        ' "long": [',
        '  "' + "x" * 99 + '"',
        " ]",
        "}",
    ]


def test_repeated_keys_of_an_object_are_all_kept() -> None:
    assert read('{"a":1,"a":2}', "application/json").text == '{"a": 1, "a": 2}'


@pytest.mark.parametrize("text", ["{'a': 1", "[" * 40_000, '{"a":1}x', ""])
def test_damaged_json_is_still_text(text: str) -> None:
    assert read(text, "application/json").text == text


def test_deep_json_is_read_or_left_as_it_is() -> None:
    text = "[" * 900 + "]" * 900
    assert json.loads(read(text, "application/json").text) == json.loads(text)


def test_json_lines_stay_lines() -> None:
    ones = ", ".join(["1"] * 99)
    text = '{"a":1}\n{"b":"\\u00e9", "c": [' + ones + "]}\nnot json \\u00e9\n"
    first, second, third = read(text, "application/jsonl").text.split("\n")
    assert (first, third) == ('{"a":1}', "not json \\u00e9")
    assert json.loads(second) == {"b": "é", "c": [1] * 99}
    assert "é" in second


def test_xml_becomes_an_outline_of_its_elements() -> None:
    text = """<?xml version="1.0"?><!-- by hand -->
    <shop xmlns="urn:x" xmlns:a="urn:a" open="yes"><title>Shop &amp; Co</title>
      <a:item a:id="7" size=""><name>Tea</name><empty/>
        <unitPrice currency="EUR">3</unitPrice></a:item>
      <note>Mixed <b>text</b> stays <![CDATA[<together>]]>.</note></shop>"""
    found = read(text, "application/xml")
    assert found.title == "Shop & Co"
    assert found.text.split("\n") == [
        "shop (open=yes)",
        " title: Shop & Co",
        " item (id=7)",
        "  name: Tea",
        "  unitPrice (currency=EUR): 3",
        " note: Mixed text stays <together>.",
    ]


def test_entities_are_never_expanded() -> None:
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 20))
    text = f'<!DOCTYPE x [<!ENTITY l0 "lol"><!ENTITY f SYSTEM "file:///etc/passwd">{laughs}]>'
    assert read(f"{text}<x><a>&l19;</a><b>&f;</b></x>", "application/xml").text == (
        "x\n a: &l19;\n b: &f;"
    )


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<a>one<b>two</a>three", "onetwothree"),
        ("</x>text", "text"),
        ("a < b <3", "a < b <3"),
        ("<a t='x > y'>in</a>", "in"),
        ("<a><!-- never closed", ""),
        ("<a>&nbsp;&eacute;&#x41;&no;</a>", "\xa0éA&no;"),
    ],
)
def test_broken_xml_is_read_as_far_as_it_goes(markup: str, text: str) -> None:
    assert parse_xml(markup).text() == text


@pytest.mark.parametrize(
    "markup",
    [
        "<" * 60_000,
        "<a " * 50_000,
        "<a>" * 50_000,
        "</a>" * 50_000,
        "<!--" * 50_000,
        "<![CDATA[" * 40_000,
        "<!DOCTYPE [" * 40_000,
        "<a b='" * 40_000,
        "<a " + "b='c' " * 40_000 + ">",
        "&amp" * 50_000,
    ],
)
def test_hostile_markup_takes_linear_time(markup: str) -> None:
    started = time.process_time()
    for media_type in ("application/xml", "application/rss+xml"):
        read(markup, media_type)
    assert time.process_time() - started < 3


def test_every_type_that_is_promised_has_an_extractor() -> None:
    for media_type in EXTRACTORS:
        assert callable(EXTRACTORS[media_type])
        assert media_type == media_type.lower()
