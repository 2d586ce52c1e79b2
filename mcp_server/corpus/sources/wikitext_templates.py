"""What the few templates say that stand inside sentences; all others are layout or sources.

A dump holds pages before their templates are expanded. The names are those of the English
Wikipedia; most other wikis have the common ones under the same names.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

_MAX_FACT_CHARS = 400
_NO_FACTS = re.compile(
    r"image|img|caption|photo|logo|flag|seal|icon|size|width|height|upright|alt$|colou?r|style|"
    r"class|map|module|embed|footnote|signature|coord|latd|longd|lat_|long_|rgb|ref|^child$",
)
_INFOBOXES = (
    "infobox",
    "taxobox",
    "automatic taxobox",
    "speciesbox",
    "ficha de",
    "info/",
    "карточка",
    "faktamall",
    "thông tin",
    "hộp thông tin",
)
_KEY = re.compile(r"[\w .&/()-]{1,60}")
_NUMBER = re.compile(r"\d{1,4}")


class Template(NamedTuple):
    """A template's call, its arguments being plain text."""

    name: str
    """Lower case, spaces for underscores."""
    positional: Sequence[str]
    named: Mapping[str, str]


def parse_template(parts: Sequence[str]) -> Template:
    """Read a call.

    Args:
        parts: what stood between the bars, the name first.
    """
    name = " ".join(parts[0].replace("_", " ").lower().split())
    positional: list[str] = []
    named: dict[str, str] = {}
    for part in parts[1:]:
        key, equals, value = part.partition("=")
        if equals and _KEY.fullmatch(key.strip()):
            named[key.strip()] = value.strip()
        else:
            positional.append(part.strip())
    numbers = map(str, range(len(positional) + 1, len(positional) + 4))
    positional += [named[number] for number in numbers if number in named]  # "|1=text"
    return Template(name, positional, named)


def text_of(template: Template) -> str:
    """The words that a template puts into its sentence, mostly none."""
    write = _WRITERS.get(template.name)
    if write is None:
        is_language = template.name.startswith("lang-")
        return _first(template) if is_language else ""
    return write(template)


def facts_of(template: Template) -> list[str]:
    """What a template says about the page's subject, as lines `key: value`.

    Infoboxes and the short description do, under their names on the largest wikis.
    """
    if template.name == "short description":
        about = _first(template)
        return [f"description: {about}"] if about and about != "none" else []
    if not template.name.startswith(_INFOBOXES):
        return []
    facts: list[str] = []
    for key, value in template.named.items():
        line = " ".join(value.replace("\n*", ", ").split()).strip(", ")
        if line and len(line) <= _MAX_FACT_CHARS and not _NO_FACTS.search(key.lower()):
            facts.append(f"{key.replace('_', ' ')}: {line}")
    return facts


def _first(template: Template) -> str:
    return template.positional[0] if template.positional else ""


def _second(template: Template) -> str:
    return template.positional[1] if len(template.positional) > 1 else ""


def _last(template: Template) -> str:
    return template.positional[-1] if template.positional else ""


def _list(template: Template) -> str:
    items = (item.strip(" *\n").replace("\n*", ", ") for item in template.positional)
    return ", ".join(filter(None, items))


def _measure(template: Template) -> str:
    numbers = template.positional
    if len(numbers) > 3 and numbers[1] in ("-", "–", "to", "and", "by", "x"):
        return f"{numbers[0]} {numbers[1]} {numbers[2]} {numbers[3]}"
    return " ".join(numbers[:2])


def _date(template: Template) -> str:
    numbers = [text for text in template.positional if _NUMBER.fullmatch(text)][:3]
    if not numbers:
        return _first(template)
    return "-".join(number.zfill(2) for number in numbers)


def _value(template: Template) -> str:
    return f"{_first(template)} {template.named.get('u', '')}".strip()


def _translated(template: Template) -> str:
    others = ", ".join(filter(None, template.positional[1:3]))
    return f"{_first(template)} ({others})" if others else _first(template)


def _constant(text: str) -> Callable[[Template], str]:
    return lambda _: text


def _prefixed(prefix: str) -> Callable[[Template], str]:
    return lambda template: (prefix + _first(template)).strip()


def _named(names: str, write: Callable[[Template], str]) -> dict[str, Callable[[Template], str]]:
    return dict.fromkeys(names.split(", "), write)


_WRITERS: Mapping[str, Callable[[Template], str]] = (
    _named(
        "nowrap, nobr, nobold, small, smaller, big, large, abbr, sic, visible anchor, vanchor, ill,"
        " interlanguage link, flag, flagcountry, flagu, url, quote, blockquote, cquote, rquote,"
        " quotation, strong, em, mono, code, tt, var, sub, sup, angbr, linktext, title case, sc,"
        " smallcaps, center, not a typo, marriage, tooltip",
        _first,
    )
    | _named("lang, langx, wikt-lang, script, color, font color", _second)
    | _named("transl, transliteration, translit", _last)
    | _named("convert, cvt", _measure)
    | _named("val, gaps, formatnum, nts", _value)
    | _named(
        "birth date, birth date and age, birth year and age, bda, death date, death date and age,"
        " death year and age, dda, dob, start date, start date and age, end date, film date,"
        " launch date, date, dts",
        _date,
    )
    | _named(
        "ubl, unbulleted list, plainlist, plain list, hlist, flatlist, flat list, bulleted list,"
        " collapsible list",
        _list,
    )
    | _named("nihongo, nihongo2, korean, zh", _translated)
    | _named("circa, c., ca.", _prefixed("c. "))
    | _named("as of", _prefixed("as of "))
    | _named("née, nee", _prefixed("née "))
    | _named("frac, sfrac", lambda template: "/".join(template.positional))
    | _named("snd, spnd, spaced ndash, spaced en dash, dash, sndash", _constant(" – "))
    | _named("ndash, en dash, endash, –", _constant("–"))
    | _named("mdash, em dash, emdash, —", _constant("—"))
    | _named("·, •, dot, middot, bull", _constant(" · "))
    | _named("spaces, nbsp, pad, thinsp", _constant(" "))
    | {"'": _constant("'"), "'s": _constant("'s"), "=": _constant("="), "!": _constant("|")}
)
