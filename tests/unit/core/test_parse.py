"""The strict reader: each attack of the catalogue (G1 to G7) is one typed refusal in bounded time."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from time import process_time
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tieout.core.parse import Limits, read_any, read_json, write_json
from tieout.core.verdicts import NeedsHuman

MEGA = 1_000_000

ATTACKS: list[tuple[str, bytes]] = [
    ("duplicate_key", b'{"amount":1,"amount":99}'),
    ("duplicate_key", b'{"a":{"b":1,"\\u0062":2}}'),
    ("not_a_number", b'{"a":NaN}'),
    ("not_a_number", b'{"a":-Infinity}'),
    ("exponent", b'{"a":1E400}'),
    ("exponent", b'{"a":1e2000000}'),
    ("number_too_long", b'{"a":' + b"9" * 5000 + b"}"),
    ("number_too_long", b'{"a":1.' + b"1" * MEGA + b"}"),
    ("minus_zero", b'{"a":-0}'),
    ("minus_zero", b'{"a":-0.00}'),
    ("too_deep", b'{"a":' * 65 + b"1" + b"}" * 65),
    ("too_deep", b"[" * 5000 + b"]" * 5000),
    ("too_deep", b"[" * MEGA),
    ("too_deep", b'{"":' * MEGA),
    ("syntax", b"[[{]}]" * 1000),
    ("syntax", b'"\\"' * MEGA),
    ("syntax", b'{"a":"' + b'\\"' * MEGA),
    ("syntax", b""),
    ("syntax", b"{'a':1}"),
    ("syntax", b'{"a":1}{"a":1}'),
    ("syntax", b'{"a":01}'),
    ("syntax", b'{"a":1_000}'),
    ("syntax", b'{"a":+1}'),
    ("syntax", '{"a":١٢}'.encode()),
    ("syntax", b"[]" * MEGA),
    ("forbidden_character", b'{"a":"\\ud800"}'),
    ("forbidden_character", b'{"a":"\\u0000"}'),
    ("forbidden_character", b'{"\\u0000":1}'),
    ("forbidden_character", b'{"a":["\\b"]}'),
    ("forbidden_character", b'{"a":"\\uFFFE"}'),
    ("forbidden_character", '{"a":"\ufffe"}'.encode()),
    ("forbidden_character", '{"a":"\U0001ffff"}'.encode()),
    ("forbidden_character", '{"a":"\x85"}'.encode()),
    ("forbidden_character", b'{"a":"\x7f"}'),
    ("forbidden_character", b'{"a":"x\x01"}'),
    ("not_utf8", b'{"a":"\xed\xa0\x80"}'),
    ("not_utf8", b'{"a":"\xff"}'),
    ("byte_order_mark", '{"a":1}'.encode("utf-16")),
    ("byte_order_mark", b"\xef\xbb\xbf{}"),
    ("forbidden_character", b'{"a":"\x00"}'),
    ("not_an_object", b"[1]"),
    ("not_an_object", b'"text"'),
]


@pytest.mark.parametrize(("reason", "body"), ATTACKS, ids=[f"{n}-{reason}" for n, (reason, _) in enumerate(ATTACKS)])
def test_an_attack_is_one_typed_refusal_in_bounded_time(reason: str, body: bytes) -> None:
    began = process_time()
    with pytest.raises(NeedsHuman) as told:
        read_json(body)
    assert process_time() - began < 5, "linear time: a few megabytes take about one second"
    assert (told.value.code, told.value.facts["reason"]) == ("bad_json", reason)


def test_utf_16_without_a_mark_is_not_guessed() -> None:
    with pytest.raises(NeedsHuman):
        read_json('{"a":1}'.encode("utf-16-le"))


def test_a_body_over_the_limit_is_not_even_decoded() -> None:
    with pytest.raises(NeedsHuman) as told:
        read_json(b"\xff" * 11, Limits(size=10))
    assert told.value.facts["reason"] == "too_large"


def test_a_refusal_says_where_and_never_what() -> None:
    with pytest.raises(NeedsHuman) as told:
        read_json(b'{"iban":"DE89370400440532013000" "x"}')
    assert "DE89" not in str(told.value)


def test_numbers_are_exact() -> None:
    found = read_json(b'{"a":0.1,"b":12,"c":-12.50,"d":true}')
    assert found == {"a": Decimal("0.1"), "b": 12, "c": Decimal("-12.50"), "d": True}
    assert str(found["c"]) == "-12.50"
    assert type(found["b"]) is int


def test_depth_is_counted_in_containers_and_not_in_text() -> None:
    assert read_json(b'{"a":"' + b"[" * 1000 + b'\\"{"}')
    assert read_json(b'{"a":' * 64 + b"1" + b"}" * 64)
    assert read_json(b'{"a":[' + b"[]," * 5000 + b"{}]}")


def test_line_breaks_emoji_and_umlauts_are_fine() -> None:
    text = "Zeile 1\nZeile 2\tÄÖÜ 🙂 ‑ \ufeff"
    assert read_json(json.dumps({"a": text}).encode()) == {"a": text}
    assert read_json(json.dumps({"a": text}, ensure_ascii=False).encode()) == {"a": text}


safe = st.text(st.characters(exclude_categories=("Cs", "Cc", "Cn")), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**15), 10**15) | safe
    | st.decimals(min_value=-(10**9), max_value=10**9, places=4).filter(bool),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(safe, inner, max_size=5),
    max_leaves=30,
)  # fmt: skip


@given(st.dictionaries(safe, values, max_size=5))
def test_what_is_written_reads_back_exactly(value: dict[str, Any]) -> None:
    assert read_json(write_json(value)) == value


def code_of(body: bytes) -> str:
    try:
        read_any(body)
    except NeedsHuman as verdict:
        return verdict.code
    return "fine"


@given(st.binary(max_size=300))
@example(b'{"a":"\\u')
def test_no_bytes_make_the_reader_crash(body: bytes) -> None:
    assert code_of(body) in ("fine", "bad_json")


@given(st.text(alphabet='{}[]",:\\u0deE+-1.nt ', max_size=200))
def test_no_near_json_makes_the_reader_crash(text: str) -> None:
    assert code_of(text.encode()) in ("fine", "bad_json")


def _float() -> Any:
    return float("0.1")


@pytest.mark.parametrize("make", [_float, lambda: {1, 2}, lambda: b"x", object])
def test_only_exact_things_go_out(make: Callable[[], Any]) -> None:
    with pytest.raises(TypeError):
        write_json({"a": make()})


def test_decimals_go_out_as_their_own_literal() -> None:
    assert (
        write_json({"a": Decimal("12.50"), "b": Decimal("1E+2"), "c": [], "d": {}})
        == b'{"a":12.50,"b":100,"c":[],"d":{}}'
    )
