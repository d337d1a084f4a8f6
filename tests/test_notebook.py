"""The notebook of experiments/ runs from top to bottom, as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).resolve().parents[1] / "experiments" / "walkthrough.ipynb"


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # the kernel's machinery warns of its own matters
def test_the_walkthrough_runs(tmp_path):
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": tmp_path}}).execute()
    assert list(tmp_path.glob("export/bundles/*/*/manifest.json"))
    printed = "".join(str(output) for cell in notebook.cells for output in cell.get("outputs", []))
    assert "ndcg@10" in printed
