import numpy as np
import PIL.Image
import pytest
import torch

from genaug.errors import InputError, OutputExistsError, SaveError
from genaug.modalities import Image
from genaug.reports.sheet import Block, check_free, draw_sheet, save_sheet, sheet_labels


def flat(*values, channels=1, side=8):
    """Images of a single gray level each."""
    return torch.tensor(values, dtype=torch.uint8)[:, None, None, None].expand(-1, channels, side, side).contiguous()


def test_each_class_has_a_row_in_order_of_class():
    sheet = np.asarray(draw_sheet(Block(flat(10, 20, 30), torch.tensor([1, 0, 1])), classes=["a", "b"], columns=2))
    rows = {value: np.argwhere((sheet == value).all(-1)) for value in (10, 20, 30)}
    assert rows[20][:, 0].max() < rows[10][:, 0].min(), "class 0 stands above class 1"
    assert (rows[10][:, 0].min(), rows[10][:, 1].max()) == (rows[30][:, 0].min(), rows[30][:, 1].min() - 3)


def test_small_images_are_enlarged_without_smoothing():
    image = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
    image[0, 0, 2, 3] = 77
    sheet = np.asarray(draw_sheet(Block(image), columns=1))
    assert ((sheet == 77).all(-1)).sum() == 36, "one pixel becomes 6x6 of the same value"
    assert set(np.unique(sheet)) <= {0, 77, 255}


def test_large_images_are_reduced():
    assert max(draw_sheet(Block(flat(1, side=1024)), columns=1).size) < 300


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_every_number_of_channels_is_drawn(channels):
    assert draw_sheet(Block(flat(9, 9, channels=channels), torch.tensor([0, 1]))).mode == "RGB"


def test_blocks_are_side_by_side_below_their_headings():
    labels = torch.tensor([0, 1])
    sheet = np.asarray(
        draw_sheet(Block(flat(10, 10), labels, "real"), Block(flat(20, 20), labels, "generated"), columns=1)
    )
    left, right = (np.argwhere((sheet == value).all(-1)) for value in (10, 20))
    assert left[:, 1].max() < right[:, 1].min()
    assert set(left[:, 0]) == set(right[:, 0])
    assert (sheet[: left[:, 0].min() - 1] < 200).any(), "headings are written above"


def test_no_images_give_an_empty_grid_and_invalid_ones_an_error():
    assert draw_sheet(Block(torch.empty(0, 1, 8, 8, dtype=torch.uint8))).size[1] > 0
    with pytest.raises(InputError, match="uint8 images"):
        draw_sheet(Block(torch.rand(2, 1, 8, 8)))
    with pytest.raises(InputError, match="Pass labels for all blocks or for none"):
        draw_sheet(Block(flat(1), torch.tensor([0])), Block(flat(1)))


class Bars(Image):
    """Samples whose picture isn't what they hold: one grey column per channel, wider than high."""

    def picture(self, sample):
        return PIL.Image.new("L", (60, 20), int(sample.flatten()[0]))


def test_a_modality_draws_its_own_pictures():
    """Also of samples that are no images: float rows, whose picture has another size than their shape."""
    rows, labels = torch.tensor([[10.0, -3.5], [20.0, 0.25]]), torch.tensor([1, 0])
    sheet = draw_sheet(Block(rows, labels), columns=1, sample=Bars(1, 1, 2))
    pixels = np.asarray(sheet)
    first, second = (np.argwhere((pixels == value).all(-1)) for value in (20, 10))
    assert first[:, 0].max() < second[:, 0].min(), "class 0 stands above class 1"
    for place in (first, second):
        height, width = place.max(0) - place.min(0) + 1
        assert (width, height) == (60, 20)


def test_images_are_drawn_alike_with_and_without_their_modality():
    block = Block(flat(10, 20, 30), torch.tensor([1, 0, 1]))
    assert np.array_equal(draw_sheet(block), draw_sheet(block, sample=Image(1, 8, 8)))


def test_labels_cover_few_classes_and_every_nth_of_many():
    assert sheet_labels(3, 2).tolist() == [0, 0, 1, 1, 2, 2]
    many = sheet_labels(1000, 1, max_rows=20).tolist()
    assert len(set(many)) == 20
    assert many == sorted(many)
    assert many[-1] < 1000


def test_a_grid_replaces_the_old_one_and_leaves_no_other_file(tmp_path):
    path = tmp_path / "new" / "sheet.png"
    for value in (1, 2):
        save_sheet(path, draw_sheet(Block(flat(value))))
    assert [p.name for p in path.parent.iterdir()] == ["sheet.png"]
    assert 2 in np.asarray(PIL.Image.open(path))
    assert 1 not in np.asarray(PIL.Image.open(path))


def test_a_grid_that_cant_be_written_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SaveError, match="could not write"):
        save_sheet(tmp_path / "file" / "sheet.png", draw_sheet(Block(flat(1))))


def test_only_grids_drawn_by_genaug_can_be_overwritten(tmp_path):
    sheet = draw_sheet(Block(flat(1)))
    save_sheet(tmp_path / "sheet.png", sheet)
    with pytest.raises(OutputExistsError, match="--overwrite"):
        check_free(tmp_path / "sheet.png", overwrite=False)
    check_free(tmp_path / "sheet.png", overwrite=True)
    sheet.save(tmp_path / "photo.png")
    (tmp_path / "text.png").write_text("mine")
    (tmp_path / "link.png").symlink_to("missing")
    for name in ("photo.png", "text.png", "link.png"):
        with pytest.raises(OutputExistsError, match="left alone"):
            check_free(tmp_path / name, overwrite=True)
    with pytest.raises(OutputExistsError, match="is a directory"):
        check_free(tmp_path, overwrite=True)
