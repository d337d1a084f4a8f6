"""What share of the machine's matrix-product peak a SASRec training step reaches, and what takes the rest.

    python -m experiments.benchmarks.sequence_peak [--steps 8]

The step is ``sequences``' own, on its log of MovieLens' size, in a process pinned to one core. The peak is the best
of several products of two 1,536² float32 matrices; a step's products are counted by torch, forwards and
backwards. What else takes time is the profiler's, by kind of operation. Adds "peak" to
reports/benchmarks/sequences.json.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from experiments.benchmarks import peers
from experiments.benchmarks.sequences import REPORT, movielens_scale

SIDE = 1_536
ATTENTION = "_scaled_dot_product_flash_attention_for_cpu"
KINDS = {
    "matrix products": ("mm", "addmm", "addmm_", "bmm", "baddbmm"),
    "attention": (ATTENTION, f"{ATTENTION}_backward"),
    "exponentials": ("exp", "exp_", "exp2", "exp2_", "logsumexp", "_softmax", "_softmax_backward_data"),
    "normalisation": ("native_layer_norm", "native_layer_norm_backward"),
    "activation": ("gelu", "gelu_backward"),
    "optimiser": ("_fused_adamw_", "_fused_adam_", "_foreach_addcdiv_"),
    "gathering and scattering": ("embedding", "embedding_dense_backward", "index_select", "index_add_", "index"),
    "copies": ("copy_", "fill_", "zero_"),
}


def product(_total: Any, left: Any, right: Any, **_: Any) -> int:
    """Operations of a product added to what is there, from the shapes."""
    return 2 * int(left[0] * left[1] * right[1])


def measure(steps: int) -> dict[str, Any]:
    """CPU seconds and products per step, the machine's peak, and shares of the profiled time."""
    import torch
    from torch.profiler import ProfilerActivity, profile
    from torch.utils.flop_counter import FlopCounterMode

    from experiments.benchmarks.sequence_steps import ours

    torch.set_num_threads(1)
    torch.manual_seed(0)
    batches, step, _, _ = ours(movielens_scale())
    step(next(batches))
    in_place = {torch.ops.aten.addmm_: product}  # torch does not count it by itself
    with FlopCounterMode(display=False, custom_mapping=in_place) as counted:
        step(next(batches))
    operations = counted.get_total_flops()
    left, right = torch.rand(SIDE, SIDE), torch.rand(SIDE, SIDE)
    best = peak = float("inf")
    for _ in range(steps):  # in turns, so that other jobs slow both alike
        peak = min(peak, peers.cpu_seconds(lambda: left @ right)[0])
        best = min(best, peers.cpu_seconds(lambda: step(next(batches)))[0])
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        for _ in range(steps):
            step(next(batches))
    taken = {event.key.removeprefix("aten::"): event.self_cpu_time_total for event in profiled.key_averages()}
    total = sum(taken.values())
    shares = {kind: sum(taken.get(name, 0.0) for name in names) / total for kind, names in KINDS.items()}
    others = {name: each / total for name, each in taken.items() if not any(name in names for names in KINDS.values())}
    largest = sorted(others.items(), key=lambda pair: -pair[1])[:5]
    reached, possible = operations / best, 2 * SIDE**3 / peak
    return {
        "gflop_per_step": round(operations / 1e9, 2),
        "cpu_seconds_per_step": best,
        "gflops_reached": round(reached / 1e9, 1),
        "gflops_peak": round(possible / 1e9, 1),
        "share_of_peak": round(reached / possible, 3),
        "share_of_time": {kind: round(share, 3) for kind, share in shares.items()},
        "largest_others": {name: round(share, 3) for name, share in largest},
        "versions": peers.versions(["torch", "numpy"]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--report", type=Path, default=REPORT)
    parser.add_argument("--side", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        sys.stdout.write(json.dumps(measure(arguments.steps)) + "\n")
        return
    again = ("experiments.benchmarks.sequence_peak", "--side", "--steps", str(arguments.steps))
    found = {"machine": peers.machine(), **peers.run(*again, core=arguments.core)}
    report = json.loads(arguments.report.read_text()) if arguments.report.is_file() else {}
    arguments.report.write_text(json.dumps({**report, "peak": found}, indent=2) + "\n")
    sys.stdout.write(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
