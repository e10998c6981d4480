"""A classifier from a file of the user's: every form of it works, in workers too, and every fault is one clear line."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from synthaug.classifiers import check_classifier, make_classifier, takes_steps
from synthaug.data.cache import LabelledImages
from synthaug.errors import SynthaugError
from synthaug.evaluation.arms import choose_arms
from synthaug.evaluation.grid import Grid, Trial
from synthaug.evaluation.trial import run_trials
from synthaug.progress import Silent
from synthaug.tasks import Workers

MEANS = """
import numpy as np
{globals}
def fit(images, labels, weights, seed):
    assert images.dtype == np.uint8 and images.ndim == 4 and len(images) == len(labels) == len(weights)
    assert abs(weights.mean() - 1) < 1e-9
    {keep} = np.stack([np.average(images[labels == k].reshape(-1, images[0].size), axis=0, weights=weights[labels == k])
                       for k in range(labels.max() + 1)])
"""
DISTANCES = "((images.reshape(len(images), 1, -1) - {means}) ** 2).sum(2)"
FUNCTIONS = (
    MEANS.format(globals="", keep="global means; means")
    + f"""
def predict(images):
    near = np.exp(-{DISTANCES.format(means="means")} / 1e4)
    return near / near.sum(1, keepdims=True)
"""
)
LABELS = (
    MEANS.format(globals="", keep="global means; means")
    + f"""
def predict(images):
    return {DISTANCES.format(means="means")}.argmin(1)
"""
)
MODEL = (
    MEANS.format(globals="", keep="means")
    + f"""
    class Model:
        def predict(self, images):
            return {DISTANCES.format(means="means")}.argmin(1)
    return Model()
"""
)
CLASS = """
import numpy as np
class Classifier:
    def fit(self, images, labels, weights, seed):
        self.levels = np.array([images[labels == k].mean() for k in range(labels.max() + 1)])
    def predict(self, images):
        return np.abs(images.reshape(len(images), -1).mean(1)[:, None] - self.levels).argmin(1)
"""
FORMS = {"functions": FUNCTIONS, "labels": LABELS, "model": MODEL, "class": CLASS}


def images(count: int = 40, seed: int = 0) -> LabelledImages:
    """Dark and bright ones."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    pixels = rng.integers(0, 60, (count, 1, 8, 8)) + 150 * labels[:, None, None, None]
    return LabelledImages(pixels.astype(np.uint8), labels, ["dark", "bright"], [str(i) for i in range(count)])


def grid(file: Path) -> Grid:
    train, test = images(), images(12, seed=1)
    return Grid(str(file), 4, "cpu", train, np.arange(40), images(20, seed=2), test.pixels[:4], test.pixels, 10)


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "mine.py"
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.parametrize("form", list(FORMS))
def test_every_form_of_file_learns(tmp_path: Path, form: str) -> None:
    file = check_classifier(str(written(tmp_path, FORMS[form])))
    train, test = images(), images(30, seed=1)
    made = make_classifier(file)(device="cpu").fit(
        train.pixels, train.labels, np.ones(len(train)), num_classes=2, augment="classical", seed=3
    )
    found = made.predict_proba(test.pixels)
    assert found.shape == (30, 2)
    assert found.sum(1) == pytest.approx(np.ones(30))
    assert (found.argmax(1) == test.labels).all()
    assert made.predict_proba(test.pixels[:0]).shape == (0, 2)
    assert not takes_steps(file)
    assert "smote" not in choose_arms(None, file)[0]


def test_weights_are_those_of_the_draws(tmp_path: Path) -> None:
    file = written(tmp_path, "def fit(images, labels, weights, seed):\n    global w\n    w = weights\n"
                             "def predict(images):\n    import numpy as np\n    return np.tile(w[:2] / w[:2].sum(), (len(images), 1))\n")  # fmt: skip  # noqa: E501
    train = images(2)
    made = make_classifier(str(file))(device="cpu").fit(
        train.pixels, train.labels, np.array([0.1, 0.1]), num_classes=2, loss_weights=np.array([1.0, 3.0])
    )
    assert made.predict_proba(train.pixels)[0] == pytest.approx([0.25, 0.75])


def test_nothing_is_left_from_one_training_to_the_next(tmp_path: Path) -> None:
    text = "seen = []\ndef fit(images, labels, weights, seed):\n    seen.append(seed)\n    assert seen == [seed]\n"
    file = written(tmp_path, text + "def predict(images):\n    return [0] * len(images)\n")
    train = images()
    for seed in (1, 2):
        make_classifier(str(file))().fit(train.pixels, train.labels, np.ones(40), num_classes=2, seed=seed)


def test_it_works_in_worker_processes_and_imports_what_lies_beside_it(tmp_path: Path) -> None:
    (tmp_path / "beside_mine.py").write_text("import numpy as np\n", encoding="utf-8")
    file = written(tmp_path, "import beside_mine\n" + FUNCTIONS)
    trials = [Trial("oversample", 0.0, 0), Trial("synthetic", 0.25, 0)]
    alone, together = (run_trials(grid(file), trials, Silent(), Workers(jobs)) for jobs in (1, 2))
    for trial in trials:
        assert np.array_equal(alone[trial].test, together[trial].test)


def test_an_error_in_a_worker_reaches_the_user(tmp_path: Path) -> None:
    file = written(tmp_path, "def fit(images, labels, weights, seed):\n    raise KeyError('x')\ndef predict(i): ...\n")
    with pytest.raises(SynthaugError, match=r"fit of the classifier file .*mine.py', line 2 raised KeyError") as caught:
        run_trials(grid(file), [Trial("oversample", 0.0, s) for s in range(2)], Silent(), Workers(2))
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def fit(:\n", "line 1 is not valid Python"),
        ("x = 1\n", "has no function fit"),
        ("fit = 3\n", "has no function fit"),
        ("def fit(i, l, w, s): ...\npredict = 3\n", "predict in the classifier file"),
        ("import no_such_module\n", "line 1 raised ModuleNotFoundError: No module named 'no_such_module'"),
        ("raise SystemExit(0)\n", "raised SystemExit"),
        ("def Classifier():\n    return 1 / 0\n", "line 2 raised ZeroDivisionError"),
    ],
)
def test_a_file_without_a_classifier_is_refused_at_once(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SynthaugError, match=said) as caught:
        check_classifier(str(written(tmp_path, text)))
    assert "fit(images, labels, weights, seed)" in caught.value.hint


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(SynthaugError, match=r"nowhere\.py' does not exist"):
        check_classifier(str(tmp_path / "nowhere.py"))
    with pytest.raises(SynthaugError, match="is a folder"):
        check_classifier(f"{tmp_path}/")


@pytest.mark.parametrize(
    ("gives", "said"),
    [
        ("np.zeros((3, 2))", r"float64 of shape \[3, 2\]"),
        ("np.zeros((len(images), 5))", r"float64 of shape \[12, 5\]"),
        ("np.full(len(images), 2)", "the label 2 for classes 0 to 1"),
        ("np.full((len(images), 2), 3.0)", "rows with sums from 6"),
        ("np.full((len(images), 2), np.nan)", "not probabilities"),
        ("np.tile([2.0, -1.0], (len(images), 1))", r"\(-1 to 2\)"),
        ("None", "of shape"),
        ("['a'] * len(images)", "of shape"),
    ],
)
def test_what_predict_gives_is_checked(tmp_path: Path, gives: str, said: str) -> None:
    text = f"import numpy as np\ndef fit(i, l, w, s): ...\ndef predict(images):\n    return {gives}\n"
    made = make_classifier(str(written(tmp_path, text)))()
    train, test = images(), images(12)
    made.fit(train.pixels, train.labels, np.ones(40), num_classes=2)
    with pytest.raises(SynthaugError, match=said) as caught:
        made.predict_proba(test.pixels)
    assert caught.value.hint == "give probabilities [12, 2] whose rows sum to 1, or labels [12]"


def test_no_model_and_no_predict(tmp_path: Path) -> None:
    train = images()
    made = make_classifier(str(written(tmp_path, "def fit(i, l, w, s): ...\n")))()
    with pytest.raises(SynthaugError, match="returned no model"):
        made.fit(train.pixels, train.labels, np.ones(40), num_classes=2)


UNSAID = "class Unsaid(BaseException):\n    def __str__(self): raise KeyError\n"


@pytest.mark.parametrize(
    ("does", "said"),
    [
        ("raise BaseException('x')", "line 1 raised BaseException: x"),
        (f"{UNSAID}raise Unsaid", "line 3 raised Unsaid"),
        ("import os; os._exit(0)", "ended its process with status 0 in check"),
        ("import os; os.closerange(0, 99)", "ended its process|killed by signal"),
        ("import os; os.close(2); raise ValueError('x')", "raised ValueError: x"),
        ("import os; os.kill(os.getpid(), 9)", "killed by signal 9"),
        ("raise ValueError('\\ud800')", "raised ValueError"),
    ],
)
def test_a_hostile_file_ends_its_own_process_only(tmp_path: Path, does: str, said: str) -> None:
    with pytest.raises(SynthaugError, match=said) as caught:
        check_classifier(str(written(tmp_path, does)))
    assert caught.value.hint


def test_an_error_shows_the_file_s_traceback_and_the_next_training_gets_a_new_process(tmp_path: Path) -> None:
    text = (
        "import os\ndef fit(i, l, w, seed):\n    print('heard')\n    if seed: os._exit(3)\ndef predict(i):\n    1 / 0\n"
    )
    file, train = str(written(tmp_path, text)), images()
    with pytest.raises(SynthaugError, match="ended its process with status 3 in fit"):
        make_classifier(file)().fit(train.pixels, train.labels, np.ones(40), num_classes=2, seed=1)
    first, second = (
        make_classifier(file)().fit(train.pixels, train.labels, np.ones(40), num_classes=2) for _ in range(2)
    )
    for made in (first, second):
        with pytest.raises(SynthaugError, match="raised ZeroDivisionError") as caught:
            made.predict_proba(train.pixels)
        assert "1 / 0" in str(caught.value.__cause__)


def test_files_in_the_working_folder_are_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    for name in ("json", "numpy", "synthaug"):
        (tmp_path / "data" / f"{name}.py").write_text("raise SystemExit('taken over')\n")
    monkeypatch.chdir(tmp_path / "data")
    monkeypatch.setattr("sys.path", [entry for entry in sys.path if entry])
    assert check_classifier(str(written(tmp_path, FUNCTIONS)))
