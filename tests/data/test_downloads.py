"""Downloads from a local server that cuts, stalls, changes or corrupts what it serves."""

import contextlib
import hashlib
import http.server
import json
import threading
import time

import pytest

from rdrepro import downloads
from rdrepro.downloads import download

CONTENT = bytes(range(256)) * 400
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class _Handler(http.server.BaseHTTPRequestHandler):
    """Serves `server.content` as `server.options` say; remembers each request's Range."""

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        content, o = self.server.content, self.server.options
        self.server.asked.append(self.headers.get("Range"))
        if o.get("status", 200) != 200:
            self.send_error(o["status"])
            return
        start = self._start(o)
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if o.get("tag"):
            self.send_header("ETag", o["tag"])
        self.end_headers()
        self._send(content[start:], o)

    def _start(self, o):
        asked = self.headers.get("Range")
        unchanged = self.headers.get("If-Range") in (None, o.get("tag")) or o.get("careless")
        return int(asked[6:-1]) if asked and o.get("ranges", True) and unchanged else 0

    def _send(self, body, o):
        cuts = self.server.cuts
        self.wfile.write(body[: cuts[0]] if cuts else body)
        if cuts:
            cuts.pop(0)
            self.wfile.flush()
            if o.get("stall"):
                self.server.over.wait(5)
            self.close_connection = True


@pytest.fixture
def serve_content():
    """A function that serves CONTENT, cut after so many bytes at each of the first requests."""
    with contextlib.ExitStack() as stack:

        def start(cuts=(), **options):
            server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
            server.content, server.cuts, server.asked = CONTENT, list(cuts), []
            server.options, server.over = {"tag": '"one"', **options}, threading.Event()
            server.url = f"http://127.0.0.1:{server.server_port}/thing.bin"
            stack.enter_context(server)
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
            stack.callback(server.shutdown)
            stack.callback(server.over.set)
            return server

        yield start


def names(folder):
    return sorted(path.name for path in folder.rglob("*"))


def get(server, folder, sha256=SHA256, **more):
    return download(server.url, folder / "thing.bin", sha256, pause=0, **more)


def test_a_file_is_downloaded_once_and_nothing_is_left_beside_it(serve_content, tmp_path):
    server = serve_content()
    for _ in range(2):
        assert get(server, tmp_path).read_bytes() == CONTENT
    assert names(tmp_path) == ["thing.bin"] and server.asked == [None]


def test_a_cut_download_goes_on_where_it_was_cut(serve_content, tmp_path):
    server = serve_content(cuts=[1000, 500])
    assert get(server, tmp_path).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=1000-", "bytes=1500-"]


def test_a_part_is_kept_for_the_next_start(serve_content, tmp_path):
    server = serve_content(cuts=[1000, *[0] * (downloads.TRIES - 1)])
    with pytest.raises(ConnectionError, match=r"cut; 0.0 MB are kept for the next try.*; later\."):
        get(server, tmp_path, way_out="later.")
    assert downloads.arrived(tmp_path / "thing.bin") == 1000
    assert len(server.asked) == downloads.TRIES and "thing.bin" not in names(tmp_path)
    assert get(server, tmp_path).read_bytes() == CONTENT
    assert server.asked[-1] == "bytes=1000-" and names(tmp_path) == ["thing.bin"]


def test_a_complete_part_is_not_asked_for_again(serve_content, tmp_path, monkeypatch):
    server = serve_content()
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(downloads, "_hand_over", _interrupt)
        get(server, tmp_path)
    assert get(server, tmp_path).read_bytes() == CONTENT and len(server.asked) == 1


def test_a_process_that_is_killed_while_the_hash_is_checked_loses_nothing(
    serve_content, tmp_path, monkeypatch
):
    server = serve_content()
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("pooch.core.hash_matches", _interrupt)
        get(server, tmp_path)
    assert get(server, tmp_path).read_bytes() == CONTENT and len(server.asked) == 1
    assert names(tmp_path) == ["thing.bin"]


def _interrupt(*_, **__):
    raise KeyboardInterrupt


def test_a_server_without_ranges_starts_over(serve_content, tmp_path):
    server = serve_content(cuts=[1000], ranges=False)
    assert get(server, tmp_path).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=1000-"]


@pytest.mark.parametrize("careless", [False, True], ids=["If-Range is heeded", "it is not"])
def test_a_file_that_changed_is_never_glued(serve_content, tmp_path, careless):
    server = serve_content(cuts=[1000, *[0] * (downloads.TRIES - 1)], careless=careless)
    with pytest.raises(ConnectionError):
        get(server, tmp_path, sha256="")
    server.content, server.options["tag"] = CONTENT[::-1], '"two"'
    assert get(server, tmp_path, sha256="").read_bytes() == CONTENT[::-1]


def test_without_a_tag_only_a_file_of_known_hash_is_resumed(serve_content, tmp_path):
    known, unknown = (serve_content(cuts=[1000], tag="") for _ in range(2))
    get(known, tmp_path / "known")
    get(unknown, tmp_path / "unknown", sha256="")
    assert known.asked == [None, "bytes=1000-"] and unknown.asked == [None, None]


def test_a_weak_tag_is_no_reason_to_resume(serve_content, tmp_path):
    server = serve_content(cuts=[1000], tag='W/"one"')
    assert get(server, tmp_path, sha256="").read_bytes() == CONTENT
    assert server.asked == [None, None]


def test_a_stalled_connection_is_given_up_and_resumed(serve_content, tmp_path):
    server = serve_content(cuts=[1000], stall=True)
    start = time.monotonic()
    assert get(server, tmp_path, timeout=0.2).read_bytes() == CONTENT
    assert time.monotonic() - start < 4 and server.asked == [None, "bytes=1000-"]


def test_a_server_that_only_stalls_is_named_in_one_sentence(serve_content, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "TRIES", 2)
    server = serve_content(cuts=[0, 0], stall=True)
    with pytest.raises(ConnectionError, match=r"cannot download http.*no answer for 0\.1 s") as e:
        get(server, tmp_path, timeout=0.1)
    assert "\n" not in str(e.value) and len(server.asked) == 2


@pytest.mark.parametrize(("status", "requests"), [(404, 1), (403, 1), (503, 5), (429, 5)])
def test_errors_that_may_pass_are_tried_again(serve_content, tmp_path, status, requests):
    server = serve_content(status=status)
    with pytest.raises(ConnectionError, match=f"HTTP error {status}"):
        get(server, tmp_path)
    assert len(server.asked) == requests and names(tmp_path) == []


def test_a_refused_connection_is_not_tried_again(tmp_path):
    start = time.monotonic()
    with pytest.raises(ConnectionError, match=r"\(Connection refused\); try again later"):
        download("http://127.0.0.1:9/thing.bin", tmp_path / "thing.bin", pause=9)
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("digits", [64, 8])
def test_a_corrupted_file_is_removed(serve_content, tmp_path, digits):
    server = serve_content()
    server.content = CONTENT[:-1] + b"x"
    got = hashlib.sha256(server.content).hexdigest()[:16]
    with pytest.raises(ValueError, match=rf"removed.* is not {SHA256[:8]}.* but {got}.*; again"):
        get(server, tmp_path, SHA256[:digits], way_out="again")
    assert names(tmp_path) == []


def test_a_file_that_was_there_is_refused_but_not_removed(serve_content, tmp_path):
    (tmp_path / "thing.bin").write_bytes(b"mine")
    with pytest.raises(ValueError, match=f"instead of {SHA256[:16]}.*delete it"):
        get(serve_content(), tmp_path)
    assert (tmp_path / "thing.bin").read_bytes() == b"mine"


def test_the_first_download_records_its_hash_and_later_ones_are_compared(
    serve_content, tmp_path, capsys
):
    server = serve_content()
    (tmp_path / "downloads.json").write_text('{"other": {"sha256": "00"}}')
    get(server, tmp_path, sha256="").unlink()
    kept = json.loads((tmp_path / "downloads.json").read_text())
    assert kept == {
        "other": {"sha256": "00"},
        "thing.bin": {"url": server.url, "sha256": SHA256},
    }
    assert f"thing.bin has the SHA-256 {SHA256}" in capsys.readouterr().out
    get(server, tmp_path, sha256="").unlink()
    server.content = CONTENT[::-1]
    with pytest.raises(ValueError, match=f"is not {SHA256[:16]}"):
        get(server, tmp_path, sha256="")
    assert names(tmp_path) == ["downloads.json"]


def test_too_small_a_disk_is_named_before_anything_is_written(serve_content, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads.shutil, "disk_usage", lambda _: _Disk(1000))
    with pytest.raises(OSError, match=r"thing.bin needs 0.1 MB in .* 0.0 MB are free"):
        get(serve_content(), tmp_path)
    assert downloads.arrived(tmp_path / "thing.bin") == 0


class _Disk:
    def __init__(self, free):
        self.free = free


def test_a_folder_that_cannot_be_written_is_named(serve_content, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"cannot download http.*Not a directory\); try again later"):
        get(serve_content(), tmp_path / "file" / "below")


def test_offline_refuses_what_is_not_there(serve_content, tmp_path, monkeypatch):
    monkeypatch.setenv("RDREPRO_OFFLINE", "1")
    server = serve_content()
    with pytest.raises(ConnectionError, match=r"RDREPRO_OFFLINE is set, so http.*; put it there"):
        get(server, tmp_path, way_out="put it there")
    assert server.asked == [] and names(tmp_path) == []
    (tmp_path / "thing.bin").write_bytes(CONTENT)
    assert get(server, tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize(("value", "expected"), [("1", True), ("yes", True), ("0", False), ("", 0)])
def test_what_offline_means(monkeypatch, value, expected):
    monkeypatch.setenv("RDREPRO_OFFLINE", value)
    assert downloads.offline() == expected


def test_two_at_once_download_once(serve_content, tmp_path, capsys):
    server = serve_content(cuts=[1000], stall=True)
    both = [
        threading.Thread(target=get, args=(server, tmp_path), kwargs={"timeout": 0.3})
        for _ in range(2)
    ]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert server.asked == [None, "bytes=1000-"] and names(tmp_path) == ["thing.bin"]
    assert "waiting" in capsys.readouterr().out
