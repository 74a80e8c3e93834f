import pytest
import torch

from genaug.nn.objectives import score_log
from genaug.training.guards import DiscriminatorGuard


def run(shares):
    said = []
    guard = DiscriminatorGuard()
    for number, share in enumerate(shares):
        guard.look({} if share is None else {"real_above_fake": share}, 50 * (number + 1), said.append)
    return said


def test_a_discriminator_that_has_won_is_told_of_once():
    said = run([0.7] + [0.995] * 25)
    assert len(said) == 1
    assert "since step 50 " in said[0]
    assert "--augment" in said[0]


@pytest.mark.parametrize("shares", [[0.98] * 30, [0.995] * 9, ([0.995] * 9 + [0.9]) * 3, [None] * 30])
def test_a_game_that_goes_on_is_left_alone(shares):
    assert run(shares) == []


def test_the_share_of_pairs():
    log = score_log(torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([0.0, 3.0, 2.0, 4.0]))
    assert float(log["real_above_fake"]) == 0.5
    assert float(log["real_score"]) == 2.5
    assert float(log["fake_score"]) == 2.25
