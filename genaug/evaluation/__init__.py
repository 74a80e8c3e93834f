"""Measures of generated samples: plain functions on feature arrays, and the features to compute them on."""

from genaug.evaluation.copying import copying as copying
from genaug.evaluation.features import Features as Features, module_features as module_features
from genaug.evaluation.fid import fid as fid
from genaug.evaluation.kid import kid as kid
from genaug.evaluation.prdc import prdc as prdc
from genaug.evaluation.report import Evaluation as Evaluation, Measure as Measure
from genaug.modalities.distance import within_class_distance as within_class_distance
