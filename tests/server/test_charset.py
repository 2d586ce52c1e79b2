"""How a text is encoded: mark, header, markup, detection."""

import codecs
import re
from pathlib import Path

import pytest

from mcp_server.visit.charset import charset_of, codec_of_label, label_of_header

RUSSIAN = "Поисковая система читает страницы в любой кодировке, и старые тоже. "
CODECS_BY_FOLDER = {
    "ascii": "ascii",
    "Big5": "big5hkscs",
    "CP932": "cp932",
    "EUC-KR": "cp949",
    "GB2312": "gb18030",
    "IBM855": "cp855",
    "IBM866": "cp866",
    "iso-8859-1": "cp1252",
    "MacCyrillic": "mac_cyrillic",
    "SHIFT_JIS": "cp932",
    "TIS-620": "cp874",
    "UTF-16BE": "utf_16_be",
}


def html_charset(body: bytes, label: str = "") -> str:
    return charset_of(body, label=label, is_html=True)


@pytest.mark.parametrize(
    ("label", "body", "charset"),
    [
        ("utf-8", "é".encode(), "utf_8"),
        ("", "é".encode(), "utf_8"),
        ("ISO-8859-1", "naïve".encode("cp1252"), "cp1252"),
        ("ISO-8859-1", "naïve".encode(), "utf_8"),
        ("Shift_JIS", "日本".encode("shift_jis"), "cp932"),
        ("gb2312", "中文".encode("gbk"), "gb18030"),
        ("koi8-r", "😀😀😀".encode(), "koi8_r"),
        ("koi8-r", "😀😀😀😀".encode(), "utf_8"),
        ("koi8-r", "中文中文中".encode(), "utf_8"),
        ("", b"<meta charset=euc-kr>" + "한국".encode("euc-kr"), "cp949"),
        (
            "",
            b'<meta http-equiv="Content-Type" content="text/html; charset=koi8-r">\xc1',
            "koi8_r",
        ),
        ("", b"<meta name=description content='charset=koi8-r'>Gr\xf6\xdfe \xfcber", "cp1252"),
        ("", b"<!-- <meta charset=koi8-r> --><meta charset=greek>\xe1", "iso8859_7"),
        ("", b" " * 8_000 + b"<meta charset=koi8-r>\xc1", "koi8_r"),
        ("", b"<?xml version='1.0' encoding='windows-1251'?>\xe0", "cp1251"),
        ("", b"<?xml version='1.0' encoding='greek'?><meta charset='hebrew'>\xe0", "iso8859_8"),
        ("koi8-r", b"<meta charset=euc-kr>\xc1", "koi8_r"),
        ("koi8-r", codecs.BOM_UTF8 + b"x", "utf_8"),
        ("", codecs.BOM_UTF16_BE + "x".encode("utf-16-be"), "utf_16_be"),
        ("", codecs.BOM_UTF32_LE + "x".encode("utf-32-le"), "utf_32_le"),
        ("", RUSSIAN.encode("utf-16-le"), "utf_16_le"),
        ("", "plain words\n".encode("utf-16-be"), "utf_16_be"),
        ("utf-16", "hello".encode("utf-16-le"), "utf_16_le"),
        ("euc-kr", b"", "cp949"),
    ],
)
def test_the_order_is_mark_then_header_then_meta_then_xml_declaration(
    label: str, body: bytes, charset: str
) -> None:
    assert html_charset(body, label) == charset


@pytest.mark.parametrize(
    ("label", "body", "charset"),
    [
        ("utf-8", "Où êtes-vous allés cet été ?".encode("cp1252") * 3, "cp1252"),
        ("utf-8", RUSSIAN.encode("koi8-r"), "koi8_u"),
        ("utf-8", b"<meta charset=sjis>" + "日本語".encode("sjis"), "cp932"),
        ("utf-8", "多語言の文書".encode("iso2022_jp") * 3, "iso2022_jp"),
        ("windows-1251", RUSSIAN.encode(), "utf_8"),
        ("gbk", RUSSIAN.encode(), "utf_8"),
        ("utf-16", RUSSIAN.encode(), "utf_8"),
        ("", b"<meta charset=utf-16>hello", "utf_8"),
        ("no-such-label", b"hello", "utf_8"),
        ("big5", "香港 嘅".encode("big5hkscs"), "big5hkscs"),
        ("euc-jp", "① 文書".encode("euc_jis_2004"), "euc_jis_2004"),
    ],
)
def test_a_label_that_the_bytes_refute_is_not_believed(
    label: str, body: bytes, charset: str
) -> None:
    assert html_charset(body, label) == charset


def test_a_little_damage_does_not_refute_a_label() -> None:
    assert html_charset("été ".encode() * 50 + b"\xe9", "utf-8") == "utf_8"
    assert html_charset("中文".encode("gbk") * 50 + b"\xff", "gbk") == "gb18030"


@pytest.mark.parametrize(
    ("label", "codec"),
    [
        ("UTF8", "utf_8"),
        ("latin1", "cp1252"),
        ("ISO_8859-9:1989", "cp1254"),
        ("windows-949", "cp949"),
        ("iso-8859-8-i", "iso8859_8"),
        ("x-mac-ukrainian", "mac_cyrillic"),
        ("koi8-ru", "koi8_u"),
        ("csisolatingreek", "iso8859_7"),
        ("hz-gb-2312", "hz"),
        ("iso-2022-kr", "iso2022_kr"),
        ("johab", "johab"),
        ("IBM855", "cp855"),
        ("x-user-defined", ""),
        ("", ""),
    ],
)
def test_labels_of_the_standard_and_of_the_wild_are_known(label: str, codec: str) -> None:
    assert codec_of_label(label) == codec
    assert codec == "" or codecs.lookup(codec)


@pytest.mark.parametrize(
    "label", ["hex", "zip", "punycode", "idna", "rot13", "undefined", "utf-7", "x" * 99]
)
def test_python_codec_names_from_a_server_are_never_looked_up(label: str) -> None:
    assert html_charset(b"plain", label) == "utf_8"
    assert html_charset(f"<meta charset={label}>".encode()) == "utf_8"


def test_the_label_of_a_header_is_found_in_all_its_spellings() -> None:
    assert label_of_header('text/html; boundary=x; Charset = "KOI8-R"') == "KOI8-R"
    assert label_of_header("text/html;charset='greek'") == "greek"
    assert label_of_header("text/html") == ""


def shared_files(shared_data: Path) -> list[tuple[str, bytes]]:
    files = sorted((shared_data / "nasty" / "charset" / "tests").glob("*/*"))
    return [(file.parent.name, file.read_bytes()) for file in files]


def true_text(folder: str, body: bytes) -> str:
    label = re.sub(r"^(iso-8859-\d+|windows-\d+)-.*", r"\1", folder)
    return body.decode(CODECS_BY_FOLDER.get(folder, label), "replace")


def unlabelled(body: bytes) -> bytes:
    head = re.sub(rb"(?:encoding|charset)=[\"']?[\w-]+[\"']?", b"", body[:5_000])
    return body if b"\x00" in body[:100] else head + body[5_000:]


@pytest.mark.shared_data
def test_real_files_are_decoded_right_by_their_label(shared_data: Path) -> None:
    files = shared_files(shared_data)
    right = 0
    for folder, body in files:
        label = re.sub(r"^(iso-8859-\d+|windows-\d+)-.*", r"\1", folder)
        right += body.decode(html_charset(body, label), "replace") == true_text(folder, body)
    assert right >= 0.95 * len(files)


@pytest.mark.shared_data
@pytest.mark.parametrize("label", ["", "utf-8"])
def test_real_files_without_a_true_label_are_mostly_detected(shared_data: Path, label: str) -> None:
    files = [(folder, unlabelled(body)) for folder, body in shared_files(shared_data)]
    right = sum(
        body.decode(html_charset(body, label), "replace") == true_text(folder, body)
        for folder, body in files
    )
    assert right >= 0.95 * len(files)
