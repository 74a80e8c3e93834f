"""``genaug demo``: a complete example on scikit-learn's digits."""
