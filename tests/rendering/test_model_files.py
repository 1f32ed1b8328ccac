"""Which files of a repository are downloaded: repositories shaped as those that people serve, name by name."""

from __future__ import annotations

import json

import pytest

from tests.rendering.repositories import INDEX, REPOSITORIES, Repository
from tests.rendering.test_model_cache_script import files


def chosen(names: set[str], index: dict[str, list[str]] | None = None, **options: object) -> set[str]:
    def read(name: str) -> bytes:
        return json.dumps({"weight_map": {str(at): file for at, file in enumerate((index or {})[name])}}).encode()

    return set(files.engine_files(names, read, **options))


@pytest.mark.parametrize("repository", REPOSITORIES, ids=lambda repository: repository.name)
def test_what_an_engine_reads_is_taken_and_nothing_else(repository: Repository) -> None:
    taken = files.engine_files(repository.files, lambda name: repository.files[name], repository.kind)
    assert set(taken) == repository.read


def test_code_is_taken_only_where_the_engine_may_run_it() -> None:
    names = {"config.json", "model.safetensors", "modeling_acme.py", "original/model.py"}
    assert "modeling_acme.py" not in chosen(names)
    assert chosen(names, runs_code=True) == {"config.json", "model.safetensors", "modeling_acme.py"}


@pytest.mark.parametrize(
    ("names", "index", "kind", "said"),
    [
        ({"config.json", "model.gguf"}, {}, "model", "no weights that an engine reads .* but .gguf files"),
        ({"config.json", "original/a.pth"}, {}, "model", "but .pth files"),
        ({"config.json"}, {}, "model", "no weights"),
        (set(), {}, "model", "no weights"),
        ({INDEX, "a.safetensors"}, {INDEX: ["a.safetensors", "b.safetensors"]}, "model", r"b.safetensors.*\(1 of 2"),
        ({"config.json", "model.safetensors"}, {}, "adapter", "no LoRA adapter"),
        ({"adapter_config.json", "model.safetensors"}, {}, "adapter", "no LoRA adapter"),
        ({INDEX, "../a"}, {INDEX: ["../a"]}, "model", "cannot name a file"),
        ({INDEX, ".cache/a"}, {INDEX: [".cache/a"]}, "model", "cannot name a file"),
    ],
)
def test_a_repository_that_is_no_model_is_named_as_that(
    names: set[str], index: dict[str, list[str]], kind: str, said: str
) -> None:
    with pytest.raises(files.NoWeightsError, match=said):
        chosen(names, index, kind=kind)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"weight_map": []}'])
def test_an_index_that_cannot_be_read_is_named(content: bytes) -> None:
    with pytest.raises(files.NoWeightsError, match="is not an index"):
        files.engine_files({INDEX, "a.safetensors"}, lambda _: content)


def test_an_empty_index_is_as_none() -> None:
    assert chosen({INDEX, "model.safetensors"}, {INDEX: []}) == {"model.safetensors"}
