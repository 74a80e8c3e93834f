import itertools

import pytest
import torch

from genaug.errors import InputError, TrainingError
from genaug.nn.classifier import accuracy, batches, new_classifier, predict, shuffled_batches, train_classifier


def stripes(n, seed=0):
    """Two classes that a classifier can tell: bright above or bright below; uint8 (N, 1, 8, 8)."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(2, (n,), generator=generator)
    images = torch.randint(80, (n, 1, 8, 8), generator=generator).to(torch.uint8)
    images[labels == 0, :, :4] += 120
    images[labels == 1, :, 4:] += 120
    return images, labels


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (1, 28, 28), (4, 5, 17), (1, 1, 1), (2, 40, 3)])
def test_any_shape_and_number_of_classes(shape):
    model = new_classifier(shape, 7, 0, width=4)
    assert model(torch.rand(3, *shape)).shape == (3, 7)


def test_a_classifiers_weights_depend_only_on_the_seed():
    first = new_classifier((1, 8, 8), 2, 5, width=4)
    torch.rand(100)
    state = torch.get_rng_state()
    second, other = new_classifier((1, 8, 8), 2, 5, width=4), new_classifier((1, 8, 8), 2, 6, width=4)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert not torch.equal(next(first.parameters()), next(other.parameters()))
    assert torch.equal(state, torch.get_rng_state()), "the global stream is untouched"


def test_it_learns_and_is_reproducible():
    images, labels = stripes(64)
    test = stripes(200, seed=1)
    accuracies = []
    for _ in range(2):
        model = new_classifier((1, 8, 8), 2, 0, width=4)
        before = accuracy(model, *test)
        loss = train_classifier(model, itertools.repeat((images, labels)), updates=40, seed=0)
        accuracies.append((accuracy(model, *test), loss))
    assert before < 0.8 < 0.97 <= accuracies[0][0]
    assert accuracies[0] == accuracies[1]


def test_diverging_training_is_an_error():
    images, labels = stripes(32)
    model = new_classifier((1, 8, 8), 2, 0, width=4)
    with pytest.raises(TrainingError, match="training diverged: after 3 updates its loss is nan"):
        train_classifier(model, itertools.repeat((images.float() * float("nan"), labels)), updates=3, seed=0)
    with pytest.raises(TrainingError, match="outputs are NaN or infinite"):
        accuracy(model, images, labels)


def test_infinite_outputs_are_an_error():
    images, _ = stripes(32)
    model = new_classifier((1, 8, 8), 2, 0, width=4)
    with torch.no_grad():
        model.head[-1].bias[0] = float("inf")
    with pytest.raises(TrainingError, match="training diverged"):
        predict(model, images)


def test_floats_and_bytes_give_the_same_training():
    images, labels = stripes(32)
    weights = []
    for inputs in (images, images.float() / 255):
        model = new_classifier((1, 8, 8), 2, 0, width=4)
        train_classifier(model, itertools.repeat((inputs, labels)), updates=3, seed=0)
        weights.append(torch.cat([p.flatten() for p in model.parameters()]))
    assert torch.equal(*weights)


def test_updates_continue_over_epochs():
    used, epochs = [], []
    loader = [stripes(4), stripes(4)]
    counted = (used.append(1) or batch for batch in batches(loader, epochs.append))
    train_classifier(new_classifier((1, 8, 8), 2, 0, width=4), counted, updates=5, seed=0)
    assert len(used) == 5
    assert epochs == [0, 1, 2]


def test_augmentation_depends_only_on_the_seed():
    images, labels = stripes(8)
    draws = []
    for seed in (3, 3, 4):
        torch.rand(1)
        model = new_classifier((1, 8, 8), 2, 0, width=4)
        numbers = []
        augment = lambda x, g, numbers=numbers: numbers.append(float(torch.rand(1, generator=g))) or x  # noqa: E731
        train_classifier(model, itertools.repeat((images, labels)), updates=2, seed=seed, augment=augment)
        draws.append(numbers)
    assert draws[0] == draws[1] != draws[2]


def test_short_data_and_loaders_without_a_batch_are_errors():
    model = new_classifier((1, 8, 8), 2, 0, width=4)
    with pytest.raises(InputError, match="after 1 of 3 updates"):
        train_classifier(model, [stripes(4)], updates=3, seed=0)
    with pytest.raises(InputError, match="no batch"):
        train_classifier(model, batches([]), updates=3, seed=0)


def test_accuracy_counts():
    class Zero(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.p = torch.nn.Parameter(torch.zeros(1))

        def forward(self, x):
            return torch.tensor([[1.0, 0.0]]).expand(len(x), 2)

    images = torch.zeros(5, 1, 2, 2, dtype=torch.uint8)
    assert accuracy(Zero(), images, torch.tensor([0, 0, 1, 0, 1]), chunk=2) == 0.6


@pytest.mark.parametrize("shape", [(1, 24), (2, 150), (1, 427), (3, 32, 32), (3, 64, 64)])
def test_samples_of_any_length_change_the_logits(shape):
    torch.manual_seed(0)
    samples = torch.rand(32, *shape)
    spread = new_classifier(shape, 3, seed=0)(samples).std(0).mean()
    assert spread > 1e-4


def test_long_series_are_learned_in_a_few_updates():
    torch.manual_seed(0)
    steps, labels = torch.arange(400), torch.arange(64) % 2
    series = torch.sin(steps * torch.tensor([0.05, 0.1])[labels, None] + 6 * torch.rand(64, 1))[:, None]
    model = new_classifier((1, 400), 2, seed=0, width=4)
    train_classifier(model, shuffled_batches(series, labels, 16, 0), updates=60, seed=0)
    assert (model(series).argmax(1) == labels).float().mean() > 0.9
