"""The config of a call from Python: its arguments, and overrides as on the command line."""

from collections.abc import Mapping, Sequence, Set
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from ktlight.config.checks import check_config
from ktlight.config.instantiate import check_parts
from ktlight.config.model_source import MODEL_GROUPS, register_models
from ktlight.config.overrides import check_overrides
from ktlight.config.resolvers import register_resolvers, teacher_names
from ktlight.errors import UserError, nearest

ARGUMENTS = {
    "method": "method",
    "lr": "optim.lr",
    "epochs": "trainer.max_epochs",
    "seed": "seed",
    "resume": "resume",
}
"""Arguments that stand for options, and the options."""
OBJECTS = {
    "student": "student",
    "teacher": "teacher",
    "teachers": "teacher",
    "data": "train_data and val_data",
    "hydra.run.dir": "folder",
}
"""Options that only arguments can give, and the arguments."""


def config_of_call(
    student: str | None, teachers: Sequence[str | None], arguments: Mapping[str, Any], overrides: Sequence[str]
) -> DictConfig:
    """Return the config of a call.

    Args:
        student: Its name as of a timm model; None for a network of the user's own.
        teachers: Likewise.
        arguments: By the names in `ARGUMENTS`; None where one was not given.
        overrides: Further options as on the command line.

    Raises:
        UserError: Something was given twice, cannot be given, or has a value that it cannot take.
    """
    register_models()
    register_resolvers()
    if isinstance(overrides, str):
        raise UserError(f"overrides is a list of options: write overrides=['{overrides}']")
    given = {name: value for name, value in arguments.items() if value is not None}
    named = {"student": student, "teacher": teachers[0] if len(teachers) == 1 else None}
    options = [
        "data=python",
        *(f"{ARGUMENTS[name]}={value}" for name, value in given.items()),
        *(f"{role}={name}" for role, name in named.items() if name is not None),
    ]
    config = check_overrides([*options, *overrides])
    own = {role for role, names in (("student", [student]), ("teacher", teachers)) if not any(names)}
    check_given_once(overrides, given.keys(), own)
    with read_write(config), open_dict(config):
        del config["hydra"]
    check_parts(config)
    return config


def check_given_once(overrides: Sequence[str], given: Set[str], own: Set[str]) -> None:
    """Check that overrides say nothing that arguments say, and nothing without a meaning.

    Args:
        overrides: As given; they can be parsed.
        given: Names of the arguments that were given beside them.
        own: The roles, ``student`` and ``teacher``, that networks of the user's own have.

    Raises:
        UserError: They do.
    """
    arguments = OBJECTS | {ARGUMENTS[name]: name for name in given}
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        key, line = override.key_or_group, override.input_line
        if override.is_sweep_override():
            raise UserError(f"{line}: a call is one run, so loop over the values and call ktlight.transfer for each")
        if key in arguments:
            raise UserError(f"overrides has {line}: give it as the argument {arguments[key]} alone")
        if key == "task":
            raise UserError(f"overrides has {line}: ktlight.transfer transfers; other tasks are for the command line")
        role = key.partition(".")[0]
        if role in MODEL_GROUPS and role in own:
            raise UserError(f"{line} is for models given by name; a network of your own is taken as it is")


Labels = str | Sequence[int]
"""What is said of a model's classes; see :func:`ktlight.transfer`."""


def labels_of_call(
    names: Mapping[str, str | None], labels: Labels | Mapping[str, Labels] | None
) -> tuple[dict[str, Labels], list[str]]:
    """Return what the argument ``labels`` says of networks of the user's own, by role, and the options for the others.

    Args:
        names: The models' names by role; None for a network of the user's own.
        labels: For all models, or by role.

    Raises:
        UserError: It names a role that there is not, or says what cannot be said of such a model.
    """
    by_role = dict(labels) if isinstance(labels, Mapping) else {} if labels is None else dict.fromkeys(names, labels)
    options: dict[str, str] = {}
    for role, said in by_role.items():
        if role not in names:
            raise UserError(f"labels names the role {role!r}.{nearest(role, names)} There are: {', '.join(names)}.")
        name, option = names[role], f"{'student' if role == 'student' else 'teacher'}.labels"
        if name is None and isinstance(said, str) and said not in ("same", "learned"):
            raise UserError(
                f"labels={said!r} is for models given by name; of a network of your own say 'same' or 'learned', or "
                "list the data's class for each of its own, -1 for none"
            )
        if name is None:
            continue
        if not isinstance(said, str):
            raise UserError(
                f"labels lists classes for {name}, which is given by name: write them to a file and give "
                f"overrides=['{option}=file', '{option.replace('labels', 'label_map')}=FILE.csv']"
            )
        if options.setdefault(option, said) != said:
            raise UserError("labels says different things of teachers given by name: it can say one for all of them")
    return by_role, [f"{option}={said}" for option, said in options.items()]


def name_networks(config: DictConfig, student: str, teachers: Sequence[str]) -> None:
    """Write into the config how the networks of a call are called, in place of the models that it names by default."""
    several = teacher_names("", OmegaConf.create(list(teachers)))
    names = {"student": student, "teacher": teachers[0] if len(teachers) == 1 else several}
    for role, name in names.items():
        if config[role].name != name:
            config[role].name = config[role].architecture = name
    check_config(config)
