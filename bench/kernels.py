"""Fit what engines' kernels reach to the tables of an unpacked wheel of aiconfigurator-core: ``catalog/data/kernels.json``.

    python bench/kernels.py FOLDER      FOLDER holds aiconfigurator_core/systems; needs pandas, pyarrow and scipy

A kernel's time is its launch, and the root of the sum of squares of its bytes and its operations over what it reaches of
the data sheet (``catalog/model/kernels.py``). Each zone of a table (one token, few, many) weighs alike. Left out, since
they time something else: eager launches (vLLM's FP8 matrices with block scales: 57 to 530 us each), a quantisation apart from its
matrix (TensorRT-LLM's FP8), experts without a gate, tables of fewer than 100 points.
"""

# mypy: ignore-errors
# ruff: noqa: ANN001, ANN202, PLR0912, PLR0915, PLW2901, B008
from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np

from agentgpu_iac.catalog.store import load_catalog

CARDS = {
    "a100_sxm": "a100-80gb-sxm",
    "b200_sxm": "b200-sxm",
    "b300_sxm": "b300-sxm",
    "gb200": "gb200",
    "gb300": "gb300",
    "h100_sxm": "h100-sxm",
    "h200_sxm": "h200-sxm",
    "l40s": "l40s",
    "rtx_pro_6000_server": "rtx-pro-6000-blackwell-server",
}
ENGINES = {"vllm": "vllm", "sglang": "sglang", "trtllm": "tensorrt-llm"}
MATRICES = {"bfloat16": "bf16", "fp8": "fp8", "fp8_block": "fp8-block", "nvfp4": "nvfp4", "sq": "int8"}
EXPERTS = {
    "bfloat16": "bf16",
    "fp8": "fp8",
    "fp8_block": "fp8-block",
    "nvfp4": "nvfp4",
    "int4_wo": "int4",
    "w4a16_mxfp4": "mxfp4",
    "w4a8_mxfp4_mxfp8": "mxfp4",
}
BYTES = {"bf16": 2, "fp8": 1, "fp8-block": 1, "int8": 1, "nvfp4": 0.5625, "int4": 0.53125, "mxfp4": 0.53125}
LEFT_OUT = {("vllm", "fp8-block"), ("trtllm", "fp8")}
"""Matrices whose tables time something else."""
ANY = ("", "", "")
BUILDS = {
    ("vllm", "mxfp4"): (("triton", "oaitriton", "w4a16"), ("flashinfer", "mxfp4_bf16", "w4a16"), ANY),
    ("vllm", "fp8-block"): (("flashinfer", "fp8moe_flashinfer", ""), ("triton", "triton|vllm_fused_moe", ""), ANY),
    ("sglang", "mxfp4"): (("flashinfer", "flashinfer_trtllm", "w4a8"), ("triton", "fused_moe_triton", "w4a16"), ANY),
    ("sglang", "fp8-block"): (("flashinfer", "flashinfer_trtllm", ""), ("triton", "fused_moe_triton", ""), ANY),
}
"""Experts of an engine and format that tables time with several kernels: (name, part of the kernel's name, of the type's). The
first that a card has is what the engine takes by itself: vLLM OpenAI's Triton kernels for MXFP4 on Hopper and FlashInfer's
on Blackwell (``quantization/mxfp4.py``), SGLang FlashInfer's on Blackwell and Triton elsewhere (``server_args.py``). Marlin
for MXFP4, which VLLM_MXFP4_USE_MARLIN asks for, is taken from the INT4 tables: those of MXFP4 hold another model's
activation beside it."""
FEWEST = 100
FEW_TOKENS, MANY_TOKENS = 64, 16_384
CACHED_BYTES = 1.5e8
"""Contexts of fewer bytes may lie in the second-level cache."""


def main() -> None:
    """Print the rows, one a line."""
    import pandas
    from scipy.optimize import least_squares

    root = Path(sys.argv[1]) / "aiconfigurator_core" / "systems" / "data"
    catalog = load_catalog()
    cards = {system: catalog.accelerator(card) for system, card in CARDS.items()}
    rows: dict[tuple[str, str], dict] = {}

    def tables(kind, name):
        for path in sorted(root.glob(f"*/{kind}/*/*/{name}.parquet")):
            system, _, engine, version = path.relative_to(root).parts[:4]
            if system in CARDS and engine in ENGINES:
                yield system, engine, version, pandas.read_parquet(path)

    def newest(kind, name):
        found = {}
        for system, engine, version, table in tables(kind, name):
            key = system, engine
            if key not in found or _order(version) > _order(found[key][0]):
                found[key] = version, table
        return [(*key, *value) for key, value in sorted(found.items())]

    def row(system, engine, version):
        empty = {name: [] for name in ("matrices", "experts", "promptAttention", "decodeAttention", "allReduces")}
        head = {"accelerator": CARDS[system], "engine": ENGINES[engine], "engineVersion": version}
        found = rows.setdefault((CARDS[system], ENGINES[engine]), {**head, **empty, "system": system, "from": engine})
        found["engineVersion"] = max(found["engineVersion"], version, key=_order)
        return found

    def rate(system, name):
        known = cards[system].vendor_dense_tflops
        field = {"fp8": known.fp8, "fp8-block": known.fp8, "nvfp4": known.fp4, "int8": known.int8}.get(name)
        doubled = 2 * (known.bf16 or 0) if name == "int8" else known.bf16
        return (field or doubled) * 1e12

    def fit(model, start, times, weights, bounds=(-np.inf, np.inf)):
        def off(guess):
            return np.log(model(guess) / times) * weights

        return least_squares(off, start, bounds=bounds, loss="soft_l1", f_scale=0.2, max_nfev=80).x

    for system, engine, version, table in newest("gemm", "gemm_perf"):
        bandwidth = cards[system].bandwidth_gb_per_s * 1e9
        for name, each in table.groupby("gemm_dtype"):
            form = MATRICES.get(name)
            if form is None or (engine, form) in LEFT_OUT:
                continue
            few = each[each.m.isin([1, 2, 4, 8, 16, 32, 64]) & (each.n * each.k * BYTES[form] > 2e5)]
            many = each[each.m.between(128, MANY_TOKENS) & (each.n >= 1024) & (each.k >= 1024)]
            data = pandas.concat([few, many])
            moved = (data.n * data.k * BYTES[form] + (data.m * data.k + data.m * data.n) * 2).to_numpy(float)
            work = (2.0 * data.m * data.n * data.k).to_numpy()
            weights = _evenly((data.m > FEW_TOKENS).to_numpy(int))
            peak = rate(system, form)

            def time_us(p, moved=moved, work=work, bandwidth=bandwidth, peak=peak):
                return np.exp(p[0]) + np.hypot(moved / (bandwidth * np.exp(p[1])), work / (peak * np.exp(p[2]))) * 1e6

            launch, read, mfu = np.exp(fit(time_us, [1, -0.3, -0.5], data.latency.to_numpy() * 1e3, weights))
            row(system, engine, version)["matrices"].append(
                {"format": form, "launchUs": _3(launch), "bandwidthShare": _3(min(1.0, read)), "tflopsShare": _3(mfu)}
            )

    experts: dict[tuple, list] = {}
    for system, engine, version, table in tables("moe", "moe_perf"):
        table = table[~table.kernel_source.str.contains("nongated") & (table.distribution != "balanced")]
        table = table[(table.moe_ep_size == 1) & (table.num_tokens <= MANY_TOKENS)]
        table = table.assign(form=table.moe_dtype.map(EXPERTS))
        for form, each in table.dropna(subset="form").groupby("form"):
            for kernel, build, kind in BUILDS.get((engine, form), (ANY,)):
                own = each[each.kernel_source.str.contains(build) & each.moe_dtype.str.contains(kind)]
                experts.setdefault((system, engine, form, kernel), []).append((version, own))
    for (system, engine, form, kernel), versions in sorted(experts.items(), key=_as_listed):
        version, each = max(
            (one for one in versions if len(one[1]) >= FEWEST), key=lambda one: _order(one[0]), default=("", None)
        )
        if each is None:
            continue
        shape = ["num_tokens", "hidden_size", "inter_size", "topk", "num_experts", "moe_tp_size"]
        data = each.assign(log=np.log(each.latency)).groupby(shape, as_index=False).log.mean()
        others = row(system, engine, version)["experts"]
        if len(data) < FEWEST or (not kernel and any(other["format"] == form for other in others)):
            continue
        tokens, top, count = data.num_tokens.to_numpy(float), data.topk.to_numpy(), data.num_experts.to_numpy()
        wide, inner = data.hidden_size.to_numpy(), data.inter_size.to_numpy() / data.moe_tp_size.to_numpy()
        bandwidth, peak = cards[system].bandwidth_gb_per_s * 1e9, rate(system, form)
        moved = 3 * wide * inner * count * (1 - (1 - top / count) ** tokens) * BYTES[form]
        work, routed = 6.0 * wide * inner * tokens * top, tokens * top * wide * 2
        zones = np.where(tokens <= 2, 0, np.where(tokens <= FEW_TOKENS, 1, 2))

        def time_us(p, moved=moved, work=work, routed=routed, wide=wide, bandwidth=bandwidth, peak=peak):
            kernel = np.hypot(moved / (bandwidth * np.exp(p[1])), work / (peak * np.exp(p[2])))
            return np.exp(p[0]) + p[4] * wide / 1e3 + (kernel + routed * np.exp(p[3]) / bandwidth) * 1e6

        bounds = ([0, -3, -4, -1, 0], [6, 0.2, 0.4, 3.5, 20])
        found = fit(time_us, [3, -0.3, -0.9, 1.5, 1], np.exp(data.log.to_numpy()) * 1e3, _evenly(zones), bounds)
        launch, read, mfu, passes = np.exp(found[:4])
        row(system, engine, version)["experts"].append(
            {
                "format": form,
                **({"kernel": kernel} if kernel else {}),
                "launchUs": _3(launch),
                "launchUsPerThousandWide": _3(found[4]),
                "bandwidthShare": _3(read),
                "tflopsShare": _3(mfu),
                "passes": _3(passes),
            }
        )

    for system, engine, version, table in newest("attention", "context_attention_perf"):
        table = table[(table.step == 0) & (table.head_dim == 128) & (table.attn_dtype == "bfloat16")]
        table = table[table.num_heads.between(8, 64) & (table.isl >= 256) & (_window(table) == 0)]
        for cache, each in table.groupby("kv_cache_dtype"):
            work, length = (2.0 * each.batch_size * each.num_heads * 128 * each.isl**2).to_numpy(), each.isl.to_numpy()

            def time_s(p, work=work, length=length, peak=rate(system, "bf16")):
                return work / (peak * np.exp(p[0])) * (1 + np.exp(p[1]) / length)

            share, half = np.exp(fit(time_s, [-0.5, 7], each.latency.to_numpy() / 1e3, 1.0))
            row(system, engine, version)["promptAttention"].append(
                {"kvBytes": 1 if cache == "fp8" else 2, "tflopsShare": _3(share), "halfTokens": _3(half)}
            )
    for system, engine, version, table in newest("attention", "generation_attention_perf"):
        ratio = table.num_heads / table.num_key_value_heads
        table = table[
            (table.head_dim == 128)
            & ratio.between(4, 8)
            & table.num_key_value_heads.between(1, 8)
            & (_window(table) == 0)
        ]
        for cache, each in table.groupby("kv_cache_dtype"):
            width = 1 if cache == "fp8" else 2
            moved = (2.0 * each.batch_size * each.num_key_value_heads * 128 * width * (each.isl + each.step)).to_numpy()
            taken, far = each.latency.to_numpy() * 1e3, moved > CACHED_BYTES
            bandwidth = cards[system].bandwidth_gb_per_s * 1e3
            share = np.median(moved[far] / (taken[far] - 8) / bandwidth)
            row(system, engine, version)["decodeAttention"].append(
                {
                    "kvBytes": width,
                    "launchUs": _3(np.median(taken[moved < 2e6])),
                    "bandwidthShare": _3(min(0.95, share)),
                }
            )
    for system, engine, version, table in newest("comm", "custom_allreduce_perf"):
        if "backend" in table:
            table = table[~table.backend.fillna("").astype(str).str.contains("eager")]
        for width, each in table.groupby("num_gpus"):
            times = each.groupby("message_size").latency.median()
            sizes, taken = (
                2.0 * times.index.to_numpy(),
                times.to_numpy() * 1e3,
            )  # messages are counted in 16-bit numbers
            small = taken[(sizes >= 4096) & (sizes <= 65_536)]
            rate_gb = sizes[-3:].mean() / taken[-3:].mean() / 1e3
            row(system, engine, version)["allReduces"].append(
                {"accelerators": int(width), "launchUs": _3(np.median(small)), "gbPerS": _3(rate_gb)}
            )
    for found in rows.values():
        packed = next((each for each in found["experts"] if each["format"] == "int4"), None)
        if found["engine"] == "vllm" and packed and any(each["format"] == "mxfp4" for each in found["experts"]):
            found["experts"].append({**packed, "format": "mxfp4", "kernel": "marlin"})
    print(json.dumps([rows[key] for key in sorted(rows)], indent=1))


def _as_listed(item):
    """Cards, engines and formats by name, kernels as ``BUILDS`` lists them."""
    system, engine, form, kernel = item[0]
    listed = [name for name, _, _ in BUILDS.get((engine, form), (ANY,))]
    return system, engine, form, listed.index(kernel)


def _window(table):
    return table.window_size.fillna(0) if "window_size" in table else 0


def _evenly(zones):
    """Weights that give each zone as much as any other."""
    counts = np.array([max(1, (zones == zone).sum()) for zone in range(zones.max() + 1)])
    return np.sqrt(len(zones) / len(counts) / counts)[zones]


def _order(version):
    return tuple(int(part) for part in re.findall(r"\d+", version))


def _3(value):
    return float(f"{value:.3g}")


if __name__ == "__main__":
    main()
