"""Faults of a recipe for DNA are found without running it, and have their place."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from titans_seq import DNAClassifier, DNARegressor
from titans_seq.nn.variants import VARIANTS
from titans_seq.recipes import ClassifyRecipe, RecipeError, RegressRecipe, load_recipe
from titans_seq.recipes.dna import cross
from titans_seq.recipes.dna.schema import ClassifyModel, RegressModel, Train

GOOD = "schema: 1\ntask: {kind: classify}\ndata: {path: made.csv}\n"
NUMBERS = "schema: 1\ntask: {kind: regress}\ndata: {path: made.csv}\n"

pytestmark = pytest.mark.usefixtures("folder")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("made.csv", "one.fa", "two.fa"):
        (tmp_path / name).write_text("")
    return tmp_path


def loaded(text: str, *overrides: str) -> object:
    Path("r.yaml").write_text(text, encoding="utf-8")
    return load_recipe("r.yaml", overrides)


def faults(text: str, *overrides: str) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        loaded(text, *overrides)
    return str(caught.value).splitlines()


@pytest.mark.parametrize(("model", "estimator"), [(ClassifyModel, DNAClassifier), (RegressModel, DNARegressor)])
def test_recipe_keys_are_the_estimators_arguments(model: type[RegressModel], estimator: type) -> None:
    arguments = set(estimator().get_params())
    keys = [*model.model_fields, *Train.model_fields]
    assert len(keys) == len(set(keys))
    assert set(keys) == arguments - {"sequence_col", "id_col", "verbose"}


def test_the_defaults_known_here_are_the_estimators() -> None:
    parameters = inspect.signature(DNAClassifier).parameters
    assert (cross.D_MODEL, cross.N_HEADS) == tuple(parameters[name].default for name in ("d_model", "n_heads"))


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_can_be_named(variant: str) -> None:
    assert ClassifyModel.model_validate({"variant": variant}).variant == variant


def test_the_kind_decides_the_schema() -> None:
    assert isinstance(loaded(GOOD), ClassifyRecipe)
    assert isinstance(loaded(NUMBERS), RegressRecipe)
    (line,) = faults(GOOD.replace("classify", "clasify"))
    assert line.startswith("r.yaml:2:8: task.kind: must be 'forecast', 'recall', 'classify' or 'regress'")
    assert line.endswith("did you mean 'classify'?")


def test_stated_keys_alone_reach_the_estimator() -> None:
    text = GOOD + "model: {variant: lmm, class_weight: {on: 2, off: 1.0}, channels: null}\ntrain: {max_epochs: 3}\n"
    recipe = loaded(text)
    assert isinstance(recipe, ClassifyRecipe)
    assert recipe.estimator_arguments() == {"variant": "lmm", "class_weight": {"on": 2, "off": 1.0}, "max_epochs": 3}


def test_all_faults_are_listed_in_file_order() -> None:
    text = (
        "schema: 1\ntask: {kind: classify, horizon: 3}\ndata: {path: made.csv, lable: y}\n"
        "model:\n  chanels: 8\ntrain: {max_epochs: many}\nevaluate:\n  metrics: [acuracy]\n"
    )
    assert faults(text) == [
        "r.yaml:2:24: task.horizon: unknown key; known are kind",
        "r.yaml:3:24: data.lable: unknown key; did you mean 'label'?",
        "r.yaml:5:3: model.chanels: unknown key; did you mean 'channels'?",
        "r.yaml:6:9: train.max_epochs: must be a whole number, found 'many'",
        "r.yaml:8:13: evaluate.metrics.0: must be 'accuracy', 'mcc', 'auroc', 'auprc' or 'log_loss', "
        "found 'acuracy'; did you mean 'accuracy'?",
    ]


@pytest.mark.parametrize(
    ("data", "line"),
    [
        ("{}", "r.yaml:3:1: data: give one of name, path, classes or simulated, found none"),
        ("{path: made.csv, name: splice_uci}", "r.yaml:3:1: data: give one of name, path, classes or simulated, found"),
        ("{name: splice_ucy}", "r.yaml:3:8: data.name: unknown dataset 'splice_ucy'; did you mean 'splice_uci'?"),
        ("{name: co2}", "r.yaml:3:8: data.name: dataset 'co2' is a table of series; this task needs labelled sequence"),
        ("{name: ecoli_w}", "r.yaml:3:8: data.name: dataset 'ecoli_w' is a genome; this task needs labelled sequences"),
        ("{path: gone.csv}", "r.yaml:3:8: data.path: gone.csv: there is no such data file"),
        ("{path: one.fa}", "r.yaml:3:8: data.path: one.fa: labels need a table (.csv, .tsv, .data, or .gz); of FASTA "),
        ("{classes: {a: one.fa}}", "r.yaml:3:8: data.classes: must have at least 2 entries, found 1"),
        ("{classes: {a: one.fa, b: no.fa}}", "r.yaml:3:29: data.classes.b: no.fa: there is no such data file"),
        ("{classes: {a: one.fa, b: two.fa}, label: y}", "r.yaml:3:41: data.label: a file for each class has no column"),
        ("{simulated: {n: 5}}", "r.yaml:3:20: data.simulated.n: must be at least 20, found 5"),
        ("{simulated: {}, label: y}", "r.yaml:3:23: data.label: simulated sequences have no columns to choose"),
        ("{name: splice_uci, sha256: ab}", "r.yaml:3:26: data.sha256: must be 64 characters of 0 to 9 and a to f, fou"),
        (f"{{name: splice_uci, sha256: {'a' * 64}}}", "r.yaml:3:26: data.sha256: the card of 'splice_uci' has its own"),
        (f"{{path: made.csv, sha256: {'a' * 64}}}", "r.yaml:3:24: data.sha256: is for datasets by name; leave it out"),
    ],
)  # fmt: skip
def test_a_source_that_cannot_be_is_named_with_its_place(data: str, line: str) -> None:
    (found,) = faults(GOOD.replace("{path: made.csv}", data))
    assert found.startswith(line)


@pytest.mark.parametrize(
    ("split", "line"),
    [
        ("{by: homolgy}", "r.yaml:5:11: data.split.by: must be 'column', 'homology', 'random' or 'chromosome', found "),
        ("{by: column}", "r.yaml:5:11: data.split.by: a split by column needs data.split.column"),
        ("{column: part, k: 9}", "r.yaml:5:25: data.split.k: a split by column has no k"),
        ("{by: random, threshold: 0.5}", "r.yaml:5:23: data.split.threshold: a split by random has no threshold"),
        ("{by: random, train: [a]}", "r.yaml:5:23: data.split.train: a split by random has no train"),
        ("{test: 1.5}", "r.yaml:5:11: data.split.test: must be a share between 0 and 1 or a list of names, found 1.5"),
        ("{test: [a]}", "r.yaml:5:11: data.split.test: a split by homology needs a share between 0 and 1, found ['a']"),
        ("{column: part, test: 0.2}", "r.yaml:5:25: data.split.test: a split by column needs a list of names, found 0"),
        ("{column: p, train: [a], test: [b, a]}", "r.yaml:5:34: data.split.test: 'a' is among data.split.train, too"),
        ("{by: chromosome}", "r.yaml:5:3: data.split: a split by chromosome needs test: a list of their names"),
        ("{sede: 3}", "r.yaml:5:11: data.split.sede: unknown key; did you mean 'seed'?"),
    ],
)  # fmt: skip
def test_a_split_that_cannot_be_is_named_with_its_place(split: str, line: str) -> None:
    text = f"schema: 1\ntask: {{kind: classify}}\ndata:\n  path: made.csv\n  split: {split}\n"
    (found,) = faults(text)
    assert found.startswith(line)


def test_the_split_of_a_card_is_not_left_by_accident() -> None:
    (line,) = faults("schema: 1\ntask: {kind: classify}\ndata: {name: splice_uci, split: {seed: 3}}\n")
    assert line == (
        "r.yaml:3:26: data.split: the card splits 'splice_uci' by column 'split'; give column, or by to split it anew"
    )


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (GOOD + "model: {n_heads: 3}\n", "r.yaml:4:9: model.n_heads: n_heads must divide d_model, found n_heads 3 and"),
        (GOOD + "model: {reverse_complement: yes}\n", "r.yaml:4:9: model.reverse_complement: must be 'auto', true or "),
        (GOOD + "model: {class_weight: {a: -1}}\n", "r.yaml:4:9: model.class_weight: must be 'balanced' or a section "),
        (GOOD + "evaluate: {metrics: [mse]}\n", "r.yaml:4:22: evaluate.metrics.0: must be 'accuracy', 'mcc', 'auroc'"),
        (GOOD + "evaluate: {kmer_length: 12}\n", "r.yaml:4:12: evaluate.kmer_length: must be at most 8, found 12"),
        (NUMBERS + "model: {class_weight: balanced}\n", "r.yaml:4:9: model.class_weight: unknown key"),
        (NUMBERS + "evaluate: {baselines: [kmer]}\n", "r.yaml:4:24: evaluate.baselines.0: must be 'mean', 'kmer_ridge"),
        (NUMBERS.replace("path: made.csv", "simulated: {}"), "r.yaml:3:8: data.simulated: the simulated sequences hav"),
    ],
)  # fmt: skip
def test_a_setting_that_cannot_be_is_named_with_its_place(text: str, line: str) -> None:
    (found,) = faults(text)
    assert found.startswith(line)


def test_a_fault_is_placed_at_its_option() -> None:
    assert faults(GOOD, "train.max_epoch=3") == ["--set train.max_epoch: unknown key; did you mean 'max_epochs'?"]
