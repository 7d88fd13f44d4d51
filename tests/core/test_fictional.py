"""`fictional`: a table of made-up people says so, whatever is derived from it and however it is shown."""

from __future__ import annotations

import copy
import pickle

import pandas as pd
import pytest

from ppml_helpers import cohort
from ppml_helpers.people import identities
from ppml_helpers.people.fictional import FICTIONAL, Fictional


@pytest.fixture(scope="module")
def few() -> Fictional:
    return identities.identities(cohort.load_patients().head(100))


@pytest.fixture(scope="module")
def extract(few) -> Fictional:
    return identities.deidentified(cohort.load_patients().head(100), few)


def _derived(people: Fictional) -> dict[str, pd.DataFrame]:
    other = pd.DataFrame({"x": range(len(people))}, index=people.index)
    return {
        "columns": people[["name", "sex"]],
        "rows": people.iloc[2:4],
        "loc": people.loc[people.index[:2], ["name"]],
        "copy": people.copy(),
        "deepcopy": copy.deepcopy(people),
        "reset": people.reset_index(),
        "merge": people.merge(other, left_index=True, right_index=True),
        "aggregate": people.groupby("sex").agg("max"),
        "concat": pd.concat([people, people]),
        "aside": pd.concat([people, other], axis=1),
        "pickle": pickle.loads(pickle.dumps(people)),
    }


def test_the_label_stays_with_what_is_derived(few) -> None:
    for how, table in _derived(few).items():
        assert isinstance(table, Fictional), how
        assert table.attrs["fictional"] == FICTIONAL, how
        assert repr(table).endswith(FICTIONAL), how
        assert f"<caption>{FICTIONAL}</caption>" in table._repr_html_(), how


def test_a_special_label_stays_too(extract) -> None:
    for table in (extract.head(), extract[["age"]], extract.copy(), pd.concat([extract.head(), extract.tail()])):
        assert table.attrs["fictional"] == identities.PARTLY_FICTIONAL
    plain = pd.DataFrame({"x": 1}, index=extract.index)
    plain.attrs["source"] = "elsewhere"
    assert extract.join(plain).attrs["fictional"] == identities.PARTLY_FICTIONAL
    assert extract.merge(plain, left_index=True, right_index=True).attrs["fictional"] == identities.PARTLY_FICTIONAL
    assert extract["postcode"].attrs["fictional"] == identities.PARTLY_FICTIONAL


def test_a_table_from_two_sources_has_both_labels_once(extract, few) -> None:
    both = few[["name"]].join(extract[["age"]])
    assert both.attrs["fictional"] == f"{FICTIONAL} {identities.PARTLY_FICTIONAL}"
    assert both.join(few[["phone"]]).attrs["fictional"] == both.attrs["fictional"]


def test_the_caption_is_escaped_and_stands_inside_the_table() -> None:
    table = Fictional({"a": ["<b>bold</b>"]})
    table.attrs["fictional"] = r"<script>alert(1)</script> & \1 \g<0>"
    shown = table._repr_html_()
    assert "<script>" not in shown
    assert "<b>" not in shown
    assert r"<caption>&lt;script&gt;alert(1)&lt;/script&gt; &amp; \1 \g&lt;0&gt;</caption>" in shown
    assert shown.index("<table") < shown.index("<caption>") < shown.index("<thead>")


def test_the_label_is_shown_however_pandas_shows_a_table(few) -> None:
    with pd.option_context("display.large_repr", "info", "display.max_rows", 5):
        assert few._repr_html_().startswith(f"<p>{FICTIONAL}</p>")
        assert repr(few).endswith(FICTIONAL)
    with pd.option_context("display.notebook_repr_html", False):
        assert few._repr_html_() is None
    assert repr(few.iloc[:0]).endswith(FICTIONAL)


def test_two_tables_do_not_share_a_label() -> None:
    one, two = Fictional({"a": [1]}), Fictional({"a": [1]})
    one.attrs["fictional"] = "other"
    assert two.attrs["fictional"] == FICTIONAL
