"""Office documents and e-books, made here part by part."""

import builtins
import io
import zipfile
from collections.abc import Mapping
from typing import Any

import pytest

from mcp_server.errors import ExtractionError
from mcp_server.extract import Extracted, SourceInfo, extract
from mcp_server.visit.media_type import sniff
from mcp_server.visit.types import Resource

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
A = 'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"'
P = f'{A} xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main"'
R = 'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
S = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
KINDS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
ODF = (
    'xmlns:office="urn:office" xmlns:text="urn:text" xmlns:table="urn:table" '
    'xmlns:draw="urn:draw" xmlns:xlink="urn:xlink" xmlns:presentation="urn:presentation"'
)
CORE = (
    '<cp:coreProperties xmlns:cp="c" xmlns:dc="d" xmlns:dcterms="t"><dc:title>On Search</dc:title>'
    "<dc:creator>Ann Author</dc:creator><dcterms:created>2024-03-02T10:00:00Z</dcterms:created>"
    "</cp:coreProperties>"
)


def packed(members: Mapping[str, str]) -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            stored = zipfile.ZIP_STORED if name == "mimetype" else None
            archive.writestr(name, text, compress_type=stored)
    return body.getvalue()


def read(body: bytes) -> Extracted:
    url = "https://example.com/docs/a"
    resource = Resource(url=url, final_url=url, status=200, content_type="", body=body)
    return extract(body, sniff(resource))


def relations(**targets: str) -> str:
    """Relations by id; each target is "kind name"."""
    entries = (
        f'<Relationship Id="{key}" Type="{KINDS}/{kind}" Target="{name}"/>'
        for key, (kind, name) in ((key, target.split()) for key, target in targets.items())
    )
    return f'<Relationships xmlns="{RELATIONS}">{"".join(entries)}</Relationships>'


def word_paragraph(text: str, style: str = "") -> str:
    properties = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f"<w:p>{properties}<w:r><w:t>{text}</w:t></w:r></w:p>"


def word_document(content: str, **more: str) -> bytes:
    styles = "".join(
        f'<w:style w:type="paragraph" w:styleId="{key}"><w:name w:val="{name}"/></w:style>'
        for key, name in (("T", "Title"), ("H1", "heading 1"), ("H2", "heading 2"))
    )
    return packed(
        {
            "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/'
            'content-types"><Default Extension="xml" ContentType="application/xml"/></Types>',
            "_rels/.rels": relations(a="officeDocument word/document.xml"),
            "word/_rels/document.xml.rels": relations(
                s="styles styles.xml", n="numbering numbering.xml", f="footnotes footnotes.xml"
            ),
            "word/document.xml": f"<w:document {W}><w:body>{content}</w:body></w:document>",
            "word/styles.xml": f"<w:styles {W}>{styles}</w:styles>",
            "word/numbering.xml": f'<w:numbering {W}><w:abstractNum w:abstractNumId="0"><w:lvl '
            'w:ilvl="0"><w:numFmt w:val="bullet"/></w:lvl></w:abstractNum><w:num w:numId="1">'
            '<w:abstractNumId w:val="0"/></w:num></w:numbering>',
            "word/footnotes.xml": f'<w:footnotes {W}><w:footnote w:id="1">'
            f"{word_paragraph('The note.')}</w:footnote></w:footnotes>",
            "docProps/core.xml": CORE,
        }
        | more
    )


def test_a_word_document_keeps_headings_lists_tables_and_notes() -> None:
    item = (
        '<w:p><w:pPr><w:numPr><w:ilvl w:val="0"/><w:numId w:val="1"/></w:numPr></w:pPr>'
        "<w:r><w:t>{}</w:t></w:r></w:p>"
    )
    cell = f"<w:tc>{word_paragraph('{}')}</w:tc>"
    content = (
        word_paragraph("Document", "T")
        + word_paragraph("Part one", "H2")
        + "<w:p><w:r><w:t>Some </w:t></w:r><w:r><w:rPr><w:b/></w:rPr><w:t>bold</w:t></w:r>"
        '<w:r><w:footnoteReference w:id="1"/></w:r></w:p>'
        + item.format("first")
        + item.format("second")
        + "<w:tbl>"
        + f"<w:tr>{cell.format('a')}{cell.format('b')}</w:tr>"
        + f"<w:tr>{cell.format('1|2')}{cell.format('3')}</w:tr></w:tbl>"
    )
    found = read(word_document(content))
    assert (found.title, found.metadata.author) == ("On Search", "Ann Author")
    assert found.metadata.published == "2024-03-02"
    for block in (
        "# Document\n\n## Part one\n\nSome **bold**",
        "- first\n- second",
        "| a | b |\n| --- | --- |\n| 1\\|2 | 3 |",
        "1. The note.",
    ):
        assert block in found.text
    assert "↑" not in found.text


def test_a_word_document_with_entities_is_refused() -> None:
    bomb = f'<!DOCTYPE w [<!ENTITY a "b">]><w:document {W}><w:body/></w:document>'
    with pytest.raises(ExtractionError, match="damaged"):
        read(word_document("", **{"word/document.xml": bomb}))


@pytest.mark.parametrize(
    ("package", "body"),
    [
        ("mammoth", word_document(word_paragraph("x"))),
        ("python_calamine", packed({"xl/workbook.xml": "<workbook/>"})),
    ],
)
def test_without_the_extra_the_error_says_how_to_get_it(
    package: str, body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_import = builtins.__import__

    def without_package(name: str, *args: Any, **kwargs: Any) -> object:
        if name == package:
            raise ImportError(name)
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_package)
    with pytest.raises(ExtractionError, match="extra `office`") as caught:
        read(body)
    assert 'pip install "seekling[office]"' in caught.value.hint


def shape(text: str, placeholder: str = "", level: int = 0) -> str:
    kind = f'<p:nvPr><p:ph type="{placeholder}"/></p:nvPr>' if placeholder else "<p:nvPr/>"
    paragraphs = "".join(
        f'<a:p><a:pPr lvl="{number * level}"/><a:r><a:t>{line}</a:t></a:r></a:p>'
        for number, line in enumerate(text.split("\n"))
    )
    return f"<p:sp><p:nvSpPr>{kind}</p:nvSpPr><p:txBody>{paragraphs}</p:txBody></p:sp>"


def slide(*shapes: str) -> str:
    return f"<p:sld {P}><p:cSld><p:spTree>{''.join(shapes)}</p:spTree></p:cSld></p:sld>"


def test_slides_come_in_their_order_with_lists_tables_and_notes() -> None:
    cell = "<a:tc><a:txBody><a:p><a:r><a:t>{}</a:t></a:r></a:p></a:txBody></a:tc>"
    table = (
        "<p:graphicFrame><a:tbl>"
        + f"<a:tr>{cell.format('a')}{cell.format('b')}</a:tr>"
        + f"<a:tr>{cell.format('c')}{cell.format('d')}</a:tr></a:tbl></p:graphicFrame>"
    )
    body = packed(
        {
            "ppt/presentation.xml": f'<p:presentation {P} {R}><p:sldIdLst><p:sldId id="256" '
            'r:id="second"/><p:sldId id="257" r:id="first"/></p:sldIdLst></p:presentation>',
            "ppt/_rels/presentation.xml.rels": relations(
                first="slide slides/slide1.xml", second="slide slides/slide2.xml"
            ),
            "ppt/slides/slide1.xml": slide(f"<p:grpSp>{shape('Free text')}</p:grpSp>", table),
            "ppt/slides/slide2.xml": slide(
                shape("Opening", "title"), shape("one\ntwo", "body", level=1), shape("7", "sldNum")
            ),
            "ppt/slides/_rels/slide2.xml.rels": relations(n="notesSlide ../notesSlides/n.xml"),
            "ppt/notesSlides/n.xml": slide(shape("Say hello.", "body"), shape("2", "sldNum")),
            "docProps/core.xml": CORE,
        }
    )
    found = read(body)
    assert found.title == "On Search"
    assert found.text.split("\n\n") == [
        "## Slide 1: Opening",
        "- one\n  - two",
        "Notes: Say hello.",
        "## Slide 2",
        "Free text",
        "| a | b |\n| --- | --- |\n| c | d |",
    ]


def spreadsheet(rows: str, name: str = "Numbers") -> bytes:
    return packed(
        {
            "[Content_Types].xml": "<Types/>",
            "_rels/.rels": relations(a="officeDocument xl/workbook.xml"),
            "xl/workbook.xml": f'<workbook {S} {R}><sheets><sheet name="{name}" sheetId="1" '
            'r:id="a"/><sheet name="Secret" sheetId="2" state="hidden" r:id="a"/></sheets>'
            "</workbook>",
            "xl/_rels/workbook.xml.rels": relations(
                a="worksheet worksheets/sheet1.xml", s="styles styles.xml"
            ),
            "xl/styles.xml": f'<styleSheet {S}><cellXfs count="2"><xf numFmtId="0"/>'
            '<xf numFmtId="14"/></cellXfs></styleSheet>',
            "xl/worksheets/sheet1.xml": f"<worksheet {S}><sheetData>{rows}</sheetData></worksheet>",
            "docProps/core.xml": CORE,
        }
    )


def test_a_spreadsheet_is_a_table_for_each_visible_sheet() -> None:
    rows = (
        '<row r="1"><c r="A1" t="inlineStr"><is><t>name|x</t></is></c>'
        '<c r="C1" t="inlineStr"><is><t>when</t></is></c></row>'
        '<row r="3"><c r="A3"><v>2</v></c><c r="C3" s="1"><v>45352</v></c></row>'
    )
    found = read(spreadsheet(rows))
    assert found.metadata.author == "Ann Author"
    assert found.text == "## Numbers\n\n| name\\|x | when |\n| --- | --- |\n| 2 | 2024-03-01 |"


def test_a_spreadsheet_without_cells_is_an_error() -> None:
    with pytest.raises(ExtractionError, match="no cells"):
        read(spreadsheet(""))


def open_document(content: str, kind: str = "text", **more: str) -> bytes:
    return packed(
        {
            "mimetype": f"application/vnd.oasis.opendocument.{kind}",
            "content.xml": f"<office:document-content {ODF}><office:body><office:{kind}>{content}"
            f"</office:{kind}></office:body></office:document-content>",
            "meta.xml": f'<office:document-meta {ODF} xmlns:dc="d" xmlns:meta="m"><office:meta>'
            "<dc:title>On Search</dc:title><meta:initial-creator>Ann Author</meta:initial-creator>"
            "<meta:creation-date>2024-03-02T10:00:00</meta:creation-date></office:meta>"
            "</office:document-meta>",
        }
        | more
    )


def test_an_open_document_keeps_headings_lists_tables_links_and_notes() -> None:
    found = read(
        open_document(
            "<text:tracked-changes><text:p>deleted</text:p></text:tracked-changes>"
            '<text:h text:outline-level="2">Part <text:s/>one</text:h>'
            '<text:p>See <text:a xlink:href="https://example.com/x">this [1]</text:a>.<text:note>'
            "<text:note-citation>1</text:note-citation><text:note-body><text:p>The note."
            "</text:p></text:note-body></text:note></text:p>"
            "<text:list><text:list-item><text:p>one</text:p><text:list><text:list-item><text:p>"
            "inner</text:p></text:list-item></text:list></text:list-item></text:list>"
            "<table:table><table:table-header-rows><table:table-row><table:table-cell><text:p>a"
            "</text:p></table:table-cell></table:table-row></table:table-header-rows>"
            "<table:table-row><table:table-cell><text:p>b|c</text:p></table:table-cell>"
            "</table:table-row></table:table>"
            "<text:p><draw:frame><draw:text-box><text:p>boxed</text:p></draw:text-box></draw:frame>"
            "</text:p>"
        )
    )
    assert (found.title, found.metadata.author) == ("On Search", "Ann Author")
    assert found.metadata.published == "2024-03-02"
    assert found.text.split("\n\n") == [
        "## Part one",
        r"See [this \[1\]](https://example.com/x). (1)",
        "- one\n  - inner",
        "| a |\n| --- |\n| b\\|c |",
        "boxed",
        "(1) The note.",
    ]


def test_slides_of_an_open_document_are_numbered() -> None:
    found = read(
        open_document(
            "<draw:page><draw:frame><draw:text-box><text:p>Hello</text:p></draw:text-box>"
            "</draw:frame><presentation:notes><text:p>Say it</text:p></presentation:notes>"
            "</draw:page><draw:page/>",
            "presentation",
        )
    )
    assert found.text == "## Slide 1\n\nHello\n\nNotes: Say it\n\n## Slide 2"


def test_an_encrypted_open_document_is_named_as_such() -> None:
    manifest = '<m:manifest xmlns:m="m"><m:encryption-data/></m:manifest>'
    with pytest.raises(ExtractionError, match="encrypted"):
        read(open_document("", **{"META-INF/manifest.xml": manifest}))


def test_an_e_book_is_read_in_the_order_of_its_spine() -> None:
    page = (
        "<html><body><h1>Chapter {0}</h1><p>Text {0}, <a href='b.xhtml'>on</a>.</p></body></html>"
    )
    manifest = "".join(
        f'<item id="{key}" href="text/{key}.xhtml" media-type="application/xhtml+xml" {more}/>'
        for key, more in (("a", ""), ("b", ""), ("toc", 'properties="nav"'))
    )
    body = packed(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": '<container><rootfiles><rootfile full-path="OEBPS/book.opf"/>'
            "</rootfiles></container>",
            "OEBPS/book.opf": '<package xmlns:dc="d"><metadata><dc:title>On Search</dc:title>'
            "<dc:creator>Ann Author</dc:creator><dc:date>2024-03-02T00:00:00Z</dc:date>"
            f"<dc:language>en</dc:language></metadata><manifest>{manifest}</manifest><spine>"
            '<itemref idref="toc"/><itemref idref="b"/><itemref idref="a"/></spine></package>',
            "OEBPS/text/a.xhtml": page.format(2),
            "OEBPS/text/b.xhtml": page.format(1),
            "OEBPS/text/toc.xhtml": "<p>Contents</p>",
        }
    )
    found = read(body)
    assert (found.title, found.metadata.author) == ("On Search", "Ann Author")
    assert (found.metadata.published, found.metadata.language) == ("2024-03-02", "en")
    assert found.text == "# Chapter 1\n\nText 1, on.\n\n# Chapter 2\n\nText 2, on."


def test_bombs_and_damaged_archives_are_errors() -> None:
    bomb = packed({"word/document.xml": "0" * 20_000_000})
    kinds = ("wordprocessingml.document", "presentationml.presentation", "spreadsheetml.sheet")
    for media_type in (
        "application/epub+zip",
        "application/vnd.oasis.opendocument.text",
        *(f"application/vnd.openxmlformats-officedocument.{kind}" for kind in kinds),
    ):
        info = SourceInfo(url="", media_type=media_type, charset="utf_8")
        with pytest.raises(ExtractionError, match="unpacks to 20,000,000 bytes"):
            extract(bomb, info)
        whole = packed({"a": "b", "word/document.xml": "c", "META-INF/container.xml": "d"})
        for body in (b"PK\x03\x04junk", whole[:-30], whole[20:], whole):
            with pytest.raises(ExtractionError, match="damaged"):
                extract(body, info)
