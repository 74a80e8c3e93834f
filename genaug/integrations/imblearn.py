"""``GenerativeSampler``: generated rows in imbalanced-learn's ``fit_resample``. Needs the extra ``genaug[table]``."""

import copy
import os
from numbers import Integral
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_consistent_length, check_random_state
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions

from genaug.backends import registry
from genaug.errors import InputError
from genaug.hub.load import HUB_ID, is_source_name, load
from genaug.integrations.feature_frames import dense_frame, joined, with_categories
from genaug.integrations.generated_rows import check_fits, check_two_rows, draw, labels_of, train
from genaug.modalities.frames import as_frame
from genaug.modalities.restoring import import_pandas
from genaug.randomness import derive_seed
from genaug.sources.arguments import pick_seed

try:
    from imblearn.over_sampling.base import BaseOverSampler
    from imblearn.utils import check_target_type
    from sklearn_compat.utils.validation import check_array, validate_data
except ImportError as error:
    raise ImportError("genaug.integrations.imblearn needs imbalanced-learn: pip install 'genaug[table]'") from error


class GenerativeSampler(BaseOverSampler):  # type: ignore[misc]  # imbalanced-learn has no type information
    """Over-samples with generated rows: the missing rows of each class come from a generator, given the class.

    It is used like imbalanced-learn's ``SMOTE``: in ``fit_resample(X, y)``, and as a step of ``imblearn.pipeline``'s
    ``Pipeline``, where it only acts on the rows that the pipeline is fitted to.

    Args:
        source: Where the rows come from. The name of a backend for tables, "tvae" or "wgan-gp-table": a generator is
            trained on ``X`` and ``y`` in each ``fit_resample``, and on nothing else, so that nothing of other rows can
            be in the result. Or a ``Generator`` (or another source) of rows of a table with the same columns, or the
            folder or Hub id of one: it isn't trained. What it was trained on can then be in the result, so evaluate on
            rows that weren't among it.
        sampling_strategy: Which classes get how many rows, as in imbalanced-learn: by default each class has as many
            rows as the most frequent one afterwards. A share of the largest class (two classes only), "minority", "not
            minority", "not majority", "all", a dictionary of the number of rows per class, or a function that returns
            one.
        categorical_features: The columns whose numbers are categories: a list of indices, of names if ``X`` is a
            DataFrame, or a boolean mask of length n_features. Strings, booleans and pandas' categories always are;
            "auto" means that no others are.
        random_state: An integer or a NumPy ``RandomState`` determines the training and the generated rows. None: a seed
            is drawn from torch's global random state. NumPy's isn't used.
        steps: Training steps, with 500 rows each. None: about 300 passes over the rows, but at least 1,000 and at most
            5,000 steps. It has no effect on a source that isn't trained.

    ``X`` is a DataFrame, an array, a list or a sparse matrix, which is made dense, and the result is of the same type.
    It holds the real rows first, unchanged and in their order, and then the generated ones, class by class; a DataFrame
    has the same columns and dtypes, and an index from 0. Values are those that ``genaug.data.TableDataset`` takes:
    numbers, strings, categories, booleans, dates and missing values, but not infinite ones. Columns that identify rows
    get new identifiers, with a ``DataWarning``.

    Training is on one CPU thread in float32, so that a seed gives the same rows whatever else the machine does.
    Scikit-learn's ``clone`` shares the source's networks with the copy.

    Fitted attributes: ``sampling_strategy_`` (the number of generated rows per class), ``generator_`` (the source of
    the rows, for example to save it; missing if no class lacked rows), ``categorical_features_`` (the indices of the
    columns that hold categories), ``n_features_in_``, and ``feature_names_in_`` for DataFrames.

    ``fit_resample`` raises ``InputError``, which is a ``ValueError``, for an unknown source and one whose columns or
    classes aren't those of ``X`` and ``y``, for a class with one row if others are to be generated from it, and for
    values that tables don't have; scikit-learn's ``ValueError`` and ``TypeError`` for unusable parameters and targets.
    """

    generator_: Any

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseOverSampler._parameter_constraints,
        "source": [str, os.PathLike, HasMethods(["sample"])],
        "categorical_features": ["array-like", StrOptions({"auto"})],
        "steps": [Interval(Integral, 1, None, closed="left"), None],
    }

    def __init__(
        self,
        source: Any = "tvae",
        *,
        sampling_strategy: Any = "auto",
        categorical_features: Any = "auto",
        random_state: Any = None,
        steps: int | None = None,
    ) -> None:
        super().__init__(sampling_strategy=sampling_strategy)
        self.source = source
        self.categorical_features = categorical_features
        self.random_state = random_state
        self.steps = steps

    def _check_X_y(self, X: Any, y: Any) -> tuple[Any, Any, bool]:  # noqa: N802, N803 - imbalanced-learn's names
        """Like the base's, but DataFrames stay as they are, and any type and missing values are accepted."""
        y, binarize_y = check_target_type(y, indicate_one_vs_all=True)
        if isinstance(X, import_pandas().DataFrame):
            as_frame(X)
        else:
            X = check_array(X, dtype=None, accept_sparse=["csr", "csc"], ensure_all_finite=False)  # noqa: N806
        check_consistent_length(X, y)
        validate_data(self, X=X, y=y, reset=True, skip_check_array=True)
        return X, y, binarize_y

    def _fit_resample(self, X: Any, y: Any, **params: Any) -> tuple[Any, Any]:  # noqa: N803
        classes, codes = np.unique(y, return_inverse=True)
        counts = [int(self.sampling_strategy_.get(name, 0)) for name in classes.tolist()]
        frame, self.categorical_features_ = with_categories(dense_frame(X), self.categorical_features)
        if hasattr(self, "generator_"):
            del self.generator_
        if sum(counts) == 0:
            return joined(X, frame.iloc[:0]), y.copy()
        seed, backend = self._seed(), _backend(self.source)
        if backend is None:
            self.generator_ = self.source if hasattr(self.source, "sample") else load(self.source, device="cpu")
            check_fits(self.generator_, frame, isinstance(X, import_pandas().DataFrame))
        else:
            check_two_rows(classes, np.bincount(codes), counts)
            self.generator_ = train(backend, frame, classes, codes, self.steps, seed)
        labels = labels_of(self.generator_, classes, counts)
        generated = draw(self.generator_, labels, derive_seed(seed, "rows"), frame.columns)
        return joined(X, generated), np.concatenate([y, np.repeat(classes, counts)])

    def _seed(self) -> int:
        if self.random_state is None:
            return pick_seed(None)
        return int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))

    def __sklearn_clone__(self) -> "GenerativeSampler":
        others = copy.copy(self)
        others.source = None
        duplicate: GenerativeSampler = BaseEstimator.__sklearn_clone__(others)
        duplicate.source = self.source  # the same networks
        return duplicate

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        return tags

    def _more_tags(self) -> dict[str, Any]:  # the tags of scikit-learn before 1.6
        return {"X_types": ["2darray", "string", "categorical", "sparse", "dataframe"], "allow_nan": True}


def _backend(source: Any) -> str | None:
    """The name of the backend to train; None if ``source`` is, or names, a source of rows.

    Raises ``InputError`` for a backend that isn't for tables, and for a string that can't name either.
    """
    if not isinstance(source, str):
        return None
    backends = registry.discover().backends
    tables = [name for name in backends if "table" in registry.resolve(name).modalities]
    if source in tables:
        return source
    expected = (
        f"Expected the name of a backend for tables ({', '.join(tables) or 'none is installed'}), a generator of rows "
        "of a table, or the folder or Hub id of one."
    )
    if source in backends:
        raise InputError(f"the backend {source!r} isn't for tables. {expected}")
    is_place = HUB_ID.fullmatch(source) or is_source_name(source) or Path(source).expanduser().exists()
    if not source or not is_place:
        raise InputError(f"{source!r} is neither an installed backend nor an existing folder. {expected}")
    return None
