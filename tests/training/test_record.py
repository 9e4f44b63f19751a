"""What the config of a run says besides its options."""

import tiny
from omegaconf import OmegaConf

from ktlight.models.label_map import LabelMap
from ktlight.report.folder import RunFolder
from ktlight.training.record import Run


def test_a_run_is_known_by_how_its_models_classes_are_mapped(tmp_path) -> None:
    run, dataset = Run(OmegaConf.create({"seed": 0}), RunFolder(tmp_path)), tiny.dataset()
    said = []
    for classes in (None, [0, 1, 2, 3], [1, 0, 2, 3]):
        teacher = tiny.classifier()
        if classes:
            teacher.answer_in(LabelMap(classes, 4, "file"))
        said.append(OmegaConf.create(run.described(dataset, {"teacher": teacher})).identity)
    assert [set(each) for each in said] == [{"data", "teacher"}, *[{"data", "teacher", "labels_teacher"}] * 2]
    assert said[0].teacher == said[1].teacher and said[1].labels_teacher != said[2].labels_teacher
