"""`fictional`: a table of made-up people says so, whatever is derived from it and however it is shown."""

from __future__ import annotations

import copy
import pickle

import pandas as pd
import pytest

from ppml_helpers.people import identities
from ppml_helpers.people.fictional import FICTIONAL, Fictional


@pytest.mark.parametrize(
    "derive",
    [
        lambda people: people[["name", "sex"]],
        lambda people: people.iloc[2:4],
        lambda people: people.loc[people.index[:2], ["name"]],
        lambda people: people.copy(),
        copy.deepcopy,
        lambda people: people.reset_index(),
        lambda people: people.merge(_plain(people), left_index=True, right_index=True),
        lambda people: people.groupby("sex").agg("max"),
        lambda people: pd.concat([people, people]),
        lambda people: pd.concat([people, _plain(people)], axis=1),
        lambda people: pickle.loads(pickle.dumps(people)),
    ],
)
def test_the_label_stays_with_what_is_derived(people, extract, derive) -> None:
    table = derive(people)
    assert isinstance(table, Fictional)
    assert table.attrs["fictional"] == FICTIONAL
    assert repr(table).endswith(FICTIONAL)
    assert f"<caption>{FICTIONAL}</caption>" in table._repr_html_()
    assert derive(extract.assign(name="")).attrs["fictional"] == identities.PARTLY_FICTIONAL  # a special label too


def _plain(people: Fictional) -> pd.DataFrame:
    plain = pd.DataFrame({"x": range(len(people))}, index=people.index)
    plain.attrs["source"] = "elsewhere"
    return plain


def test_a_table_from_two_sources_has_both_labels_once(extract, people) -> None:
    both = people[["name"]].join(extract[["age"]])
    assert both.attrs["fictional"] == f"{FICTIONAL} {identities.PARTLY_FICTIONAL}"
    assert both.join(people[["phone"]]).attrs["fictional"] == both.attrs["fictional"]
    assert both["age"].attrs["fictional"] == both.attrs["fictional"]
    assert Fictional({"a": [1]}).attrs["fictional"] == FICTIONAL  # a new table shares nobody's label


def test_the_caption_is_escaped_and_stands_inside_the_table() -> None:
    table = Fictional({"a": ["<b>bold</b>"]})
    table.attrs["fictional"] = r"<script>alert(1)</script> & \1 \g<0>"
    shown = table._repr_html_()
    assert "<script>" not in shown
    assert "<b>" not in shown
    assert r"<caption>&lt;script&gt;alert(1)&lt;/script&gt; &amp; \1 \g&lt;0&gt;</caption>" in shown
    assert shown.index("<table") < shown.index("<caption>") < shown.index("<thead>")


def test_the_label_is_shown_however_pandas_shows_a_table(people) -> None:
    with pd.option_context("display.large_repr", "info", "display.max_rows", 5):
        assert people._repr_html_().startswith(f"<p>{FICTIONAL}</p>")
        assert repr(people).endswith(FICTIONAL)
    with pd.option_context("display.notebook_repr_html", False):
        assert people._repr_html_() is None
    assert repr(people.iloc[:0]).endswith(FICTIONAL)
