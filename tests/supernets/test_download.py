import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from natdeploy.ground.errors import BadInput
from natdeploy.spaces import get_space
from natdeploy.supernets import build_supernet, load_supernet, save_supernet
from natdeploy.supernets.download import fetched


class Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/cut":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"{")
        else:
            super().do_GET()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Path]]:
    """An address on loopback and the folder that it serves."""
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path / "home"))
    served = tmp_path / "served"
    served.mkdir()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(served))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", served
        server.shutdown()


def test_a_supernet_is_fetched_once(web: tuple[str, Path]) -> None:
    address, served = web
    save_supernet(served / "small.safetensors", build_supernet(get_space("mbv3-micro"), 3), {})
    first = load_supernet(f"{address}/small.safetensors").state_dict()
    (served / "small.safetensors").unlink()
    again = load_supernet(f"{address}/small.safetensors").state_dict()
    assert all(torch.equal(value, again[name]) for name, value in first.items())


@pytest.mark.parametrize("name", ["missing", "cut"])
def test_what_does_not_come_whole_is_not_kept(web: tuple[str, Path], tmp_path: Path, name: str) -> None:
    address, _ = web
    with pytest.raises(BadInput, match=f"/{name}: cannot be fetched"):
        fetched(f"{address}/{name}")
    assert not list((tmp_path / "home").rglob(name))


def test_a_server_that_is_not_there_is_named(web: tuple[str, Path]) -> None:
    with pytest.raises(BadInput, match="give its path"):
        fetched("http://127.0.0.1:9/x")


def test_a_page_in_place_of_a_checkpoint_is_not_kept(web: tuple[str, Path], tmp_path: Path) -> None:
    address, served = web
    (served / "small.safetensors").write_text("<html>come back later</html>")
    with pytest.raises(BadInput, match=f"^{address}/small.safetensors: what came from there is no checkpoint: "):
        load_supernet(f"{address}/small.safetensors")
    save_supernet(served / "small.safetensors", build_supernet(get_space("mbv3-micro"), 3), {})
    assert load_supernet(f"{address}/small.safetensors").num_classes == 3
