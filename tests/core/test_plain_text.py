"""A job's file is text, and all of it shows (`plain_text`): what was tried to hide in one, and what is no trick."""

from __future__ import annotations

import py_compile
from pathlib import Path

import pytest

from ppml_helpers.plain_text import numbered, plain, visible, visible_name

PAYLOAD = "".join(f"\\x{ord(c):02x}" for c in "\nprint(2)")
TRICKS = {
    "code in a comment, by a coding line": (f"# coding: unicode_escape\n# {PAYLOAD}\n", "line 1, column 1, names"),
    "the same for vim, in line 2": ("#!/usr/bin/python\n# vim: set fileencoding=utf-7 :\n", "line 2, column 1, names"),
    "after a line end of the Mac": ("#\r# coding: rot13\n", "U+000D"),
    "an encoding that nobody knows": ("# coding=mine\n", "'mine'"),
    "a mark of the byte order": ("\ufeffprint(1)\n", "line 1, column 1, has U+FEFF"),
    "a comment that is read from the right": ("x = 1  # \u202e x\u2066\n", "U+202E (right-to-left override)"),
    "nothing between two letters": ("print\u200b(1)\n", "column 6, has U+200B (zero width space)"),
    "a name without ink": ("\u3164 = open\n", "U+3164 (hangul filler)"),
    "bytes in variation selectors": ("x = 'a\ufe01\U000e0155'\n", "U+FE01"),
    "a line end that only Unicode knows": ("x = 1  #\u2028print(2)\n", "U+2028"),
    "an end of the text": ("print(1)\n\0print(2)\n", "line 2, column 1, has U+0000"),
    "a form feed, which ends an indentation": ("if 0:\n  x = 1\n\x0c  print(2)\n", "U+000C"),
    "a Cyrillic letter in a name": ("import helpers\nh\u0435lpers.run()\n", "line 2, column 2, has U+0435"),
    "another form of a name": ("\U0001d452val('1')\n", "U+1D452 (mathematical italic small e)"),
    "full width, within a string of 3.11": ("f'{\uff45\uff56\uff41\uff4c(x)}'\n", "U+FF45"),
    "a key that is another key": ("row['d\u0456ed']\n", "U+0456"),
    "what stands far to the right": (f"x = 1;{' ' * 600}print(2)\n", "beyond 500 characters"),
}  # fmt: skip


@pytest.mark.parametrize("trick", TRICKS)
def test_a_trick_is_named_with_its_place(trick):
    text, words = TRICKS[trick]
    with pytest.raises(ValueError, match=r"^code/main\.py, line") as refused:
        plain("code/main.py", text.encode())
    assert words in str(refused.value)
    assert str(refused.value).isascii() or trick.startswith(("a Cyr", "another", "full", "a key")), "which are letters"


def test_what_is_compiled_packed_or_in_another_encoding_is_no_text(tmp_path):
    (tmp_path / "helpers.py").write_text("print(2)")
    compiled = py_compile.compile(str(tmp_path / "helpers.py"), cfile=str(tmp_path / "helpers.pyc"))
    packed = (Path(compiled).read_bytes(), b"\x7fELF\x02", b"PK\x03\x04", b"\x80\x04K\x01.")
    for data in (*packed, "größe".encode("latin-1")):
        with pytest.raises(ValueError, match=r"helpers\.pyc, line 1, column \d, has (the byte 0x..|U\+00..)"):
            plain("helpers.pyc", data)
    with pytest.raises(ValueError, match=r"the name 'h.lpers\.py' has U\+0435"):
        plain("h\u0435lpers.py", b"")


@pytest.mark.parametrize(
    "text",
    [
        "# Größe in µm², für Zoë; Δ in %, 体重, « où »\nx = {'Größe': 1, 'µg': 2, '体重': 3, 'naïve': '°C ≤ 3'}\n",
        "# -*- coding: utf-8 -*-\nx = 1\n",
        "x = 1\r\ny = 'e\u0301'\r\n",
        "def f(:\n",  # Python will say so itself
        "",
    ],
)
def test_what_people_write_is_let_through(text):
    assert plain("code/main.py", text.encode()) == text
    assert plain("code/notes.txt", text.encode()) == text


def test_each_line_has_a_number_and_all_its_white_space():
    assert numbered("a \n\n--- code/b.py\n\tx\t") == "  1 a\\x20\n  2\n  3 --- code/b.py\n  4 \tx\\t"
    assert visible("\u202e\r\x1b[2K\u2028é\n\t\u3164") == "\\u202e\\r\\x1b[2K\\u2028é\n\t\\u3164"
    assert visible_name("a\tb\n") == "a\\tb\\n"
