"""Measures of generated samples, as plain functions on arrays."""

from genaug.evaluation.diversity import within_class_distance as within_class_distance
from genaug.evaluation.kernel_distance import kid as kid
