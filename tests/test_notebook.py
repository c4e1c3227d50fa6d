"""Notebooks: tables and curves in HTML, and a progress bar that keeps its last state."""

import html.parser

import numpy as np
import pytest

import chainrule as cr

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
