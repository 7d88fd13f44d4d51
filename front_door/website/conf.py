"""The configuration that Sphinx reads when the course is written as a website (``front_door/site.py`` copies it)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from latex2mathml.converter import convert

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.application import Sphinx

project = "Privacy-preserving machine learning, on real patients"
extensions = ["myst_nb"]
html_theme = "sphinx_book_theme"
html_title = project
html_static_path = ["_static"]
html_css_files = ["course.css"]
html_copy_source = False
html_show_search_summary = (
    False  # it fetches each page found, which a browser forbids to a site that is opened from a disk
)
html_show_copyright = False
html_show_sphinx = False
language = "en"
exclude_patterns = ["_build"]

nb_execution_mode = "off"  # what is shown is what the tests compare: the stored outputs
nb_merge_streams = True
nb_code_prompt_show = "Show the solution"
nb_code_prompt_hide = "Hide the solution"
nb_ipywidgets_js: dict[str, Any] = {}  # the widgets' scripts would come from outside; their pictures are stored
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
html_theme_options = {
    "show_toc_level": 2,
    "use_download_button": False,
    "use_fullscreen_button": False,
    "article_header_start": ["toggle-primary-sidebar.html"],
    "navbar_persistent": [],
    "secondary_sidebar_items": ["page-toc.html"],
}


def _formula(writer: Any, node: nodes.Element) -> None:
    """Write a formula as MathML, which browsers draw themselves: no script, nothing from outside."""
    from docutils import nodes

    block = node.tagname == "math_block"
    drawn = convert(node.astext(), display="block" if block else "inline")
    writer.body.append(f'<div class="formula">{drawn}</div>' if block else drawn)
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the drawing of formulas."""
    app.add_html_math_renderer("mathml", (_formula, None), (_formula, None))
    app.config.html_math_renderer = "mathml"
    return {"parallel_read_safe": True}
