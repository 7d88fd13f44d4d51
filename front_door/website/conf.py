"""The configuration that Sphinx reads when the course is written as a website (``front_door/site.py`` copies it)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

project = "Privacy-preserving machine learning, on real patients"
extensions = ["myst_nb", "mathml"]
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
