import itertools

import numpy as np
import torch
from hypothesis import given, strategies as st

from genaug.labelling.matching import UNUSED, count_wrong, match_categories, tabulate


@st.composite
def tables(draw):
    classes = draw(st.integers(1, 3))
    categories = draw(st.integers(classes, 5))
    cells = st.integers(0, 6)
    rows = draw(st.lists(st.lists(cells, min_size=classes, max_size=classes), min_size=categories, max_size=categories))
    return np.array(rows, dtype=np.int64)


@given(tables())
def test_no_other_matching_that_gives_every_class_a_category_is_better(counts):
    categories, classes = counts.shape
    match = match_categories(counts)
    assert set(range(classes)) <= set(match.tolist()) <= {UNUSED, *range(classes)}
    rows = np.arange(categories)
    best = max(
        counts[rows, list(other)].sum()
        for other in itertools.product(range(classes), repeat=categories)
        if set(other) == set(range(classes))
    )
    used = match != UNUSED
    assert counts[rows[used], match[used]].sum() == best
    assert (counts[~used] == 0).all(), "only a category without images is left out"


def test_a_permutation_is_found():
    order = np.random.default_rng(0).permutation(10)
    assert match_categories(np.eye(10, dtype=np.int64)[order] * 5).tolist() == order.tolist()


def test_two_categories_of_one_class_and_an_empty_one():
    counts = np.array([[9, 0], [8, 1], [0, 7], [0, 0]])
    assert match_categories(counts).tolist() == [0, 0, 1, UNUSED]


def test_a_class_that_is_nowhere_the_commonest_gets_the_category_it_costs_least():
    assert match_categories(np.array([[9, 0], [8, 5]])).tolist() == [0, 1]


def test_tabulate_counts_categories_by_classes():
    codes, labels = torch.tensor([2, 2, 0, 2]), torch.tensor([1, 1, 0, 0])
    assert tabulate(codes, labels, 3, 2).tolist() == [[1, 0], [0, 0], [1, 2]]


def test_wrong_labels_are_counted_by_the_other_folds_matching():
    codes = torch.tensor([0, 1, 0, 1, 0, 1, 2])
    labels = torch.tensor([0, 1, 0, 1, 1, 0, 0])
    first, second = torch.tensor([1, 1, 1, 1, 0, 0, 0]).bool(), torch.tensor([0, 0, 0, 0, 1, 1, 1]).bool()
    # The first fold matches 0 to 0, 1 to 1, and 2 to nothing: of the second fold's three images two are judged, both
    # wrong. The second fold matches them the other way round: all four of the first are wrong.
    assert count_wrong(codes, labels, [first, second], 3, 2) == (6, 6)
    assert count_wrong(labels, labels, [first, second], 2, 2) == (7, 0)
