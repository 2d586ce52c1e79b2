"""Write the formulas of a page as TeX."""

import re

from selectolax.lexbor import LexborHTMLParser, LexborNode

_FORMULAS = (
    ".mwe-math-element, .katex-display, .katex, mjx-container, math, script[type^='math/tex']"
)
_TEX = "annotation[encoding*=tex], annotation[encoding*=TeX]"
_STYLE = re.compile(r"\{\\(?:display|text|script)style (.*)\}", re.S)
_MAX_DEPTH = 40
_GROUPED = re.compile(r"\w*|\(.*\)", re.S)


def write_formulas_as_tex(tree: LexborHTMLParser, markup: bytes) -> None:
    r"""Replace MathML, KaTeX, MathJax and MediaWiki formulas by text such as `$x^2$`.

    The TeX that they were made from is taken where the page still has it; other MathML is
    written on a line, as in `(a + b)/2`. Run this before hidden elements are removed: pages hide
    the MathML that belongs to an image.

    Args:
        tree: the page; formulas in it are replaced by text.
        markup: its source, to see at once that there is none.
    """
    if b"math" not in markup:
        return
    replaced: set[int] = set()
    for node in tree.css(_FORMULAS):
        if node.mem_id in replaced:
            continue
        text = _formula(node)
        if text:
            # Listed twice or inside this one: memory that is freed now.
            replaced.add(node.mem_id)
            replaced.update(inner.mem_id for inner in node.css(_FORMULAS))
            node.replace_with(text)


def _formula(node: LexborNode) -> str:
    is_display = _is_display(node)
    if node.tag == "script":
        tex = node.text()
    else:
        annotation = node.css_first(_TEX)
        math = node if node.tag == "math" else node.css_first("math")
        image = node.css_first("img[alt]")
        tex = annotation.text() if annotation is not None else ""
        if not tex and math is not None:
            tex = math.attributes.get("alttext") or ""
            if not tex:
                return f" {_linear(math, 0)} "
        if not tex and image is not None:
            tex = image.attributes.get("alt") or ""
    tex = " ".join(tex.split()).removesuffix("%").strip()
    if styled := _STYLE.fullmatch(tex):
        tex = styled[1].strip()
    if not tex:
        return ""
    return f" $${tex}$$ " if is_display else f"${tex}$"


def _is_display(node: LexborNode) -> bool:
    math = node.css_first("math")
    for element in (node, math):
        attributes = element.attributes if element is not None else {}
        if attributes.get("display") in ("block", "true"):
            return True
        if "mode=display" in (attributes.get("type") or ""):
            return True
        if "katex-display" in (attributes.get("class") or ""):
            return True
    return False


def _linear(node: LexborNode, depth: int) -> str:
    """MathML on one line."""
    if depth > _MAX_DEPTH:
        return node.text()
    parts: list[str] = []
    child = node.first_child
    while child is not None:
        if child.tag == "-text":
            parts.append((child.text_content or "").strip())
        elif child.tag not in ("annotation", "annotation-xml", "-comment"):
            parts.append(_linear(child, depth + 1))
        child = child.next
    parts = [part for part in parts if part]
    if len(parts) >= 2:
        first, second, *others = parts
        if node.tag == "mfrac":
            return f"{_grouped(first)}/{_grouped(second)}"
        if node.tag in ("msup", "msub"):
            return f"{_grouped(first)}{'^' if node.tag == 'msup' else '_'}{_grouped(second)}"
        if node.tag == "msubsup" and others:
            return f"{_grouped(first)}_{_grouped(second)}^{_grouped(others[0])}"
    if node.tag == "msqrt":
        return f"sqrt({''.join(parts)})"
    separator = {"mtable": "; ", "mtr": ", "}.get(node.tag or "", "")
    text = separator.join(parts)
    return f" {text} " if node.tag == "mo" and text in tuple("=+-−<>≤≥→∈") else text


def _grouped(text: str) -> str:
    text = text.strip()
    return text if _GROUPED.fullmatch(text) else f"({text})"
