"""Signs that a run goes nowhere, read from its log."""

from collections.abc import Callable, Mapping

_WON = 0.99
_WINDOWS = 10


class DiscriminatorGuard:
    """Warns once where the discriminator has won, if the backend logs ``real_above_fake``."""

    def __init__(self) -> None:
        self._since: int | None = None
        self._windows = 0

    def look(self, metrics: Mapping[str, float], step: int, say: Callable[[str], None]) -> None:
        """``real_above_fake`` is the share of pairs whose real image scores higher; 0.5 is a draw."""
        share = metrics.get("real_above_fake")
        if share is None:
            return
        if share < _WON:
            self._since, self._windows = None, 0
            return
        self._since = step if self._since is None else self._since
        self._windows += 1
        if self._windows == _WINDOWS:
            say(
                f"warning: since step {self._since} the discriminator tells real from generated in {share:.1%} of "
                "pairs: it has won, and the generator learns little from it. Try --augment (few images), a stronger "
                "gradient penalty or a lower learning rate (--set; the backend's README has its options)."
            )
