"""The configuration that Sphinx reads when handouts are written (``front_door/slides.py`` copies it)."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

project = "Privacy-preserving machine learning, on real patients"
extensions = ["myst_parser", "mathml"]
exclude_patterns = ["_build"]
language = "en"
myst_enable_extensions = ["dollarmath"]
html_theme = "basic"
html_sidebars: dict[str, list[str]] = {"**": []}
html_static_path = ["_static"]
html_css_files = ["handouts.css"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
html_use_index = False
