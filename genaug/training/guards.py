"""Signs that a run goes nowhere, read from its log."""

from collections.abc import Callable, Mapping

_WON = 0.99
_STEPS = 500


class DiscriminatorGuard:
    """Warns once where, for 500 steps, the discriminator has won, if the backend logs ``real_above_fake``."""

    def __init__(self) -> None:
        self._since: int | None = None  # the first look of this session, or the last at which it hadn't won
        self._told = False

    def look(self, metrics: Mapping[str, float], step: int, say: Callable[[str], None]) -> None:
        """``real_above_fake`` is the share of pairs whose real image scores higher; 0.5 is a draw."""
        share = metrics.get("real_above_fake")
        if share is None:
            return
        if share < _WON or self._since is None:
            self._since = step
        elif step - self._since >= _STEPS and not self._told:
            self._told = True
            say(
                f"warning: since step {self._since} the discriminator tells real from generated in {share:.1%} of "
                "pairs: it has won, and the generator learns little from it. Try --augment (few images), a stronger "
                "gradient penalty or a lower learning rate (--set; the backend's README has its options)."
            )
