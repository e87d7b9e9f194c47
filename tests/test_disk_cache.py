"""What is kept between processes: whole or made anew, from nobody but this user and root, somewhere in any case."""

from __future__ import annotations

import contextlib
import os
import stat
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from ephysfit import disk_cache
from ephysfit.errors import CacheWarning

posix = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="rights of files as POSIX has them")
root = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")
WHERE = (disk_cache.KERNELS, disk_cache.CODE, disk_cache.READINGS)


@contextlib.contextmanager
def one_line(match):
    """Exactly one warning, of one line, that matches."""
    with pytest.warns(CacheWarning, match=match) as said:
        yield
    assert len(said) == 1
    assert "\n" not in str(said[0].message)


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A cache folder of the test alone, a temporary folder of the test alone, nothing said yet."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    monkeypatch.setattr(disk_cache, "_WARNED", set())
    monkeypatch.setenv("EPHYSFIT_CACHE", str(tmp_path / "cache"))
    disk_cache._make_private_folder.cache_clear()
    return tmp_path / "cache"


def half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path):
    whole = bytearray(path.read_bytes())
    whole[-1] ^= 1
    path.write_bytes(whole)


def folder(path):
    path.unlink()
    path.mkdir()


def full_folder(path):
    folder(path)
    (path / "x").write_text("x")


def dangling(path):
    path.unlink()
    path.symlink_to(path.with_name("gone"))


def loop(path):
    path.unlink()
    path.symlink_to(path)


def pipe(path):
    path.unlink()
    os.mkfifo(path)


DAMAGE = {
    "empty": lambda p: p.write_bytes(b""),
    "cut": half,
    "one bit": flip,
    "noise": lambda p: p.write_bytes(os.urandom(500)),
    "JSON": lambda p: p.write_text('{"a": 1}'),
    "folder": folder,
    "folder that holds a file": full_folder,
    "dangling link": dangling,
    "link to itself": loop,
    "pipe": pipe,
}


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_damaged_is_made_anew_and_found_again(place, where, damage):
    if damage == "pipe" and not hasattr(os, "mkfifo"):
        pytest.skip("no pipes with names")
    path = disk_cache.store(where, "a.x", b"content")
    assert disk_cache.find_stored(where, "a.x") == b"content"
    DAMAGE[damage](path)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert disk_cache.find_stored(where, "a.x") is None
        assert disk_cache.store(where, "a.x", b"content") is not None
        assert disk_cache.find_stored(where, "a.x") == b"content"
    lines = [str(w.message) for w in said]
    assert all("\n" not in line and str(place) in line for line in lines)
    assert len(lines) <= 2  # what cannot be read; and where the new one went, if not there


def test_fifty_damaged_files_are_one_line():
    for k in range(50):
        disk_cache.store(disk_cache.CODE, f"{k}.nbc", b"x").write_bytes(b"")
    with one_line("damaged"):
        assert [disk_cache.find_stored(disk_cache.CODE, f"{k}.nbc") for k in range(50)] == [None] * 50


def test_honest_files_are_found_in_silence():
    content = os.urandom(100_000)
    assert disk_cache.find_stored(disk_cache.CODE, "a.nbc") is None
    disk_cache.store(disk_cache.CODE, "a.nbc", content)
    disk_cache.store(disk_cache.CODE, "empty.nbc", b"")
    assert disk_cache.find_stored(disk_cache.CODE, "a.nbc") == content
    assert disk_cache.find_stored(disk_cache.CODE, "empty.nbc") == b""


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("spoil", ["cache is a file", "kernels is a file", "no room"])
def test_where_nothing_can_be_written_a_temporary_folder_serves(place, where, spoil, monkeypatch):
    first = where.partition("/")[0]
    if spoil == "cache is a file":
        place.write_text("")
    elif spoil == "kernels is a file":
        place.mkdir()
        (place / first).write_text("")
    else:
        before = disk_cache._write_whole

        def put(path, whole):
            if path.is_relative_to(place):
                raise OSError(28, "No space left on device")
            return before(path, whole)

        monkeypatch.setattr(disk_cache, "_write_whole", put)
    with one_line(r"cannot be written \(.*EPHYSFIT_CACHE"):
        path = disk_cache.store(where, "a.x", b"content")
        disk_cache.store(where, "b.x", b"content")
    assert not path.is_relative_to(place)
    assert disk_cache.find_stored(where, "a.x") == b"content"


@posix
def test_the_temporary_folder_is_private_and_the_same_for_each_process(place):
    place.write_text("")
    with pytest.warns(CacheWarning):
        path = disk_cache.store(disk_cache.CODE, "a.nbc", b"x")
    top = next(p for p in path.parents if p.name.startswith("ephysfit-"))
    assert stat.S_IMODE(top.stat().st_mode) == 0o700
    code = (
        "import sys, tempfile; tempfile.tempdir = sys.argv[1]; from ephysfit import disk_cache; "
        "print(disk_cache.find_stored(disk_cache.CODE, 'a.nbc'))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(top.parent)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "b'x'"


def test_nowhere_to_write_stops_nothing(place, monkeypatch):
    place.write_text("")

    def none(**_):
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr("tempfile.gettempdir", none)
    monkeypatch.setattr("tempfile.mkdtemp", none)
    with one_line("nothing is kept"):
        assert disk_cache.store(disk_cache.CODE, "a.nbc", b"x") is None
        assert disk_cache.store(disk_cache.CODE, "b.nbc", b"x") is None
    assert disk_cache.find_stored(disk_cache.CODE, "a.nbc") is None


@posix
@pytest.mark.parametrize("which", ["cache", "cache/kernels", "cache/kernels/__pycache__"])
@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o757])
def test_a_folder_that_everyone_may_write_to_is_not_read(place, which, mode):
    disk_cache.store(disk_cache.CODE, "a.nbc", b"planted")
    (place.parent / which).chmod(mode)
    with one_line(r"everyone may write to it, so .* not run; .*EPHYSFIT_CACHE"):
        assert disk_cache.find_stored(disk_cache.CODE, "a.nbc") is None
        path = disk_cache.store(disk_cache.CODE, "a.nbc", b"own")
    assert not path.is_relative_to(place)
    assert disk_cache.find_stored(disk_cache.CODE, "a.nbc") == b"own"


@posix
def test_a_file_that_everyone_may_write_to_is_made_anew():
    disk_cache.store(disk_cache.CODE, "a.nbc", b"planted").chmod(0o666)
    with pytest.warns(CacheWarning, match="everyone may write"):
        assert disk_cache.find_stored(disk_cache.CODE, "a.nbc") is None
    disk_cache.store(disk_cache.CODE, "a.nbc", b"own")
    assert disk_cache.find_stored(disk_cache.CODE, "a.nbc") == b"own"


@root
@pytest.mark.parametrize("which", ["cache", "cache/kernels/__pycache__", "cache/kernels/__pycache__/a.nbc"])
def test_what_belongs_to_someone_else_is_not_run(place, which):
    disk_cache.store(disk_cache.CODE, "a.nbc", b"planted")
    os.chown(place.parent / which, 54321, -1)
    with pytest.warns(CacheWarning, match="belongs to the user with number 54321"):
        assert disk_cache.find_stored(disk_cache.CODE, "a.nbc") is None
    with contextlib.suppress(CacheWarning):
        disk_cache.store(disk_cache.CODE, "a.nbc", b"own")
    assert disk_cache.find_stored(disk_cache.CODE, "a.nbc") == b"own"


@root
def test_a_group_of_others_is_refused_and_a_private_one_is_not(place):
    disk_cache.store(disk_cache.CODE, "a.nbc", b"x")
    place.chmod(0o775)
    assert disk_cache.find_stored(disk_cache.CODE, "a.nbc") == b"x"  # group of root
    os.chown(place, -1, 54321)
    with pytest.warns(CacheWarning, match="the group with number 54321 may write"):
        assert disk_cache.find_stored(disk_cache.CODE, "a.nbc") is None


@posix
def test_a_private_group_is_one_by_name_and_without_members(monkeypatch):
    import grp
    import pwd
    from types import SimpleNamespace

    group, user = SimpleNamespace(gr_name="ana", gr_mem=[]), SimpleNamespace(pw_name="ana", pw_gid=1000)
    monkeypatch.setattr(grp, "getgrgid", lambda gid: group)
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: user)
    assert disk_cache._is_private_group(1000)  # umask 002 with a group for each user
    group.gr_mem = ["ana", "bob"]
    assert not disk_cache._is_private_group(1000)
    group.gr_mem, group.gr_name = [], "users"
    assert not disk_cache._is_private_group(1000)


@root
def test_a_users_home_in_a_container_of_root_is_used(tmp_path, monkeypatch):
    """HOME of another owner, mounted: what root makes in it is root's, and nothing is refused."""
    monkeypatch.delenv("EPHYSFIT_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "ana"))
    (tmp_path / "ana" / ".cache").mkdir(parents=True)
    for path in (tmp_path / "ana", tmp_path / "ana" / ".cache"):
        os.chown(path, 54321, 54321)
    path = disk_cache.store(disk_cache.CODE, "a.nbc", b"x")
    assert path.is_relative_to(tmp_path / "ana")
    assert disk_cache.find_stored(disk_cache.CODE, "a.nbc") == b"x"


@posix
def test_a_loose_umask_leaves_nothing_that_is_refused_later(place):
    before = os.umask(0)
    try:
        disk_cache.store(disk_cache.CODE, "a.nbc", b"x")
    finally:
        os.umask(before)
    assert disk_cache.find_stored(disk_cache.CODE, "a.nbc") == b"x"


@posix
def test_the_temporary_name_held_by_another_is_not_taken(place, tmp_path):
    place.write_text("")
    held = tmp_path / "tmp" / f"ephysfit-{os.geteuid()}"
    held.mkdir()
    held.chmod(0o777)
    with pytest.warns(CacheWarning):
        path = disk_cache.store(disk_cache.CODE, "a.nbc", b"x")
    assert not path.is_relative_to(held)
    assert disk_cache.find_stored(disk_cache.CODE, "a.nbc") == b"x"
    held.rmdir()
    held.symlink_to(tmp_path)
    assert not disk_cache.store(disk_cache.CODE, "b.nbc", b"x").is_relative_to(held)


@pytest.mark.parametrize(
    ("variables", "where"),
    [
        ({"EPHYSFIT_CACHE": "/a/b"}, "/a/b"),
        ({"EPHYSFIT_CACHE": "/a/b", "NUMBA_CACHE_DIR": "/n"}, "/a/b"),
        ({"NUMBA_CACHE_DIR": "/n", "XDG_CACHE_HOME": "/x"}, "/n/ephysfit"),
        ({"XDG_CACHE_HOME": "/x"}, "/x/ephysfit"),
        ({"XDG_CACHE_HOME": "x", "HOME": "/"}, "/.cache/ephysfit"),
        ({"HOME": "/nonexistent"}, None),
        ({"EPHYSFIT_CACHE": "", "HOME": "/nonexistent"}, None),
        ({"HOME": "relative"}, None),
    ],
)
@posix
def test_where_things_live(variables, where, monkeypatch):
    for name in ("EPHYSFIT_CACHE", "NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert disk_cache.find_cache_folder() == (None if where is None else Path(where))
    if where is None:
        with pytest.warns(CacheWarning, match="no home folder"):
            disk_cache.store(disk_cache.CODE, "a.nbc", b"x")
        assert disk_cache.find_stored(disk_cache.CODE, "a.nbc") == b"x"


def test_a_relative_folder_is_the_same_after_a_change_of_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EPHYSFIT_CACHE", "here")
    disk_cache.store(disk_cache.CODE, "a.nbc", b"x")
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    assert disk_cache.find_stored(disk_cache.CODE, "a.nbc") == b"x"


RACE = """
import sys
from ephysfit import disk_cache
for k in range(300):
    assert disk_cache.store(disk_cache.CODE, f"{k % 7}.nbc", b"same" * 5000) is not None
    assert disk_cache.find_stored(disk_cache.CODE, f"{k % 7}.nbc") == b"same" * 5000
"""


def test_processes_that_write_the_same_at_once_all_find_it_whole(place):
    all_ = [subprocess.Popen([sys.executable, "-W", "error", "-c", RACE]) for _ in range(3)]
    assert [p.wait(120) for p in all_] == [0, 0, 0]
    assert not list(place.rglob("*.tmp"))
