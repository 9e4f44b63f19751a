"""What replacing a network's BatchNorm statistics costs: `python -m bench.batch_statistics MODEL OPTIONS...`.

OPTIONS are those of `run.py` for data and models. It prints the accuracy on the test images with the statistics the
network came with, and with those of 2,048 plain training images, nothing else changed: about where a training starts
whose BatchNorm layers see its own batches. Then the same on training images in their first view, by which
`transfer.batchnorm=auto` decides.
"""

import argparse
import tempfile
from pathlib import Path

import torch

from bench.routers import composed
from ktlight.answers.ask import all_logits
from ktlight.answers.stored import OutputStore
from ktlight.config.model_source import register_models
from ktlight.config.models import model_config
from ktlight.config.resolvers import register_resolvers
from ktlight.report.folder import RunFolder
from ktlight.report.results import accuracy
from ktlight.stages.statistics import settle_statistics, statistics_images, statistics_layers, with_statistics_of
from ktlight.stages.trained import trained_classifier
from ktlight.training.assemble import data_module, load_dataset
from ktlight.training.record import Run


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    options, more = parser.parse_known_args(given)
    register_models()
    register_resolvers()
    config = composed(*more, f"student={options.model}", "transfer.batchnorm=auto")
    dataset = load_dataset(config)
    with tempfile.TemporaryDirectory() as folder:
        run = Run(config, RunFolder(Path(folder)))
        classifier = trained_classifier(config, "student", model_config(config.student), dataset, run)
    data, outputs = data_module(config, dataset), OutputStore(config, "off")
    if not statistics_layers(classifier):
        raise SystemExit("the network has no BatchNorm layers with statistics")
    some = statistics_images(data.training_images(classifier.framing), config.seed)
    other = with_statistics_of(some, classifier, outputs)
    images = data.test_images(classifier.framing)
    labels_N = torch.from_numpy(images.labels)
    own, others = (accuracy(all_logits(each, images, outputs).argmax(1), labels_N) for each in (classifier, other))
    print(f"with its own statistics             {own:.2f}")
    print(f"with those of {len(some.rows):,} training images  {others:.2f}")
    record = settle_statistics(config, {"student": classifier}, data, outputs)["student"]
    print(f"on {record['num_images']:,} training images: {record['own']:.2f} and {record['images']:.2f}")
    print(f"it trains with {'its own' if record['kept'] else 'those of its batches'}")


if __name__ == "__main__":
    main()
