"""RecBole's needs are met while it runs, and nothing is left of them afterwards."""

import logging
import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
import yaml
from scipy.sparse import dok_matrix

from recsys_lab.errors import ConfigError, ModelError
from recsys_lab.nn.recbole_compat import blame, recbole_calls


def test_everything_is_put_back(capsys: pytest.CaptureFixture[str]) -> None:
    before = (yaml.FullLoader, list(logging.getLogger().filters), dict(os.environ), list(warnings.filters))
    with recbole_calls():
        assert getattr(np, "float", None) is np.float64
        matrix = dok_matrix((2, 2))
        matrix._update({(0, 1): 3.0})
        assert matrix.toarray().tolist() == [[0, 3], [0, 0]]
        os.environ["LEFT_BY_RECBOLE"] = "1"
        warnings.warn("deprecated", DeprecationWarning, stacklevel=1)
        sys.stdout.write("modes\n")
    assert not hasattr(np, "float")
    assert not hasattr(dok_matrix, "_update")
    assert before == (yaml.FullLoader, logging.getLogger().filters, dict(os.environ), warnings.filters)
    assert capsys.readouterr().out == ""
    with pytest.raises(RuntimeError, match="on the way"), recbole_calls():
        raise RuntimeError("on the way")
    assert not hasattr(np, "float")


def test_only_recbole_s_log_records_are_dropped(caplog: pytest.LogCaptureFixture) -> None:
    with recbole_calls():
        for path in ("/site-packages/recbole/trainer/trainer.py", "/home/me/mine.py"):
            record = logging.LogRecord("root", logging.WARNING, path, 1, path, None, None)
            logging.getLogger().handle(record)
    assert caplog.messages == ["/home/me/mine.py"]


def test_what_recbole_raises_is_blamed_on_it_and_ours_is_not() -> None:
    with pytest.raises(ModelError, match="recbole FM: RecBole fails with KeyError: 'label'"), blame("FM"):
        raise KeyError("label")
    with pytest.raises(ConfigError, match="ours"), blame("FM"):
        raise ConfigError("ours")


def test_ray_is_never_imported() -> None:
    code = (
        "from recsys_lab.nn.recbole_compat import recbole_calls\n"
        "with recbole_calls():\n"
        "    import recsys_lab.nn.recbole_parts\n"
        "import sys; sys.exit('ray' in sys.modules)"
    )
    pytest.importorskip("recbole")
    subprocess.run([sys.executable, "-c", code], check=True)
