"""Nothing in the sources runs what it reads: an inventory of the calls that could."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import REPOSITORY

SOURCES = [REPOSITORY / "run.py", *sorted((REPOSITORY / "ktlight").rglob("*.py"))]
NEVER = {
    "eval", "exec", "__import__", "compile", "pickle.load", "pickle.loads", "pickle.Unpickler", "dill.load",
    "dill.loads", "cloudpickle.load", "cloudpickle.loads", "joblib.load", "marshal.loads", "shelve.open", "os.system",
    "os.popen", "yaml.unsafe_load", "yaml.full_load", "torch.hub.load", "pandas.read_pickle", "pd.read_pickle",
    "runpy.run_path", "hydra.utils.instantiate", "instantiate", "hydra.utils.call",
}  # fmt: skip
CAREFUL = {
    "import_module": {
        "ktlight/cli.py": "the module of a task in TASKS",
        "ktlight/tasks/frame.py": "the module of a task in TASKS",
        "ktlight/functional/__init__.py": "the module of a function in STABLE",
        "ktlight/config/instantiate.py": "after check_trusted, or a constant",
        "ktlight/publication/weights_and_biases/workspace.py": "a constant",
    },
    "subprocess.run": {"ktlight/config/launcher.py": "Slurm's own programs, by constant names"},
}
"""Calls that are there, and why they are safe; a further one has to be added here, and thought about."""


def calls() -> Iterator[tuple[str, str, ast.Call]]:
    for file in SOURCES:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call):
                yield str(file.relative_to(REPOSITORY)), ast.unparse(node.func), node


def test_nothing_runs_text_or_pickles() -> None:
    found = [(file, name) for file, name, _ in calls() if name in NEVER]
    assert not found


def test_calls_that_need_care_are_where_they_are_known() -> None:
    for name, known in CAREFUL.items():
        found = {file for file, called, _ in calls() if called.rpartition(".")[2] == name or called == name}
        assert found <= known.keys(), name
    started = {(file, name) for file, name, _ in calls() if name.startswith(("subprocess.", "os.exec", "os.spawn"))}
    assert {name for _, name in started} <= {"subprocess.run"}


def test_readers_say_that_they_want_data_only() -> None:
    wanted = {
        "torch.load": ("weights_only", True),
        "np.load": ("allow_pickle", False),
        "numpy.load": ("allow_pickle", False),
    }
    for file, name, call in calls():
        if name in wanted:
            key, value = wanted[name]
            given = {each.arg: ast.unparse(each.value) for each in call.keywords}
            assert given.get(key) == str(value), f"{file}: {name} without {key}={value}"
        if name == "yaml.load":
            assert len(call.args) == 2 and ast.unparse(call.args[1]) == "Loader", file
    assert "SafeLoader" in (REPOSITORY / "ktlight/report/typed.py").read_text()


def test_only_the_reader_of_checkpoints_knows_pickle_and_only_to_refuse() -> None:
    importing = {
        str(file.relative_to(REPOSITORY))
        for file in SOURCES
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [each.name for each in node.names])
        if name.partition(".")[0] in ("pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve")
    }
    assert importing <= {"ktlight/models/checkpoint.py"}
    assert "pickle.load" not in Path(REPOSITORY / "ktlight/models/checkpoint.py").read_text()
