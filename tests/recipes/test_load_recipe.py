"""Reading recipes: every fault has its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from titans_seq.recipes import Recipe, RecipeError, find_recipe, list_recipes, load_recipe, recipe_title

GOOD = "schema: 1\ntask: {horizon: 12}\ndata: {name: co2}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def faults(text: str, *overrides: str) -> list[str]:
    Path("r.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(RecipeError) as caught:
        load_recipe("r.yaml", overrides)
    return str(caught.value).splitlines()


def loaded(text: str, *overrides: str) -> Recipe:
    Path("r.yaml").write_text(text, encoding="utf-8")
    return load_recipe("r.yaml", overrides)


@pytest.mark.parametrize("name", list_recipes())
def test_every_shipped_recipe_is_valid_and_has_its_header(name: str) -> None:
    load_recipe(name)
    header = find_recipe(name).read_text(encoding="utf-8").partition("schema:")[0]
    assert recipe_title(name) in header
    assert f"titans-seq run {name}" in header
    for word in ("What", "Expect", "Run time", "Hardware"):
        assert word in header


@pytest.mark.usefixtures("folder")
class TestPlaces:
    def test_an_unknown_key_is_named_with_line_and_nearest_key(self) -> None:
        assert faults(GOOD + "model:\n  n_layer: 4\n") == [
            "r.yaml:5:3: model.n_layer: unknown key; did you mean 'n_layers'?"
        ]

    def test_a_key_in_the_wrong_section_is_sent_to_the_right_one(self) -> None:
        assert faults(GOOD + "model: {learning_rate: 1e-3}\n") == [
            "r.yaml:4:9: model.learning_rate: unknown key; did you mean 'train.learning_rate'?"
        ]

    def test_an_unknown_section_brings_all_sections_when_none_is_near(self) -> None:
        (line,) = faults(GOOD + "zzz: 1\n")
        assert line.startswith("r.yaml:4:1: zzz: unknown key; known are schema, task, data, model, train")

    def test_all_faults_are_listed_in_file_order(self) -> None:
        text = "schema: 2\ntask: {horizon: 0}\ndata: {name: co2}\nmodel:\n  d_model: abc\n  dropout: 1.5\n"
        assert faults(text) == [
            "r.yaml:1:1: schema: must be 1, found 2",
            "r.yaml:2:8: task.horizon: must be at least 1, found 0",
            "r.yaml:5:3: model.d_model: must be a whole number, found 'abc'",
            "r.yaml:6:3: model.dropout: must be less than 1.0, found 1.5",
        ]

    def test_a_missing_key_stands_where_it_belongs(self) -> None:
        assert faults("schema: 1\ntask:\n  kind: forecast\ndata: {name: co2}\n") == [
            "r.yaml:2:1: task.horizon: this key is missing"
        ]

    def test_a_wrong_choice_brings_the_choices_and_the_nearest(self) -> None:
        (line,) = faults(GOOD + "evaluate:\n  metrics: [mse, rmsee]\n")
        assert line.startswith("r.yaml:5:18: evaluate.metrics.1: must be 'mse', 'mae'")
        assert line.endswith("found 'rmsee'; did you mean 'rmse'?")

    def test_a_key_that_stands_twice_is_an_error(self) -> None:
        assert faults(GOOD + "model:\n  d_model: 8\n  d_model: 16\n") == [
            "r.yaml:6:3: model.d_model: the key stands twice (first at r.yaml:5:3)"
        ]

    def test_an_unknown_dataset_has_its_place(self) -> None:
        assert faults(GOOD.replace("co2", "co")) == ["r.yaml:3:8: data.name: unknown dataset 'co'; did you mean 'co2'?"]

    @pytest.mark.parametrize("data", ["{name: co2, path: a.csv}", "{format: wide}"])
    def test_name_and_path_exclude_each_other(self, data: str) -> None:
        (line,) = faults(f"schema: 1\ntask: {{horizon: 1}}\ndata: {data}\n")
        assert line.startswith("r.yaml:3:1: data: give either name")

    @pytest.mark.parametrize(
        ("text", "line"),
        [
            ("model: [1\n", "r.yaml:2:1: not YAML: expected ',' or ']'"),
            ("- a\n", "r.yaml:1:1: a recipe is a mapping of sections (task, data, model, …), found a list"),
            ("", "r.yaml:1:1: a recipe is a mapping of sections (task, data, model, …), found nothing"),
            ("a: &x 1\nb: *x\n", "r.yaml:2:4: not YAML: aliases are not allowed in recipes"),
            ("a:\n\tb: 1\n", "r.yaml:2:1: not YAML: found character '\\t' that cannot start any token"),
        ],
    )
    def test_text_that_is_no_recipe_has_its_place(self, text: str, line: str) -> None:
        (found,) = faults(text)
        assert found.startswith(line)

    def test_a_file_that_is_no_text_is_named(self) -> None:
        Path("r.yaml").write_bytes(b"\xff\xfe")
        with pytest.raises(RecipeError, match="r.yaml:1:1: not a text file in UTF-8"):
            load_recipe("r.yaml")


@pytest.mark.usefixtures("folder")
class TestValues:
    def test_a_byte_order_mark_and_lines_of_windows_are_read(self) -> None:
        Path("r.yaml").write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
        assert load_recipe("r.yaml").task.horizon == 12

    @pytest.mark.parametrize(
        ("text", "value"), [("1e-3", 1e-3), ("1E3", 1e3), (".5", 0.5), ("2", 2.0), ("+1.5e2", 150.0)]
    )
    def test_numbers_are_read_as_numbers(self, text: str, value: float) -> None:
        assert loaded(GOOD + f"train: {{max_minutes: {text}}}\n").train.max_minutes == value

    @pytest.mark.parametrize("text", ["'1e-3'", "1_000", "true", "010", ".inf", ".nan", "1:30"])
    def test_what_is_no_number_is_not_taken_for_one(self, text: str) -> None:
        (line,) = faults(GOOD + f"train: {{learning_rate: {text}}}\n")
        assert line.startswith("r.yaml:4:9: train.learning_rate: must be ")

    @pytest.mark.parametrize(
        ("key", "value", "said"),
        [
            ("train.learning_rate", "1e30", "at most 10.0, found 1e+30"),
            ("train.batch_size", "1000000000", "at most 1000000, found 1000000000"),
            ("train.random_state", "4294967296", "at most 4294967295, found 4294967296"),
            ("model.d_model", "100000000", "at most 65536, found 100000000"),
            ("model.n_layers", "5000", "at most 1024, found 5000"),
            ("task.horizon", "1000000000", "at most 100000000, found 1000000000"),
            ("evaluate.seeds", "[1, 5000000000]", "at most 4294967295, found 5000000000"),
        ],
    )
    def test_what_no_machine_could_try_is_refused(self, key: str, value: str, said: str) -> None:
        (line,) = faults(GOOD, f"{key}={value}")
        assert line.startswith(f"--set {key}") and line.endswith(f": must be {said}")

    @pytest.mark.parametrize("version", ["true", "false", "1.5", "'1'"])
    def test_a_version_is_a_number(self, version: str) -> None:
        (line,) = faults(GOOD.replace("schema: 1", f"schema: {version}"))
        assert line == f"r.yaml:1:1: schema: must be 1, found {version}"

    @pytest.mark.parametrize("word", ["no", "on", "yes", "2020-01-01"])
    def test_words_that_old_yaml_converts_stay_words(self, word: str) -> None:
        assert loaded(GOOD.replace("co2", f"co2, time: {word}")).data.time == word

    def test_null_keeps_the_default(self) -> None:
        assert "d_model" not in loaded(GOOD + "model: {d_model: null}\n").forecaster_arguments()

    def test_stated_keys_alone_reach_the_forecaster(self) -> None:
        recipe = loaded(GOOD + "model: {variant: mal, quantile_levels: [0.1, 0.5, 0.9]}\ntrain: {max_epochs: 3}\n")
        assert recipe.forecaster_arguments() == {
            "horizon": 12,
            "on_gap": "raise",
            "variant": "mal",
            "quantile_levels": (0.1, 0.5, 0.9),
            "max_epochs": 3,
        }

    def test_a_search_space_is_accepted(self) -> None:
        tune = loaded(GOOD + "tune: {trials: 5, space: {model.d_model: [16, 32]}}\n").tune
        assert tune is not None
        assert (tune.trials, tune.space) == (5, {"model.d_model": [16, 32]})


@pytest.mark.usefixtures("folder")
class TestOverrides:
    def test_values_are_read_as_yaml(self) -> None:
        recipe = loaded(GOOD, "model.n_layers=3", "data.split=[100, 50, 50]", "train.learning_rate=1e-2")
        assert recipe.model.n_layers == 3
        assert recipe.data.split == [100, 50, 50]
        assert recipe.train.learning_rate == 1e-2

    def test_nothing_brings_the_default_back(self) -> None:
        assert loaded(GOOD + "model: {d_model: 8}\n", "model.d_model=").model.d_model is None

    def test_the_last_one_counts_and_beats_the_file(self) -> None:
        assert loaded(GOOD, "task.horizon=5", "task.horizon=6").task.horizon == 6

    def test_a_fault_in_the_file_can_be_mended(self) -> None:
        assert loaded(GOOD.replace("12", "zero"), "task.horizon=3").task.horizon == 3

    @pytest.mark.parametrize(
        ("assignment", "line"),
        [
            ("model.n_layer=4", "--set model.n_layer: unknown key; did you mean 'n_layers'?"),
            ("model.d_model=x", "--set model.d_model: must be a whole number, found 'x'"),
            ("model", "--set model: write it as section.key=value, e.g. --set model.n_layers=3"),
            ("=3", "--set =3: write it as section.key=value"),
            ("schema.x=3", "--set schema.x: schema is not a section"),
            ("model.d_model=[1", "--set model.d_model: not YAML: "),
            ("model={n_layer: 3}", "--set model: model.n_layer: unknown key; did you mean 'n_layers'?"),
            ("data.split=[1, 2]", "--set data.split: must have at least 3 entries, found 2"),
        ],
    )
    def test_a_fault_is_placed_at_its_option(self, assignment: str, line: str) -> None:
        (found,) = faults(GOOD, assignment)
        assert found.startswith(line)


def test_an_unknown_recipe_brings_the_nearest() -> None:
    with pytest.raises(FileNotFoundError, match="quickstrat: there is no such recipe; did you mean 'quickstart'"):
        load_recipe("quickstrat")
