"""The configuration that Sphinx reads when chapters are written as slides (``front_door/slides.py`` copies it)."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

project = "Privacy-preserving machine learning, on real patients"
extensions = ["myst_parser", "sphinx_revealjs", "mathml"]
exclude_patterns = ["_build"]
language = "en"
myst_enable_extensions = ["dollarmath"]
revealjs_static_path = ["_static"]
revealjs_css_files = ["slides.css"]
revealjs_style_theme = "white"
revealjs_script_conf = {"hash": True, "slideNumber": "c/t", "transition": "none", "center": False}
revealjs_script_plugins = [{"name": "RevealNotes", "src": "revealjs/plugin/notes/notes.js"}]
