"""Which text is held out."""

import pytest

from gptkit.data.pieces import Piece
from gptkit.data.splits import SPLITS, DocumentRule, Shares, TailRule, choose_rule


def parts(rule, pieces):
    texts = dict.fromkeys(SPLITS, "")
    for split, piece in rule.assign(pieces):
        texts[split] += piece.text
    return texts


def documents(number, length=100):
    return [Piece(f"document {i} ".ljust(length, "x"), True) for i in range(number)]


def shares_of(pieces, val=0.1, test=0.0):
    shares = Shares(DocumentRule(val, test))
    list(shares.watch(pieces))
    return shares


def test_the_tail_of_tiny_shakespeare_is_that_of_nanogpt():
    rule = TailRule.of(1_115_394, 0.1, 0.0)

    assert (rule.val_start, rule.test_start) == (1_003_854, 1_115_394)


@pytest.mark.parametrize(
    ("val", "test", "expected"),
    [
        (0.1, 0.0, ("abcdefghi", "j", "")),
        (0.0, 0.0, ("abcdefghij", "", "")),
        (0.0, 0.2, ("abcdefgh", "", "ij")),
        (0.2, 0.1, ("abcdefg", "hi", "j")),
    ],
)
@pytest.mark.parametrize("size", [1, 3, 10])
def test_the_tail_is_cut_at_characters_wherever_pieces_end(val, test, expected, size):
    text = "abcdefghij"
    pieces = [Piece(text[i : i + size], i == 0) for i in range(0, 10, size)]

    result = parts(TailRule.of(10, val, test), pieces)

    assert tuple(result.values()) == expected


def test_every_split_of_a_cut_text_begins_a_document():
    pieces = [Piece("abcde", True), Piece("fghij", False)]

    assigned = list(TailRule.of(10, 0.2, 0.2).assign(pieces))

    assert assigned == [
        ("train", Piece("abcde", True)),
        ("train", Piece("f", False)),
        ("val", Piece("gh", True)),
        ("test", Piece("ij", True)),
    ]


def test_documents_keep_their_split_in_any_order():
    rule = DocumentRule(0.2, 0.2)
    pieces = documents(50)

    there = {piece.text: split for split, piece in rule.assign(pieces)}
    back = {piece.text: split for split, piece in rule.assign(pieces[::-1])}

    assert there == back
    assert set(there.values()) == set(SPLITS)


def test_later_pieces_follow_their_document():
    rule = DocumentRule(0.5, 0.0)
    pieces = [piece for first in documents(20) for piece in (first, Piece("rest", False))]

    splits = [split for split, _ in rule.assign(pieces)]

    assert splits[0::2] == splits[1::2]


def test_many_documents_are_divided_by_their_hash():
    shares = shares_of(documents(500), 0.1, 0.1)

    rule = choose_rule(shares, 500)

    assert rule.name == "documents"
    assert rule.train_characters(shares.characters) == shares.characters["train"]


@pytest.mark.parametrize("number", [1, 2, 3])
def test_few_documents_are_cut_like_one_text(number):
    shares = shares_of(documents(number))

    rule = choose_rule(shares, number)

    assert rule == TailRule.of(100 * number, 0.1, 0.0)
    assert rule.train_characters(shares.characters) == 90 * number


def test_a_giant_among_documents_makes_it_one_text():
    giants = [Piece("y" * 10**6, True)]

    rule = choose_rule(shares_of(documents(200) + giants), 201)

    assert rule.name == "tail"


def test_without_held_out_text_all_documents_are_trained_on():
    rule = choose_rule(shares_of(documents(3), val=0.0), 3)

    assert parts(rule, documents(3))["val"] == ""
