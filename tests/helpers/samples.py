"""Small notebooks for the tests, good and bad."""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbformat import NotebookNode

from ppml_helpers import course

v4 = nbformat.v4


def code(
    source: str, *tags: str, name: str = "", count: int | None = None, outputs: list | None = None
) -> NotebookNode:
    cell = v4.new_code_cell(source, id=name or f"cell-{abs(hash(source)) % 10**8}")
    cell.execution_count, cell.outputs = count, outputs or []
    if tags:
        cell.metadata["tags"] = list(tags)
    return cell


def prose(text: str, name: str = "prose", *tags: str) -> NotebookNode:
    cell = v4.new_markdown_cell(text, id=name)
    if tags:
        cell.metadata["tags"] = list(tags)
    return cell


def stored(path: Path, *cells: NotebookNode, normal: bool = True, **metadata: object) -> Path:
    """Write a notebook as the course stores it (``normal=False``: as it is)."""
    notebook = v4.new_notebook(cells=list(cells))
    notebook.metadata["kernelspec"] = dict(course.KERNEL)
    notebook = course.normalise(notebook) if normal else notebook
    notebook.metadata.update(metadata)
    course.write(notebook, path)
    return path


def stream(text: str, name: str = "stdout") -> NotebookNode:
    return v4.new_output("stream", name=name, text=text)


def result(count: int, **data: str) -> NotebookNode:
    names = {"plain": "text/plain", "html": "text/html", "png": "image/png"}
    data = {names.get(key, key): value for key, value in data.items()}
    return v4.new_output("execute_result", data=data, execution_count=count)
