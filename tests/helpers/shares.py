"""Shares of sources for property tests, and what is exact about them."""

import math
from fractions import Fraction

from hypothesis import strategies as st


@st.composite
def _shares(draw):
    """Exact shares of one to four sources, less than 1 in sum."""
    count = draw(st.integers(1, 4))
    unit = draw(st.sampled_from([100, 1000, 7, 12]))
    parts = draw(st.lists(st.integers(0, unit // count), min_size=count, max_size=count))
    shares = [Fraction(part, unit) for part in parts]
    return shares if sum(shares) < 1 else [*shares[:-1], Fraction(0)]


share_lists = _shares()


def check_shares(counts, shares, size):
    """Each count is floor or ceiling of share·size; with five groups, for which that may be impossible, off by one."""
    for count, share in zip(counts, shares, strict=True):
        exact = share * size
        if len(shares) < 5:
            assert math.floor(exact) <= count <= math.ceil(exact), (count, float(exact))
        else:
            assert abs(count - exact) <= 1, (count, float(exact))
