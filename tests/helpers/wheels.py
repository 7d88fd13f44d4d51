"""A package so small that a whole set-up with it takes seconds."""

from __future__ import annotations

import zipfile
from pathlib import Path


def tiny_wheel(
    folder: Path, version: str = "1.0", name: str = "tiny", tag: str = "py3-none-any", more: str = ""
) -> None:
    code = f'version = "{version}"\n\ndef main():\n    print("{name} {version} runs")\n'
    files = {f"{name}/__init__.py": code, f"{name}/table.txt": "0 1 2 3\n" * 50}
    info = f"{name}-{version}.dist-info"
    files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{more}"
    files[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n"
    files[f"{info}/entry_points.txt"] = f"[console_scripts]\n{name} = {name}:main\n"
    files[f"{info}/RECORD"] = "".join(f"{file},,{len(text)}\n" for file, text in files.items()) + f"{info}/RECORD,,\n"
    with zipfile.ZipFile(folder / f"{name}-{version}-{tag}.whl", "w") as wheel:
        for file, text in files.items():
            wheel.writestr(file, text)
