"""Find out how a body's text is encoded: byte order mark, header, markup, then detection.

What a server or page says never reaches `codecs.lookup`: "hex", "zip" and "punycode" are codecs
too, and slow ones. Every name that leaves this module comes from the table below.
"""

import codecs
import re

_JUDGED_BYTES = 256 * 1024
_MARKUP_HEAD_BYTES = 16 * 1024
"""Browsers look for a `<meta>` in the first 1,024 bytes; many pages declare theirs later."""
_DETECTED_BYTES = 8 * 1024
"""Detection gains nothing from more text (measured), and takes at most 20 ms for this."""
_CERTAIN_UTF_8_CHARS = 4
"""So many multi-byte sequences without an error are UTF-8, whatever the label says."""
_MAX_WRONG_UTF_8_SHARE = 0.5
_MAX_WRONG_SHARE = 0.2
"""Share of the characters beyond ASCII that may be undecodable before a label is not believed."""
_ZEROS_BYTES = 1_024
_MIN_SCRIPT_SHARE = 0.8

_BOMS = (
    (codecs.BOM_UTF8, "utf_8"),
    (codecs.BOM_UTF32_LE, "utf_32_le"),  # before UTF-16, whose mark it starts with
    (codecs.BOM_UTF32_BE, "utf_32_be"),
    (codecs.BOM_UTF16_LE, "utf_16_le"),
    (codecs.BOM_UTF16_BE, "utf_16_be"),
)

# The labels of the WHATWG Encoding Standard and, after the "|", others that occur, by the Python
# codec that reads them. Labels are compared without case and punctuation. The standard reads
# Latin-1 as windows-1252, and the encodings that it bans for safety are only text here.
_LABELS_BY_CODEC = {
    "utf_8": "utf-8 unicode-1-1-utf-8 unicode11utf8 unicode20utf8 x-unicode20utf8 | utf-8-sig "
    "utf8mb4 cp65001",
    "utf_16_le": "utf-16le utf-16 unicode ucs-2 iso-10646-ucs-2 csunicode unicodefeff",
    "utf_16_be": "utf-16be unicodefffe",
    "utf_32_le": "| utf-32le utf-32 ucs-4",
    "utf_32_be": "| utf-32be",
    "cp1252": "windows-1252 cp1252 x-cp1252 iso-8859-1 iso_8859-1:1987 iso-ir-100 latin1 l1 "
    "csisolatin1 cp819 ibm819 ascii us-ascii ansi_x3.4-1968 | win-1252 ansi",
    "cp1250": "windows-1250 cp1250 x-cp1250 | win-1250",
    "cp1251": "windows-1251 cp1251 x-cp1251 | win-1251",
    "cp1253": "windows-1253 cp1253 x-cp1253",
    "cp1254": "windows-1254 cp1254 x-cp1254 iso-8859-9 iso_8859-9:1989 iso-ir-148 latin5 l5 "
    "csisolatin5",
    "cp1255": "windows-1255 cp1255 x-cp1255",
    "cp1256": "windows-1256 cp1256 x-cp1256",
    "cp1257": "windows-1257 cp1257 x-cp1257",
    "cp1258": "windows-1258 cp1258 x-cp1258",
    "cp874": "windows-874 dos-874 iso-8859-11 tis-620 | cp874",
    "cp866": "ibm866 cp866 866 csibm866",
    "iso8859_2": "iso-8859-2 iso_8859-2:1987 iso-ir-101 latin2 l2 csisolatin2",
    "iso8859_3": "iso-8859-3 iso_8859-3:1988 iso-ir-109 latin3 l3 csisolatin3",
    "iso8859_4": "iso-8859-4 iso_8859-4:1988 iso-ir-110 latin4 l4 csisolatin4",
    "iso8859_5": "iso-8859-5 iso_8859-5:1988 iso-ir-144 cyrillic csisolatincyrillic",
    "iso8859_6": "iso-8859-6 iso_8859-6:1987 iso-8859-6-e iso-8859-6-i iso-ir-127 arabic asmo-708 "
    "ecma-114 csisolatinarabic csiso88596e csiso88596i",
    "iso8859_7": "iso-8859-7 iso_8859-7:1987 iso-ir-126 greek greek8 elot_928 ecma-118 "
    "csisolatingreek sun_eu_greek",
    "iso8859_8": "iso-8859-8 iso_8859-8:1988 iso-8859-8-e iso-8859-8-i iso-ir-138 hebrew visual "
    "logical csisolatinhebrew csiso88598e csiso88598i",
    "iso8859_10": "iso-8859-10 iso-ir-157 latin6 l6 csisolatin6",
    "iso8859_13": "iso-8859-13 | latin7 l7",
    "iso8859_14": "iso-8859-14 | latin8 l8",
    "iso8859_15": "iso-8859-15 l9 csisolatin9 | latin9",
    "iso8859_16": "iso-8859-16 | latin10 l10",
    "koi8_r": "koi8-r koi8 koi cskoi8r",
    "koi8_u": "koi8-u koi8-ru",
    "mac_roman": "macintosh mac x-mac-roman csmacintosh | macroman",
    "mac_cyrillic": "x-mac-cyrillic x-mac-ukrainian | maccyrillic",
    "mac_latin2": "| x-mac-ce maccentraleurope maclatin2",
    "mac_greek": "| x-mac-greek macgreek",
    "mac_turkish": "| x-mac-turkish macturkish",
    "cp437": "| ibm437 cp437",
    "cp737": "| ibm737 cp737",
    "cp775": "| ibm775 cp775",
    "cp850": "| ibm850 cp850",
    "cp852": "| ibm852 cp852",
    "cp855": "| ibm855 cp855",
    "cp857": "| ibm857 cp857",
    "cp858": "| ibm858 cp858",
    "cp860": "| ibm860 cp860",
    "cp861": "| ibm861 cp861",
    "cp862": "| ibm862 cp862 dos-862",
    "cp863": "| ibm863 cp863",
    "cp864": "| ibm864 cp864",
    "cp865": "| ibm865 cp865",
    "cp869": "| ibm869 cp869",
    "kz1048": "| kz-1048 rk1048",
    "ptcp154": "| ptcp154 pt154 cp154",
    "gb18030": "gb18030 gbk x-gbk gb2312 gb_2312-80 chinese csgb2312 csiso58gb231280 iso-ir-58 "
    "| cp936 ms936 windows-936 euc-cn",
    "hz": "hz-gb-2312 | hz hz-gb",
    "big5hkscs": "big5 big5-hkscs cn-big5 csbig5 x-x-big5 | cp950 ms950 windows-950 big5-tw",
    "euc_jp": "euc-jp x-euc-jp cseucpkdfmtjapanese",
    "iso2022_jp": "iso-2022-jp csiso2022jp | iso-2022-jp-1 iso-2022-jp-2 iso-2022-jp-3",
    "cp932": "shift_jis sjis x-sjis ms_kanji ms932 windows-31j csshiftjis | cp932 windows-932",
    "cp949": "euc-kr cseuckr ks_c_5601-1987 ks_c_5601-1989 ksc5601 csksc56011987 iso-ir-149 korean "
    "windows-949 | cp949 ms949 uhc",
    "johab": "| johab cp1361 ksc-johab windows-1361",
    "iso2022_kr": "iso-2022-kr csiso2022kr",
}
_WIDER = {
    "big5hkscs": "cp950",
    "cp932": "shift_jis_2004",
    "euc_jp": "euc_jis_2004",
    "iso2022_jp": "iso2022_jp_ext",
    "iso8859_8": "cp1255",
}
"""What people also write under a label, where Python's codec is stricter than browsers are."""
_DETECTABLE = (
    "utf-8 utf-16-le utf-16-be cp1250 cp1251 cp1252 cp1253 cp1254 cp1255 cp1256 cp1257 cp1258 "
    "cp874 tis-620 cp866 cp855 iso8859-1 iso8859-2 iso8859-3 iso8859-5 iso8859-6 iso8859-7 "
    "iso8859-8 iso8859-9 iso8859-15 koi8-r koi8-u mac-cyrillic mac-roman gb18030 big5hkscs "
    "euc_jis_2004 iso2022_jp_2 iso2022_jp_2004 iso2022_jp_ext cp932 cp949 euc_kr johab "
    "iso2022_kr"
).split()
"""What web pages are written in, by the detector's names. More candidates, more mistakes."""
_WESTERN = ("cp1252", "iso8859_1", "iso8859_15")
_WESTERN_SHARE = 0.98
_WESTERN_SHARE_OF_FEW = 0.65
_FEW_BYTES = 100
"""The most common encoding wins from this share of the best one's confidence on, which says little
on a few words (measured on paragraphs in 21 languages)."""
_CODEC_BY_DETECTED = {
    "euc_jis_2004": "euc_jp",
    "iso2022_jp_2": "iso2022_jp",
    "iso2022_jp_2004": "iso2022_jp_2004",
    "iso2022_jp_ext": "iso2022_jp_ext",
    "koi8_r": "koi8_u",  # differs in eight letters, which are box drawings in KOI8-R
}

_ISO_2022_ESCAPE = b"\x1b$"
_CHARSET_PARAM = re.compile(r";\s{0,20}charset\s{0,20}=\s{0,20}[\"']?([\w.:+-]{1,40})", re.I)
_META_TAG = re.compile(rb"<meta[\s/]([^<>]{0,1000})", re.I)
_ATTRIBUTE = re.compile(
    rb"([^\s\"'>/=]{1,40})\s{0,9}=\s{0,9}(?:\"([^\"]{0,500})|'([^']{0,500})|([^\s\"'>]{1,500}))"
)
_CONTENT_CHARSET = re.compile(rb"charset\s{0,9}=\s{0,9}[\"']?\s{0,9}([\w.:+-]{1,40})", re.I)
_XML_ENCODING = re.compile(
    rb"<\?xml\s[^>]{0,200}?encoding\s{0,9}=\s{0,9}[\"']([\w.:+-]{1,40})", re.I
)
_TAG = re.compile(rb"<[^<>]{0,2000}>")
_NOT_ALPHANUMERIC = re.compile(r"[^a-z0-9]+")


def _squeezed(label: str) -> str:
    return _NOT_ALPHANUMERIC.sub("", label.lower())


_CODECS = {
    _squeezed(label): codec
    for codec, labels in _LABELS_BY_CODEC.items()
    for label in labels.replace("|", "").split()
}


def codec_of_label(label: str) -> str:
    """The Python codec for a charset label as servers and pages write it, or ""."""
    return _CODECS.get(_squeezed(label[:60]), "")


def label_of_header(content_type: str) -> str:
    """The `charset` parameter of a Content-Type header, or ""."""
    match = _CHARSET_PARAM.search(content_type[:1_000])
    return match[1] if match else ""


def unicode_codec(body: bytes, label: str = "") -> str:
    """The UTF-16 or UTF-32 codec (or UTF-8 by its mark) that a body shows by its bytes, or "".

    By its byte order mark, or by where its zero bytes lie. NUL bytes make other bodies binary,
    so this is asked first.

    Args:
        body: the whole body.
        label: charset label of the header; its UTF-16 is believed if there are zero bytes.
    """
    for bom, codec in _BOMS:
        if body.startswith(bom):
            return codec
    head = body[: _ZEROS_BYTES if len(body) > _ZEROS_BYTES else len(body) & ~1]
    if b"\x00" not in head:
        return ""
    labelled = codec_of_label(label)
    if labelled.startswith("utf_32"):
        return labelled
    for codec, low, high in (
        ("utf_16_le", head[::2], head[1::2]),
        ("utf_16_be", head[1::2], head[::2]),
    ):
        if _is_text_in_one_script(low, high):
            return codec
    return labelled if labelled.startswith("utf_16") else ""


def _is_text_in_one_script(low: bytes, high: bytes) -> bool:
    """Whether nearly all of these UTF-16 units are ASCII text or of one other script."""
    ascii_text = sum(
        not top and (32 <= bottom < 127 or bottom in b"\t\n\r")
        for top, bottom in zip(high, low, strict=True)
    )
    other_script = max(map(high.count, range(1, 0x20)))  # Chinese would look like ASCII pairs
    return ascii_text > 0 and ascii_text + other_script >= _MIN_SCRIPT_SHARE * len(high)


def charset_of(body: bytes, *, label: str = "", is_html: bool = False, is_xml: bool = False) -> str:
    """Tell the charset of a text.

    The order is that of the WHATWG HTML standard: byte order mark, the header's label, `<meta>`
    (HTML), the XML declaration, detection. A label that the bytes refute is passed over: servers
    label all they have alike.

    Args:
        body: the whole body; its first 256 KiB are judged.
        label: charset label of the Content-Type header, or "".
        is_html: whether `<meta>` counts.
        is_xml: whether an XML declaration counts.

    Returns:
        A Python codec name from this module's table; `utf_8` for plain ASCII.
    """
    unicode_by_bytes = unicode_codec(body, label)
    if unicode_by_bytes:
        return unicode_by_bytes
    sample = body[:_JUDGED_BYTES]
    utf_8_chars = _strict_utf_8_chars(sample, is_whole=len(sample) == len(body))
    labels = [label]
    if is_html:
        labels.append(_meta_label(body))
    if is_html or is_xml:
        labels.append(_xml_label(body))
    is_escaped = _has_iso_2022_escape(sample) and sample.isascii()
    for candidate in labels:
        codec = codec_of_label(candidate)
        if codec.startswith(("utf_16", "utf_32")) or (is_escaped and codec in ("utf_8", "cp1252")):
            continue  # refuted: there is no zero byte, or there is what only ISO 2022 has
        if utf_8_chars >= _CERTAIN_UTF_8_CHARS or (codec == "cp1252" and utf_8_chars >= 0):
            return "utf_8"  # Latin-1 is what servers say who never thought about it
        codec = codec and _believable(sample, codec)
        if codec:
            return codec
    return "utf_8" if utf_8_chars >= 0 and not is_escaped else _detected(sample)


def _strict_utf_8_chars(sample: bytes, *, is_whole: bool) -> int:
    """How many characters beyond ASCII there are, at least; -1 when it is not UTF-8.

    Few are counted; many are told by the bytes that follow the first byte of each, 1 to 3.
    """
    if sample.isascii():
        return 0
    try:
        # A sample may end within a character.
        text, used = codecs.utf_8_decode(sample, "strict", is_whole)
    except UnicodeDecodeError:
        return -1
    following = used - len(text)
    if following >= 3 * _CERTAIN_UTF_8_CHARS:
        return following // 3
    return len(text) - len(text.encode("ascii", "ignore"))


def _has_iso_2022_escape(sample: bytes) -> bool:
    return b"\x1b" in sample and _ISO_2022_ESCAPE in sample  # one byte is found much faster


def _meta_label(body: bytes) -> str:
    start, *comments = body[:_MARKUP_HEAD_BYTES].split(b"<!--")
    head = start + b"".join(comment.partition(b"-->")[2] for comment in comments)
    for tag in _META_TAG.finditer(head):
        attributes = {
            match[1].lower(): match[2] or match[3] or match[4] or b""
            for match in _ATTRIBUTE.finditer(tag[1])
        }
        label = attributes.get(b"charset", b"")
        if attributes.get(b"http-equiv", b"").strip().lower() == b"content-type":
            match = _CONTENT_CHARSET.search(attributes.get(b"content", b""))
            label = label or (match[1] if match else b"")
        if label:
            return label.strip().decode("ascii", "ignore")
    return ""


def _xml_label(body: bytes) -> str:
    match = _XML_ENCODING.match(body[:_MARKUP_HEAD_BYTES].lstrip())
    return match[1].decode("ascii", "ignore") if match else ""


def _believable(sample: bytes, codec: str) -> str:
    """The codec, or its wider relative, when it reads the sample well enough; else ""."""
    share = _wrong_share(sample, codec)
    wider = _WIDER.get(codec, "")
    if share and wider and _wrong_share(sample, wider) < share:
        return wider
    most = _MAX_WRONG_UTF_8_SHARE if codec == "utf_8" else _MAX_WRONG_SHARE
    return codec if share <= most else ""


def _wrong_share(sample: bytes, codec: str) -> float:
    """Undecodable characters per character beyond ASCII."""
    text = codecs.getincrementaldecoder(codec)("replace").decode(sample)
    wrong = text.count("\ufffd")
    if codec == "utf_8":
        wrong -= sample.count("\ufffd".encode())  # damaged before it was encoded
    if wrong <= 0:
        return 0
    return wrong / (len(text) - len(text.encode("ascii", "ignore")))


def _detected(sample: bytes) -> str:
    telling = _telling_text(sample)
    if not telling:
        return "utf_8" if sample.isascii() else "cp1252"
    import chardet  # its tables take 0.2 s and 30 MB, and few pages need it

    found = chardet.detect_all(
        telling, compat_names=False, include_encodings=_DETECTABLE, ignore_threshold=True
    )
    confidences = {(one["encoding"] or "").replace("-", "_"): one["confidence"] for one in found}
    name = max(confidences, key=lambda name: confidences[name])
    western = max(confidences.get(codec, 0) for codec in _WESTERN)
    share = _WESTERN_SHARE if len(telling) > _FEW_BYTES else _WESTERN_SHARE_OF_FEW
    if western >= share * confidences[name]:
        return "cp1252"
    return _CODEC_BY_DETECTED.get(name) or codec_of_label(name) or "cp1252"


def _telling_text(sample: bytes) -> bytes:
    """The lines that are not ASCII, without tags: markup drowns what a detector looks at."""
    escape = sample.find(_ISO_2022_ESCAPE)
    if escape >= 0:
        return sample[escape : escape + _DETECTED_BYTES]
    lines = (line.strip() for line in _TAG.sub(b"\n", sample).splitlines())
    return b"\n".join(line for line in lines if not line.isascii())[:_DETECTED_BYTES]
