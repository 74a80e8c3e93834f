"""Studies of tables: estimators of scikit-learn, generators of rows, and no leaks between training and test rows."""

from typing import ClassVar

import numpy as np
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier
from torch.utils.data import Subset

import genaug
from genaug.data import TableDataset
from genaug.errors import InputError
from genaug.studies import AsClassifier, Mix, Recipe, estimators as estimators_module, sources as sources_module
from genaug.studies.arms import Arm
from genaug.studies.resampling import repeated_rows, smote, to_fill

pd = pytest.importorskip("pandas")
imblearn = pytest.importorskip("imblearn")
pytestmark = pytest.mark.usefixtures("quick_tables")

TINY = Recipe("tvae", steps=2, batch_size=20, config={"hidden": 8, "latent_size": 4})


def machines(count, seed, share=0.2):
    rng = np.random.default_rng(seed)
    failed = np.zeros(count, dtype=bool)
    failed[: round(share * count)] = True
    return pd.DataFrame(
        {
            "serial": [f"{seed}-{number}" for number in range(count)],
            "temperature": np.where(rng.random(count) < 0.1, np.nan, rng.normal(70, 3, count) + 6 * failed),
            "starts": rng.poisson(20, count),
            "site": rng.choice(["north", "south", None], count),
            "new": rng.random(count) < 0.5,
            "since": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 500, count), "D"),
            "failed": np.where(failed, "yes", "no"),
        }
    )


TRAIN, TEST = TableDataset(machines(300, 0), "failed", ignore=["serial"]), machines(200, 1)
QUICK = {"seeds": 2, "ratios": (0.25,), "device": "cpu", "progress": False}


def study(**changes):
    settings = {"sources": {"tvae": TINY}, "labels_per_class": {"no": 40, "yes": 10}, **QUICK, **changes}
    return genaug.study(TRAIN, TEST, **settings)


class StartsOnly(LogisticRegression):
    """Learns from a single column, and notes what it gets."""

    seen: ClassVar[list] = []

    def fit(self, X, y):  # noqa: N803
        self.seen.append((X, y))
        return super().fit(X[["starts"]], y)

    def predict(self, X):  # noqa: N803
        return super().predict(X[["starts"]])

    def predict_proba(self, X):  # noqa: N803
        return super().predict_proba(X[["starts"]])


class Rows:
    """A source of rows: those of a DataFrame, of the requested classes."""

    def __init__(self, dataset):
        samples = dataset.read_rows()
        self.spec, self.x, self.labels = samples.spec, samples.x, samples.labels

    def sample(self, n=None, *, labels=None, seed=None):
        rng = np.random.default_rng(seed)
        rows = [int(rng.choice(torch.nonzero(self.labels == label)[:, 0])) for label in labels.tolist()]
        return self.spec.sample.present(self.x[rows], labels), labels


@pytest.fixture(scope="module")
def rare(tmp_path_factory):
    out = tmp_path_factory.mktemp("studies") / "rare"
    return out, study(metric="average_precision", out=out)


def test_both_default_classifiers_are_baselines_and_the_chosen_arm_has_to_beat_all(rare):
    _, report = rare
    each = ["none", "weights", "oversample", "smote"]
    names = [f"{name} ({classifier})" for classifier in ("boosting", "logistic") for name in each]
    assert report.details["baselines"] == names
    inner = set(report.details["scores"]["inner"])
    both = {
        f"{arm} ({c})" for c in ("boosting", "logistic") for arm in ("noise 0.25", "tvae 0.25", "smote + tvae 0.25")
    }
    assert inner == {*names, *both}
    assert report.details["failures"] == []
    assert [c["baseline"] for c in report.details["comparisons"] if c["role"] == "decides"] == names
    assert report.details["chosen"]["classifier"] in ("boosting", "logistic")


def test_the_report_speaks_of_rows_and_leaves_out_what_is_for_networks(rare):
    out, report = rare
    page = report.html.replace("&#x27;", "'")
    assert "Do generated rows help?" in page
    assert "2 classifiers (boosting, logistic) were trained in several ways, on the same 50 rows" in page
    assert "images" not in page
    assert "updates" not in page
    assert "Real rows beside generated ones" in page, "the table's own picture"
    assert report.metric == "average precision of 'yes'"
    assert report.method.partition(" (")[0] in ("none", "weights", "oversample", "smote")
    assert genaug.load_study(out).details["metric"] == report.details["metric"]


def test_a_table_study_is_resumed(rare):
    out, report = rare
    again = study(metric="average_precision", out=out, resume=True)
    assert again.details["scores"] == report.details["scores"]


@pytest.mark.slow
def test_a_table_study_does_not_depend_on_the_number_of_workers(rare):
    assert study(metric="average_precision", workers=2).details["scores"] == rare[1].details["scores"]


def test_resampling_and_generators_see_the_training_rows_only(monkeypatch):
    """Every row has a number of its own, by which rows are recognized wherever they turn up."""
    train, test = machines(300, 0), machines(200, 1)
    numbers = np.random.default_rng(5).random(500)  # with so many digits that no generated row has one by chance
    train["mark"], test["mark"] = numbers[:300], numbers[300:]
    fitted, filled, trained = [], [], []

    class Spy(LogisticRegression):
        def fit(self, X, y):  # noqa: N803
            fitted.append(set(X["mark"]))
            return super().fit(X[["mark"]], y)

        def predict(self, X):  # noqa: N803
            judged.append((fitted[-1], set(X["mark"])))
            return super().predict(X[["mark"]])

        def predict_proba(self, X):  # noqa: N803
            return super().predict_proba(X[["mark"]])

    judged = []
    real_smote, real_train = estimators_module.smote, sources_module.train
    monkeypatch.setattr(
        estimators_module, "smote", lambda rows, *rest: filled.append(set(rows["mark"])) or real_smote(rows, *rest)
    )
    monkeypatch.setattr(
        sources_module,
        "train",
        lambda recipe, samples, *rest: (
            trained.append(set(samples.dataset.frame["mark"])) or real_train(recipe, samples, *rest)
        ),
    )
    report = genaug.study(
        TableDataset(train, "failed", ignore=["serial"]),
        test,
        sources={"tvae": TINY},
        classifier=Spy(),
        labels_per_class={"no": 40, "yes": 10},
        metric="macro_f1",
        **QUICK,
    )
    assert report.details["failures"] == []
    real = set(train["mark"])
    sizes = {len(rows) for rows in filled}
    assert {40, 50} <= sizes <= {40, 50, 300}, "four fifths for the inner split, then all; at last the examination's"
    assert {len(rows) for rows in trained} == {40, 50}
    assert all(rows <= real for rows in (*filled, *trained))
    assert len(judged) >= 2 * 2 * 6
    for learned, tested in judged:
        if real <= learned:  # the examination's classifier, which also judges generated rows
            continue
        assert not learned & tested
        assert tested <= real or tested == set(test["mark"])


def test_repeated_and_smotes_rows_come_from_the_rows_that_are_passed():
    features = machines(60, 0).drop(columns=["failed", "serial"])
    labels = np.array([0] * 50 + [1] * 6 + [2] * 4)
    lacking = to_fill(labels)
    assert lacking == {1: 44, 2: 46}
    rows = repeated_rows(labels, lacking, 0)
    assert np.bincount(labels[rows], minlength=3).tolist() == [0, 44, 46]
    more, own = smote(features, labels, lacking, 0)
    assert np.bincount(own, minlength=3).tolist() == [0, 44, 46]
    assert more.dtypes.to_dict() == features.dtypes.to_dict()
    for label in (1, 2):
        real, synthetic = features[labels == label], more[own == label]
        for name in ("temperature", "starts", "since"):
            columns = real[name].fillna(features[name].median()) if name == "temperature" else real[name]
            assert columns.min() <= synthetic[name].min()
            assert synthetic[name].max() <= columns.max()
        assert set(synthetic["site"].dropna()) <= set(real["site"].dropna())
    assert not more["temperature"].isna().any()
    nothing, none = smote(features, labels, {}, 0)
    assert len(nothing) == len(none) == 0


@pytest.mark.parametrize("columns", [["temperature", "starts"], ["site", "new"], ["site"]])
def test_smote_takes_numbers_and_categories_alone(columns):
    features = machines(60, 0)[columns]
    labels = np.array([0] * 50 + [1] * 10)
    more, own = smote(features, labels, to_fill(labels), 0)
    assert more.shape == (40, len(columns))
    assert (own == 1).all()


def test_smote_of_a_class_with_one_row_says_so():
    with pytest.raises(InputError, match="SMOTE needs two rows of each class, and class 1 has 1"):
        smote(np.zeros((4, 2)), np.array([0, 0, 0, 1]), {1: 2}, 0)


def test_generated_rows_fill_up_the_rare_class_unless_the_metric_is_accuracy(monkeypatch):
    counts = {}
    real_fit = estimators_module.Estimators.fit

    def spy(self, arm, real, parts, spec, seed):
        for part in parts:
            counts[arm.name, len(real)] = part.generated.labels.bincount(minlength=2).tolist()
        return real_fit(self, arm, real, parts, spec, seed)

    monkeypatch.setattr(estimators_module.Estimators, "fit", spy)
    options = {"classifier": "logistic", "sources": {"rows": Rows(TRAIN)}, "ratios": (0.25, 0.5)}
    study(metric="macro_f1", **options)
    assert counts["rows 0.25", 40] == [0, 13]  # a third of the 32 + 8 rows of the inner split
    assert counts["rows 0.5", 40] == [8, 32]
    study(**options)
    assert counts["rows 0.25", 40] == [10, 3]
    assert counts["rows 0.5", 40] == [32, 8]


@pytest.mark.slow
def test_good_rows_help_and_bad_ones_hurt():
    """A source that has seen many rows, and one whose classes are exchanged."""
    many = TableDataset(machines(3000, 7), "failed", ignore=["serial"])
    turned = machines(3000, 7)
    turned["failed"] = np.where(turned["failed"] == "yes", "no", "yes")
    options = {"metric": "balanced_accuracy", "classifier": "logistic", "labels_per_class": {"no": 12, "yes": 4}}
    options |= {"seeds": 8, "ratios": (0.9,)}
    sources = {"one": Rows(many), "two": Rows(many)}
    for source, names in ((Rows(many), {"generator": Rows(many)}), (Mix(sources), sources)):
        good = study(sources={"many": source}, **options)
        assert good.verdict == "use"
        assert good.ratio == 0.9
        assert "pandas.concat" in good.html
        space = {"frame": machines(300, 0), **names}
        exec(compile(good.details["code"], "advice", "exec"), space)
        rows = space["training_rows"]
        assert list(rows.columns) == list(space["frame"].columns)
        assert len(rows) == pytest.approx(3000, abs=2), "nine tenths are generated"
        assert rows["failed"].value_counts()["yes"] == pytest.approx(1500, abs=2), "the rare class is filled up"
    bad = study(sources={"turned": Rows(TableDataset(turned, "failed", ignore=["serial"]))}, **options)
    assert bad.verdict == "don't use"


def test_a_seeds_estimators_are_new_and_seeded(monkeypatch):
    forest = RandomForestClassifier(5)
    numbers = TableDataset(machines(300, 0)[["temperature", "starts", "failed"]].dropna(), "failed")
    test = machines(200, 1)[["temperature", "starts", "failed"]].dropna()
    run = {"sources": {"rows": Rows(numbers)}, "labels_per_class": 20, **QUICK}
    reports = [genaug.study(numbers, test, classifier=what, **run) for what in (forest, forest, forest.__class__)]
    assert not hasattr(forest, "estimators_")
    assert forest.random_state is None
    assert reports[0].details["scores"] == reports[1].details["scores"]
    assert len(set(reports[0].scores("none"))) == 2
    both = genaug.study(numbers, test, classifier={"near": KNeighborsClassifier(), "forest": lambda: forest}, **run)
    assert both.details["baselines"] == ["none (near)", "none (forest)"]
    assert both.scores("none (forest)") == reports[0].scores("none")


def test_a_decision_function_is_enough_for_average_precision():
    numbers = TableDataset(machines(300, 0)[["starts", "failed"]], "failed")
    run = {"sources": {"rows": Rows(numbers)}, "labels_per_class": 20, "metric": "average_precision", **QUICK}
    report = genaug.study(numbers, machines(200, 1), classifier=RidgeClassifier(), **run)
    assert report.details["failures"] == []


class OnlyLabels(LogisticRegression):
    predict_proba = decision_function = property()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classifier": "small"}, "classifier must be 'boosting' or 'logistic'"),
        ({"classifier": 3}, "must be an estimator of scikit-learn, got int"),
        ({"classifier": {}}, "a name for each of one or more classifiers"),
        ({"classifier": lambda: 3}, "must be an estimator of scikit-learn, which has fit"),
        ({"classifier": KNeighborsClassifier(), "baselines": ("weights",)}, "has no parameter class_weight"),
        ({"classifier": OnlyLabels(), "metric": "average_precision"}, "neither predict_proba nor decision_function"),
        ({"baselines": ("classic",)}, "'classic' isn't possible here"),
        ({"updates": 10}, "updates= is for classifiers that are networks"),
        ({"image_size": 8}, "a table, which has no images"),
        ({"sources": {"x": "cgan"}}, "'cgan' can't be trained on rows"),
        ({"sources": {"x": Recipe("tvae", augment=("color",))}}, "augment is for images"),
        ({"labels_per_class": {"no": 40}}, r"doesn't say how many samples of class 1 \('yes'\)"),
        ({"labels_per_class": {"no": 40, "yes": 10, "perhaps": 3}}, "unknown class 'perhaps'"),
        ({"labels_per_class": {"no": 40, "yes": 1}}, "labels_per_class of 'yes' must be an integer of 2 or more"),
        ({"labels_per_class": {"no": 40, "yes": 100}}, "class 1 has 60 training rows, fewer than the 100"),
    ],
)
def test_what_does_not_suit_a_table_is_rejected_before_anything_is_trained(changes, message, tmp_path):
    with pytest.raises(InputError, match=message):
        study(**changes, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_source_of_other_rows_is_rejected(make_generator):
    other = TableDataset(machines(100, 3).drop(columns=["starts", "serial"]), "failed")
    with pytest.raises(InputError, match=r"source 'x': .*without the column 'starts'"):
        study(sources={"x": Rows(other)})
    with pytest.raises(InputError, match="source 'x': its samples are images, and the data are rows"):
        study(sources={"x": make_generator()})


def test_a_generator_that_was_trained_on_the_test_table_is_rejected(tmp_path):
    test = TableDataset(TEST, "failed", ignore=["serial"])
    leak = genaug.fit("tvae", test, out=tmp_path / "run", steps=1, batch_size=20, config=TINY.config, progress=False)
    with pytest.raises(InputError, match="trained on the test set"):
        genaug.study(TRAIN, test, sources={"leak": leak}, **QUICK)


@pytest.mark.parametrize(
    "form",
    [
        lambda frame: frame,
        pytest.param(lambda frame: TableDataset(frame, "failed", ignore=["serial"]), marks=pytest.mark.slow),
    ],
)
def test_the_test_tables_categories_types_and_columns_are_adapted(form):
    plain = study(sources={"rows": Rows(TRAIN)}, classifier="logistic")
    changed = TEST[TEST.columns[::-1]].assign(starts=TEST["starts"].astype(float), other=np.arange(200) % 7.0)
    again = genaug.study(
        TRAIN,
        form(changed),
        sources={"tvae": TINY},
        labels_per_class={"no": 40, "yes": 10},
        classifier="logistic",
        **QUICK,
    )
    assert again.scores("none") == plain.scores("none")
    changed = TEST.assign(site=TEST["site"].fillna("east"))
    unknown = genaug.study(
        TRAIN,
        form(changed),
        sources={"tvae": TINY},
        labels_per_class={"no": 40, "yes": 10},
        classifier="logistic",
        **QUICK,
    )
    assert unknown.scores("none") == plain.scores("none"), "an unknown category counts as missing"


def test_test_tables_that_do_not_fit_are_rejected():
    for changed, message in (
        (TEST.drop(columns="failed"), "the test set lacks the target 'failed'"),
        (TEST.drop(columns="starts"), "without the column 'starts'"),
        (TEST.assign(failed="perhaps"), "the class 'perhaps' in 'failed', which the training set lacks"),
        (TEST.assign(starts="many"), "column 'starts' of kind category; expected integer"),
        (TEST.iloc[:0], "the test set is empty"),
        (TEST.assign(failed=[None, *TEST["failed"][1:]]), "1 rows of the test set have no value in the target"),
        (TEST[TEST["failed"] == "no"], "the test set has no row of class 1"),
        ([(torch.zeros(1, 4, 4), 0)], "the test set must be a table like the training set"),
    ):
        with pytest.raises(InputError, match=message):
            genaug.study(TRAIN, changed, sources={"tvae": TINY}, **QUICK)
    with pytest.raises(InputError, match=r"Pass genaug.data.TableDataset\(table, target=COLUMN\)"):
        genaug.study(TEST, TEST, sources={"tvae": TINY}, **QUICK)
    with pytest.raises(InputError, match=r"no labels: expected .row, label. items"):
        genaug.study(TableDataset(TEST, ignore=["serial"]), TEST, sources={"tvae": TINY}, **QUICK)


def test_equal_rows_in_both_tables_are_reported_and_allowed():
    both = pd.concat([TEST, machines(300, 0).iloc[:3]])
    report = genaug.study(
        TRAIN, both, sources={"rows": Rows(TRAIN)}, labels_per_class=10, classifier="logistic", **QUICK
    )
    assert report.details["warnings"][0].startswith("3 of 203 test rows equal a training row in all values.")


def test_a_numeric_target_is_divided_by_the_training_tables_intervals_and_is_no_feature():
    train, test = (machines(200, seed).drop(columns=["failed", "serial"]) for seed in (3, 4))
    train["temperature"], test["temperature"] = train["temperature"].fillna(70), test["temperature"].fillna(70)
    dataset = TableDataset(train, "temperature", bins=3)
    report = genaug.study(dataset, test, sources={"rows": Rows(dataset)}, classifier=StartsOnly(), **QUICK)
    assert report.details["failures"] == []
    rows, labels = StartsOnly.seen[-1]
    assert "temperature" not in rows.columns
    assert set(labels) == {0, 1, 2}


def test_a_subset_of_a_table_and_functions_of_a_seeds_table():
    tables = []

    def function(table, seed):
        tables.append(table)
        return Rows(table)

    class Rule:
        def predict(self, rows):
            return (rows["temperature"].fillna(70) > 73).to_numpy().astype(int)

    sources = {"own": function, "rule": AsClassifier(lambda table, seed: Rule()), "starts": AsClassifier(StartsOnly())}
    half = Subset(TRAIN, range(0, 300, 2))
    report = genaug.study(
        half,
        Subset(TableDataset(TEST, "failed", ignore=["serial"]), range(150)),
        sources=sources,
        classifier="logistic",
        **QUICK,
    )
    assert report.details["failures"] == []
    assert report.details["statistics"]["n_test"] == 150
    assert all(isinstance(table, TableDataset) for table in tables)
    assert {120} <= set(map(len, tables)) <= {120, 150}
    assert "rule" in report.details["scores"]["inner"]


def test_an_estimator_classifies_images_as_rows_of_pixels():
    from helpers.toy import ToySet, ToySource

    report = genaug.study(
        ToySet(20, 0), ToySet(30, 1), sources={"plenty": ToySource()}, classifier=LogisticRegression(), **QUICK
    )
    assert report.details["failures"] == []
    assert list(report.details["scores"]["inner"]) == ["none", "noise 0.25", "plenty 0.25"]
    assert Arm("plenty", 0.25).name in report.details["scores"]["inner"]
