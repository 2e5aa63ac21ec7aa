"""Files are opened by processes that hold nothing, can do nothing else, and may die of it."""

from __future__ import annotations

import io
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import psutil
import pydicom
import pytest

from ml import imaging
from ml.imaging import sniff
from ml.phantom import encode_dicom, phantom_dicom, phantom_jpeg, phantom_png
from screening.studies import decoding, gate
from screening.studies.decoder import process, wire
from screening.studies.decoder.child import open_file
from screening.studies.decoder.pool import Pool
from screening.studies.decoder.process import Decoder, Opened, Trouble
from tests.fuzz import seeds
from tests.ml.dicoms import TINY, written
from tests.services.kit import wait_for

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parent.parent.parent
FILM = phantom_dicom(1, size=(320, 320))
MEMORY = 2048 * 1024 * 1024


def whole(opened: Opened) -> Opened:
    return opened


@pytest.fixture
def pool() -> Iterator[Pool]:
    made = Pool(size=1, memory_bytes=MEMORY, patience_s=20)
    yield made
    made.close()


def running(pool: Pool) -> Decoder:
    """The pool's decoder, started."""
    pool.open_file(FILM, "look", imaging.DEFAULT_LIMITS, whole)
    [decoder] = pool.decoders()
    return decoder


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


# --- The same values ---------------------------------------------------------------------------


def test_a_decoder_sees_what_an_open_process_sees(pool: Pool) -> None:
    """Bit for bit, in every kind of file: a shut door that a library needed would show here."""
    files = seeds.of("gate") | {
        "deep png": phantom_png(2, size=(300, 260), bits=16),
        "photo": phantom_jpeg(3, size=(300, 260)),
    }
    for name, data in files.items():
        films = ("stored",) if sniff(data) == "dicom" else ()
        for wish in ("look", "picture", "values", *films):
            said, found = open_file(data, wish, TINY)
            said = json.loads(json.dumps(said))
            seen = pool.open_file(data, wish, TINY, whole)  # type: ignore[arg-type]
            assert seen.header == wire.header_from(said["header"], TINY), name
            assert seen.pixels.dtype == found.dtype, name
            np.testing.assert_array_equal(seen.pixels, found, err_msg=name)
            for key in ("stated", "colourfulness", "values"):
                assert seen.said.get(key) == said.get(key), name
    assert len({decoder.pid for decoder in pool.decoders()}) == 1


@pytest.mark.parametrize(
    ("characters", "name"),
    [
        ("ISO_IR 100", "Müller^Jörg"),
        ("ISO_IR 144", "Люкceмбypг"),
        ("ISO_IR 192", "Nordlund^Nína"),
        ("GB18030", "王^小东"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎"),
        (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞"),
    ],
)
def test_names_are_read_behind_shut_doors_too(pool: Pool, characters: Any, name: str) -> None:
    """Character sets are modules of Python, which a confined decoder can no longer load."""
    dataset = pydicom.dcmread(io.BytesIO(FILM))
    dataset.SpecificCharacterSet = characters
    dataset.PatientName = name
    seen = pool.open_file(written(dataset), "look", imaging.DEFAULT_LIMITS, whole)
    assert seen.said["stated"]["PatientName"] == name


def test_what_comes_back_cannot_be_changed(pool: Pool) -> None:
    seen = pool.open_file(FILM, "picture", imaging.DEFAULT_LIMITS, whole)
    with pytest.raises(ValueError, match="read-only"):
        seen.pixels[0, 0] = 1.0


# --- Behind shut doors -------------------------------------------------------------------------


def test_a_decoder_holds_nothing_of_the_portal(pool: Pool) -> None:
    os.environ["CANARY"] = "a secret of the portal"
    try:
        pid = running(pool).pid
    finally:
        del os.environ["CANARY"]
    seen = psutil.Process(pid)
    assert set(seen.environ()) == set(process.ENVIRONMENT)
    assert seen.cwd() == "/"
    open_files = {os.readlink(path) for path in Path(f"/proc/{pid}/fd").iterdir()}
    assert {name.split(":")[0] for name in open_files} == {"/dev/null", "socket"}
    assert len(list(Path(f"/proc/{pid}/fd").iterdir())) == 4
    loaded = Path(f"/proc/{pid}/maps").read_text()
    assert "site-packages/numpy" in loaded
    assert "psycopg2" not in loaded
    assert "_sqlite3" not in loaded
    assert seen.memory_info().rss < 150e6


def test_a_decoder_is_limited_and_filtered(pool: Pool) -> None:
    decoder = running(pool)
    assert decoder.filtered
    status = Path(f"/proc/{decoder.pid}/status").read_text()
    assert "Seccomp:\t2" in status
    assert "NoNewPrivs:\t1" in status
    for limit, most in (
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, 16),
        (resource.RLIMIT_CPU, 600),
    ):
        assert resource.prlimit(decoder.pid, limit) == (most, most)


ESCAPES = """
import ctypes, mmap, os, resource, signal, socket, sys, threading
sys.path.append(sys.argv[1])
from screening.studies.decoder import confinement
def thread():
    threading.Thread(target=print).start()
def trace():
    if ctypes.CDLL(None).ptrace(16, os.getppid(), 0, 0):
        raise OSError
attempts = {
    "read a file": lambda: os.open("/etc/hostname", os.O_RDONLY),
    "write a file": lambda: os.open("/dev/shm/escaped", os.O_WRONLY | os.O_CREAT),
    "list a folder": lambda: os.listdir("/"),
    "speak to the network": lambda: socket.socket(),
    "start a program": lambda: os.execv("/bin/true", ["true"]),
    "fork": os.fork,
    "start a thread": thread,
    "signal its parent": lambda: os.kill(os.getppid(), signal.SIGCONT),
    "trace its parent": trace,
    "run code of its own": lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC),
    "raise its limits": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096)),
    "remove a file": lambda: os.unlink("/dev/shm/escaped"),
}
assert confinement.confine(1 << 31)
done = []
for name, attempt in attempts.items():
    try:
        attempt()
    except Exception:
        continue
    done.append(name)
sys.exit(len(done))
"""


def test_a_decoder_that_was_taken_over_finds_every_door_shut() -> None:
    """What a file could do that runs code of its own: nothing with files, network, processes."""
    done = subprocess.run(
        [sys.executable, "-c", ESCAPES, str(ROOT)], check=False, cwd="/", capture_output=True
    )
    assert done.returncode == 0, f"{done.returncode} doors stand open"
    assert not Path("/dev/shm/escaped").exists()  # noqa: S108


# --- Death and delay ---------------------------------------------------------------------------


def test_a_decoder_that_dies_costs_one_file(pool: Pool) -> None:
    pid = running(pool).pid
    os.kill(pid, signal.SIGSTOP)  # It will not answer, and is killed while it is asked.
    threading.Timer(0.5, os.kill, (pid, signal.SIGKILL)).start()
    with pytest.raises(Trouble) as caught:
        pool.open_file(FILM, "look", imaging.DEFAULT_LIMITS, whole)
    assert caught.value.code == "decoder_died"
    assert running(pool).pid != pid
    wait_for(lambda: gone(pid), what="the dead decoder to be reaped")


def test_a_decoder_that_died_between_files_costs_none(pool: Pool) -> None:
    pid = running(pool).pid
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: gone(pid), what="the end of the decoder")
    assert running(pool).pid != pid


def test_a_file_that_takes_too_long_is_given_up() -> None:
    pool = Pool(size=1, memory_bytes=MEMORY, patience_s=1)
    pid = running(pool).pid
    os.kill(pid, signal.SIGSTOP)
    started = time.monotonic()
    with pytest.raises(Trouble) as caught:
        pool.open_file(FILM, "look", imaging.DEFAULT_LIMITS, whole)
    assert caught.value.code == "decode_timeout"
    assert time.monotonic() - started < 5
    wait_for(lambda: gone(pid), what="the end of the stopped decoder")
    pool.close()


def test_whoever_waits_for_a_turn_waits_a_bounded_time() -> None:
    pool = Pool(size=1, memory_bytes=MEMORY, patience_s=0.2)
    with pool._turn(), pytest.raises(Trouble) as caught:
        pool.open_file(FILM, "look", imaging.DEFAULT_LIMITS, whole)
    assert caught.value.code == "decoder_busy"
    pool.close()


def test_a_picture_beyond_the_memory_says_so_and_the_next_one_is_fine() -> None:
    pool = Pool(size=1, memory_bytes=512 * 1024 * 1024, patience_s=60)
    large = encode_dicom(np.zeros((6000, 5000), np.int32))
    with pytest.raises(Trouble) as caught:
        pool.open_file(large, "look", imaging.Limits(max_bytes=2**27), whole)
    assert caught.value.code == "out_of_memory"
    assert running(pool).pid
    pool.close()


def test_a_time_limit_of_the_worker_gets_through_at_once(pool: Pool) -> None:
    """Celery's soft limit raises in the middle of the wait."""
    pid = running(pool).pid
    os.kill(pid, signal.SIGSTOP)

    class SoftLimit(Exception):
        pass

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise SoftLimit

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with pytest.raises(SoftLimit):
            pool.open_file(FILM, "look", imaging.DEFAULT_LIMITS, whole)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    wait_for(lambda: gone(pid), what="the end of the decoder")


def test_a_decoder_is_replaced_in_time(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "MOST_FILES", 2)
    pids = [running(pool).pid for _ in range(3)]
    assert pids[0] == pids[1] != pids[2]
    monkeypatch.setattr(process, "MOST_FILES", 100)
    monkeypatch.setattr(process, "MOST_RESIDENT_BYTES", 1)
    assert running(pool).pid != pids[2]


# --- Whose it is -------------------------------------------------------------------------------

PARENT = """
import os, sys, time
import django; django.setup()
from ml.phantom import phantom_png
from screening.studies import decoding
decoding.look(phantom_png(1, size=(300, 300)))
pid = decoding.the_pool().decoders()[0].pid
if sys.argv[1] == "fork":
    child = os.fork()
    if child == 0:
        decoding.look(phantom_png(1, size=(300, 300)))
        other = decoding.the_pool().decoders()[0].pid
        os._exit(0 if other != pid else 1)
    own = os.waitpid(child, 0)[1]
    decoding.look(phantom_png(1, size=(300, 300)))
    sys.exit(own or decoding.the_pool().decoders()[0].pid != pid)
print(pid, flush=True)
if sys.argv[1] == "stay":
    time.sleep(60)
"""


def parent(what: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "portal.settings.test"}
    return subprocess.Popen(
        [sys.executable, "-c", PARENT, what],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("state", ["idle", "stopped"])
def test_a_killed_portal_leaves_no_decoder_behind(state: str) -> None:
    portal = parent("stay")
    assert portal.stdout is not None
    pid = int(portal.stdout.readline())
    if state == "stopped":  # As deaf as one in the middle of a long picture.
        os.kill(pid, signal.SIGSTOP)
    portal.kill()
    portal.wait()
    wait_for(lambda: gone(pid), seconds=10, what="the end of the decoder")


def test_an_orderly_end_takes_the_decoder_along() -> None:
    portal = parent("leave")
    told, _ = portal.communicate(timeout=60)
    assert portal.returncode == 0
    wait_for(lambda: gone(int(told)), seconds=10, what="the end of the decoder")


def test_a_forked_process_has_decoders_of_its_own() -> None:
    assert parent("fork").wait(timeout=60) == 0


def test_a_decoder_outlives_the_thread_that_asked_first(pool: Pool) -> None:
    first: list[int] = []
    thread = threading.Thread(target=lambda: first.append(running(pool).pid))
    thread.start()
    thread.join()
    time.sleep(0.2)
    assert running(pool).pid == first[0]


def test_threads_take_turns(pool: Pool) -> None:
    wrong: list[object] = []

    def ask(number: int) -> None:
        data = phantom_png(number, size=(300, 300))
        for _ in range(3):
            seen = pool.open_file(data, "picture", imaging.DEFAULT_LIMITS, whole)
            if not np.array_equal(seen.pixels, imaging.decode(data).pixels):
                wrong.append(number)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(pool.decoders()) == 1


# --- A decoder that lies -----------------------------------------------------------------------

LIAR = """
import json, mmap, os, socket, sys, time
link = socket.socket(fileno=int(sys.argv[1]))
link.send(b'{"filtered": true}')
wish = socket.recv_fds(link, 65536, 1)
header = json.loads(HEADER)
said = {"header": header, "type": "|u1", "cpu_s": 0.1,
        "stated": {"PatientID": "", "PatientName": "", "PatientBirthDate": ""}}
exec(LIE)
link.send(json.dumps(said).encode())
text, [memory], *_ = socket.recv_fds(link, 65536, 1)
kept = mmap.mmap(memory, 0)
exec(LAST)
link.send(b'{"written": true}')
time.sleep(60)
"""
LIES = {
    "garbage": ("link.send(b'\\xff\\xfe'); time.sleep(9)", ""),
    "a list": ("link.send(b'[]'); time.sleep(9)", ""),
    "brackets without end": ("link.send(b'[' * 60000); time.sleep(9)", ""),
    "a message beyond all measure": ("said['header']['modality'] = 'A' * 100000", ""),
    "an unknown refusal": ("said = {'refused': 'because', 'cpu_s': 0}", ""),
    "a picture of a billion pixels": ("header['width'] = header['height'] = 31000", ""),
    "no width": ("header['width'] = 0", ""),
    "a width that is none": ("header['width'] = '320'", ""),
    "a true width": ("header['width'] = True", ""),
    "another format": ("header['format'] = 'png'", ""),
    "words that are none": ("header['modality'] = '<script>'", ""),
    "a spacing that is no number": ("header['pixel_spacing'] = [float('nan'), 1]", ""),
    "a spacing of light years": ("header['pixel_spacing'] = [1e30, 1]", ""),
    "a day that is none": ("header['taken_on'] = 'yesterday'", ""),
    "a field too many": ("header['patient'] = 'Nina'", ""),
    "another type": ("said['type'] = '|O'", ""),
    "names without end": ("said['stated']['PatientName'] = 'N' * 5000", ""),
    "no names": ("del said['stated']", ""),
    "its end": ("sys.exit()", ""),
    "its end in the middle": ("", "sys.exit()"),
    "something else than done": ("", "link.send(b'{}')"),
    "done, while it can still write": ("", "pass"),
}


@pytest.mark.parametrize(("lie", "last"), LIES.values(), ids=LIES.keys())
def test_what_a_decoder_says_is_not_believed(
    lie: str, last: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = json.dumps(wire.as_message(imaging.read_header(FILM)))
    script = tmp_path / "liar.py"
    script.write_text(f"HEADER = {header!r}\nLIE = {lie!r}\nLAST = {last!r}\n{LIAR}")
    monkeypatch.setattr(process, "CHILD", script)
    decoder = Decoder(MEMORY)
    started = time.monotonic()

    def read(opened: Opened) -> dict[str, str]:
        return wire.stated_from(opened.said.get("stated"))

    with pytest.raises(Trouble) as caught:
        decoder.open_file(FILM, "look", imaging.DEFAULT_LIMITS, read, patience_s=20)
    assert caught.value.code == "decoder_died"
    assert time.monotonic() - started < 8
    wait_for(lambda: gone(decoder.pid), what="the end of the liar")


def test_a_decoder_that_says_nothing_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "mute.py"
    script.write_text("import time; time.sleep(60)")
    monkeypatch.setattr(process, "CHILD", script)
    monkeypatch.setattr(process, "START_S", 0.5)
    with pytest.raises(Trouble):
        Decoder(MEMORY)


def test_each_trouble_is_told_with_what_to_do() -> None:
    for code, status in (
        ("decoder_died", 422),
        ("decode_timeout", 422),
        ("decoder_busy", 503),
        ("out_of_memory", 503),
    ):
        refusal = gate._not_opened(code)  # type: ignore[arg-type]
        assert (refusal.code, refusal.http_status) == (code, status)
        assert refusal.message.endswith(".")


def test_the_portal_itself_opens_no_file() -> None:
    """Whoever needs a file's content asks ``studies.decoding``."""
    opening = ("imaging.decode(", "imaging.decode_values(", "imaging.read_header(", "dcmread(")
    for path in (ROOT / "screening").rglob("*.py"):
        if "decoder" in path.parts:
            continue
        text = path.read_text(encoding="utf-8")
        assert not [call for call in opening if call in text], path
    assert decoding.look(FILM).header.format == "dicom"
