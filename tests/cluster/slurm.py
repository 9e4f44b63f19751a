"""A real Slurm on this machine: one node with as many CPUs as are asked for, and accounts in a database.

Everything lies in one folder, and every daemon is a child that dies with this process, so nothing is left behind.
"""

import contextlib
import ctypes
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import which

NEEDED = ("munged", "mariadbd", "mariadb-install-db", "slurmdbd", "slurmctld", "slurmd", "sbatch")
PATIENCE = 60
"""Seconds that a daemon may take to answer."""

SLURM_CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock,cred_expire=5
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
ReturnToService=2
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
JobRequeue=1
KillWait=5
MinJobAge=300
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0,defer_batch=no
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={ports[2]}
AccountingStoragePass={folder}/munge.sock
JobAcctGatherType=jobacct_gather/none
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=8000
PartitionName=debug Nodes=ALL Default=YES
"""
SLURMDBD_CONF = """\
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
DbdAddr=127.0.0.1
DbdHost=localhost
DbdPort={ports[2]}
SlurmUser=root
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={ports[3]}
StorageUser=slurm
StoragePass={password}
StorageLoc=slurm
LogFile={folder}/slurmdbd.log
PidFile={folder}/slurmdbd.pid
"""


def missing() -> str | None:
    """Return why Slurm cannot be run here; None if it can."""
    absent = [name for name in NEEDED if which(name) is None and which(name, path="/usr/sbin") is None]
    if absent:
        return f"Slurm cannot be run here: {', '.join(absent)} not found (see tests/cluster/packages.sh)"
    return None if os.getuid() == 0 else "Slurm's daemons want to be run by root here"


@contextlib.contextmanager
def slurm(folder: Path, cpus: int) -> Iterator[Path]:
    """Run Slurm and give the path of its ``slurm.conf``, for the environment variable ``SLURM_CONF``."""
    values = {
        "folder": folder,
        "host": socket.gethostname().partition(".")[0],
        "ports": _free_ports(4),
        "password": secrets.token_hex(8),
        "cpus": cpus,
    }
    _write(folder / "slurm.conf", SLURM_CONF.format(**values))
    _write(folder / "slurmdbd.conf", SLURMDBD_CONF.format(**values), 0o600)
    for name in ("state", "spool", "db"):
        (folder / name).mkdir()
    with contextlib.ExitStack() as daemons:
        _munge(folder, daemons)
        _database(folder, values, daemons)
        _slurm(folder, str(values["host"]), daemons)
        daemons.callback(_end_jobs, folder / "slurm.conf")
        yield folder / "slurm.conf"


def _munge(folder: Path, daemons: contextlib.ExitStack) -> None:
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(1024))
    key.chmod(0o400)
    (folder / "munge.sock").unlink(missing_ok=True)
    files = {"key-file": "munge.key", "socket": "munge.sock", "pid-file": "munge.pid", "seed-file": "munge.seed"}
    options = [f"--{option}={folder / name}" for option, name in (files | {"log-file": "munge.log"}).items()]
    _daemon(daemons, folder, "munged", "--foreground", "--force", *options)
    _await("munge", (folder / "munge.sock").exists)


def _database(folder: Path, values: dict[str, object], daemons: contextlib.ExitStack) -> None:
    data, sock, port = folder / "db", folder / "db.sock", values["ports"][3]  # type: ignore[index]
    options = [f"--datadir={data}", "--user=root"]
    install = ["mariadb-install-db", *options, "--auth-root-authentication-method=normal", "--skip-test-db"]
    subprocess.run(install, check=True, capture_output=True)
    network = [f"--socket={sock}", f"--port={port}", "--bind-address=127.0.0.1", f"--pid-file={folder}/db.pid"]
    light = ["--innodb-buffer-pool-size=64M", "--innodb-flush-log-at-trx-commit=0", "--skip-log-bin"]
    _daemon(daemons, folder, "mariadbd", "--no-defaults", *options, *network, *light)
    accounts = (
        "CREATE DATABASE slurm; "
        f"CREATE USER 'slurm'@'%' IDENTIFIED BY '{values['password']}'; GRANT ALL ON slurm.* TO 'slurm'@'%'; "
        f"CREATE USER 'slurm'@'localhost' IDENTIFIED BY '{values['password']}'; "
        "GRANT ALL ON slurm.* TO 'slurm'@'localhost';"
    )
    create = ["mariadb", "--no-defaults", f"--socket={sock}", "--user=root", "-e", accounts]
    _await("mariadbd", lambda: subprocess.run(create, capture_output=True).returncode == 0)


def _slurm(folder: Path, host: str, daemons: contextlib.ExitStack) -> None:
    conf = folder / "slurm.conf"
    _daemon(daemons, folder, "slurmdbd", "-D")
    _await("slurmdbd", lambda: _ask("sacctmgr", "-i", "add", "cluster", "test", conf=conf))
    _daemon(daemons, folder, "slurmctld", "-D", "-f", str(conf))
    _daemon(daemons, folder, "slurmd", "-D", "-N", host, "-f", str(conf))
    _await("slurmd", lambda: "idle" in _say("sinfo", "--noheader", conf=conf))


def _end_jobs(conf: Path) -> None:
    _ask("scancel", "--user=root", conf=conf)
    _await("the end of the jobs", lambda: not _say("squeue", "--noheader", conf=conf).strip())


def _daemon(daemons: contextlib.ExitStack, folder: Path, *command: str) -> None:
    environment = os.environ | {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": f"{os.environ['PATH']}:/usr/sbin"}
    log = daemons.enter_context((folder / f"{command[0]}.out").open("w"))
    process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, preexec_fn=_die_with_parent)
    daemons.callback(_stop, process)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(timeout=3)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def _await(what: str, is_there: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not is_there():
        if time.monotonic() > until:
            raise TimeoutError(f"{what} does not answer")
        time.sleep(0.2)


def _say(*command: str, conf: Path) -> str:
    asked = subprocess.run(command, env=os.environ | {"SLURM_CONF": str(conf)}, capture_output=True, text=True)
    return asked.stdout


def _ask(*command: str, conf: Path) -> bool:
    environment = os.environ | {"SLURM_CONF": str(conf)}
    return subprocess.run(command, env=environment, capture_output=True).returncode == 0


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _write(file: Path, text: str, mode: int = 0o644) -> None:
    file.write_text(text)
    file.chmod(mode)
