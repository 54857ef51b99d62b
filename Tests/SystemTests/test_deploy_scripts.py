"""What the scripts of deploy/ do on machines other than this one: container tools that are missing, old or broken."""

import os
import pathlib
import re
import shutil
import subprocess

import pytest
from containers import BUILD, ROOT

IMAGES = ROOT / "deploy" / "images"
COMMANDS = ["awk", "bash", "cat", "chmod", "dirname", "dpkg-query", "env", "git", "grep", "head", "id", "install", "ln", "mkdir",
            "mktemp", "mv", "printf", "realpath", "rm", "sed", "sleep", "sort", "strip", "tail", "touch", "uname"]


class Machine:
    """A machine on which only the commands above are there, and those that a test writes."""

    def __init__(self, folder):
        self.home, self.bin = folder / "home", folder / "bin"
        self.home.mkdir()
        self.bin.mkdir()
        for command in COMMANDS:
            if shutil.which(command):
                (self.bin / command).symlink_to(shutil.which(command))

    def command(self, name, script):
        path = self.bin / name
        path.unlink(missing_ok=True)
        path.write_text(f"#!/bin/bash\n{script}\n")
        path.chmod(0o755)

    def run(self, *command, cwd=ROOT, **environment):
        environment = {"PATH": str(self.bin), "HOME": str(self.home), "TMPDIR": str(self.home), **environment}
        return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120)

    def choose(self, *arguments, limits=":", **environment):
        """The tool that is chosen, the configuration it is given, and what is said."""
        script = f'{limits}; source {IMAGES}/engine.sh; choose_engine "$@"; echo "$engine"; env | grep ^CONTAINERS_CONF || true'
        return self.run("bash", "-euc", script, "-", *arguments, **environment)


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def tool(version="", info="exit 0"):
    return f'case $1 in --version) echo "version {version}" ;; info) {info} ;; esac'


BROKEN = "echo it has no daemon >&2; exit 125"


def test_the_first_tool_that_works_is_taken(machine):
    machine.command("podman", tool("5.0.0", BROKEN))
    machine.command("docker", tool())
    assert machine.choose().stdout.splitlines()[0] == "docker"
    machine.command("podman", tool("5.0.0"))
    assert machine.choose().stdout.splitlines()[0] == "podman"


def test_buildah_is_for_builds_alone(machine):
    machine.command("buildah", tool("1.38.0"))
    assert machine.choose(BUILD="1").stdout.splitlines()[0] == "buildah"
    assert machine.choose().returncode == 1
    assert "unknown tool buildah, of podman docker" in machine.choose("buildah").stderr


def test_a_tool_that_was_asked_for_and_does_not_work_is_an_error_with_its_reason(machine):
    machine.command("podman", tool("5.0.0"))
    machine.command("docker", tool(info=BROKEN))
    result = machine.choose("docker")
    assert result.returncode == 1 and "docker does not work here: it has no daemon" in result.stderr
    machine.command("podman", tool("5.0.0", BROKEN))
    result = machine.choose()
    assert result.returncode == 1 and "podman does not work here" in result.stderr and "docker" in result.stderr
    (machine.bin / "docker").unlink()
    assert "docker is not installed" in machine.choose("docker").stderr


ROOT_COMMAND = "echo 0"
# Neither root's rights nor the machine's limits are a test's to choose: raising them is refused here.
REFUSED = 'ulimit() { case $1 in -Hn) echo 20000 ;; -Hu) echo 1000 ;; *) return 1 ;; esac; }; export -f ulimit'
RAISED = 'ulimit() { case $1 in -Hn) echo 524288 ;; -Hu) echo 1000 ;; *) return 0 ;; esac; }; export -f ulimit'


def configuration(result):
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()[1:]
    assert len(lines) <= 1
    return lines[0].split("=", 1) if lines else (None, None)


def test_podman_is_left_alone_where_its_defaults_work(machine):
    machine.command("podman", tool("4.3.1"))
    machine.command("runc", "exit 0")
    machine.command("id", ROOT_COMMAND)
    assert configuration(machine.choose(limits=RAISED)) == (None, None)
    machine.command("id", "echo 1000")
    assert configuration(machine.choose(limits=REFUSED)) == (None, None), "without root podman takes what there is"


@pytest.mark.parametrize("name, version, variable", [
    ("podman", "4.3.1", "CONTAINERS_CONF"),
    ("podman", "4.6.0", "CONTAINERS_CONF_OVERRIDE"),
    ("podman", "5.10.2", "CONTAINERS_CONF_OVERRIDE"),
    ("buildah", "1.28.2", "CONTAINERS_CONF"),
    ("buildah", "1.31.0", "CONTAINERS_CONF_OVERRIDE"),
])
def test_limits_that_cannot_be_raised_are_those_of_the_process(machine, name, version, variable):
    machine.command(name, tool(version))
    machine.command("id", ROOT_COMMAND)
    found, file = configuration(machine.choose(limits=REFUSED, BUILD="1"))
    assert found == variable
    assert 'default_ulimits = ["nofile=20000:20000", "nproc=1000:1000"]' in pathlib.Path(file).read_text()


def test_the_configuration_is_in_a_folder_of_the_user_s_own_and_stays_for_containers_that_end_later(machine):
    machine.command("podman", tool("4.3.1"))
    machine.command("id", ROOT_COMMAND)
    _, file = configuration(machine.choose(limits=REFUSED))
    folder = pathlib.Path(file).parent
    assert folder.is_relative_to(machine.home / ".local") and folder.stat().st_mode & 0o077 == 0
    assert [path.name for path in folder.iterdir()] == ["containers.conf"]
    assert configuration(machine.choose(limits=REFUSED, XDG_STATE_HOME=f"{machine.home}/state"))[1].startswith(f"{machine.home}/state/")


def test_a_configuration_that_is_set_stays(machine):
    machine.command("podman", tool("5.0.0"))
    machine.command("id", ROOT_COMMAND)
    for variable in ["CONTAINERS_CONF", "CONTAINERS_CONF_OVERRIDE"]:
        assert configuration(machine.choose(limits=REFUSED, **{variable: "/mine"})) == [variable, "/mine"]


def test_a_user_s_file_that_an_old_podman_does_not_read_any_more_is_named(machine):
    machine.command("id", ROOT_COMMAND)
    own = machine.home / ".config" / "containers" / "containers.conf"
    own.parent.mkdir(parents=True)
    own.write_text("")
    machine.command("podman", tool("4.3.1"))
    assert str(own) in machine.choose(limits=REFUSED).stderr
    machine.command("podman", tool("5.0.0"))
    assert not machine.choose(limits=REFUSED).stderr


# A container tool, as far as up.sh goes. Files of the test tell how often a service is not ready, and what became of it.
CONTAINERS = """
echo "$*" >>"$HOME/calls"
case "$1 $2" in
  "network inspect") if [ -f "$HOME/network" ]; then cat "$HOME/network"; else exit 1; fi ;;
  "container inspect") [ -f "$HOME/started-${@: -1}" ] && cat "$HOME/state" ;;
  "run --detach") shift 3; touch "$HOME/started-$1" ;;
  "exec "*) n=$(cat "$HOME/ready" 2>/dev/null || echo 0); echo "not ready" >&2; echo $((n - 1)) >"$HOME/ready"; [ $n -le 0 ] ;;
  "logs "*) echo "the last lines" ;;
  "port "*) echo 127.0.0.1:8080 ;;
esac
"""


@pytest.fixture
def tool_machine(machine):
    machine.command("docker", CONTAINERS)
    (machine.home / "state").write_text("true 0\n")
    return machine


def test_up_waits_for_a_service_that_takes_its_time_and_says_for_what(tool_machine):
    (tool_machine.home / "ready").write_text("32")
    result = tool_machine.run(IMAGES / "up.sh")
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[0] == f"{'llmos-data':24} ready"
    assert result.stderr.splitlines() == [
        "waiting for llmos-data: not ready", "  it imports the models of deploy/models before it is ready, the first time"]


@pytest.mark.parametrize("state", ["false 0", "true 1"])
def test_up_says_at_once_that_a_container_ended(tool_machine, state):
    (tool_machine.home / "ready").write_text("100000")
    (tool_machine.home / "state").write_text(f"{state}\n")
    result = tool_machine.run(IMAGES / "up.sh")
    assert result.returncode == 1 and "llmos-data ended before it was ready" in result.stderr
    assert "the last lines" in result.stderr


def test_up_does_not_use_a_network_that_is_not_its_own(tool_machine):
    (tool_machine.home / "network").write_text("\n")
    result = tool_machine.run(IMAGES / "up.sh")
    assert result.returncode == 1 and "the network llmos is not of this script" in result.stderr
    (tool_machine.home / "network").write_text("llmos\n")
    assert tool_machine.run(IMAGES / "up.sh").returncode == 0


def test_folders_are_those_that_the_caller_sees(tool_machine, tmp_path):
    (tmp_path / "mine").mkdir()
    assert tool_machine.run(IMAGES / "up.sh", "--models", "mine", cwd=tmp_path).returncode == 0
    assert f"{tmp_path}/mine:/models:ro" in (tool_machine.home / "calls").read_text()
    assert f"there is no folder {tmp_path}/yours" in tool_machine.run(IMAGES / "up.sh", "--models", "yours", cwd=tmp_path).stderr


def test_scripts_explain_themselves_wherever_they_are_called(machine):
    for script in [IMAGES / "up.sh", IMAGES / "build.sh", ROOT / "deploy" / "kubernetes" / "play.sh"]:
        result = machine.run(f"./{script.name}", "--help", cwd=script.parent)
        assert result.returncode == 0 and f"{script.relative_to(ROOT)} [OPTION]" in result.stdout, result.stderr


@pytest.mark.parametrize("ldd, said", [
    ("echo not a dynamic executable; exit 1", "not a dynamic executable"),
    ("echo 'libz.so.1 => not found'", "libz.so.1 => not found"),
])
def test_a_build_stops_when_it_cannot_tell_the_libraries(machine, tmp_path, ldd, said):
    machine.command("docker", "exit 0")
    machine.command("ldd", ldd)
    # Relative folders are the caller's.
    (tmp_path / "built").symlink_to(BUILD)
    result = machine.run(IMAGES / "build.sh", "--base", "any", "--executables", "built", "--scratch", "scratch", "data", cwd=tmp_path)
    assert result.returncode != 0 and said in result.stderr and "llmos-data" in result.stderr
    assert (tmp_path / "scratch" / "context").is_dir()


def test_files_that_files_of_deploy_name_are_there():
    listed = subprocess.run(["git", "ls-files", "deploy"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    named = set()
    for file in listed:
        if pathlib.Path(file).suffix in [".md", ".sh", ".yml", ".yaml", ".py", ""]:
            named |= {(file, path) for path in re.findall(r"(?<![\w/])deploy/[\w./-]*\w", (ROOT / file).read_text())}
    assert len(named) > 40
    assert not [(file, path) for file, path in sorted(named) if not (ROOT / path).exists()]
