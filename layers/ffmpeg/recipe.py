"""How ffmpeg and ffprobe are compiled: which parts, with which flags, and why.

The result is audio only. What is not compiled in cannot be attacked and need not be loaded: there is
no network, no playlist and no concat code, so a hostile upload cannot make ffmpeg open anything but
itself, whatever flags the caller forgets.
"""

import os
import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from debian import ARCHIVE_KEYS, SUITE, Mirror, SourceArchive, find_mirror, install_packages, tools_to_install
from steps import StepFailed, Steps

HERE = Path(__file__).resolve().parent
LAME_PATCHES = tuple(f"lame-patches/{path.name}" for path in sorted((HERE / "lame-patches").glob("*.patch")))
LAME_FRAMES = "lame-frames.c"
FFMPEG_PATCHES = ("ffmpeg-queues.patch", "ffmpeg-speex.patch")
LIBRARIES = "libraries.mk"
FFMPEG_QUICKLY = "ffmpeg-quickly.mk"
NASM_ONCE = "nasm-once.sh"

# A change in one of these makes a new build; nothing else in this folder has a say in the binaries.
RECIPE_FILES = (
    *("debian.py", "recipe.py", "steps.py", LIBRARIES, FFMPEG_QUICKLY, NASM_ONCE),
    *(LAME_FRAMES, *LAME_PATCHES, *FFMPEG_PATCHES),
)

PACKAGES = ("ffmpeg", "lame", "libsoxr", "zlib")

# On two idle cores; for the bar on a terminal, as is the number of files that FFmpeg's make compiles, about.
USUAL_SECONDS = {
    "sources": 5.0,
    "unpacking": 3.0,
    "libraries": 8.0,
    "ffmpeg-configure": 8.0,
    "ffmpeg-make": 36.0,
}
FFMPEG_OBJECTS = 510

COMPONENTS = {
    "protocol": "file pipe fd",
    # What the service accepts, and raw PCM to feed an encoder from a pipe.
    "demuxer": (
        "wav w64 aiff au caf mp3 flac ogg mov aac matroska mpegts asf"
        " ac3 eac3 dts dtshd spdif truehd amr gsm wv ape tta mpc mpc8 dsf iff shorten"
        " pcm_s16le pcm_s24le pcm_s32le pcm_f32le"
    ),
    # png and mjpeg only tell the size of a cover picture, without which the MP3 muxer refuses it.
    "decoder": (
        "pcm_alaw pcm_mulaw pcm_s8 pcm_u8 pcm_s8_planar"
        " pcm_s16le pcm_s16be pcm_s16le_planar pcm_s16be_planar pcm_u16le pcm_u16be"
        " pcm_s24le pcm_s24be pcm_s24le_planar pcm_u24le pcm_u24be"
        " pcm_s32le pcm_s32be pcm_s32le_planar pcm_u32le pcm_u32be pcm_s64le pcm_s64be"
        " pcm_f16le pcm_f24le pcm_f32le pcm_f32be pcm_f64le pcm_f64be pcm_bluray"
        " adpcm_ms adpcm_ima_wav adpcm_ima_qt adpcm_yamaha adpcm_g722 adpcm_g726 adpcm_g726le gsm gsm_ms"
        " mp1float mp2float mp3float aac aac_latm alac flac vorbis opus speex"
        " ac3 eac3 dca mlp truehd wmav1 wmav2 wmapro wmalossless wmavoice"
        " wavpack ape tta mpc7 mpc8 shorten dsd_lsbf dsd_msbf dsd_lsbf_planar dsd_msbf_planar dst"
        " amrnb amrwb qcelp evrc g723_1 g729 truespeech"
        " png mjpeg"
    ),
    "parser": "mpegaudio aac aac_latm ac3 dca mlp flac vorbis opus amr g723_1 g729 gsm png mjpeg",
    "encoder": "libmp3lame pcm_s16le pcm_s24le pcm_s32le pcm_f32le",
    "muxer": "mp3 wav null pcm_s16le pcm_s24le pcm_s32le pcm_f32le",
    "filter": "aresample aformat anull atrim asetpts pan volume amerge astats",
}


@dataclass(frozen=True, slots=True)
class Target:
    """A processor to build for, and what compilers call it.

    `lame_flags` are for LAME alone, where the time goes. FFmpeg must never get them: with
    -march and -ffast-math it hung on FLAC, Opus and M4A.
    """

    arch: str
    machine: str
    debian_arch: str
    lame_flags: str

    @property
    def triplet(self) -> str:
        return f"{self.machine}-linux-gnu"

    @property
    def is_native(self) -> bool:
        return platform.machine() == self.machine

    @property
    def tool_prefix(self) -> str:
        return "" if self.is_native else f"{self.triplet}-"

    @property
    def cross_packages(self) -> dict[Path, str]:
        """What tells that a cross compiler is there, and the Debian package it comes in; nothing for a native build."""
        if self.is_native:
            return {}
        return {
            Path(f"/usr/bin/{self.triplet}-gcc"): f"gcc-{self.triplet.replace('_', '-')}",
            Path(f"/usr/{self.triplet}/lib/libc.a"): f"libc6-dev-{self.debian_arch}-cross",
        }


# Every x86_64 Lambda has AVX2; Graviton2 is a Neoverse N1.
TARGETS = {
    "x86_64": Target("x86_64", "x86_64", "amd64", "-O3 -march=x86-64-v3 -ffast-math"),
    "arm64": Target("arm64", "aarch64", "arm64", "-O3 -mcpu=neoverse-n1 -ffast-math"),
}
PORTABLE_LAME_FLAGS = "-O3 -ffast-math"


def target_for(arch: str) -> Target:
    """The target of that name; on a PC too old for AVX2, one that it can run itself."""
    target = TARGETS[arch]
    if target.arch == "x86_64" and target.is_native and "avx2" not in Path("/proc/cpuinfo").read_text():
        return Target("x86_64", "x86_64", "amd64", PORTABLE_LAME_FLAGS)
    return target


# The binaries parse hostile files: position-independent, read-only relocations, checked buffers.
HARDENING = "-fPIE -fstack-protector-strong -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2"
LINKING = "-static-pie -Wl,-z,relro,-z,now"


@dataclass(frozen=True, slots=True)
class Supplies:
    """What a build takes from outside: where the sources are, and the packages to install first."""

    mirror: Mirror
    tools: tuple[str, ...]


def find_supplies(target: Target) -> Supplies:
    """See whether a build for `target` is possible here, before anything is begun.

    Raises:
        CannotBuild: no mirror is known, or tools are missing that we may not install.
    """
    return Supplies(find_mirror(os.environ), tuple(tools_to_install(target.cross_packages)))


class Build:
    """One build for one target, in the empty folder `work`."""

    def __init__(self, target: Target, supplies: Supplies, work: Path) -> None:
        self.target = target
        self.supplies = supplies
        self.work = work
        self.steps = Steps(work, sum(USUAL_SECONDS.values()))
        self.prefix = work / "prefix"
        self.sources = work / "sources"
        self.result = work / "result"
        self.versions: dict[str, str] = {}
        self.jobs = f"-j{len(os.sched_getaffinity(0))}"

    def run(self) -> Path:
        """Everything from the sources to checked binaries; the folder that becomes the layer."""
        steps = self.steps
        for folder in (self.sources, self.prefix / "lib", self.prefix / "include", self.result / "bin"):
            folder.mkdir(parents=True)
        with steps.bar():
            getting = (self._install_tools, self._download_sources)
            if ARCHIVE_KEYS in self.supplies.tools:
                for get in getting:
                    get()
            else:
                steps.side_by_side(*getting)
            self._step("unpacking", self._unpack_sources, self._prepare_libraries)
            steps.side_by_side(
                lambda: self._step("libraries", self._libraries),
                lambda: self._step("ffmpeg-configure", self._configure_ffmpeg),
            )
            self._step("ffmpeg-make", self._make_ffmpeg, fraction=self._compiled_fraction)
            self._step("check", self._write_papers, *([self._check] if self.target.is_native else []))
        return self.result

    def _step(self, name: str, *tasks: Callable[[], None], fraction: Callable[[], float] | None = None) -> None:
        """Do one step of the build; its name begins with that of the package, if it is about one."""
        title = f"{name} {self.versions.get(name.split('-')[0], '')}".rstrip()
        with self.steps.step(title, USUAL_SECONDS.get(name, 0.0), fraction):
            for task in tasks:
                task()

    def _install_tools(self) -> None:
        if self.supplies.tools:
            self._step(
                f"tools ({', '.join(self.supplies.tools)})",
                lambda: install_packages(self.steps, self.supplies.tools),
            )

    def _download_sources(self) -> None:
        with self.steps.step(f"sources from Debian {SUITE}", USUAL_SECONDS["sources"]):
            self.archive = SourceArchive(self.steps, self.sources, self.supplies.mirror)
            self.archive.update()
            for package in PACKAGES:
                self.versions[package] = self.archive.download(package)

    def _unpack_sources(self) -> None:
        for package in PACKAGES:
            self.archive.unpack(package, self.versions[package])

    def _compiled_fraction(self) -> float:
        """How much of FFmpeg is compiled, by its object files."""
        return sum(1 for _ in (self.sources / "ffmpeg").rglob("*.o")) / FFMPEG_OBJECTS

    def _prepare_libraries(self) -> None:
        """Headers, and stand-ins of the libraries: all that FFmpeg's configure asks for, so that it need not wait."""
        for patch in LAME_PATCHES:
            self.steps.run(["patch", "-p1", "-i", HERE / patch], cwd=self.sources / "lame")
        self._make_libraries("stand-ins")

    def _make_libraries(self, target: str) -> None:
        # Training LAME with -fprofile-use was measured too: no gain over these flags.
        settings = {
            "CC": f"{self.target.tool_prefix}gcc",
            "AR": f"{self.target.tool_prefix}ar",
            "MACHINE": self.target.machine,
            "HARDENING": HARDENING,
            "LAME_FLAGS": self.target.lame_flags,
        }
        variables = [f"{name}={value}" for name, value in settings.items()]
        self.steps.run(["make", self.jobs, "-f", HERE / LIBRARIES, *variables, target], cwd=self.work)

    def _libraries(self) -> None:
        """The libraries, and the encoder that parallel encoding starts several of."""
        self._make_libraries("all")
        self.steps.run(
            [
                *(f"{self.target.tool_prefix}gcc", "-O3", *HARDENING.split(), *LINKING.split(), "-s"),
                *(f"-I{self.prefix}/include", HERE / LAME_FRAMES),
                *("-o", self.result / "bin/lame-frames", f"-L{self.prefix}/lib", "-lmp3lame", "-lm"),
            ],
            cwd=self.work,
        )

    def _configure_ffmpeg(self) -> None:
        """Relative paths only: FFmpeg keeps its configuration in the binary, for everyone to read."""
        for patch in FFMPEG_PATCHES:
            self.steps.run(["patch", "-p1", "-i", HERE / patch], cwd=self.sources / "ffmpeg")
        self.steps.run(
            [
                "./configure",
                "--prefix=/opt",
                *("--disable-everything", "--disable-autodetect", "--disable-network", "--disable-avdevice"),
                *("--disable-swscale", "--disable-doc", "--disable-debug", "--disable-ffplay"),
                *("--enable-libmp3lame", "--enable-libsoxr", "--enable-zlib"),
                *("--enable-pic", "--pkg-config=false"),
                f"--extra-cflags=-I../../prefix/include {HARDENING}",
                f"--extra-ldflags=-L../../prefix/lib {LINKING}",
                "--extra-libs=-lm",
                *(f"--enable-{kind}={name}" for kind, names in COMPONENTS.items() for name in names.split()),
                *self._cross_options(),
            ],
            cwd=self.sources / "ffmpeg",
        )
        with (self.sources / "ffmpeg/ffbuild/config.mak").open("a") as configuration:
            configuration.write((HERE / FFMPEG_QUICKLY).read_text())

    def _cross_options(self) -> list[str]:
        if self.target.is_native:
            return []
        return [
            "--enable-cross-compile",
            "--target-os=linux",
            f"--arch={self.target.machine}",
            f"--cross-prefix={self.target.tool_prefix}",
        ]

    def _make_ffmpeg(self) -> None:
        source = self.sources / "ffmpeg"
        self.steps.run(["make", self.jobs, f"X86ASM={HERE / NASM_ONCE}", "ffmpeg", "ffprobe"], cwd=source)
        for name in ("ffmpeg", "ffprobe"):
            self.steps.run([f"{self.target.tool_prefix}strip", "-o", self.result / "bin" / name, name], cwd=source)

    def _write_papers(self) -> None:
        """What was built, and the licences it stands under."""
        share = self.result / "share/ffmpeg-layer"
        licenses = share / "licenses"
        licenses.mkdir(parents=True)
        compiler = f"{self.target.tool_prefix}gcc"
        facts = {
            "arch": self.target.arch,
            "suite": SUITE,
            **self.versions,
            "glibc": _glibc_version(self.steps.run([compiler, "-print-file-name=libc.so.6"], cwd=self.work).strip()),
            "gcc": self.steps.run([compiler, "-dumpfullversion"], cwd=self.work).strip(),
            "lame_flags": self.target.lame_flags,
        }
        (share / "versions.txt").write_text("".join(f"{name} {value}\n" for name, value in facts.items()))
        texts = {
            "ffmpeg": ("LICENSE.md", "COPYING.LGPLv2.1"),
            "lame": ("COPYING", "LICENSE"),
            "libsoxr": ("LICENCE", "COPYING.LGPL"),
            "zlib": (),
        }
        for package, names in texts.items():
            for name in (*names, "debian/copyright"):
                shutil.copy(self.sources / package / name, licenses / f"{package}-{Path(name).name}")
        for patch in (*LAME_PATCHES, *FFMPEG_PATCHES):
            shutil.copy(HERE / patch, licenses)

    def _check(self) -> None:
        """A tone through the whole chain, so that a binary that cannot do its one job is never kept."""
        ffmpeg, ffprobe = self.result / "bin/ffmpeg", self.result / "bin/ffprobe"
        tone, mp3 = self.work / "tone.raw", self.work / "tone.mp3"
        low, high = (level.to_bytes(2, "little", signed=True) for level in (-6000, 6000))
        tone.write_bytes((low * 50 + high * 50) * 441)
        as_raw_pcm = ("-f", "s16le", "-ar", "44100", "-ac", "1")
        to_mp3 = ("-af", "aresample=resampler=soxr:precision=28", "-ar", "32000", "-b:a", "160k")
        self.steps.run([ffmpeg, "-nostdin", "-v", "error", *as_raw_pcm, "-i", tone, *to_mp3, mp3], cwd=self.work)
        found = self.steps.run([ffprobe, "-v", "error", "-show_streams", "-of", "json", mp3], cwd=self.work)
        if '"sample_rate": "32000"' not in found:
            raise StepFailed(f"the new ffmpeg did not make a 32 kHz MP3; ffprobe says:\n{found}")


def _glibc_version(library: str) -> str:
    """The version in the C library's own banner; the static library beside it is of the same package."""
    banner = Path(library).read_bytes() if Path(library).is_file() else b""
    start = banner.find(b"GNU C Library")
    return banner[start : banner.find(b"\n", start)].decode(errors="replace") if start >= 0 else "unknown"
