"""Series: what networks get of them and what becomes of their outputs."""

import numpy as np
import pytest
import torch
from helpers.waves import ragged, waves
from pydantic import ValidationError

from genaug.errors import InputError
from genaug.modalities import Series
from genaug.modalities.known import MODALITIES, modality_of, parse
from genaug.modalities.series_preview import draw_curves, draw_preview
from genaug.modalities.series_scales import Scale
from genaug.modalities.series_values import lengths_of

NAN = float("nan")


def series(*rows):
    return torch.tensor([rows])


def test_complete_series_are_standardized_and_come_back():
    x, _ = waves()
    sample = Series(2, 24).fitted(x)
    assert (sample.shortest, sample.has_missing, sample.encoded_shape) == (None, False, (2, 24))
    encoded = sample.encode(x)
    assert encoded.mean((0, 2)) == pytest.approx([0, 0], abs=1e-4)
    assert encoded.std((0, 2)) == pytest.approx([1, 1], abs=1e-2)
    assert torch.allclose(sample.decode(encoded, torch.float32), x, atol=1e-4)


def test_values_stay_in_the_range_of_the_training_data():
    sample = Series(1, 2, scales=(Scale(mean=10, deviation=2, low=5, high=20),))
    assert sample.decode(series([-100.0, 1.0]), torch.float32).tolist() == [[[5.0, 12.0]]]


def test_the_channels_of_encoded_series_say_where_values_are():
    sample = Series(2, 4, shortest=2, has_missing=True)
    x = series([1.0, NAN, 3.0, NAN], [5.0, 6.0, NAN, NAN])
    assert lengths_of(x).tolist() == [3]
    assert sample.encode(x)[0].tolist() == [
        [1, 0, 3, 0],
        [5, 6, 0, 0],
        [1, 1, 1, -1],
        [1, -1, 1, 0],
        [1, 1, -1, 0],
    ]
    assert torch.equal(sample.decode(sample.encode(x), torch.float32).nan_to_num(-9), x.nan_to_num(-9))


@pytest.mark.parametrize(
    ("presence", "length"),
    [([1, 1, 1, 1], 4), ([1, 1, -1, -1], 2), ([-1, -1, -1, -1], 2), ([1, -0.1, 0.9, -1], 3), ([1, 1, -0.9, 0.5], 2)],
)
def test_the_length_is_the_likeliest_end(presence, length):
    outputs = torch.tensor([[[7.0] * 4, presence]])
    decoded = Series(1, 4, shortest=2).decode(outputs, torch.float32)
    assert lengths_of(decoded).tolist() == [length]


def test_gated_outputs_have_no_values_where_there_are_none():
    sample = Series(1, 3, shortest=1, has_missing=True)
    outputs = torch.tensor([[[2.0, 2.0, 2.0], [99.0, 99.0, -99.0], [99.0, -99.0, 99.0]]])
    assert sample.gated(outputs)[0].tolist() == [[2, 0, 0], [1, 1, -1], [1, -1, 0]]
    assert Series(1, 3).gated(outputs[:, :1]).tolist() == outputs[:, :1].tolist()


def test_of_each_dataset_its_lengths_and_missing_values_are_learned():
    data = ragged().read_rows()
    assert (data.spec.sample.shortest, data.spec.sample.has_missing) == (12, True)
    assert data.spec.sample.encoded_shape == (5, 24)
    assert data.spec.sample.fits(ragged(30).read_rows().spec.sample)
    assert not data.spec.sample.fits(Series(2, 24))


def test_it_is_saved_as_json():
    sample = ragged().read_rows().spec.sample
    assert parse(sample.model_dump(mode="json")) == sample
    assert Series(3, 30).shape == (3, 30)
    for fields in ({"channels": 1, "steps": 1}, {"channels": 0, "steps": 5}, {"channels": 1024, "steps": 65_536}):
        with pytest.raises(ValidationError):
            Series(**fields)
    with pytest.raises(ValidationError, match="2 scales for 1 channels"):
        Series(1, 5, scales=sample.scales)


def test_a_matrix_is_a_series_only_for_backends_of_series():
    assert modality_of(torch.zeros(3, 8)) is MODALITIES["image"]
    assert modality_of(torch.zeros(3, 8), ("series",)) is Series
    assert modality_of(torch.zeros(8), ("series",)) is Series
    assert modality_of(torch.zeros(3, 8, 8), ("series",)) is MODALITIES["image"]


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (np.array([1.0, NAN]), r"mask=~numpy.isnan\(x\)"),
        (np.array([1.0, np.inf]), "infinite"),
        (np.array([1.0, 1e300]), "infinite values, or values above"),
        (np.array([1, 2**40]), "integers go up to 1,099,511,627,776"),
        (np.array([-(2**63), 0]), "integers go up to 9,223,372,036,854,775,808"),
        (np.array([2**63, 0], dtype=np.uint64), "integers"),
        (1.7e9 + np.arange(5.0), "Subtract an offset"),
        (np.array([True, False]), "integers or floats"),
        (np.array(["a", "b"]), "series of numbers"),
        (np.zeros((2, 3, 4)), r"shape \(channels, steps\)"),
        (np.zeros((2, 0)), r"shape \(channels, steps\)"),
    ],
)
def test_values_that_are_no_series_of_float32(item, message):
    with pytest.raises(InputError, match=message):
        Series.read(item)


def test_integers_and_doubles_that_float32_holds_are_read():
    assert Series.read(np.array([[1, 2**24]], dtype=np.int64)).tolist() == [[1, 2**24]]
    assert Series.read(np.array([0.1, 0.2])).dtype == torch.float32
    assert Series.read(np.array([1.0, 2.0]).astype(">f8")).tolist() == [[1.0, 2.0]]


def test_pictures(tmp_path):
    data = ragged()
    x = data.read_rows().x
    sample = data.read_rows().spec.sample
    picture = sample.picture(x[0])
    assert picture.size == (96, 64)
    assert len(picture.getcolors()) >= 3  # two curves on white
    preview = sample.preview(x, x.flip(0))
    assert preview.width > 6 * 96
    assert sample.like(x[0].numpy(), np.zeros(2, dtype=np.float64)).dtype == np.float64


def test_a_generated_series_has_a_value_at_least_the_likeliest():
    sample = Series(2, 4, scales=(Scale(mean=0, deviation=1, low=-9, high=9),) * 2, shortest=2, has_missing=True)
    values, presence = torch.arange(8.0).view(1, 2, 4), torch.tensor([[[1.0, 1, 1, -5]]])  # it ends after 3 steps
    observation = torch.tensor([[[-3.0, -2, -4, 9], [-4, -1, -2, 9]]])
    decoded = sample.decode(torch.cat([values, presence, observation], 1), torch.float32)
    assert decoded[0].nan_to_num(-1).tolist() == [[-1, -1, -1, -1], [-1, 5, -1, -1]]
    observation[0, 0, 0] = 1
    decoded = sample.decode(torch.cat([values, presence, observation], 1), torch.float32)
    assert decoded[0].nan_to_num(-1).tolist() == [[0, -1, -1, -1], [-1] * 4]


def test_values_without_neighbors_are_drawn():
    lonely = torch.full((1, 1, 9), NAN)
    lonely[0, 0, 4] = 2.0
    for picture in (draw_curves(lonely[0], [(0, 4)]), draw_preview(lonely, lonely)):
        colored = np.asarray(picture.convert("HSV"))[..., 1] > 100
        assert colored.any()


def test_of_several_channels_a_preview_shows_each_within_its_range():
    wave = torch.sin(torch.arange(30.0)).expand(1, 2, 30) * torch.tensor([[[1500.0], [0.2]]])
    pixels = np.asarray(draw_preview(wave, wave)).astype(int)
    orange = (abs(pixels - [0xDD, 0x84, 0x52]).sum(2) < 60).any(1)
    assert orange.sum() > 100, "the second channel isn't a flat line"
