"""Notebooks: tables and curves in HTML, and a progress bar that keeps its last state."""

import email.message
import html.parser
import re

import numpy as np
import pytest

import chainrule as cr
from chainrule import _documented

X, Y = np.linspace(-1, 1, 40).reshape(-1, 1), np.linspace(0, 3, 40)


class Checked(html.parser.HTMLParser):
    """Reads HTML whose elements are all closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.cells, self.points = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.open.append(tag)
        if tag == "polyline":
            self.points.append(dict(attributes)["points"].split())

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.cells.append(data)


def test_network_is_shown_as_a_table_of_its_layers():
    net = cr.Network([4, 8, 3], activation="tanh", loss=cr.SoftmaxCrossEntropy(0.1), seed=0)
    cells = Checked(net._repr_html_()).cells
    assert cells[0] == "Network: SoftmaxCrossEntropy(label_smoothing=0.1), 67 parameters, 268 bytes (float32)"
    assert cells[1:] == [
        *("inputs", "units", "activation", "parameters"),
        *("4", "8", "tanh", "40"),
        *("8", "3", "softmax (output)", "27"),
    ]


def test_history_is_shown_with_its_costs_and_curves():
    net = cr.Network([1, 4, 1], loss="squared_error", seed=0)
    history = net.fit(X, Y, epochs=5, validation=(X, Y), metrics=["r2"])
    shown = Checked(history._repr_html_())
    assert "5 epochs in " in shown.cells[0]
    assert f"{history.validation[-1]:.6g}" in shown.cells
    assert f"{history.metrics['r2'][history.best_epoch - 1]:.6g}" in shown.cells
    assert [len(points) for points in shown.points] == [5, 5]
    heights = [float(point.split(",")[1]) for point in shown.points[0]]
    assert (np.argsort(heights) == np.argsort(-history.loss)).all()  # a higher cost is nearer to the top


def test_history_of_one_epoch_is_shown():
    net = cr.Network([1, 4, 1], loss="squared_error", seed=0)
    Checked(net.fit(X, Y, epochs=1)._repr_html_())


NOTEBOOK = """
import chainrule as cr, numpy as np
X, Y = np.linspace(-1, 1, 40).reshape(-1, 1), np.linspace(0, 3, 40)
net = cr.Network([1, 4, 1], loss="squared_error", seed=0)
"""
FITS = {
    "ends": "net.fit(X, Y, epochs=20, callbacks=[cr.ProgressBar(20)])",
    "diverges": "net.fit(X, Y, optimizer=cr.SGD(learning_rate=1e6), epochs=20, callbacks=[cr.ProgressBar(20)])",
    "is interrupted": """
def interrupt(logs):
    if logs["epoch"] == 3:
        raise KeyboardInterrupt
net.fit(X, Y, epochs=20, callbacks=[cr.ProgressBar(20), interrupt])""",
}


@pytest.mark.parametrize("case", FITS)
def test_exported_notebook_has_the_last_state_of_the_progress_bar(case):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    cells = [nbformat.v4.new_code_cell(NOTEBOOK), nbformat.v4.new_code_cell(FITS[case])]
    notebook = nbformat.v4.new_notebook(cells=cells)
    nbclient.NotebookClient(notebook, kernel_name="python3", allow_errors=True).execute()
    outputs = notebook.cells[1].outputs
    [shown] = [output["data"]["text/html"] for output in outputs if output.output_type == "display_data"]
    last = {"ends": 'value="20"', "diverges": "epoch 1/20", "is interrupted": "epoch 1/20"}[case]
    assert last in shown
    failed = [output.ename for output in outputs if output.output_type == "error"]
    assert failed == {"ends": [], "diverges": ["DivergenceError"], "is interrupted": ["KeyboardInterrupt"]}[case]


@pytest.fixture
def published(monkeypatch):
    """Metadata of a package that names the site."""
    metadata = email.message.Message()
    metadata["Project-URL"] = "Changelog, https://example.org/changes"
    metadata["Project-URL"] = "Documentation, https://example.org/site/"
    monkeypatch.setattr(_documented.metadata, "metadata", lambda name: metadata)
    _documented.site.cache_clear()
    yield
    _documented.site.cache_clear()


@pytest.mark.parametrize("name", ["MLPClassifier", "TableRegressor", "TableEncoder"])
def test_html_of_an_estimator_links_to_its_page(published, name):
    assert f'href="https://example.org/site/generated/chainrule.{name}.html"' in getattr(cr, name)()._repr_html_()


def test_html_of_an_estimator_has_no_link_without_a_site():
    assert cr.MLPClassifier()._get_doc_link() == ""


def test_fitted_encoder_shows_its_columns():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"<age>": [20.0, None, 40.0], "home": ["own", "rent", "own"], "one": [1, 1, 1]})
    encoder = cr.TableEncoder().fit(table)
    shown = encoder._repr_html_().rpartition("<table>")[2]
    cells = re.findall("<td>(.*?)</td>", shown)
    assert cells == ["&lt;age&gt;", "number", "2", "home", "levels", "2", "one", "ignored", "0"]
    assert "<caption" not in cr.TableEncoder()._repr_html_()


def test_callbacks_have_short_reprs(tmp_path):
    pytest.importorskip("rich")

    class Writer:
        def add_scalar(self, name, value, step): ...

    assert repr(cr.ProgressBar(20)) == "ProgressBar(20)"
    assert repr(cr.CSVLog("log.csv", append=True)) == "CSVLog('log.csv', append=True)"
    assert repr(cr.TensorBoard(Writer(), prefix="a/")) == "TensorBoard(Writer, prefix='a/')"
    assert repr(cr.Checkpoint("file", every=5, seconds=60)) == "Checkpoint('file', every=5, seconds=60)"
