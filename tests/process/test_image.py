"""The Dockerfile: read, and its steps done where no container engine is, in a root of their own.

Steps run as they are written, with the image's folders moved below a scratch folder. Only the
download is replaced: the wheels are those of this environment's own packages, so that no index is needed.
"""

import base64
import contextlib
import hashlib
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("/src", "/wheels", "/opt/kcm", "/rootfs")
NAMESPACES = ["unshare", "--fork", "--pid", "--mount", "--kill-child"]
NEEDED = (
    *("kcm", "setuptools", "httptools", "kubernetes", "msgspec", "multiprocess", "prometheus_client"),
    *("pyyaml", "tzdata", "uvloop"),
)


def instructions():
    """Return the Dockerfile's instructions as (word, rest), comments and line ends gone."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    return [(line.split()[0], line.partition(" ")[2].strip()) for line in lines if line.strip()]


def of(word):
    return [rest for name, rest in instructions() if name == word]


def test_the_image_is_pinned_by_an_argument():
    first = of("FROM")[0]
    assert "@${DIGEST}" in first
    assert {"IMAGE=python:3.13-slim-bookworm", "DIGEST"} <= set(of("ARG"))


def test_the_last_stage_runs_nothing_as_root_and_needs_no_shell():
    words = instructions()
    last = words[max(i for i, (word, _) in enumerate(words) if word == "FROM") :]
    assert last[0] == ("FROM", "scratch")
    assert "RUN" not in {word for word, _ in last}
    (user,) = (rest for word, rest in last if word == "USER")
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user), "the kubelet cannot tell whether a named user is root"
    for word, rest in last:
        if word in ("ENTRYPOINT", "CMD"):
            assert isinstance(json.loads(rest), list)
    labels = {name for _, rest in last for name in re.findall(r"(org\.opencontainers\.image\.\w+)=", rest)}
    assert len(labels) >= 4


def test_every_wheel_is_checked_and_nothing_is_fetched_after_that():
    download, *later = of("RUN")
    assert "--require-hashes" in download
    assert "--only-binary=:all:" in download
    for command in " && ".join(later).split("&&"):
        if "pip" in command.split("python")[0] and ("install" in command or "wheel" in command):
            assert "--no-index" in command
    assert "ADD" not in {word for word, _ in instructions()}
    lock = (ROOT / "requirements.lock").read_text()
    pins = re.findall(
        r"^[\w.-]+==\S+ \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", lock, re.MULTILINE
    )
    assert len(pins) == len(re.findall(r"^[\w.-]+==", lock, re.MULTILINE))


def test_what_is_copied_is_let_through_and_nothing_else_is():
    ignored = (ROOT / ".dockerignore").read_text().split()
    copied = {name for rest in of("COPY") if "--from" not in rest for name in rest.split()[:-1]}
    assert ignored[0] == "*"
    assert all(any(name.startswith(line[1:]) for line in ignored if line[0] == "!") for name in copied)


def test_it_runs_on_the_user_and_the_port_of_the_pods():
    deployment = (ROOT / "deploy/base/deployment.yaml").read_text()
    (user,) = of("USER")
    assert f"runAsUser: {user.partition(':')[0]}\n" in deployment
    assert f"containerPort: {of('EXPOSE')[0]}\n" in deployment


def repacked(name, folder):
    """Make a wheel of an installed package; of nothing else can one be sure that it is there."""
    package = distribution(name)
    stem = f"{re.sub('[-_.]+', '_', package.metadata['Name'])}-{package.version}"
    tag = re.findall(r"^Tag: ((?:py3|cp).*)$", package.read_text("WHEEL"), re.MULTILINE)[0]
    record = []
    with zipfile.ZipFile(folder / f"{stem}-{tag}.whl", "w") as wheel:
        for path in package.files:
            text = str(path)
            if text.startswith("..") or text.endswith((".pyc", "RECORD", "INSTALLER", "REQUESTED")):
                continue
            data = path.locate().read_bytes()
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            record.append(f"{text},sha256={digest},{len(data)}")
            wheel.writestr(text, data)
        info = next(str(path.parent) for path in package.files if path.name == "METADATA")
        wheel.writestr(f"{info}/RECORD", "\n".join([*record, f"{info}/RECORD,,", ""]))


def requirements(names):
    """Return these packages and what they need, by name."""
    found, open_ = set(), [name for name in names if name != "kcm"]
    while open_:
        name = re.split(r"[^\w.-]", open_.pop())[0].lower().replace("_", "-")
        if name not in found:
            found.add(name)
            needs = distribution(name).requires or []
            open_ += [each for each in needs if "extra ==" not in each and "python_version" not in each]
    return sorted(found)


@pytest.fixture(scope="session")
def image(tmp_path_factory):
    """The root that the Dockerfile's steps make, and the scratch folder whose paths it has inside."""
    scratch = tmp_path_factory.mktemp("image")
    for folder in ("src", "wheels"):
        (scratch / folder).mkdir()
    for name in requirements(NEEDED):
        repacked(name, scratch / "wheels")
    subprocess.run([sys.executable, "-m", "venv", str(scratch / "build")], check=True)
    environment = {"PATH": f"{scratch}/build/bin:{os.environ['PATH']}", "PIP_CONFIG_FILE": os.devnull}
    environment |= {"HOME": str(scratch), "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_CACHE_DIR": "1"}
    words = instructions()
    for word, rest in words[: next(i for i, each in enumerate(words) if each == ("FROM", "scratch"))]:
        if word == "COPY":
            *sources, _ = rest.split()
            for source in sources:
                copy_in(ROOT / source, scratch / "src", rest.split()[-1])
        elif word == "RUN" and "pip download" not in rest:
            command = moved(rest, scratch)
            done = subprocess.run(
                ["sh", "-ec", command],
                cwd=scratch / "src",
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return scratch


def copy_in(source, folder, target):
    if source.is_dir():
        shutil.copytree(source, folder / target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy2(source, folder)


def moved(command, scratch):
    """Return a command with the image's folders below the scratch folder."""
    for folder in FOLDERS:
        command = re.sub(rf"(?<![\w.]){folder}\b", f"{scratch}{folder}", command)
    return command


def inside(scratch, *arguments):
    """Return the command that runs kcm in the image: another root, process 1, as the image's user."""
    root = scratch / "rootfs"
    mounts = f"mount -t proc proc {root}/proc && mount --bind /dev {root}/dev && "
    user = of("USER")[0]
    enter = f"exec chroot --userspec={user} {root} {scratch}/opt/kcm/bin/kcm {' '.join(arguments)}"
    return [*NAMESPACES, "sh", "-c", mounts + enter]


@pytest.fixture(scope="session")
def entered(image):
    """The image, if this machine lets us be root of a namespace."""
    with contextlib.suppress(OSError):
        probe = [*NAMESPACES, "sh", "-c", f"mount -t proc proc {image}/rootfs/proc"]
        if subprocess.run(probe, capture_output=True, check=False).returncode == 0:
            opened_for_users(image)
            return image
    pytest.skip("this machine does not let us make namespaces")


def opened_for_users(image):
    """Let the image's user pass through pytest's folders; an image has none of them."""
    for folder in (image, *image.parents):
        if folder == Path("/"):
            return
        with contextlib.suppress(PermissionError):
            folder.chmod(folder.stat().st_mode | 0o755 if str(folder) != "/tmp" else folder.stat().st_mode)


def test_a_library_that_no_loader_would_find_is_linked_where_it_looks(tmp_path):
    spec = importlib.util.spec_from_file_location("assemble", ROOT / "deploy/image/assemble.py")
    assemble = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(assemble)
    own = Path("/lib/x86_64-linux-gnu")
    (tmp_path / own.relative_to("/")).mkdir(parents=True)
    libraries = [
        own / "libc.so.6",
        Path("/usr/lib/x86_64-linux-gnu/libz.so.1"),
        Path("/usr/local/lib/libpython3.so"),
    ]
    assemble.make_known(libraries, tmp_path)
    made = {path.name: path.readlink() for path in (tmp_path / own.relative_to("/")).iterdir()}
    assert made == {"libpython3.so": Path("/usr/local/lib/libpython3.so")}


def test_the_root_is_small_and_has_no_shell(image):
    files = [path for path in (image / "rootfs").rglob("*") if path.is_file() and not path.is_symlink()]
    assert not {"sh", "bash", "busybox", "pip", "pip3", "apt", "apt-get"} & {path.name for path in files}
    assert sum(path.stat().st_size for path in files) < 180 * 1024 * 1024
    assert not [path for path in files if path.stat().st_mode & 0o6000]


def test_the_image_says_its_version_without_anything_of_this_machine(entered):
    done = subprocess.run(inside(entered, "version"), capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout.split()[0]) == (0, "kcm"), done.stderr


def test_the_image_runs_controllers_as_process_one_and_stops_in_order(entered):
    command = inside(entered, "sandbox", "--kubeconfig-out", "/tmp/kubeconfig", "--port", "0")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        try:
            told = []
            while not any(b"host leads" in line for line in told):
                line = process.stdout.readline()
                assert line, b"".join(told).decode()
                told.append(line)
            (first,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            assert Path(f"/proc/{first}/status").read_text().count("\nUid:\t65532\t") == 1
            os.kill(int(first), signal.SIGTERM)
            rest = process.stdout.read()
            assert process.wait(timeout=30) == 0, rest.decode()
        finally:
            process.kill()
