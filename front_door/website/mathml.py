"""A part of Sphinx that writes formulas as MathML, which browsers draw themselves: no script, nothing from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from docutils import nodes
from latex2mathml.converter import convert

if TYPE_CHECKING:
    from sphinx.application import Sphinx


def _formula(writer: Any, node: nodes.Element) -> None:
    block = node.tagname == "math_block"
    drawn = convert(node.astext(), display="block" if block else "inline")
    writer.body.append(f'<div class="formula">{drawn}</div>' if block else drawn)
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the drawing of formulas."""
    app.add_html_math_renderer("mathml", (_formula, None), (_formula, None))
    app.config.html_math_renderer = "mathml"
    return {"parallel_read_safe": True}
