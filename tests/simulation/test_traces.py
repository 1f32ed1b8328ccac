"""Layouts of traces, and the line of each fault."""

from __future__ import annotations

import pytest

from agentgpu_iac.errors import BadInput
from agentgpu_iac.simulation.traces import read_trace

AZURE = "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-12-31 23:59:59.5000000,4808,10\n2024-01-01 00:00:01.0,110,27\n"
BURST = (
    "Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
    "5,a,1,GPT-4,100,20,120,x\n9,a,1,GPT-4,150,30,180,x\n"
)
MOONCAKE = (
    '{"timestamp": 0, "input_length": 1500, "output_length": 9, "hash_ids": [1, 2, 3]}\n'
    '{"timestamp": 3000, "input_length": 1400, "output_length": 8, "hash_ids": [1, 2, 7]}\n'
)
AIPERF = (
    '{"session_id": "s", "input_length": 900, "output_length": 50, "timestamp": 0}\n'
    '{"session_id": "s", "input_length": 60, "output_length": 40, "delay": 2000}\n'
)


def read(tmp_path, text: str, name: str = "trace"):
    path = tmp_path / name
    path.write_text(text)
    return read_trace(path)


@pytest.mark.parametrize(
    ("text", "layout", "times", "prompts", "shared"),
    [
        (AZURE, "azure", [0, 1.5], [4808, 110], [0, 0]),
        (BURST, "burstgpt", [0, 4], [100, 150], [0, 120]),
        (MOONCAKE, "mooncake", [0, 3], [1500, 1400], [0, 1024]),
        (AIPERF, "mooncake", [0, 2], [900, 1010], [0, 950]),
    ],
)
def test_layouts(tmp_path, text, layout, times, prompts, shared):
    trace = read(tmp_path, text)
    assert trace.layout == layout
    assert [each.at_s for each in trace.requests] == pytest.approx(times)
    assert [each.prompt_tokens for each in trace.requests] == prompts
    assert [each.shared_tokens for each in trace.requests] == shared
    assert (trace.requests[0].session == trace.requests[1].session) is bool(shared[1])


def test_clients_of_servegen_have_the_rate_of_their_windows(tmp_path):
    for number, pattern in enumerate(("Gamma,0.25,8", "Weibull,0.6,1", ",0,0")):
        windows = f"0,0,0,,0,0\n600,3,2,{pattern}\n1200,1,{'' if number > 1 else 2},{pattern}\n"
        (tmp_path / f"chunk-{number}-trace.csv").write_text(windows)
    trace = read_trace(tmp_path)
    assert trace.layout == "servegen"
    assert len(trace.requests) == pytest.approx(3 * 600 * (3 + 1), rel=0.15)
    assert [each.at_s for each in trace.requests] == sorted(each.at_s for each in trace.requests)
    assert read_trace(tmp_path) == trace


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("0,1,1,Gamma,1,1\n600,-1,1,Gamma,1,1\n", 2, "no number from 0 on"),
        ("0,1,1,Gamma,1,1\n600,1,1,Pareto,1,1\n", 2, "Gamma or Weibull"),
        ("600,1,1,Gamma,1,1\n0,1,1,Gamma,1,1\n", 2, "sort the file"),
        ("0,1,1,Gamma,1,1\n600,1\n", 2, "columns"),
        ("0,1,1e200,Gamma,1,1\n", 1, "100 at most"),
        ("0,1,1e150,Gamma,1,1\n", 1, "100 at most"),
        ("0,1,1,Weibull,1e-3,1\n", 1, "0.05 to 1,000"),
        ("0,1,1,Weibull,1e300,1\n", 1, "0.05 to 1,000"),
        ("0,1,1,Gamma,1,1\n0,1,1,Gamma,1,1\n", 2, "line before it"),
        ("0,1,1,Gamma,1,1\n1e300,1,1,Gamma,1,1\n", 2, "400 days"),
        ("0,1,1,Gamma,1,1\n600,2e6,1,Gamma,1,1\n", 2, "1,000,000 requests a second"),
        (AZURE.replace(",GeneratedTokens", ""), 1, "no column GeneratedTokens beside TIMESTAMP, ContextTokens"),
        (BURST.replace("Response tokens", "Answer"), 1, "no column Response tokens"),
        (AZURE.replace("110", "9" * 200_000), 3, "is no CSV: field larger"),
        (AZURE.replace("2024-01", "9" * 400 + "-01"), 3, "no time"),
        (AZURE.replace("2024-01", "2026-01"), 3, "400 days"),
        (AZURE + '2024-01-01 00:00:02.0,"1\n\n0",3\n', 6, "no number of tokens"),
        (BURST.replace("\n9", "\n1e300"), 3, "400 days"),
        (BURST.replace("\n9", "\ninf"), 3, "no time from 0 on"),
        (BURST.replace("150,30,180,x", "150"), 3, "is missing"),
        (MOONCAKE.replace("3000", "9" * 400), 2, "no time"),
        (MOONCAKE.replace("3000", "1e300"), 2, "400 days"),
        (MOONCAKE.replace("3000", "true"), 2, "no time"),
        (MOONCAKE.replace("3000", "-3000"), 2, "no time from 0 on"),
        (MOONCAKE.replace('"timestamp": 0', '"timestamp": 9000'), 2, "sort the file"),
        (MOONCAKE.replace("1400", "9" * 400), 2, "no number of tokens"),
        (MOONCAKE.replace("1400", "-1"), 2, "0 to 10,000,000 tokens"),
        (MOONCAKE.replace("[1, 2, 7]", "[true]"), 2, "whole numbers"),
        (AIPERF.replace("2000", "1e300"), 2, "400 days"),
        (AIPERF.replace("2000", "-1"), 2, "no time from 0 on"),
        (AIPERF.replace(', "timestamp": 0', ""), 1, "is missing"),
        ("", 1, "no header"),
        ("a,b\n1,2\n", 1, "no header"),
        (AZURE.replace("110", "-1"), 3, "0 to 10,000,000 tokens"),
        (AZURE.replace("110", "1e300"), 3, "0 to 10,000,000 tokens"),
        (AZURE.replace("110", "nan"), 3, "0 to 10,000,000 tokens"),
        (AZURE.replace("110,27", "110"), 3, "is missing"),
        (AZURE.replace("2024-01", "2022-01"), 3, "sort the file"),
        (AZURE.replace("2024-01", "2024-13"), 3, "no time"),
        (BURST.replace("\n9", "\n-9"), 3, "no time from 0 on"),
        (MOONCAKE.replace('"output_length": 8, ', ""), 2, "is missing"),
        (MOONCAKE.replace("3000", '"soon"'), 2, "no time"),
        (MOONCAKE + "[]\n", 3, "no JSON object"),
        (MOONCAKE + "{'a': 1}\n", 3, "is not JSON"),
        (MOONCAKE + '{"a": 1, "a": 2}\n', 3, "twice"),
        (MOONCAKE + '{"a": ' + "[" * 100_000 + "\n", 3, "nested"),
        (MOONCAKE.replace("[1, 2, 7]", "7"), 2, "whole numbers"),
    ],
)
def test_faults_have_their_line(tmp_path, text, line, said):
    with pytest.raises(BadInput) as raised:
        read(tmp_path, text)
    (fault,) = raised.value.faults
    assert (fault.line, said in str(fault)) == (line, True), str(fault)


def test_a_trace_without_requests(tmp_path):
    with pytest.raises(BadInput, match="holds no requests"):
        read(tmp_path, AZURE.splitlines()[0] + "\n")
