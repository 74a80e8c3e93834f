"""Datasets of series, from arrays, lists and files."""

import numpy as np
import pytest
import torch
from helpers.waves import ragged, waves
from torch.utils.data import ConcatDataset, Subset, TensorDataset

from genaug.data import SeriesDataset, few_per_class, load_data
from genaug.data.reading import fingerprint, read_samples
from genaug.data.series_files import read_ts
from genaug.errors import DataWarning, InputError, MissingSplitError
from genaug.modalities.series_values import lengths_of

X, Y = (values.numpy() for values in waves(12))


def ones(n, steps):
    return np.arange(n * steps, dtype=float).reshape(n, steps)


def test_arrays_and_lists_of_arrays_are_read():
    for x in (X, X.tolist(), torch.from_numpy(X), list(X), X.astype(np.float64), X.astype(">f4")):
        data = SeriesDataset(x if not isinstance(x, list) or hasattr(x[0], "shape") else np.array(x), Y)
        series, label = data[3]
        assert torch.equal(series, torch.from_numpy(X[3]))
        assert (label, data.classes, len(data)) == (1, None, 12)
    assert SeriesDataset(ones(3, 5))[0].shape == (1, 5)
    assert torch.equal(
        read_samples(TensorDataset(torch.from_numpy(X), torch.from_numpy(Y)), kinds=["series"]).x, data._x
    )


def test_lists_of_various_lengths_are_padded():
    data = SeriesDataset([ones(2, 5), ones(2, 3), ones(2, 4)], ["b", "a", "b"])
    assert data.lengths.tolist() == [5, 3, 4]
    assert data.classes == ["a", "b"]
    assert data.targets == [1, 0, 1]
    assert data[1][0][:, 3:].isnan().all()
    assert data.summary == "3 series, 2 channels, 3 to 5 steps, 2 classes"
    assert data.read_rows().spec.sample.shortest == 3
    assert data.read_rows([0]).spec.sample.shortest is None


def test_what_lies_after_the_end_or_under_the_mask_does_not_matter():
    x = X.copy()
    x[0, :, 20:], x[1, 0, 5] = np.inf, np.nan
    mask = np.ones(x.shape, dtype=bool)
    mask[1, 0, 5] = False
    data = SeriesDataset(x, Y, lengths=[20] + [24] * 11, mask=mask)
    assert data.lengths.tolist()[:2] == [20, 24]
    assert data[1][0].isnan().sum() == 1
    mask[1, 0, 5] = True
    with pytest.raises(InputError, match="series 1: the series has NaN"):
        SeriesDataset(x, Y, lengths=[20] + [24] * 11, mask=mask)


@pytest.mark.parametrize(
    ("y", "classes", "targets"),
    [
        (["2", "10", "1"], ["1", "2", "10"], [1, 2, 0]),
        ([1, 2, 1], ["1", "2"], [0, 1, 0]),
        ([-1, 1, 1], ["-1", "1"], [0, 1, 1]),
        ([0, 1, 0], None, [0, 1, 0]),
        (np.array([0.0, 1.0, 0.0]), None, [0, 1, 0]),
        (torch.tensor([[0], [1], [1]]), None, [0, 1, 1]),
        (np.array(["on", "off", "on"], dtype=object), ["off", "on"], [1, 0, 1]),
    ],
)
def test_labels_of_any_kind(y, classes, targets):
    data = SeriesDataset(ones(3, 5), y)
    assert (data.classes, data.targets) == (classes, targets)


def test_a_test_set_takes_the_classes_of_the_training_set():
    train = SeriesDataset(ones(3, 5), ["a", "b", "c"])
    assert SeriesDataset(ones(2, 5), ["c", "a"], classes=train.classes).targets == [2, 0]
    with pytest.raises(InputError, match="'d', which isn't one of"):
        SeriesDataset(ones(2, 5), ["d", "a"], classes=train.classes)
    from_one = SeriesDataset(ones(3, 5), [1, 2, 3])
    assert SeriesDataset(ones(2, 5), [1, 3], classes=from_one.classes).targets == [0, 2], "names, if all are"
    assert SeriesDataset(ones(2, 5), [0, 2], classes=from_one.classes).targets == [0, 2], "numbers otherwise"
    assert SeriesDataset(ones(2, 5), [0, 2], classes=train.classes).targets == [0, 2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": np.where(X > 54, np.nan, X), "y": Y}, r"series \d: the series has NaN"),
        ({"x": X[:, :, :1], "y": Y}, "1 step; expected at least 2"),
        ({"x": np.full((4, 1, 5), 7.0)}, "all channels are constant"),
        ({"x": [ones(2, 5), ones(3, 5)]}, "series 1 has 3 channels"),
        ({"x": X * np.float64(1e60)}, "infinite values, or values above"),
        ({"x": X * np.float64(1e-45)}, "values lie below 1e-38, .* Multiply them"),
        ({"x": X * np.float64(1e-60)}, "values lie below 1e-38"),
        ({"x": X.astype(np.float64) + 1e12}, "Subtract an offset"),
        ({"x": (X * 1e15).astype(np.int64)}, "integers go up to"),
        ({"x": X, "y": np.zeros((12, 24), dtype=int)}, "a label per step"),
        ({"x": X, "y": np.zeros((12, 3))}, "several numbers per series"),
        ({"x": X, "y": Y[:5]}, r"shape \(12,\)"),
        ({"x": X, "y": Y + 0.5}, "aren't integers"),
        ({"x": X, "y": [None] * 12}, "without missing ones"),
        ({"x": X, "y": ["a", "b", None] * 4}, "without missing ones"),
        ({"x": X, "y": ["a", "b", float("nan")] * 4}, "without missing ones"),
        ({"x": X, "y": np.array(["a", "b", float("nan")] * 4, dtype=object)}, "without missing ones"),
        ({"x": X, "lengths": [30] * 12}, "up to 30"),
        ({"x": X, "lengths": [0] * 12}, "lengths must be 1 or more"),
        ({"x": list(X), "lengths": [24] * 12}, "those of a list are known"),
        ({"x": X, "mask": np.ones((12, 3, 24), dtype=bool)}, "mask must be booleans like the series"),
        ({"x": X, "mask": np.ones(12, dtype=bool)[:5]}, "an entry per series"),
        ({"x": X, "mask": np.zeros(X.shape, dtype=bool)}, "series 0 has no value"),
        ({"x": [[[1.0, 2.0, 3.0], [4.0, 5.0]]] * 2}, "series 0: its channels differ in their number of steps"),
        ({"x": [[1.0, [2.0, 3.0]]] * 2}, "series 0: its channels differ in their number of steps"),
        ({"x": X[:1, :2], "mask": [[[True], [True] * 2]]}, "series 0: the mask is ragged"),
        ({"x": X[:2], "y": [[0], [0, 1]]}, "y holds lists of different lengths"),
        ({"x": np.zeros((0, 1, 5))}, "no series"),
        ({"x": np.zeros(5)}, r"\(N, channels, steps\)"),
        ({"x": np.zeros((2, 2, 2, 2))}, r"\(N, channels, steps\)"),
        ({"x": "x.npz"}, "got str"),
        ({"x": X, "classes": ["a", "b"]}, "pass both"),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(InputError, match=message):
        SeriesDataset(**arguments)


def test_without_padding_series_of_various_lengths_are_an_error():
    with pytest.raises(InputError, match=r"item 1 .*SeriesDataset\(list_of_series, y\), which pads"):
        read_samples([(ones(1, 5), 0), (ones(1, 4), 1)], kinds=["series"])


def test_what_aeon_returns_is_not_a_dataset_yet():
    with pytest.raises(InputError, match=r"SeriesDataset\(x, y\)"):
        read_samples((X, Y.astype(str)))
    assert SeriesDataset(*(X, Y.astype(str))).classes == ["0", "1"]


def test_a_shape_that_is_probably_transposed_and_constant_channels_are_reported():
    with pytest.warns(DataWarning, match="24 channels and 2 steps, so they are probably transposed"):
        SeriesDataset(X.transpose(0, 2, 1))
    x = X.copy()
    x[:, 1] = 3
    with pytest.warns(DataWarning, match="constant channels: 1"):
        data = SeriesDataset(x)
    assert data.read_rows().spec.sample.encode(data.read_rows().x)[:, 1].abs().max() == 0


def test_subsets_are_read_and_scaled_on_their_own():
    data = ragged()
    part = read_samples(Subset(data, [1, 3]))
    assert torch.equal(part.labels, torch.tensor([1, 1]))
    assert part.spec.sample.shortest == 13
    assert len(few_per_class(data, 2)) == 4
    assert fingerprint(part) == fingerprint(read_samples(Subset(data, [1, 3])))
    with pytest.raises(InputError, match=r"numpy\.concatenate"):
        read_samples(ConcatDataset([data, data]))


def test_several_series_are_taken_rather_than_read_by_a_slice():
    data = SeriesDataset(X, Y)
    assert data[np.int64(-1)][1] == data[torch.tensor(11)][1] == Y[-1]
    for several in (slice(2, 4), [2, 3], torch.tensor([2, 3])):
        with pytest.raises(InputError, match=r"by its number, got .*take\(\[\.\.\.\]\)"):
            data[several]
    assert [int(label) for _, label in data.take(range(2, 4))] == Y[2:4].tolist()


def test_a_transform_changes_items_and_not_what_is_learned():
    data = SeriesDataset(X, Y, transform=lambda series: series * 0)
    assert data[0][0].abs().max() == 0
    assert torch.equal(data.read_rows().x, torch.from_numpy(X))


class TestFiles:
    TEXT = (
        "# a comment\n@problemName toy\n@timeStamps false\n@missing true\n@univariate false\n"
        "@classLabel true low high\n@data\n"
        "1,2,?,4:5,6,7,8:low\n\n1,2,3:4,5,6:high\n3.5,1,2,2:0,0,NaN,1e1:low\n"
    )

    def test_ts_files_are_read(self, tmp_path):
        (tmp_path / "toy.ts").write_text(self.TEXT)
        data = load_data(f"series:{tmp_path / 'toy.ts'}")
        assert data.classes == ["high", "low"]
        assert data.targets == [1, 0, 1]
        assert data.lengths.tolist() == [4, 3, 4]
        assert data[0][0].nan_to_num(-1).tolist() == [[1, 2, -1, 4], [5, 6, 7, 8]]
        arrays = read_ts(tmp_path / "toy.ts")
        assert arrays["x"][1].tolist() == [[1, 2, 3], [4, 5, 6]]

    def test_the_archives_splits_are_used(self, tmp_path):
        (tmp_path / "toy_TRAIN.ts").write_text(self.TEXT)
        (tmp_path / "toy_TEST.ts").write_text(self.TEXT.replace(":low", ":high"))
        test = load_data(f"series:{tmp_path / 'toy_TRAIN.ts'}", split="test")
        assert (test.classes, test.targets) == (["high", "low"], [0, 0, 0])

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (TEXT.replace("@timeStamps false", "@timeStamps true"), "time stamps"),
            (TEXT.replace("@classLabel true low high", "@targetlabel true"), "regression"),
            (TEXT.replace("1,2,3:", "1,2,x:"), "line 10 of .* aren't numbers"),
            (TEXT.replace("1,2,3:", "1,2:"), "line 10 of .* various lengths"),
            (TEXT.partition("@data")[0] + "@data\n", "no series after @data"),
            ("1,2,3\n", "line 1 of .* before @data"),
            ("@data\n1,2\xff", "UTF-8"),
        ],
    )
    def test_what_is_not_a_ts_file_is_explained(self, text, message, tmp_path):
        (tmp_path / "toy.ts").write_bytes(text.encode("latin-1"))
        with pytest.raises(InputError, match=message):
            load_data(f"series:{tmp_path / 'toy.ts'}")

    def test_archives_of_numpy_are_read(self, tmp_path):
        path = tmp_path / "toy.npz"
        np.savez(path, x=X, y=Y, classes=np.array(["a", "b"]), lengths=np.array([20] * 12))
        data = load_data(f"series:{path}")
        assert (data.classes, data.lengths.tolist()) == (["a", "b"], [20] * 12)
        with pytest.raises(MissingSplitError, match="--test-share"):
            load_data(f"series:{path}", split="test")
        parts = [load_data(f"series:{path}", split=split, test_share=0.25) for split in ("train", "test")]
        assert [sorted(part.targets) for part in parts] == [[0] * 4 + [1] * 5, [0] * 2 + [1]]
        assert len(torch.cat([part._x for part in parts]).nan_to_num().unique(dim=0)) == 12

    def test_what_is_not_an_archive_of_series_is_explained(self, tmp_path):
        for name, arrays, message in (
            ("other", {"a": X}, "no array 'x', but 'a'"),
            ("objects", {"x": np.array([[1, 2], [1]], dtype=object)}, "doesn't unpickle"),
            ("steps", {"x": X, "y": np.zeros((12, 24))}, "steps.npz: y has shape .* a label per step"),
        ):
            np.savez(tmp_path / f"{name}.npz", **arrays)
            with pytest.raises(InputError, match=message):
                load_data(f"series:{tmp_path / name}.npz")
        (tmp_path / "text.npz").write_text("hello")
        np.save(tmp_path / "single.npy", X)
        (tmp_path / "single.npy").rename(tmp_path / "single.npz")
        for name, message in (("text", "can't be read"), ("single", "single array"), ("absent", "is not a file")):
            with pytest.raises(InputError, match=message):
                load_data(f"series:{tmp_path / name}.npz")
        with pytest.raises(InputError, match="suffix"):
            load_data(f"series:{__file__}")
        with pytest.raises(InputError, match="leave them out"):
            load_data(f"series:{__file__}", target="x")


def test_one_class_and_one_channel_are_counted_in_the_singular():
    assert SeriesDataset(X[:, :1], np.zeros(12, dtype=int)).summary == "12 series, 1 channel, 24 steps, 1 class"


def test_the_summary_says_whether_lengths_differ_or_only_a_mask_ends_series():
    mask = np.ones(X.shape, dtype=bool)
    mask[:, 0, 20:] = mask[3, :, 21:] = False
    assert SeriesDataset(X, Y, mask=mask).summary.startswith("12 series, 2 channels, 24 steps, up to 3 missing at the")
    assert "24 steps, 2 classes" in SeriesDataset(X, Y, mask=mask).take([0, 1]).summary
    assert "21 to 24 steps, 2" in SeriesDataset(X, Y, lengths=[24] * 11 + [21]).summary
    assert "21 to 24 steps, 2" in SeriesDataset([*X[:11], X[11, :, :21]], Y).summary


def test_the_length_counts_up_to_the_last_value():
    assert lengths_of(torch.tensor([[[1.0, float("nan"), 2.0, float("nan")]]])).tolist() == [3]


def test_masked_arrays_reversed_views_and_bfloat16():
    values, hidden = np.where(X > 54, -9999, X), X > 54
    masked = SeriesDataset(np.ma.masked_array(values, mask=hidden), Y)
    expected = SeriesDataset(values, Y, mask=~hidden)
    for one, other in zip(masked, expected, strict=True):
        assert torch.equal(one[0].nan_to_num(-1), other[0].nan_to_num(-1))
    assert torch.stack([series for series, _ in masked]).nan_to_num(0).min() >= 0
    with pytest.raises(InputError, match="masked array, and mask= is passed as well"):
        SeriesDataset(np.ma.masked_array(values, mask=hidden), Y, mask=~hidden)
    assert torch.equal(SeriesDataset(X[:, :, ::-1])[0].flip(1), SeriesDataset(X)[0])
    halves = torch.tensor(X, dtype=torch.float32).bfloat16()
    assert torch.equal(SeriesDataset(halves)[3], halves[3].float())
