"""The tab in a notebook: what `%tensorboard` starts there has it too."""

import sys
from pathlib import Path

import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook
from runs import sick, write

SECONDS = 90
ASK = f"""
import json, time
from urllib.request import urlopen
from tensorboard import manager

(info,) = manager.get_all()
for _ in range(2 * {SECONDS}):
    tab = json.load(urlopen(f"http://127.0.0.1:{{info.port}}/data/plugins_listing")).get("gradscope", {{}})
    if tab.get("enabled"):
        break
    time.sleep(0.5)
print(tab.get("enabled"), tab.get("tab_name"))
os.kill(info.pid, 15)
"""


@pytest.mark.slow
def test_the_magic_of_a_notebook_starts_a_tensorboard_with_the_tab(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # where TensorBoard notes which ones are running
    write(tmp_path / "logs" / "mlp", sick())
    binary = Path(sys.executable).with_name("tensorboard")
    cells = [
        f"import os; os.environ['TENSORBOARD_BINARY'] = {str(binary)!r}",
        "%load_ext tensorboard",
        f"%tensorboard --logdir {tmp_path / 'logs'} --port 0 --host 127.0.0.1",
        ASK,
    ]
    notebook = new_notebook(cells=[new_code_cell(source) for source in cells])
    NotebookClient(notebook, timeout=2 * SECONDS).execute()
    assert "iframe" in str(notebook.cells[2].outputs)
    assert notebook.cells[3].outputs[0]["text"] == "True GradScope\n"
