"""Tables from pandas: a round trip to raw rows and back, or one clear error."""

import sys
import warnings

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings, strategies as st
from torch.utils.data import ConcatDataset, Subset

import genaug
from genaug.data import TableDataset, few_per_class, load_data
from genaug.data.reading import fingerprint, read_samples
from genaug.errors import DataWarning, GenaugError, InputError, MissingSplitError

pd = pytest.importorskip("pandas")


def frame(n=60):
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "size": rng.normal(size=n),
            "count": rng.integers(-5, 1000, n),
            "color": rng.choice(["red", "green", None], n),
            "label": rng.choice(["yes", "no"], n, p=[0.3, 0.7]),
            "big": pd.array([None, *(2**60 + rng.integers(0, 99, n - 1))], dtype="Int64"),
        }
    )


def back(dataset):
    """The table that the rows of a dataset give."""
    data = read_samples(dataset)
    return data.spec.sample.present(data.x, data.labels)


def quiet(*args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        return TableDataset(*args, **kwargs)


COLUMNS = {
    "int64 beyond float64": [2**53 + 1, -(2**62) - 1, 5],
    "uint8": np.array([0, 255, 3], dtype="uint8"),
    "float32 with NaN": np.array([0.1, np.nan, 3], dtype="float32"),
    "bool": [True, False, True],
    "strings": ["a", "ä", "a"],
    "strings with None": ["a", None, "b"],
    "objects of None": pd.Series(["a", None, "b"], dtype=object),
    "objects of NaN": pd.Series(["a", np.nan, "b"], dtype=object),
    "objects of ints": pd.Series([1, None, 2**60 + 1], dtype=object),
    "objects of bools": pd.Series([True, None, False], dtype=object),
    "nullable Int64": pd.array([2**60 + 1, None, 3], dtype="Int64"),
    "nullable UInt16": pd.array([1, None, 3], dtype="UInt16"),
    "nullable Float32": pd.array([0.5, None, 3], dtype="Float32"),
    "nullable boolean": pd.array([True, None, False], dtype="boolean"),
    "nullable string": pd.array(["a", None, "b"], dtype="string"),
    "ordered categories, one unused": pd.Categorical(["b", None, "a"], categories=["b", "z", "a"], ordered=True),
    "categories of ints": pd.Categorical([3, 1, 3], categories=[3, 1]),
    "categories of bools": pd.Categorical([True, False, None]),
    "dates": pd.to_datetime(["2020-01-01 12:00:00.123456", None, "1950-06-01 00:00:00.5"]),
    "dates of a time zone": pd.date_range("2020-03-28", periods=3, tz="Europe/Berlin"),
    "time differences": pd.to_timedelta([1, None, -3], unit="h"),
    "all missing": [np.nan] * 3,
    "nothing but None": pd.Series([None] * 3, dtype=object),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_every_type_of_column_comes_back_as_it_was(name):
    table = pd.DataFrame({"x": COLUMNS[name], "other": [1.5, 2.5, 4.0]})
    pd.testing.assert_frame_equal(back(quiet(table)), table)


def test_the_order_of_columns_and_the_targets_place_are_kept():
    table = frame()
    dataset = TableDataset(table, "label")
    assert dataset.classes == ["no", "yes"]
    assert dataset.targets == [int(label == "yes") for label in table["label"]]
    pd.testing.assert_frame_equal(back(dataset), table)
    mapping = {name: table[name].array for name in table}
    pd.testing.assert_frame_equal(back(TableDataset(mapping, "label")), table)


def test_subsets_are_read_as_their_rows():
    dataset = TableDataset(frame(), "label")
    rows = [40, 3, 3, 17]
    nested = Subset(Subset(dataset, list(range(59, -1, -1))), [59 - row for row in rows])
    expected = frame().iloc[rows].reset_index(drop=True)
    pd.testing.assert_frame_equal(back(nested), expected)
    assert read_samples(nested).labels.tolist() == [dataset.targets[row] for row in rows]
    assert sorted(few_per_class(dataset, 5).indices)[0] >= 0
    with pytest.raises(InputError, match=r"Join the frames first: pandas.concat"):
        read_samples(ConcatDataset([dataset, dataset]))


def test_scales_are_fitted_to_the_rows_that_are_read():
    table = read_samples(Subset(TableDataset(pd.DataFrame({"x": np.arange(40.0) ** 2})), range(10))).spec.sample
    assert (table.columns[0].low, table.columns[0].high) == (0, 81)


def test_the_fingerprint_tells_tables_apart_and_not_where_they_come_from():
    def of(table):
        return fingerprint(read_samples(TableDataset(table, "label")))

    table = frame()
    assert of(table) == of(table.copy()) == of({name: table[name].array for name in table})
    renamed = table.replace({"color": {"red": "rod"}})
    assert len({of(table), of(renamed), of(table[::-1]), of(table.rename(columns={"size": "s"}))}) == 4


class TestTargets:
    @pytest.mark.parametrize(
        ("values", "classes"),
        [
            (["b", "a", "b"], ["a", "b"]),
            ([True, False, True], ["False", "True"]),
            ([1, -1, 1], ["-1", "1"]),
            ([0.0, 1.0, 1.0], ["0.0", "1.0"]),
            (pd.Categorical(["lo", "hi", "lo"], categories=["lo", "unused", "hi"]), ["lo", "hi"]),
            (["a", "a", "a"], ["a"]),
        ],
    )
    def test_few_values_are_classes(self, values, classes):
        table = pd.DataFrame({"x": [1.5, 2.5, 4.0], "y": values})
        dataset = quiet(table, "y")
        assert dataset.classes == classes
        pd.testing.assert_frame_equal(back(dataset), table)

    def test_a_continuous_target_is_divided_by_quantiles_and_stays_a_column(self):
        table = pd.DataFrame({"x": np.arange(100.0) ** 2, "price": np.linspace(0, 99, 100) ** 1.5})
        dataset = TableDataset(table, "price", bins=4)
        assert np.bincount(dataset.targets).tolist() == [25, 25, 25, 25]
        assert dataset.classes[0].startswith("[0, ")
        assert dataset.classes[-1].endswith("]")
        data = read_samples(dataset)
        assert data.spec.shape == (2,)
        pd.testing.assert_frame_equal(back(dataset), table)
        assert len(TableDataset(table, "price").classes) == 10

    @pytest.mark.parametrize("values", [[1.5] * 90 + [2.5] * 10, list(range(100)), [0.0] * 99 + [1.0]])
    def test_no_interval_is_empty(self, values):
        table = pd.DataFrame({"x": np.arange(100.0) ** 2, "y": values})
        assert np.bincount(TableDataset(table, "y", bins=10).targets).min() > 0

    def test_unusable_targets_are_named(self):
        table = frame()
        for target, options, message in (
            ("nope", {}, r"no column 'nope'. Its columns: 'size', 'count'"),
            ("color", {}, r"rows have no value in the target 'color'. Drop them: frame.dropna\(subset=\['color'\]\)"),
            ("label", {"bins": 4}, "has categories as classes, not numbers: leave bins= out"),
            ("size", {"bins": 1}, "bins must be an integer of 2 or more"),
            ("label", {"ignore": ["label"]}, "can't be ignored"),
            ("label", {"ignore": "size"}, "ignore must be a list"),
            ("label", {"normalization": "log"}, "must be 'modes' or 'quantiles'"),
        ):
            with pytest.raises(InputError, match=message):
                TableDataset(table, target, **options)


class TestWhatIsNotLearned:
    def test_identifiers_and_constants_are_reported_and_made_anew(self):
        table = frame(30).assign(
            id=range(7, 37), key=[f"k{i}" for i in range(30)], unit="cm", user_id=[i * i for i in range(30)]
        )
        with pytest.warns(DataWarning, match=r"not learned: 'id', 'key', 'user_id' \(different .*, 'unit' \(a single"):
            dataset = TableDataset(table, "label")
        assert "not learned: 'id', 'key', 'user_id'" in dataset.summary
        generated = back(dataset)
        assert list(generated) == list(table)
        assert generated.dtypes.equals(table.dtypes)
        assert generated["id"].tolist() == list(range(37, 67))
        assert not set(generated["key"]) & set(table["key"])
        assert set(generated["unit"]) == {"cm"}

    def test_measurements_are_not_taken_for_identifiers(self):
        rng = np.random.default_rng(0)
        table = pd.DataFrame(
            {"weight": rng.permutation(10_000)[:100], "few": [3, 1, 2] * 33 + [1], "x": rng.random(100)}
        )
        assert TableDataset(table).identifiers == []

    def test_columns_can_be_ignored(self):
        assert list(back(TableDataset(frame(), "label", ignore=["big", "size"]))) == ["count", "color", "label"]

    def test_nothing_to_learn_is_an_error(self):
        with pytest.raises(InputError, match="no column can be learned"):
            TableDataset(pd.DataFrame({"id": range(30), "c": 1, "y": [0, 1] * 15}), "y")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (pd.DataFrame(), "the table is empty"),
        (pd.DataFrame({"x": []}), "the table is empty"),
        (pd.DataFrame({"x": [1.0, np.inf]}), "column 'x' holds infinite values. Replace them"),
        (pd.DataFrame({"x": [1.0, 1e200]}), "above 1e[+]100. Divide"),
        (pd.DataFrame({"x": [1 + 2j, 0]}), "has the dtype complex128, which tables don't support"),
        (pd.DataFrame({"x": pd.period_range("2020", periods=2)}), "period.*which tables don't support"),
        (pd.DataFrame({"x": pd.cut([1, 5, 9], 3)}), "categories of type interval"),
        (pd.DataFrame({"x": pd.Series([1, "a"], dtype=object)}), "objects of type int and str"),
        (pd.DataFrame({"x": pd.Series([[1], [2]], dtype=object)}), "objects of type list"),
        (pd.DataFrame({"x": np.array([2**63, 1], dtype="uint64")}), r"outside of \(-2\^63, 2\^63\)"),
        (pd.DataFrame({"x": [-(2**63), 1]}), r"outside of \(-2\^63, 2\^63\)"),
        (pd.DataFrame({"x": [f"text {i}" for i in range(10_000)] * 2}), "10,000 categories; at most 1,000"),
        (pd.DataFrame({"x": ["a" * 2000, "b"]}), "texts of 2,000 characters"),
        (pd.DataFrame([[1, 2]], columns=["x", "x"]), "'x' occurs twice"),
        (pd.DataFrame({("a", 1): [1]}), "column names must be strings or integers"),
        ({"x": [1, 2], "y": [1]}, "the mapping isn't a table"),
        ([[1, 2]], "expected a DataFrame or a mapping"),
        (pd.DataFrame({f"c{j}": [f"{i:0300}" for i in range(500)] * 2 for j in range(5)}), "description of the"),
    ],
)  # fmt: skip
def test_tables_that_cannot_be_learned_get_one_sentence(data, message):
    with pytest.raises(InputError, match=message) as caught:
        read_samples(quiet(data))
    assert "\n" not in str(caught.value)


def columns(n):
    """Strategies for a column of n values."""
    whole = st.integers(-(2**63) + 1, 2**63 - 1)
    text = st.text(max_size=5)
    maybe = lambda values: st.lists(st.none() | values, min_size=n, max_size=n)  # noqa: E731
    exactly = lambda values: st.lists(values, min_size=n, max_size=n)  # noqa: E731
    return st.one_of(
        exactly(st.floats(width=64)).map(lambda v: pd.Series(v, dtype="float64")),
        exactly(st.floats(width=32)).map(lambda v: pd.Series(v, dtype="float32")),
        exactly(whole).map(lambda v: pd.Series(v, dtype="int64")),
        maybe(whole).map(lambda v: pd.Series(v, dtype="Int64")),
        maybe(st.booleans()).map(lambda v: pd.Series(v, dtype="boolean")),
        exactly(st.booleans()).map(lambda v: pd.Series(v, dtype="bool")),
        maybe(text).map(lambda v: pd.Series(v, dtype=object)),
        maybe(text).map(lambda v: pd.Series(v, dtype="string")),
        maybe(st.sampled_from("abc")).map(lambda v: pd.Series(pd.Categorical(v, categories=list("cabd")))),
        exactly(st.none() | st.datetimes(pd.Timestamp(1700, 1, 1), pd.Timestamp(2200, 1, 1))).map(
            lambda v: pd.Series(v, dtype="datetime64[ns]")
        ),
        maybe(st.one_of(text, st.integers(), st.floats(), st.booleans())).map(lambda v: pd.Series(v, dtype=object)),
        st.just(pd.Series([None] * n, dtype=object)),
        st.just(pd.Series([7] * n)),
    )


@st.composite
def tables(draw):
    n = draw(st.integers(0, 6))
    return pd.DataFrame({name: draw(columns(n)) for name in draw(st.lists(st.sampled_from("abcde"), unique=True))})


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(tables(), st.data())
def test_any_small_table_comes_back_or_gets_one_sentence(table, data):
    target = data.draw(st.none() | st.sampled_from([*table.columns, "missing"]))
    normalization = data.draw(st.sampled_from(["modes", "quantiles"]))
    try:
        samples = read_samples(quiet(table, target, normalization=normalization))
    except GenaugError as error:
        assert len(str(error)) > 20  # noqa: PT017
        return
    schema = samples.spec.sample
    pd.testing.assert_frame_equal(schema.present(samples.x, samples.labels), table, check_exact=True)
    assert type(schema).model_validate_json(schema.model_dump_json()) == schema
    encoded = schema.encode(samples.x)
    assert encoded.isfinite().all()
    # Any output gives a table with the types, categories and missing values of the data.
    outputs = torch.randn(20, *schema.encoded_shape, generator=torch.Generator().manual_seed(0))
    labels = None if samples.labels is None else samples.labels.repeat(20)[:20]
    generated = schema.present(schema.decode(outputs, torch.int64), labels)
    assert generated.dtypes.equals(table.dtypes)
    for name in table:
        real, new = table[name], generated[name]
        assert real.isna().any() or not new.isna().any()
        assert not real.isna().all() or new.isna().all()
        if isinstance(real.dropna().iloc[0] if real.notna().any() else None, (str, bool)):
            assert set(new.dropna()) <= set(real.dropna())
        elif real.notna().any():
            assert new.dropna().min() >= real.min()
            assert new.dropna().max() <= real.max()
    patterns = {tuple(row) for row in table.isna().to_numpy()}
    assert {tuple(row) for row in generated.isna().to_numpy()} <= patterns


class TestFiles:
    @pytest.fixture
    def file(self, tmp_path):
        frame(100).to_csv(tmp_path / "t.csv", index=False)
        return tmp_path / "t.csv"

    def test_a_csv_file_is_read_and_split_by_class(self, file):
        complete = load_data(f"table:{file}", target="label")
        assert (len(complete), complete.classes) == (100, ["no", "yes"])
        parts = [load_data(f"table:{file}", target="label", test_share=0.25, split=s) for s in ("train", "test")]
        assert [len(part) for part in parts] == [75, 25]
        joined = pd.concat([back(part) for part in parts]).sort_values(["size"]).reset_index(drop=True)
        pd.testing.assert_frame_equal(joined, back(complete).sort_values(["size"]).reset_index(drop=True))
        counts = np.bincount(complete.targets)
        assert np.abs(np.bincount(parts[1].targets) - counts / 4).max() < 1

    def test_files_that_are_not_tables_get_one_sentence(self, file, tmp_path):
        (tmp_path / "empty.csv").write_text("")
        (tmp_path / "broken.csv").write_bytes(b"a,b\n\xff\xfe,1\n")
        (tmp_path / "ragged.csv").write_text("a,b\n1,2,3,4\n1\n1,2,3,4,5,6\n")
        for name in ("empty.csv", "broken.csv", "ragged.csv"):
            with pytest.raises(InputError, match="can't be read as a table"):
                load_data(f"table:{tmp_path / name}")
        with pytest.raises(InputError, match="is not a file"):
            load_data(f"table:{tmp_path / 'none.csv'}")
        with pytest.raises(MissingSplitError, match="Hold one out: test_share="):
            load_data(f"table:{file}", split="test")
        with pytest.raises(InputError, match="leave it out"):
            load_data(f"table:{file}", group_by="x")
        with pytest.raises(InputError, match=r"target .* is the column of a table:FILE"):
            load_data("digits", target="x")


def test_without_pandas_a_table_gets_a_sentence_and_images_work(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(InputError, match=r'pip install "genaug\[table\]"'):
        TableDataset({"x": [1, 2]})
    assert len(read_samples(load_data("digits")).x) == 1297


def test_a_frame_in_place_of_a_dataset_gets_the_remedy(tmp_path):
    for data in (frame(), {"x": [1, 2]}):
        with pytest.raises(InputError, match=r"Pass genaug.data.TableDataset\(table, target=COLUMN\)"):
            genaug.fit("tvae", data, out=tmp_path / "run", steps=1, progress=False)


def test_columns_of_the_same_name_in_a_file_are_not_renamed(tmp_path):
    (tmp_path / "t.csv").write_text("a,b,a\n1,2,3\n4,5,6\n")
    with pytest.raises(InputError, match=r"t\.csv has several columns 'a'\. Rename all but one"):
        load_data(f"table:{tmp_path / 't.csv'}")


def test_rows_are_not_blended_one_by_one():
    data = quiet(frame(), "label")
    with pytest.raises(InputError, match=r"MixedDataset doesn't blend rows\. Join DataFrames instead: pandas\.concat"):
        genaug.MixedDataset(data, genaug.SamplePool.from_dataset(data), ratio=0.5)


def test_rows_are_taken_by_index_or_boolean():
    dataset = TableDataset(frame(), "label")
    expected = frame().iloc[[1, 59]].reset_index(drop=True)
    for rows in ([1, -1], np.array([1, 59]), np.isin(np.arange(60), [1, 59])):
        pd.testing.assert_frame_equal(back(dataset.take(rows)), expected)
    assert len(dataset.take([])) == 0
    assert dataset[np.int64(1)][1] == dataset.targets[1]
    for rows in ([1000], [-61]):
        with pytest.raises(InputError, match=rf"has 60 rows, so there is no row {rows[0]}"):
            dataset.take(rows)
    for rows in ([True], [0.5], 3, [[1]]):
        with pytest.raises(InputError, match="a list of indices or one boolean for each of 60 rows"):
            dataset.take(rows)
    for index in (slice(1, 3), "one", [1]):
        with pytest.raises(InputError, match="use take"):
            dataset[index]
    with pytest.raises(IndexError):
        dataset[60]


def test_a_missing_target_is_counted():
    table = frame()
    for count, words in ((1, "1 row has no value"), (2, "2 rows have no value")):
        table.loc[: count - 1, "label"] = None
        with pytest.raises(InputError, match=words):
            TableDataset(table, "label")


def test_a_target_with_almost_as_many_classes_as_rows_is_warned_about(tmp_path):
    table = frame().assign(name=[f"n{i}" for i in range(60)])
    with pytest.warns(DataWarning, match="'name' has 60 classes in 60 rows, too few rows per class"):
        dataset = TableDataset(table, "name")
    assert "60 classes in 60 rows" in dataset.summary
    table.assign(name=[f"n{i // 3}" for i in range(60)]).pipe(TableDataset, "name")
    table.to_csv(tmp_path / "t.csv", index=False)
    assert "60 classes in 60 rows" in load_data(f"table:{tmp_path / 't.csv'}", target="name").summary


def test_a_table_without_a_name_gets_a_sentence_about_that():
    for target in (None, "label"):
        with pytest.raises(InputError, match="'table:' doesn't name a file"):
            load_data("table:", target=target)
