"""A job composed on a copy is what Hydra composes from the files, whatever is typed."""

from hydra.types import RunMode
from omegaconf import OmegaConf

from ktlight.config.location import config_directory
from tests.sweeps.conftest import MakeLoader

METHODS = sorted(path.stem for path in (config_directory() / "method").glob("*.yaml"))
TYPED = [
    ["student=vit_b", "teacher=resnet50.a1_in1k", "seed=3"],
    [
        "student=resnet18",
        "student.checkpoint='zoo:mine'",
        "++student.kwargs.drop_rate=0.1",
        "student.mean=[0.5,0.5,0.5]",
    ],
    ["data=imagenet10", "optim=sgd", "optim.lr=0.5", "recipe=paper", "teacher=vit_t"],
    ["experiment=paper", "data=digits", "trainer.max_epochs=3", "student.img_size=24", "resume=true"],
    ["teachers=[test_resnet,{name: test_vit, img_size: 24}]", "schedule=soup", "guard=wise", "data.fraction=0.5"],
    ["task=store", "models=[test_vit]", "store=fill", "seed=${oc.decode:'3'}"],
]


def test_a_job_is_what_hydra_composes(loader: MakeLoader) -> None:
    fast = loader("logger=wandb", "hydra.sweep.dir=somewhere")
    for number, method in enumerate(METHODS):
        job = [*TYPED[number % len(TYPED)], f"method={method}"]
        whole = fast.load_configuration("config", [*fast.typed, *job], RunMode.RUN)
        own = fast.composed(job)
        whole.hydra.overrides.task = job  # without the options of the sweep
        for config in (whole, own):
            config.hydra.job.override_dirname = ""
        assert OmegaConf.to_yaml(own) == OmegaConf.to_yaml(whole)
