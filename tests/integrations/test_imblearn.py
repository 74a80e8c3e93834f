"""``GenerativeSampler`` as users of imbalanced-learn and scikit-learn use it; both libraries' own checks."""

# ruff: noqa: E402, N803, N806 - X is scikit-learn's name

import pickle
import warnings
from collections import Counter
from io import BytesIO

import numpy as np
import pytest
import torch
from scipy import sparse

pd = pytest.importorskip("pandas")
pytest.importorskip("imblearn")

from imblearn.over_sampling import RandomOverSampler
from imblearn.pipeline import Pipeline, make_pipeline
from imblearn.utils.estimator_checks import (
    check_param_validation,
    parametrize_with_checks as parametrize_with_sampler_checks,
)
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import StratifiedKFold, cross_validate
from sklearn.utils.estimator_checks import parametrize_with_checks

import genaug
from genaug.data import TableDataset
from genaug.errors import DataWarning, InputError
from genaug.integrations import generated_rows
from genaug.integrations.generated_rows import default_steps
from genaug.integrations.imblearn import GenerativeSampler
from genaug.sources.pool import SamplePool

pytestmark = pytest.mark.usefixtures("quick_tables")

QUICK = {"random_state": 0, "steps": 2}


def customers(count=80, rare=20, seed=0):
    """A DataFrame of mixed columns, and a Series of classes of which ``rare`` rows are "left"."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(
        {
            "income": rng.normal(40, 9, count),
            "visits": rng.poisson(20, count),
            "site": rng.choice(["north", "south", None], count),
            "plan": pd.Categorical(rng.choice(["a", "b"], count), categories=["b", "a", "never"], ordered=True),
            "paid": rng.random(count) < 0.5,
            "since": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, count), unit="D"),
            "region": rng.integers(1, 4, count).astype("int32"),
            "score": np.where(rng.random(count) < 0.2, np.nan, rng.normal(size=count)).astype("float32"),
        },
        index=rng.permutation(count) + 1000,
    )
    y = pd.Series(["left"] * rare + ["stayed"] * (count - rare), index=X.index, name="state")
    return X, y


def numbers(count=60, rare=15, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, 3)), np.array([1] * rare + [0] * (count - rare))


def generator_of(X, y, backend="tvae", target="state", folder=None, **options):
    table = X.copy()
    table[target] = list(y)
    return genaug.fit(
        backend, TableDataset(table, target=target, **options), out=folder, steps=2, batch_size=16, progress=False
    )


EXPECTED_TO_FAIL: dict[str, str] = {}
"""The checks of both libraries that can't pass, with the reason: none."""


@parametrize_with_checks([GenerativeSampler(**QUICK)], expected_failed_checks=lambda _: EXPECTED_TO_FAIL)
def test_scikit_learns_checks(estimator, check):
    check(estimator)


@parametrize_with_sampler_checks([GenerativeSampler(**QUICK)], expected_failed_checks=lambda _: EXPECTED_TO_FAIL)
def test_imbalanced_learns_checks(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_sampler_checks(
    [GenerativeSampler("wgan-gp-table", **QUICK)], expected_failed_checks=lambda _: EXPECTED_TO_FAIL
)
def test_imbalanced_learns_checks_with_the_other_backend(estimator, check):
    check(estimator)


def test_imbalanced_learns_check_of_parameters():
    check_param_validation("GenerativeSampler", GenerativeSampler(**QUICK))


class TestTypes:
    @pytest.mark.parametrize("source", ["tvae", "wgan-gp-table"])
    def test_a_data_frame_comes_back_with_its_dtypes_and_order_and_the_real_rows_first(self, source):
        X, y = customers()
        new_X, new_y = GenerativeSampler(source, **QUICK).fit_resample(X, y)
        assert new_X.dtypes.equals(X.dtypes)
        assert list(new_X.columns) == list(X.columns)
        assert new_X.index.equals(pd.RangeIndex(120))
        assert new_y.index.equals(new_X.index)
        assert new_y.name == "state"
        assert new_y.dtype == y.dtype
        pd.testing.assert_frame_equal(new_X.iloc[:80], X.reset_index(drop=True))
        pd.testing.assert_series_equal(new_y.iloc[:80], y.reset_index(drop=True))
        assert new_y.iloc[80:].tolist() == ["left"] * 40
        assert set(new_X["region"]) <= {1, 2, 3}
        assert new_X["income"].between(X["income"].min(), X["income"].max()).all()
        assert "never" not in set(new_X["plan"])

    def test_the_result_is_laid_out_as_that_of_imbalanced_learns_own_over_sampler(self):
        X, y = customers()
        theirs, ours = (
            sampler.fit_resample(X, y) for sampler in (RandomOverSampler(random_state=0), GenerativeSampler(**QUICK))
        )
        assert theirs[0].index.equals(ours[0].index)
        assert theirs[0].dtypes.equals(ours[0].dtypes)
        pd.testing.assert_series_equal(theirs[1], ours[1])

    @pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint8", "bool", "object", "<U6"])
    def test_an_array_comes_back_as_one_of_its_dtype(self, dtype):
        X, y = numbers()
        X = (10 * np.abs(X) if dtype != "bool" else X > 0).astype(dtype)
        if dtype in ("object", "<U6"):
            X = np.array([f"{value:.0f}" for value in np.abs(numbers()[0]).ravel()], dtype=dtype).reshape(X.shape)
        new_X, new_y = GenerativeSampler(**QUICK).fit_resample(X, y)
        assert (new_X.dtype, new_y.dtype) == (X.dtype, y.dtype)
        assert new_X.shape == (90, 3)
        np.testing.assert_array_equal(new_X[:60], X)
        np.testing.assert_array_equal(new_y, [*y, *[1] * 30])

    @pytest.mark.parametrize("kind", ["csr_matrix", "csc_matrix", "csr_array"])
    def test_a_sparse_matrix_comes_back_as_one_of_its_format(self, kind):
        X, y = numbers()
        X = np.where(X > 0, np.round(X), 0)
        new_X, _ = GenerativeSampler(**QUICK).fit_resample(getattr(sparse, kind)(X), y)
        assert new_X.format == kind[:3]
        np.testing.assert_array_equal(new_X.toarray()[:60], X)
        np.testing.assert_array_equal(new_X.toarray(), GenerativeSampler(**QUICK).fit_resample(X, y)[0])

    def test_missing_values_are_generated_and_infinite_ones_are_rejected(self):
        X, y = customers()
        new_X, _ = GenerativeSampler(random_state=0, steps=60).fit_resample(X, y)
        assert new_X["site"].iloc[80:].isna().any()
        assert not new_X["income"].isna().any()
        with pytest.raises(InputError, match="column 'income' holds infinite"):
            GenerativeSampler(**QUICK).fit_resample(X.assign(income=np.inf), y)

    def test_columns_in_which_numbers_stand_for_categories(self):
        X, y = numbers(rare=20)
        X[:, 1] = np.random.default_rng(0).choice([0.0, 10.0, 700.0, np.nan], 60)
        X[:, 2] = np.arange(60)
        frame = pd.DataFrame(X, columns=["a", "b", "c"])
        as_category = generated_of(GenerativeSampler(categorical_features=[1], **QUICK), X, y)
        assert set(as_category[:, 1][~np.isnan(as_category[:, 1])]) <= {0.0, 10.0, 700.0}
        for features in (["b"], [-2], [False, True, False], np.array([1])):
            sampler = GenerativeSampler(categorical_features=features, **QUICK)
            new = generated_of(sampler, frame, y)
            np.testing.assert_array_equal(new.to_numpy(), as_category)
            assert new["b"].dtype == float
            assert sampler.categorical_features_.tolist() == [1]
            table = sampler.generator_.spec.sample
            assert [column.kind for column in table.columns] == ["continuous", "category", "continuous", "category"]
        mixed = GenerativeSampler(categorical_features=["region"], **QUICK)
        X, y = customers()
        assert generated_of(mixed, X, y)["region"].dtype == "int32"
        assert mixed.categorical_features_.tolist() == [2, 3, 4, 6]

    @pytest.mark.parametrize(
        ("features", "message"),
        [
            (["d"], "has 'd', which isn't a column"),
            ([3], "has 3, which"),
            ([True], "a mask of 1 columns, and X has 3"),
            ([0.5], "has 0.5, which"),
            ([["a"]], "isn't a column"),
        ],
    )
    def test_unknown_categorical_features_are_rejected(self, features, message):
        X, y = numbers()
        with pytest.raises(InputError, match=message):
            GenerativeSampler(categorical_features=features, **QUICK).fit_resample(X, y)


def generated_of(sampler, X, y):
    """The generated rows of a resampling."""
    new_X, _ = sampler.fit_resample(X, y)
    return new_X.iloc[len(X) :].reset_index(drop=True) if hasattr(new_X, "iloc") else new_X[len(X) :]


class TestCounts:
    @pytest.mark.parametrize(
        ("strategy", "expected"),
        [
            ("auto", {"b": 20, "c": 25}),
            ("minority", {"c": 25}),
            ("all", {"a": 0, "b": 20, "c": 25}),
            ({"b": 12, "c": 8}, {"b": 2, "c": 3}),
            (lambda y: {"c": Counter(y)["c"] + 1}, {"c": 1}),
        ],
    )
    def test_only_the_missing_rows_are_generated_class_by_class(self, strategy, expected, monkeypatch):
        X, y = numbers(45)[0], np.array(["c"] * 5 + ["a"] * 30 + ["b"] * 10)
        labels = []
        draw = generated_rows.draw
        monkeypatch.setattr(
            "genaug.integrations.imblearn.draw",
            lambda source, requested, *rest: labels.extend(requested.tolist()) or draw(source, requested, *rest),
        )
        sampler = GenerativeSampler(sampling_strategy=strategy, **QUICK)
        new_X, new_y = sampler.fit_resample(X, y)
        assert dict(sampler.sampling_strategy_) == expected
        generated = [name for name in "abc" for _ in range(expected.get(name, 0))]
        assert new_y.tolist() == [*y, *generated]
        assert len(new_X) == len(new_y)
        assert labels == ["abc".index(name) for name in generated], "no row is generated and rejected"

    def test_a_share_of_the_largest_class(self):
        X, y = numbers()
        assert Counter(GenerativeSampler(sampling_strategy=0.5, **QUICK).fit_resample(X, y)[1]) == {0: 45, 1: 22}

    def test_balanced_classes_need_no_generator(self):
        X, y = numbers(rare=30)
        sampler = GenerativeSampler(random_state=0).fit(X, y)
        new_X, new_y = sampler.fit_resample(X, y)
        np.testing.assert_array_equal(new_X, X)
        np.testing.assert_array_equal(new_y, y)
        assert not np.shares_memory(new_X, X)
        assert not hasattr(sampler, "generator_")

    def test_rows_of_a_class_look_like_its_own(self):
        rng = np.random.default_rng(0)
        y = np.array([0] * 200 + [1] * 40)
        X = rng.normal(0, 1, (240, 2)) + 8 * y[:, None]
        new = generated_of(GenerativeSampler(random_state=0, steps=300), X, y)
        assert len(new) == 160
        assert (new.mean(1) > 4).mean() > 0.9

    def test_more_classes_than_a_table_would_take_as_they_are(self):
        X, y = numbers(120)[0], np.array([*range(0, 2500, 100), *range(0, 2500, 100), *[7] * 70])
        _, new_y = GenerativeSampler(sampling_strategy={2400: 5}, **QUICK).fit_resample(X, y)
        assert new_y[120:].tolist() == [2400] * 3
        assert new_y.dtype == y.dtype

    @pytest.mark.parametrize(("rows", "steps"), [(10, 1000), (3000, 1800), (10**6, 5000)])
    def test_the_number_of_steps_follows_the_rows(self, rows, steps):
        assert default_steps(rows) == steps


class TestRandomness:
    def test_random_state_makes_it_reproducible_and_leaves_the_global_generators_alone(self):
        X, y = customers()
        before = np.random.get_state()[1].copy(), torch.get_rng_state()
        first = generated_of(GenerativeSampler(**QUICK), X, y)
        assert np.array_equal(np.random.get_state()[1], before[0])
        assert torch.equal(torch.get_rng_state(), before[1])
        np.random.seed(5)
        torch.manual_seed(5)
        pd.testing.assert_frame_equal(generated_of(GenerativeSampler(**QUICK), X, y), first)
        other = generated_of(GenerativeSampler(random_state=1, steps=2), X, y)
        assert not other.equals(first)

    def test_a_random_state_object_goes_on_and_none_follows_torch(self):
        X, y = numbers()
        shared = GenerativeSampler(random_state=np.random.RandomState(0), steps=2)
        one, other = generated_of(shared, X, y), generated_of(shared, X, y)
        assert not np.array_equal(one, other)
        again = generated_of(GenerativeSampler(random_state=np.random.RandomState(0), steps=2), X, y)
        np.testing.assert_array_equal(again, one)
        before = np.random.get_state()[1].copy()
        drawn = []
        for seed in (3, 3, 4):
            torch.manual_seed(seed)
            drawn.append(generated_of(GenerativeSampler(steps=2), X, y))
        np.testing.assert_array_equal(drawn[0], drawn[1])
        assert not np.array_equal(drawn[0], drawn[2])
        assert np.array_equal(np.random.get_state()[1], before)

    def test_the_number_of_threads_and_torchs_settings_do_not_matter(self):
        X, y = numbers()
        expected = generated_of(GenerativeSampler(**QUICK), X, y)
        before = torch.get_num_threads()
        try:
            torch.set_num_threads(2)
            with torch.inference_mode():
                torch.set_default_dtype(torch.float64)
                np.testing.assert_array_equal(generated_of(GenerativeSampler(**QUICK), X, y), expected)
            assert torch.get_num_threads() == 2
        finally:
            torch.set_default_dtype(torch.float32)
            torch.set_num_threads(before)


class Recorder(ClassifierMixin, BaseEstimator):
    """Records the rows that it is fitted to, and says the first class of everything."""

    fitted: list = []  # noqa: RUF012 - shared by all clones

    def fit(self, X, y):
        self.fitted.append((X, y))
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])


class TestPipeline:
    def test_nothing_of_a_test_fold_is_in_the_rows_that_a_classifier_is_fitted_to(self, monkeypatch):
        """Every row has a category and a number of its own, so each one that gets through shows."""
        monkeypatch.setattr(Recorder, "fitted", [])
        X, y = customers(90, 30)
        X = X.assign(own=[f"row {number % 45}" for number in range(90)], visits=np.arange(90) * 17 % 1000 + 0.5)
        X["own"] = X["own"].astype("category")
        folds = list(StratifiedKFold(3, shuffle=True, random_state=0).split(X, y))
        pipeline = Pipeline([("sampler", GenerativeSampler(**QUICK)), ("classifier", Recorder())])
        cross_validate(pipeline, X, y, cv=folds, error_score="raise")
        assert len(Recorder.fitted) == 3
        for (train, test), (fitted_X, fitted_y) in zip(folds, Recorder.fitted, strict=True):
            assert Counter(fitted_y) == {"left": 40, "stayed": 40}
            generated = fitted_X.iloc[len(train) :]
            assert len(generated) == 20
            only_in_test = set(X["own"].iloc[test]) - set(X["own"].iloc[train])
            assert only_in_test
            assert not only_in_test & set(fitted_X["own"])
            for column in ("income", "visits", "since"):
                assert generated[column].between(X[column].iloc[train].min(), X[column].iloc[train].max()).all()

    def test_resampled_rows_do_not_depend_on_the_test_rows(self):
        X, y = customers()
        train, test = np.arange(0, 80, 2), np.arange(1, 80, 2)
        expected = GenerativeSampler(**QUICK).fit_resample(X.iloc[train], y.iloc[train])
        changed = X.copy()
        changed.iloc[test, 0] = 1e6
        pipeline = make_pipeline(GenerativeSampler(**QUICK), Recorder()).fit(changed.iloc[train], y.iloc[train])
        rows = Recorder.fitted.pop()
        pd.testing.assert_frame_equal(rows[0], expected[0])
        assert len(pipeline.predict(changed.iloc[test])) == 40

    def test_it_resamples_for_fit_only_and_its_parameters_can_be_searched(self):
        X, y = customers()
        model = make_pipeline(
            GenerativeSampler(**QUICK), HistGradientBoostingClassifier(max_iter=3, categorical_features=None)
        )
        X = X[["income", "visits", "region", "score"]]
        model.fit(X, y)
        assert len(model.predict_proba(X)) == 80
        assert model.set_params(generativesampler__source="wgan-gp-table").get_params()["generativesampler__steps"] == 2

    def test_it_is_pickled_with_what_it_was_fitted_to(self):
        X, y = customers()
        sampler = GenerativeSampler(**QUICK)
        expected = sampler.fit_resample(X, y)
        copy = pickle.load(BytesIO(pickle.dumps(sampler)))
        assert copy.sampling_strategy_ == sampler.sampling_strategy_
        pd.testing.assert_frame_equal(copy.fit_resample(X, y)[0], expected[0])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder of a generator of ``customers``."""
    folder = tmp_path_factory.mktemp("runs") / "customers"
    generator_of(*customers(), folder=folder)
    return folder


class TestSources:
    def test_a_generator_or_its_folder_is_used_as_it_is(self, folder, monkeypatch):
        monkeypatch.setattr("genaug.integrations.imblearn.train", None)
        X, y = customers(seed=1)
        generator = genaug.load(folder, device="cpu")
        weights = {name: tensor.clone() for name, tensor in generator.nets.state_dict().items()}
        results = [
            GenerativeSampler(source, random_state=0).fit_resample(X, y) for source in (generator, folder, str(folder))
        ]
        for new_X, new_y in results:
            pd.testing.assert_frame_equal(new_X, results[0][0])
            pd.testing.assert_frame_equal(new_X.iloc[:80], X.reset_index(drop=True))
            assert new_X.dtypes.equals(X.dtypes)
            assert Counter(new_y) == {"left": 60, "stayed": 60}
        assert all(torch.equal(tensor, weights[name]) for name, tensor in generator.nets.state_dict().items())

    def test_columns_may_come_in_another_order(self, folder):
        X, y = customers()
        expected = generated_of(GenerativeSampler(folder, random_state=0), X, y)
        new = generated_of(GenerativeSampler(folder, random_state=0), X[X.columns[::-1]], y)
        pd.testing.assert_frame_equal(new, expected[X.columns[::-1]])

    def test_a_pool_is_a_source_too(self, folder):
        X, y = customers()
        pool = SamplePool(genaug.load(folder, device="cpu"), size=100)
        new_X, new_y = GenerativeSampler(pool, random_state=0).fit_resample(X, y)
        assert new_X.dtypes.equals(X.dtypes)
        assert Counter(new_y) == {"left": 60, "stayed": 60}

    def test_an_arrays_columns_are_those_of_the_generator_by_order_and_classes_match_by_value(self, tmp_path):
        X, y = numbers()
        named = generator_of(pd.DataFrame(X, columns=["z", "y", "x"]), y, folder=tmp_path / "run")
        for own, rare in ((y, 1), (y.astype(float), 1.0), (y == 1, True), (y.astype(str), "1")):
            new_X, new_y = GenerativeSampler(named, random_state=0).fit_resample(X, own)
            assert new_X.shape == (90, 3)
            assert new_y.dtype == own.dtype
            assert new_y[60:].tolist() == [rare] * 30

    def test_clone_copies_no_weights(self, folder):
        generator = genaug.load(folder, device="cpu")
        sampler = GenerativeSampler(generator, sampling_strategy={"left": 70}, **QUICK)
        copy = clone(sampler)
        assert copy is not sampler
        assert copy.source is generator
        assert copy.sampling_strategy == sampler.sampling_strategy
        assert copy.sampling_strategy is not sampler.sampling_strategy
        assert sampler.source is generator
        sampler.fit_resample(*customers())
        assert not hasattr(clone(sampler), "generator_")
        pipeline = clone(make_pipeline(sampler, Recorder()))
        assert pipeline[0].source is generator

    def test_the_trained_generator_can_be_saved_with_its_record(self, tmp_path):
        X, y = customers()
        sampler = GenerativeSampler(**QUICK)
        new = generated_of(sampler, X, y)
        sampler.generator_.save(tmp_path / "generator")
        loaded = genaug.load(tmp_path / "generator", device="cpu")
        assert (loaded.training["steps"], loaded.training["images"]) == (2, 80)
        assert loaded.spec.class_names == ("left", "stayed")
        again = generated_of(GenerativeSampler(loaded, random_state=0), X, y)
        assert again.dtypes.equals(new.dtypes)
        pd.testing.assert_frame_equal(again, new)


class TestErrors:
    def rejects(self, source, message, X=None, y=None):
        own_X, own_y = customers()
        X, y = own_X if X is None else X, own_y if y is None else y
        sampler = GenerativeSampler(source, **QUICK)
        with pytest.raises(InputError, match=message):
            sampler.fit_resample(X, y)

    @pytest.mark.parametrize("name", ["tvea", "runs/no such run", ""])
    def test_an_unknown_source(self, name):
        self.rejects(name, f"'{name}' is neither an installed backend nor an existing folder.*tvae, wgan-gp-table")

    def test_a_backend_for_images(self):
        self.rejects("cgan", "the backend 'cgan' isn't for tables. Expected the name of.*tvae")

    def test_a_generator_of_images(self, make_generator, tmp_path):
        self.rejects(make_generator(), "the samples of this one are images")
        make_generator().save(tmp_path / "images")
        self.rejects(str(tmp_path / "images"), "the samples of this one are images")

    @pytest.mark.parametrize("value", [3, None, ["tvae"], object()])
    def test_anything_else_is_rejected_as_scikit_learn_does(self, value):
        with pytest.raises(ValueError, match="The 'source' parameter of GenerativeSampler must be"):
            GenerativeSampler(value).fit_resample(*numbers())

    @pytest.mark.parametrize(
        "options", [{"steps": 0}, {"steps": 1.5}, {"random_state": -1}, {"sampling_strategy": 2.0}]
    )
    def test_parameters_are_validated(self, options):
        with pytest.raises(ValueError, match=f"The '{next(iter(options))}' parameter"):
            GenerativeSampler(**options).fit_resample(*numbers())

    def test_a_class_with_one_row(self):
        X, y = numbers(rare=1)
        with pytest.raises(InputError, match=r"the class 1 has one row.*add rows, or leave the class out"):
            GenerativeSampler(**QUICK).fit_resample(X, y)
        y[1:4] = 2
        new_y = GenerativeSampler(sampling_strategy={2: 10}, **QUICK).fit_resample(X, y)[1]
        assert Counter(new_y) == {0: 56, 1: 1, 2: 10}

    def test_more_classes_than_can_be_learned(self):
        X, y = np.random.default_rng(0).normal(size=(2002, 1)), np.arange(2002) % 1001
        with pytest.raises(InputError, match=r"y has 1,001 classes; at most 1,000 can be learned"):
            GenerativeSampler(sampling_strategy={0: 5}, **QUICK).fit_resample(X, y)

    def test_a_generator_of_other_columns_or_values(self, tmp_path):
        X, y = customers()
        generator = generator_of(X.drop(columns="paid"), y, folder=tmp_path / "run")
        self.rejects(generator, "other columns than X, which also has 'paid'")
        self.rejects(generator, "which lacks 'income' and also has 'paid'", X.drop(columns="income"))
        X = X.drop(columns="paid")
        self.rejects(generator, "the category 'east' in column 'site'", X.assign(site="east"))
        self.rejects(generator, "column 'income' of kind category; expected continuous", X.assign(income="high"))
        self.rejects(
            generator,
            "no class 'paused'. The classes in its column 'state': 'left', 'stayed'",
            X,
            y.replace("left", "paused"),
        )

    def test_a_generator_without_classes_or_of_intervals(self, tmp_path):
        X, _ = customers()
        plain = genaug.fit("tvae", TableDataset(X), out=tmp_path / "plain", steps=1, batch_size=8, progress=False)
        self.rejects(plain, "it was trained without a target")
        binned = generator_of(X.drop(columns="income"), X["income"], folder=tmp_path / "bins", target="income", bins=3)
        self.rejects(binned, "on intervals of 'income'")

    def test_columns_that_identify_rows_are_named_where_the_sampler_is_called(self):
        X, y = customers()
        with pytest.warns(DataWarning, match="another value in the columns 'customer_id'") as caught:
            new = generated_of(GenerativeSampler(**QUICK), X.assign(customer_id=np.arange(80) * 3), y)
        assert [warning.filename for warning in caught] == [__file__]
        assert new["customer_id"].min() > 237
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            GenerativeSampler(**QUICK).fit_resample(X.assign(constant=1), y)

    def test_a_name_twice_and_different_lengths(self):
        X, y = customers()
        self.rejects("tvae", "'visits' occurs twice", X.set_axis(["visits", *X.columns[1:]], axis=1))
        with pytest.raises(ValueError, match="inconsistent numbers of samples"):
            GenerativeSampler(**QUICK).fit_resample(X, y[:-1])

    def test_columns_may_be_called_like_the_target(self):
        X, y = customers()
        X = X.rename(columns={"income": "target", "visits": "state"})
        assert GenerativeSampler(**QUICK).fit_resample(X, y)[0].dtypes.equals(X.dtypes)

    def test_without_imbalanced_learn_it_says_what_to_install(self, monkeypatch):
        import importlib
        import sys

        monkeypatch.setitem(sys.modules, "imblearn.over_sampling.base", None)
        monkeypatch.delitem(sys.modules, "genaug.integrations.imblearn")
        with pytest.raises(ImportError, match=r"needs imbalanced-learn: pip install 'genaug\[table\]'"):
            importlib.import_module("genaug.integrations.imblearn")
