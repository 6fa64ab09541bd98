"""One plain message for a mistake: where it was made, what was found, what is allowed."""

import logging
from pathlib import Path

import pytest

from snnhpo_mpi import cli
from snnhpo_mpi.config import StudyConfig, expanded, load, load_config
from snnhpo_mpi.config.document import apply_override, parse_document
from snnhpo_mpi.config.validation import validate
from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.worker.user_function import load_function

OWN = """\
study: {name: toy, seed: 5}
budget: {trials: 12, wall_time: 1h}
trainer: {name: python, function: "toy.py:evaluate", constraints: [cliff]}
space:
  x: {type: float, low: 0, high: 1}
  kind: {type: categorical, choices: [plain, fancy]}
"""
STDP = """\
study: {name: toy}
budget: {trials: 10}
trainer:
  name: stdp
  dataset:
    name: digits5000
    train: 1000
    held_out: 500
  encoding: {steps: 100, max_rate_hz: 128}
baseline: {name: the usual, params: {map_size: 100, nu_pre: 1e-3}}
space:
  map_size: {type: int, low: 20, high: 200}
  nu_pre: {type: float, low: 1e-4, high: 1e-2, scale: log}
"""


def config_of(text: str, *overrides: str) -> StudyConfig:
    document = parse_document(text, "toy.yaml")
    for override in overrides:
        apply_override(document, override)
    return validate(document)


def refusal(text: str, *overrides: str) -> str:
    with pytest.raises(ConfigError) as error:
        config_of(text, *overrides)
    return str(error.value)


# Options.


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("budget.trials=-1", "--set budget.trials=-1, key budget.trials: should be greater than or equal to 1, found"),
        ("space.x.low=2", "--set space.x.low=2, key space.x: low (2) must be below high (1)"),
        ("budget.stop_before_end=2h", "--set budget.stop_before_end=2h, key budget.wall_time: must be more than"),
        ("fixed.x=1", "--set fixed.x=1, key fixed.x: is searched too"),
        ("trainer.name=slayer", "--set trainer.name=slayer, key trainer.dataset: is missing"),
        ("study={}", "--set study={}, key study.name: is missing"),
        ("space.y=3", "--set space.y=3, key space.y: should be a mapping of keys to values, found 3"),
        ("stopping=[{layer: a, alpha: 1, beta: 0}]", "beta: 0}], key stopping: monitors need a spiking trainer"),
    ],
)  # fmt: skip
def test_a_fault_that_an_option_brings_names_the_option_and_no_line(override: str, message: str) -> None:
    said = refusal(OWN, "study.seed=3", override, "workers.threads=1")
    assert message in said
    assert "toy.yaml" not in said and "study.seed" not in said


def test_a_fault_of_the_file_stays_with_its_line_whatever_options_there_are() -> None:
    said = refusal(OWN.replace("low: 0", "low: 5"), "study.seed=3", "budget.trials=0")
    assert said.splitlines() == [
        "--set budget.trials=0, key budget.trials: should be greater than or equal to 1, found 0",
        "toy.yaml, line 5, key space.x: low (5) must be below high (1)",
    ]
    assert refusal(OWN, "study.sed=1", "study.sed=2").startswith("--set study.sed=")


def test_a_fault_that_another_one_hid_stays_with_its_line() -> None:
    hidden = OWN.replace("seed: 5", "seed: x").replace("wall_time: 1h", "wall_time: 5min")
    said = refusal(hidden, "study.seed=5", "workers.threads=1")
    assert said.startswith("toy.yaml, line 2, key budget.wall_time: must be more than stop_before_end")


def test_two_options_that_only_together_are_wrong_name_the_second() -> None:
    said = refusal(OWN, "budget.stop_before_end=30min", "budget.wall_time=20min")
    assert said.startswith("--set budget.wall_time=20min, key budget.wall_time: must be more than")


def test_trials_is_named_as_it_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("toy.yaml").write_text(OWN)
    Path("toy.py").write_text("def evaluate(params, seed, device):\n    return {'objective': 1.0}\n")
    with pytest.raises(ConfigError, match=r"^--trials 2000000, key budget.trials: should be less than or equal to"):
        load(Path("toy.yaml"), options={"--trials 2000000": "budget.trials=2000000"})
    assert cli.main(["run", "toy.yaml", "--trials", "2000000"]) == 2
    for wrong in ("x", "1.5", "0", "9" * 5000):
        with pytest.raises(SystemExit):
            cli.main(["run", "toy.yaml", "--trials", wrong])
        said = capsys.readouterr().err
        assert "at least 1" in said or "integer of at least 1 is needed" in said
        assert "invalid" not in said and "Traceback" not in said


# Types.


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("space.kind.choices=[a]", "key space.kind.choices: at least 2 choices are needed, found 1; a value that"),
        ("space.kind.choices=[]", "key space.kind.choices: at least 2 choices are needed, found 0"),
        ("space.kind.choices=[a, true]", "choices.1: a number or text is needed: for a switch write 0 and 1, or"),
        ("space.kind.choices=[null, a]", "choices.0: a number or text is needed, found null"),
        ("space.kind.choices=[a, a]", "key space.kind: a choice stands twice"),
        ("space.kind.choices=a", 'key space.kind.choices: should be a list, found "a"'),
        ("fixed.a=true", "key fixed.a: a number or text is needed: for a switch write 0 and 1"),
        ("fixed.a=null", "key fixed.a: a number or text is needed, found null"),
        ("workers.threads=0", "key workers.threads: auto or an integer from 1 to 4096 is needed, found 0"),
        ("workers.threads=true", "key workers.threads: auto or an integer from 1 to 4096 is needed, found true"),
        ("workers.gpus=-1", "key workers.gpus: auto or an integer from 0 to 1024 is needed, found -1"),
        ("workers.gpus=all", 'key workers.gpus: auto or an integer from 0 to 1024 is needed, found "all"'),
        ("space={}", "key space: at least 1 is needed, found 0"),
        ("fixed.a-b=1", "key fixed.a-b: must match the form of a name: letters, digits and _, the first no digit"),
        ("study.name=a b", "must match the form of a folder's name: letters, digits and _ . -"),
        ("study.name=" + "a" * 101, "key study.name: at most 100 characters are needed, found 101"),
        ("trainer.constraints=[a, b, a]", "key trainer.constraints.2: the constraint a stands twice"),
        ("trainer.constraints=[a/b]", "key trainer.constraints.0: must match the form of a name"),
        ("budget.trials=1e3", "key budget.trials: should be a valid integer, found 1000.0: write 1000"),
        ("budget.trials=2.5", "key budget.trials: should be a valid integer, found 2.5"),
        ("budget.trials='7'", 'key budget.trials: should be a valid integer, found "7"'),
        ("study.name=7", "key study.name: should be text, found 7: quotes make it text"),
        ("space.x.low=1,5", 'key space.x.low: should be a valid number, found "1,5"'),
        ("trainer.time_limit=true", "key trainer.time_limit: a duration such as 90s, 10min, 1h 30min"),
        ("trainer.time_limit=0", "key trainer.time_limit: should be greater than or equal to 0.001 s, found 0"),
        ("trainer.function=3", "key trainer.function: should be text, found 3"),
        ("trainer.dataset={}", "key trainer.dataset: unknown key"),
        ("objectives=accuracy", 'key objectives: should be a list, found "accuracy"'),
        ("objectives=[]", "key objectives: a list with exactly one objective is needed, such as [accuracy], found []"),
        ("objectives=[a, b]", "key objectives: a list with exactly one objective is needed, such as [accuracy], found"),
        ("objectives=[accuracy, {metric: synops, goal: minimize}]", "a list with exactly one objective is needed"),
        ("objectives=[{metric: synops}]", "key objectives.0: should be text, found"),
        ("objectives=[a/b]", "key objectives.0: must match the form of a name"),
        ("study=3", "key study: should be a mapping of keys to values, found 3"),
    ],
)  # fmt: skip
def test_a_wrong_kind_of_value_is_one_plain_line(override: str, message: str) -> None:
    said = refusal(OWN, override)
    assert message in said
    assert len(said.splitlines()) == 1
    for word in ("Input", "Tuple", "validation", "^[", "union", "literal", "[A-Z", "dictionary"):
        assert word not in said


def test_the_one_objective_is_accuracy_and_of_a_function_whatever_it_is_called() -> None:
    assert config_of(OWN).objectives == config_of(STDP).objectives == ("accuracy",)
    own = config_of(OWN, "objectives=[f1]")
    assert own.objectives == ("f1",) and StudyConfig.model_validate_json(own.model_dump_json()) == own
    said = refusal(STDP, "objectives=[f1]")
    assert "key objectives.0: must be accuracy, which is what stdp measures, found" in said


def test_constraints_that_monitors_give_have_names_of_their_own() -> None:
    names = config_of(
        STDP,
        "stopping=[{layer: excitatory, alpha: 1, beta: 0.1}, {layer: inhibitory, alpha: 1, beta: 0.1}]",
        "saturation=[{layer: excitatory, share: 0.01}]",
        "chance={after_epochs: 1}",
    ).constraint_names
    assert len(set(names)) == len(names) == 4


# Functions and paths.


@pytest.mark.parametrize("name", ["my file+v2 (old).py", "ä.py", "a:b.py", "x.y.py", "a=b.py"])
def test_a_function_may_lie_in_a_file_of_any_name(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).write_text("def evaluate(params, seed, device):\n    return {'objective': 1.0}\n")
    config = config_of(OWN.replace("toy.py", name))
    assert load_function(config.trainer.function)({}, 1, "cpu") == {"objective": 1.0}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("toy.py:Model.evaluate", "Model.evaluate lies inside of something else: a function of the module itself"),
        ("toy.py", "package.module:function or path/to/file.py:function is needed"),
        ("toy.py:", "package.module:function or path/to/file.py:function is needed"),
        (":f", "package.module:function or path/to/file.py:function is needed"),
        ("my module:f", "'my module' is neither a file that ends in .py nor a module"),
        ("toy.py:evaluate()", "'evaluate()' cannot be the name of a function"),
        ("toy.py:a b", "'a b' cannot be the name of a function"),
        ("a..b:f", "'a..b' is neither a file"),
        ("x" * 300 + ".py:f", "names in a path have at most 255 bytes, one of these has 303"),
        ("d/" * 2500 + "x.py:f", "a path of at most 4095 bytes is needed, this one has 5004"),
        ("a\\0b.py:f", "without the character NUL"),
    ],
)
def test_a_function_that_cannot_be_is_refused_in_words(function: str, message: str) -> None:
    said = refusal(OWN.replace("toy.py:evaluate", function))
    assert said.startswith("toy.yaml, line 3, key trainer.function: ") and message in said
    assert len(said.splitlines()) == 1 and "^" not in said and len(said) < 400


def test_a_network_that_cannot_be_is_refused_in_words() -> None:
    slayer = STDP.replace("name: stdp", "name: slayer\n  network: NET").replace("nu_pre", "tau_grad")
    for network in ("mynet.py:Net", "resnet"):
        with pytest.raises(ConfigError, match="csnn, csnn_gesture, dense"):
            config_of(slayer.replace("NET", network))


TORCH = """
study: {name: mine}
budget: {trials: 3}
trainer:
  name: torch
  network: mynet.py:Net
  layout: TBN
  dataset: {name: digits5000, train: 100, held_out: 20}
  encoding: {name: poisson, steps: 10, max_rate_hz: 100}
stopping: [{layer: auto, alpha: 1, beta: 0.3}]
fixed: {label_smoothing: 0.1}
space: {learning_rate: {type: float, low: 1.0e-4, high: 0.1, scale: log}}
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("mynet.py:Net", "mynet.py", "key trainer.network: package.module:function or path/to/file.py:function"),
        ("layout: TBN", "layout: NTB", 'key trainer.layout: "NTB" is unknown; did you mean TBN'),
        ("layout: TBN", "layout: BN", "BN is without time and needs the encoding direct; the encoding poisson has"),
        ("layout: TBN", "layout: TBN\n  loss: cross_entropy", "or a function as .* is needed; did you mean"),
        ("layout: TBN", "layout: TBN\n  output: -1", "key trainer.output: should be greater than or equal to 0"),
        ("space:", "saturation: [{layer: lif1}]\nspace:", "saturation: is for networks of ours"),
        ("layout: TBN", "layout: TBN\n  loss: rate", "has no effect on the loss rate"),
        ("learning_rate", "optimizer", "key space.optimizer.type: must be categorical, with choices among adam, adamw"),
    ],
)
def test_a_torch_study_that_cannot_be_is_refused_in_words(old: str, new: str, message: str) -> None:
    config_of(TORCH)
    assert old in TORCH
    with pytest.raises(ConfigError, match=message):
        config_of(TORCH.replace(old, new))


@pytest.mark.parametrize("key", ["trainer.dataset.path", "optimizer.study", "trainer.function"])
@pytest.mark.parametrize("path", ["~nouser/x", "$NOT_SET_HERE/x", "x" * 5000, "y" * 300, "absent/folder"])
def test_a_path_that_cannot_be_is_one_message_of_check(
    key: str, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("toy.py").touch()
    text, value = OWN, path
    if key == "trainer.dataset.path":
        text = STDP.replace("digits5000", "mnist\n    path: HERE")
    elif key == "optimizer.study":
        text += "optimizer: {name: replay, study: x}\n"
    else:
        value = f"{path}.py:f"
    Path("c.yaml").write_text(text)
    code = cli.main(["check", "c.yaml", "--set", f"{key}={value}"])
    said = capsys.readouterr().err
    assert "Traceback" not in said and len(said) < 600
    if (key, path) == ("optimizer.study", "absent/folder"):
        return  # found when the search begins
    assert code == 2
    assert f"key {key}: " in said


def test_a_home_folder_and_variables_are_filled_in_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("WHERE", "~/data")
    assert expanded("~/x", "k") == Path("/home/me/x")
    assert expanded("$WHERE/${HOME}", "k") == Path("/home/me/data/home/me")


def test_too_many_samples_name_file_and_line_before_anything_runs(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(STDP.replace("train: 1000", "train: 5001"))
    for command in ("check", "run"):
        assert cli.main([command, "c.yaml"]) == 2
        said = capsys.readouterr().err + caplog.text
        assert "c.yaml, line 7, key trainer.dataset.train: 5001 training and 500 held-out" in said
    Path("c.yaml").write_text(STDP)
    assert cli.main(["check", "c.yaml", "--set", "trainer.dataset.train=5001"]) == 2
    assert "--set trainer.dataset.train=5001, key trainer.dataset.train: 5001 training" in capsys.readouterr().err
    assert not Path("results").exists()


# The baseline.


def test_a_baseline_follows_the_space(caplog: pytest.LogCaptureFixture) -> None:
    config = config_of(STDP)
    assert config.baseline is not None and dict(config.baseline.params) == {"map_size": 100, "nu_pre": 1e-3}
    wider = config_of(STDP, "space.e_refrac={type: int, low: 0, high: 20}")  # the library's default is taken
    assert wider.baseline is not None and dict(wider.baseline.params)["e_refrac"] == 5
    narrower = STDP.replace("  map_size: {type: int, low: 20, high: 200}\n", "")
    held = config_of(narrower)  # 100 is the library's default: the same network still
    assert held.baseline is not None and dict(held.baseline.params) == {"nu_pre": 1e-3}
    assert config_of(narrower, "fixed.map_size=100").baseline == held.baseline
    assert not caplog.records
    assert config_of(narrower, "fixed.map_size=50").baseline is None
    assert "--set fixed.map_size=50, key baseline.params.map_size: is fixed at 50, found 100" in caplog.text


def test_a_baseline_that_options_leave_outside_is_left_out_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert config_of(STDP, "space.map_size.low=150", "study.seed=2").baseline is None
    assert (
        "the baseline is left out: --set space.map_size.low=150, key baseline.params.map_size: must lie" in caplog.text
    )


def test_a_baseline_that_the_file_or_its_own_option_makes_wrong_is_a_fault_with_a_way_out() -> None:
    said = refusal(STDP.replace("low: 20", "low: 150"))
    assert said == (
        "toy.yaml, line 10, key baseline.params.map_size: must lie in its bounds 150 to 200, found 100; "
        "--set baseline=null leaves the baseline out"
    )
    assert config_of(STDP.replace("low: 20", "low: 150"), "baseline=null").baseline is None
    assert "key baseline.params.map_size: must lie" in refusal(STDP, "baseline.params.map_size=500")
    own = OWN + "baseline: {name: b, params: {x: 0.5}}\n"
    assert "key baseline.params.kind: is missing" in refusal(own)  # nobody knows its default


def test_the_quickstart_s_baseline_survives_a_space_of_one_s_own(caplog: pytest.LogCaptureFixture) -> None:
    path = Path(__file__).parents[2] / "configs" / "quickstart.yaml"
    assert load_config(path, ["space.map_size.high=400"]).baseline is not None
    assert load_config(path, ["space.map_size={type: int, low: 1000, high: 2000}"]).baseline is None
