"""CD: the student relates the samples of a batch to each other as the source does."""

import torch
from torch import Tensor

from ktlight.functional.relational import relation_divergence_per_sample
from ktlight.methods.features import FeatureMethod
from ktlight.types import RoutedBatch


class CD(FeatureMethod):
    """Contrastive distillation: KL between the rows of in-batch similarity matrices (arXiv 2310.17653).

    Row i of the target comes from the similarity matrix of the source that teaches sample i, excluding sample i itself.
    One temperature applies to both similarities and logits. With several processes, the batch spans all of them.
    """

    def feature_losses(self, features_BD: Tensor, batch: RoutedBatch) -> Tensor:
        """Return the divergence of each sample's similarities, ``[B]``."""
        student_BD, sources_MBD, source_B = features_BD.float(), batch["features"], batch["source"]
        processes = self.trainer.world_size
        if processes > 1:
            student_BD = self.all_gather(student_BD, sync_grads=True).flatten(0, 1)  # type: ignore[union-attr]
            sources_MBD = [self.all_gather(features).flatten(0, 1) for features in sources_MBD]  # type: ignore[union-attr]
            source_B = self.all_gather(source_B).flatten()  # type: ignore[union-attr]
        loss_B: Tensor = relation_divergence_per_sample(student_BD, sources_MBD, source_B, self.temperature)
        return torch.chunk(loss_B, processes)[self.trainer.global_rank]
