"""One content has one form of bytes, and the owner's rule is kept by code (`outputs`)."""

from __future__ import annotations

import itertools

import pytest

from ppml_helpers.errors import DatasiteError, ReleaseRefused
from ppml_helpers.owner_in_control.outputs import OutputRule, agreed, canonical


@pytest.mark.parametrize(
    ("name", "forms", "written"),
    [
        ("a.json", ['{"b": 1, "a": 2.50}', '\n{"a":2.5,"b":1.0}', '{"\\u0061": 25e-1, "b": 1e0}'], '{"a":2.5,"b":1}\n'),
        ("a.json", ["[-0.0, null, true]", "[0, null,true] "], "[0,null,true]\n"),
        ("a.json", ['"a  b "', '"a\\tb"', '" a\\u00a0b"'], '"a b"\n'),
        ("a.csv", ["k,v\nb,2\na,1", '"k", v\r\n\na,01.0\r\nb,+2\r\n', "k,v\na,1e0\nb,2.\n"], "k,v\na,1\nb,2\n"),
        ("a.csv", ["x\n97.0\n", "x\n97\n", "x\n970e-1"], "x\n97\n"),
        ("a.txt", ["died 42", "died\t42.0 \n\n", "\u2028died   042"], "died 42\n"),
    ],
)
def test_all_ways_to_write_one_content_are_the_same_bytes(name, forms, written):
    assert {canonical(name, form.encode())[0] for form in forms} == {written}
    assert canonical(name, written.encode())[0] == written


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("a.pkl", b"", "only .json, .csv, .txt leave"),
        ("a.txt", b"\xff", "can't decode"),
        ("a.txt", "a\u200bb".encode(), "do not show"),
        ("a.json", b'["\\u202e"]', "do not show"),
        ("a.json", b"[NaN]", "nan is no number"),
        ("a.json", b"[1e999]", "inf is no number"),
        ("a.json", b"[12345678901234567890]", "12345678901234567890 is no number"),
        ("a.json", b'{"a": 1, "a": 2}', "a key stands there twice"),
        ("a.json", b'{"a": 1, "a ": 2}', "a key stands there twice"),
        ("a.json", b"[" * 100_000, "recursion"),
        ("a.json", b"{", "Expecting"),
        ("a.csv", b'a\n"b', "unexpected end"),
    ],
)
def test_what_cannot_be_shown_does_not_leave(name, data, why):
    with pytest.raises(ReleaseRefused, match=rf"outputs/{name} cannot leave \(.*{why}.*\): answer in JSON or CSV"):
        canonical(name, data)


@pytest.mark.parametrize(
    ("rule", "content", "why"),
    [
        (OutputRule(answers=3), b"[10.5, 20.5, [30.5, 40.5]]", "has 4 numbers, and 3 are allowed"),
        (OutputRule(smallest=10), b'{"coma": 9}', "a cell of 9, and cells below 10"),
        (OutputRule(digits=1, smallest=10), b"[9.4]", "a cell of 9"),  # after it was rounded
        (OutputRule(labels=("died",)), b'{"Zebedee": 12}', "the word 'Zebedee'"),
        (OutputRule(labels=("died",)), b'{"died": "Zebedee"}', "the word 'Zebedee'"),
    ],
)
def test_an_answer_that_breaks_the_owners_rule_is_refused(rule, content, why):
    with pytest.raises(ReleaseRefused, match=why):
        rule.check([canonical("a.json", content, rule)[1]])


def test_an_answer_within_the_rule_is_rounded():
    rule = OutputRule(answers=4, digits=3, smallest=10, labels=("died", "share"))
    data, content = canonical("a.json", b'{"share": 0.2606901, "died": [1187, 0, true]}', rule)
    assert data == '{"died":[1190,0,true],"share":0.261}\n'
    rule.check([content])
    pairs = itertools.pairwise(
        canonical("a.json", f"[{62.1 + hidden}]".encode(), rule)[0] for hidden in (0, 1e-3, 1e-9)
    )
    assert all(one == other for one, other in pairs), "what hides in the last digits is gone"


def test_a_rule_of_no_sense_is_refused_and_names_are_read_out_of_the_code():
    for wrong in ({"answers": 0}, {"digits": 0}, {"smallest": -1}):
        with pytest.raises(DatasiteError, match="must be a whole number"):
            OutputRule(**wrong)
    texts = ['open("outputs/b.json", "w")', "cp x code/outputs/a.csv.", "outputs/../x outputs/sub/x outputs/.y"]
    assert agreed(texts) == ("a.csv", "b.json", "sub")
