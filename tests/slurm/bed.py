"""A toy SLURM cluster on this machine: a real slurmctld and several slurmds on loopback, with fake GPUs and no accounting.

    python tests/slurm/bed.py up      # as root, with Debian's slurm-wlm and munge: `sh tests/slurm/install.sh`
    snakemake --profile slurm
    python tests/slurm/bed.py down

It is for trying a profile, and for the tests; the nodes promise more processors and memory than there are.  All that it
needs lies in one folder, but for ``/etc/slurm/slurm.conf``, which has to be found without any environment: that becomes a
link into the folder, and one that is not the bed's own is never touched.
"""

import argparse
import contextlib
import dataclasses
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

CONFIGURATION = Path("/etc/slurm/slurm.conf")
MARK = "# a test bed of Switchpoint"
PORT = 26817
TEMPLATE = """{mark}
ClusterName=bed
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/run/munge.socket
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdPidFile={folder}/run/slurmd.%n.pid
SlurmdSpoolDir={folder}/spool/%n
SlurmdLogFile={folder}/log/slurmd.%n.log
AccountingStorageType=accounting_storage/none
MailProg=/bin/true
MpiDefault=none
SwitchType=switch/none
# No cgroups: processes are found and counted through /proc.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=5
JobAcctGatherParams=OverMemoryKill
# Nodes say what they are told to say, and come back by themselves.
SlurmdParameters=config_overrides
ReturnToService=2
SlurmctldTimeout=30
SlurmdTimeout=30
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
PreemptType=preempt/partition_prio
PreemptMode=CANCEL
GresTypes=gpu
# squeue shows an ended job for so long; who polls more rarely misses it.
MinJobAge=600
KillWait=20
OverTimeLimit=0
MaxJobCount=20000
NodeName=n[1-{nodes}] NodeHostname={host} NodeAddr=127.0.0.1 Port=[{first}-{last}] CPUs={cpus} Boards=1 SocketsPerBoard=1 CoresPerSocket={cpus} ThreadsPerCore=1 RealMemory={memory} Gres=gpu:{gpus} State=UNKNOWN
PartitionName=bed Nodes=ALL Default=YES PriorityTier=1 GraceTime=20 MaxTime=02:00:00 DefaultTime=00:10:00 DefMemPerCPU=500 State=UP
PartitionName=first Nodes=ALL Default=NO PriorityTier=2 PreemptMode=OFF MaxTime=02:00:00 DefaultTime=00:10:00 DefMemPerCPU=500 State=UP
"""
GRES = "AutoDetect=off\nNodeName=n[1-{nodes}] Name=gpu File={folder}/run/gpu[0-{last}]\n"


class BedError(Exception):
    """The bed cannot start here, or has not come up."""


@dataclasses.dataclass(frozen=True)
class Bed:
    """A bed in a folder, whose path must be short (a socket lies in it): nodes of so many CPUs, MB of memory and GPUs."""

    folder: Path
    nodes: int = 3
    cpus: int = 8
    memory: int = 16_000
    gpus: int = 4

    def up(self) -> None:
        """Starts it and waits until every node is idle; a bed that is up already stays as it is.

        BedError when this machine is no place for it, or when it does not come up; nothing is left running then.
        """
        check_machine()
        if is_up():
            return
        self.down()
        try:
            self.write()
            self.start()
        except BaseException:
            self.down()
            raise

    def write(self) -> None:
        """The folder, the configuration and the link to it."""
        for name in ("etc", "run", "log", "state", "spool"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)
        for number in range(self.gpus):
            with contextlib.suppress(FileExistsError):
                os.mknod(self.folder / f"run/gpu{number}", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        host = socket.gethostname().partition(".")[0]
        configured = TEMPLATE.format(
            mark=MARK, host=host, port=PORT, first=PORT + 1, last=PORT + self.nodes, **self.described()
        )
        Path(self.configuration).write_text(configured)
        (self.folder / "etc/gres.conf").write_text(GRES.format(last=self.gpus - 1, **self.described()))
        CONFIGURATION.parent.mkdir(exist_ok=True)
        CONFIGURATION.symlink_to(self.configuration)

    @property
    def configuration(self) -> str:
        """The path of SLURM's configuration; that of the GPUs lies beside it."""
        return str(self.folder / "etc/slurm.conf")

    def described(self) -> dict:
        """Its fields."""
        return dataclasses.asdict(self)

    def start(self) -> None:
        """The daemons: munged, slurmctld, a slurmd per node."""
        run = self.folder / "run"
        key = self.folder / "etc/munge.key"
        if not key.exists():
            key.touch(0o400)
            key.write_bytes(os.urandom(1024))
        call(
            "munged", f"--key-file={key}", f"--socket={run}/munge.socket", f"--pid-file={run}/munged.pid",
            f"--log-file={self.folder}/log/munged.log", f"--seed-file={self.folder}/etc/munged.seed", "--force",
        )  # fmt: skip
        call("slurmctld", "-f", self.configuration)
        wait(is_up, "slurmctld does not answer", self.folder)
        for number in range(1, self.nodes + 1):
            self.start_node(f"n{number}")
        wait(lambda: len(self.idle()) == self.nodes, "not every node is idle", self.folder)

    def restart_controller(self, seconds: float = 0) -> None:
        """Stops slurmctld and starts it again after some seconds; the jobs go on."""
        stop([pid for pid in [self.pid("slurmctld")] if pid])
        time.sleep(seconds)
        call("slurmctld", "-f", self.configuration)
        wait(is_up, "slurmctld does not answer", self.folder)

    def lose_node(self, name: str) -> None:
        """A node whose power fails: its slurmd is killed, with all that runs under it."""
        pids = [self.pid(f"slurmd.{name}") or -1]
        for number in ask("squeue", "-h", "-w", name, "-t", "R", "-o", "%A").split():
            steps = [pid for pid, words in processes() if words.startswith(f"slurmstepd: [{number}.")]
            pids += [child for pid in steps for child in [pid, *below(pid)]]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def start_node(self, name: str) -> None:
        """Starts a node's slurmd."""
        (self.folder / "spool" / name).mkdir(exist_ok=True)
        call("slurmd", "-f", self.configuration, "-N", name)

    def idle(self) -> list[str]:
        """The names of the nodes that could take a job."""
        return ask("sinfo", "-h", "-p", "bed", "-t", "idle,mix", "-N", "-o", "%N").split()

    def pid(self, daemon: str) -> int | None:
        """The process of a daemon (``munged``, ``slurmctld``, ``slurmd.n1``, …), if it runs."""
        path = self.folder / f"run/{daemon}.pid"
        with contextlib.suppress(OSError, ValueError):
            number = int(path.read_text())
            if daemon.split(".")[0] in Path(f"/proc/{number}/comm").read_text():
                return number
        return None

    def down(self) -> None:
        """Cancels every job, stops the daemons by their process numbers and removes link and folder."""
        if is_own() and is_up():
            ask("scancel", "--user=root", "--state=PENDING")
            ask("scancel", "--user=root", "--signal=KILL", "--full")
            with contextlib.suppress(BedError):
                wait(lambda: not ask("squeue", "-h", "-t", "R,CG"), "jobs run still", self.folder, 10)
        daemons = [path.stem for path in (self.folder / "run").glob("*.pid")]
        stop([pid for pid in map(self.pid, daemons) if pid])
        if CONFIGURATION.is_symlink() and str(CONFIGURATION.readlink()) == self.configuration:
            CONFIGURATION.unlink()
        shutil.rmtree(self.folder, ignore_errors=True)


def check_machine() -> None:
    """BedError unless a bed may start here."""
    if os.geteuid() != 0:
        raise BedError("the bed needs root: its daemons run as root on loopback")
    missing = [name for name in ("slurmctld", "slurmd", "munged") if shutil.which(name) is None]
    if missing:
        raise BedError(
            f"{', '.join(missing)}: not found; `sh tests/slurm/install.sh` installs SLURM (Debian)"
        )
    if os.path.lexists(CONFIGURATION) and not is_own():
        raise BedError(
            f"{CONFIGURATION} is not the bed's: this machine belongs to a cluster, which stays as it is"
        )


def is_own() -> bool:
    """Whether SLURM's configuration is a bed's: a link into one, which may have gone."""
    if not CONFIGURATION.is_symlink():
        return False
    target = CONFIGURATION.readlink()
    return target.read_text().startswith(MARK) if target.exists() else "slurm-bed" in str(target)


def is_up() -> bool:
    """Whether a slurmctld answers."""
    return "UP" in ask("scontrol", "ping")


def call(*command: str) -> None:
    """Runs a command; BedError when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        raise BedError(f"{' '.join(command)}: {(done.stdout + done.stderr).strip()}")


def ask(*command: str) -> str:
    """What a client of SLURM prints; nothing where it fails, or waits for a controller that is gone."""
    with contextlib.suppress(subprocess.TimeoutExpired, OSError):
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=10).stdout
    return ""


def wait(is_done: Callable[[], bool], problem: str, folder: Path, seconds: float = 30) -> None:
    """Waits for something; BedError when it does not come."""
    end = time.monotonic() + seconds
    while not is_done():
        if time.monotonic() > end:
            last = [f"{path.name}: {path.read_text()[-500:]}" for path in folder.glob("log/*.log")]
            raise BedError("\n".join([f"{problem} after {seconds:.0f} s", *last]))
        time.sleep(0.1)


def processes() -> list[tuple[int, str]]:
    """(number, command) of every process of this machine."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            found.append(
                (int(folder.name), (folder / "cmdline").read_text(errors="replace").replace("\0", " "))
            )
    return found


def below(pid: int) -> list[int]:
    """The processes that a process started, and theirs."""
    with contextlib.suppress(OSError):
        children = [
            int(word)
            for task in Path(f"/proc/{pid}/task").glob("*/children")
            for word in task.read_text().split()
        ]
        return [one for child in children for one in [child, *below(child)]]
    return []


def stop(pids: list[int]) -> None:
    """Ends processes, by force those that do not end in 5 s."""
    for number, patience in ((signal.SIGTERM, 5), (signal.SIGKILL, 5)):
        for pid in filter(runs, pids):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        end = time.monotonic() + patience
        while any(map(runs, pids)) and time.monotonic() < end:
            time.sleep(0.05)


def runs(pid: int) -> bool:
    """Whether a process runs; one that has ended may wait to be collected."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["up", "down"])
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir(), "slurm-bed"))
    for field in dataclasses.fields(Bed)[1:]:
        parser.add_argument(f"--{field.name}", type=int, default=field.default)
    asked = vars(parser.parse_args())
    what, bed = asked.pop("what"), Bed(**asked)
    try:
        bed.up() if what == "up" else bed.down()
    except BedError as error:
        sys.exit(str(error))
    print(ask("sinfo", "-o", "%P %a %D %t %G %c %m") if what == "up" else "the bed is down")


if __name__ == "__main__":
    main()
