"""Texts that want to be more than text, in a report or elsewhere."""

from __future__ import annotations

from ppml_helpers import figures

HOSTILE = {
    "script": "<script>document.title='caught'</script>",
    "attribute": "\" onload='alert(1)' x=\"",
    "image": "<img src=http://attacker.example/x onerror=alert(1)>",
    "markdown image": "![x](http://attacker.example/x) [y](javascript:alert(1)) <http://attacker.example>",
    "bare address": "see http://attacker.example/, www.attacker.example or me@attacker.example",
    "structure": "# heading\n===\n- item\n1. one\n> quote\n```\ncode\n    code\n---\n|a|b|\n|-|-|\n|c|d|",
    "reference": "[picture-1]: http://attacker.example\n\n[picture-1]",
    "entity": "&lt;b&gt; &#60;b&#62; *bold* _it_ ~~gone~~ `code` $x$ \\ \\<b>",
    "comment": "<!-- --> --> ]]> </style></p></main></body>",
    "control": "a\x00b\x07c\x1b[31m\u2028d\ufeffe\udc80f",
    "formula": '=HYPERLINK("http://attacker.example","x")',
    "minus formula": "-2+3+cmd|' /C calc'!A0",
}
LONG = "x<b>" * 25_000


def picture() -> bytes:
    return figures.to_png(figures.new_figure()[0])
