import itertools

import pytest
import torch
from helpers.toy import CLASSES, SHAPE, ToySource

from genaug.errors import InputError
from genaug.modalities.image import Image, to_float
from genaug.studies.blending import NoisyCopies, Part, blended, class_counts, generate
from genaug.studies.splits import LabelledSamples, draw_subsets, inner_split, per_class_counts, too_rare

LABELS = torch.tensor([0] * 12 + [1] * 9 + [2] * 30)


def numbered(labels):
    """Images whose pixels contain their index."""
    return LabelledSamples(
        torch.arange(len(labels), dtype=torch.uint8).reshape(-1, 1, 1, 1).expand(-1, 1, 2, 2), labels, None
    )


@pytest.mark.parametrize(("seeds", "disjoint"), [(range(4), True), (range(5), False)])
def test_subsets_are_disjoint_if_there_are_enough_images(seeds, disjoint):
    subsets = draw_subsets(LABELS, 2, seeds)
    assert (subsets.overlap == 0) == disjoint
    for rows in subsets.rows.values():
        assert LABELS[rows].bincount().tolist() == [2, 2, 2]
        assert len(rows.unique()) == 6
    together = torch.cat(list(subsets.rows.values()))
    assert (len(together.unique()) == len(together)) == disjoint
    assert torch.equal(subsets.rows[1], draw_subsets(LABELS, 2, seeds).rows[1])


def test_classes_with_enough_images_stay_disjoint_if_another_has_too_few():
    subsets = draw_subsets(LABELS, 4, range(3))  # 12, 9 and 30 images of each class: 9 are fewer than 3 seeds need
    parts = [torch.cat([rows[LABELS[rows] == label] for rows in subsets.rows.values()]) for label in range(3)]
    assert [len(part.unique()) == len(part) for part in parts] == [True, False, True]
    assert subsets.overlap == pytest.approx((0 + 4 / 9 + 0) / 3)


def test_the_overlap_is_the_mean_share_of_images_that_two_seeds_have_in_common():
    labels, seeds = torch.tensor([0] * 20 + [1] * 40), range(60)
    subsets = draw_subsets(labels, 10, seeds)
    assert subsets.overlap == pytest.approx((10 / 20 + 10 / 40) / 2)
    pairs = itertools.combinations(subsets.rows.values(), 2)
    common = [len(set(a.tolist()) & set(b.tolist())) / 20 for a, b in pairs]
    assert sum(common) / len(common) == pytest.approx(subsets.overlap, abs=0.01)
    assert draw_subsets(labels, None, seeds).overlap == 1


def test_a_mapping_says_how_many_samples_of_each_class_a_seed_uses():
    names = ["sound", "worn", "broken"]
    counts = per_class_counts({"sound": 6, "worn": 2, 2: 3}, LABELS, names, 3)
    assert counts == [6, 2, 3]
    assert per_class_counts({False: 6, True: 2}, LABELS[:20], ["False", "True"], 2) == [6, 2]
    subsets = draw_subsets(LABELS, counts, range(4))
    assert all(LABELS[rows].bincount().tolist() == counts for rows in subsets.rows.values())
    assert subsets.overlap == pytest.approx((6 / 12 + 0 + 0) / 3), "only 12 of the first class: too few for 4 times 6"
    same = draw_subsets(LABELS, [2, 2, 2], range(4)).rows
    assert all(torch.equal(rows, same[seed]) for seed, rows in draw_subsets(LABELS, 2, range(4)).rows.items())
    with pytest.raises(InputError, match="class 1 has 9 training images, fewer than the 10"):
        draw_subsets(LABELS, [2, 10, 2], range(2))


def test_a_class_that_accuracy_says_little_about_is_noted():
    labels = torch.tensor([0] * 30 + [1] * 3)
    assert too_rare(labels, ["sound", "worn"], Image(1, 2, 2)).startswith(
        "The most frequent class has 10 times as many training images as class 1 ('worn')"
    )
    assert too_rare(labels[1:], None, Image(1, 2, 2)) is None


def test_other_seeds_draw_other_subsets():
    one, other = (draw_subsets(LABELS, 3, [a, a + 1]).rows for a in (0, 10))
    assert not torch.equal(one[0], other[10])


def test_the_inner_split_holds_out_a_fifth_of_each_class_and_at_least_one_image():
    for labels in (LABELS, torch.tensor([0, 0, 1, 1])):
        train, held_out = inner_split(labels, 3)
        assert torch.equal(torch.cat([train, held_out]).sort().values, torch.arange(len(labels)))
        counts = labels.bincount()
        assert labels[held_out].bincount().tolist() == [max(1, round(0.2 * int(c))) for c in counts]
        assert labels[train].bincount().min() >= 1
    assert not torch.equal(inner_split(LABELS, 3)[1], inner_split(LABELS, 4)[1])


@pytest.mark.parametrize("ratio", [0.25, 0.5, 0.33])
def test_real_images_come_in_one_order_whatever_is_blended_in(ratio):
    real, fake = (
        numbered(torch.arange(20) % 2),
        LabelledSamples(torch.full((7, 1, 2, 2), 200, dtype=torch.uint8), LABELS[:7], None),
    )
    plain = torch.cat([images[:, 0, 0, 0] for images, _ in itertools.islice(blended(real, (), 30, 8, 5), 30)])
    assert all(torch.equal(part.sort().values, torch.arange(20)) for part in plain.split(20)[:-1])
    pixels = [images[:, 0, 0, 0] for images, _ in itertools.islice(blended(real, [Part(ratio, fake)], 30, 8, 5), 30)]
    assert all(len(batch) == 8 for batch in pixels)
    counts = [int((batch == 200).sum()) for batch in pixels]
    assert set(counts) <= {int(ratio * 8), -int(-ratio * 8 // 1)}
    assert sum(counts) == int(30 * ratio * 8)
    mixed = torch.cat(pixels)
    from_real = mixed[mixed != 200]
    assert torch.equal(from_real, plain[: len(from_real)])


def test_generated_images_have_the_real_ones_class_shares_and_names():
    like = LabelledSamples(torch.zeros(6, *SHAPE, dtype=torch.uint8), torch.tensor([0, 0, 0, 1, 1, 2]), None)
    counts = class_counts(like.labels, 0.5, 12, fill=False)
    samples = generate(ToySource(noise=0.0), like, counts, 1, ToySource().spec)
    assert samples.labels.bincount().tolist() == [6, 4, 2]
    assert torch.equal(samples.samples[:, 0, 0].argmax(1), samples.labels)


def test_the_control_is_real_images_of_the_label_with_noise_of_a_tenth():
    labels = torch.arange(30) % CLASSES
    real = LabelledSamples(
        (torch.full((30, 1, 16, 16), 100, dtype=torch.uint8) + labels.to(torch.uint8).reshape(-1, 1, 1, 1)),
        labels,
        None,
    )
    control = NoisyCopies(real, ToySource().spec)
    images, sampled_labels = control.sample(labels=torch.arange(300) % CLASSES, seed=4)
    noise = to_float(images) - (100 + sampled_labels.reshape(-1, 1, 1, 1)) / 255
    assert noise.std() == pytest.approx(0.1, abs=0.002)
    assert noise.mean() == pytest.approx(0, abs=0.002)
    assert torch.equal(images, control.sample(labels=torch.arange(300) % CLASSES, seed=4)[0])
