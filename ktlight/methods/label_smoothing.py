"""Label smoothing: a control that learns as long as the others, from no teacher."""

from collections.abc import Sequence

from ktlight.limits import Share
from ktlight.methods.optimization import Optimization
from ktlight.methods.supervised import Supervised
from ktlight.models.classifier import Classifier


class LabelSmoothing(Supervised):
    """``-sum_c [(1 - smoothing) e_y + smoothing / C]_c log p_s[c]``; the student learns alone (Szegedy et al., 2016).

    Args:
        networks: The student, then the teachers, which are not used.
        optimization: Optimiser and learning rate.
        name: Name of the method in results.
        smoothing: Share of the probability spread over all classes; 0 for plain cross entropy.
    """

    def __init__(
        self, networks: Sequence[Classifier], optimization: Optimization, *, name: str, smoothing: Share
    ) -> None:
        super().__init__(networks[:1], optimization, smoothing)
        self.name = name
