"""``streampetr benchmark``: speed and memory of models, stage by stage and end to end."""

from __future__ import annotations

import json as json_format
import multiprocessing
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from streampetr_ros.backends.opening import AUTO, Choice, is_exported
from streampetr_ros.ingest.pictures.pixels import REDUCTIONS
from streampetr_ros.tools.benchmark.machine import machine
from streampetr_ros.tools.benchmark.run import METHOD, BenchmarkCase, measure_case
from streampetr_ros.tools.benchmark.sweep import Sweep, variations
from streampetr_ros.tools.reporting import known_model, user_errors
from streampetr_ros.tools.run_options import MODELS, BackendOption, DeviceOption, PrecisionOption

_Reduction = Annotated[
    int, typer.Option(help="Decode images 1, 2, 4 or 8 times narrower and lower.")
]
_Graphs = Annotated[
    str, typer.Option(help="Folder of exported graphs to measure in place of models, on --backend.")
]
_Publish = Annotated[bool, typer.Option(help="Measure publishing too, where ROS is there.")]


def benchmark(  # noqa: PLR0913, PLR0917 - one argument per command line option
    model: Annotated[
        list[str] | None,
        typer.Option(help=f"Repeat for several; default tiny. {MODELS}"),
    ] = None,
    frames: Annotated[int, typer.Option(min=1, help="Frame sets timed.")] = 20,
    warm_up: Annotated[int, typer.Option(min=0, help="Frame sets run before.")] = 3,
    device: DeviceOption = "cpu",
    precision: PrecisionOption = AUTO,
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0: PyTorch's choice.")] = 0,
    size: Annotated[str, typer.Option(help="Camera image size, WIDTHxHEIGHT.")] = "1600x900",
    reduction: _Reduction = 1,
    weights: _Graphs = "",
    backend: BackendOption = AUTO,
    publish: _Publish = True,
    reference: Annotated[
        bool, typer.Option(help="Compare with the plain eager network, in turns.")
    ] = False,
    sweep: Annotated[
        list[Sweep] | None, typer.Option(help="Show how cost grows with it; repeat for several.")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Write the numbers to this file.")] = None,
) -> None:
    """Measure decode, preprocess, encoder, position, head, decoding, publish and the whole step.

    Weights are random, which does not change the time. Each model runs in a process of its own, so
    that peak memory is its own. Publishing is measured where ROS is there.
    """
    image_size = _parse_size(size)
    _check_reduction(reduction, image_size)
    _check_graphs(weights, backend, model or [], bool(reference or sweep))
    results: dict[str, Any] = {"method": METHOD, "machine": machine(device), "models": {}}
    for line in (METHOD, _machine_line(results["machine"])):
        typer.echo(line)
    choice = Choice(backend=backend, device=device, precision=precision, threads=threads)
    for name in [weights] if weights else model or ["tiny"]:
        wanted = BenchmarkCase(
            model="" if weights else known_model(name),
            frames=frames,
            warm_up=warm_up,
            image_size=image_size,
            reduction=reduction,
            reference=reference,
            weights=weights,
            choice=choice,
            publishes=publish,
        )
        with user_errors():
            result = results["models"][name] = _in_own_process(wanted)
        typer.echo("\n".join(_table(name, result) + _comparison(result["reference"])))
        with user_errors():
            result["sweeps"] = {kind.value: _swept(wanted, kind) for kind in sweep or []}
    if json is not None:
        with user_errors():
            json.write_text(json_format.dumps(results, indent=2) + "\n", encoding="utf-8")


def _swept(base: BenchmarkCase, sweep: Sweep) -> list[dict[str, Any]]:
    """Measure and print one line per variation."""
    typer.echo(f"\n{sweep.value:<12}{'network ms':>12}{'step ms':>12}{'memory MB':>12}")
    rows = []
    for value, wanted in variations(replace(base, reference=False, publishes=False), sweep):
        result = _in_own_process(wanted)
        times = result["milliseconds"]
        rows.append({"value": value, **result})
        typer.echo(
            f"{value:<12}{times['network']['p50']:>12.1f}{times['step']['p50']:>12.1f}"
            f"{result['peak_memory_mb']:>12.0f}"
        )
    return rows


def _comparison(found: dict[str, Any] | None) -> list[str]:
    if found is None:
        return []
    plain, ours = (found["milliseconds"][name]["p50"] for name in ("plain", "backend"))
    difference = found["largest_difference"]
    return [
        f"{found['times_faster']:.2f} times as fast as the plain network (p50 {plain:.1f} against "
        f"{ours:.1f} ms, in turns on the same frames)",
        f"largest difference from it: logits {difference['logits']:.1e}, centers "
        f"{1e3 * difference['centers_m']:.2f} mm",
        f"{'stage':<12}{'plain ms':>10}{'ours ms':>10}{'faster':>10}",
        *(_stage_line(stage, **times) for stage, times in found["stages"].items()),
    ]


def _stage_line(stage: str, plain: float, ours: float) -> str:
    return f"{stage:<12}{plain:>10.1f}{ours:>10.1f}{plain / ours:>10.2f}"


def _in_own_process(wanted: BenchmarkCase) -> dict[str, Any]:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measure_case, (wanted,))


def _parse_size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise typer.BadParameter(f"'{text}' is not a size such as 1600x900")
    return int(width), int(height)


def _check_reduction(reduction: int, size: tuple[int, int]) -> None:
    if reduction not in REDUCTIONS:
        raise typer.BadParameter(f"--reduction {reduction} is not one of 1, 2, 4 and 8")
    if any(side % reduction for side in size):
        raise typer.BadParameter(
            f"images of {size[0]}x{size[1]} cannot be reduced {reduction} times without a "
            "remainder; give a smaller --reduction or another --size"
        )


def _check_graphs(weights: str, backend: str, models: list[str], compares: bool) -> None:
    """Refuse what exported graphs cannot be asked for, and what is asked of them without any."""
    if not weights and backend not in (AUTO, "torch"):
        raise typer.BadParameter(
            f"backend '{backend}' runs exported graphs; name their folder with --weights"
        )
    if weights and not is_exported(weights):
        raise typer.BadParameter(
            f"'{weights}' is no folder of exported graphs; make one with 'streampetr export'"
        )
    if weights and (models or compares):
        raise typer.BadParameter("exported graphs take no --model, --reference and --sweep")


def _machine_line(found: dict[str, Any]) -> str:
    return (
        f"{found['processor']}, {found['cores']} cores"
        + (f", {found['gpu']}" if found["gpu"] else "")
        + f"; Python {found['python']}, PyTorch {found['torch']}, NumPy {found['numpy']}, OpenCV "
        f"{found['opencv']}, Pillow {found['pillow']}, simplejpeg {found['simplejpeg']}"
    )


def _table(name: str, result: dict[str, Any]) -> list[str]:
    reduced = f" decoded at 1/{result['reduction']}" if result["reduction"] > 1 else ""
    lines = [
        f"\n{name}: {result['frames']} frame sets of {result['cameras']} x {result['image_size']}"
        f"{reduced}, {result['backend']}, {result['threads']} threads",
        f"{'stage':<12}{'p50 ms':>10}{'p90 ms':>10}{'p99 ms':>10}",
    ]
    lines += [
        f"{stage:<12}{times['p50']:>10.1f}{times['p90']:>10.1f}{times['p99']:>10.1f}"
        for stage, times in result["milliseconds"].items()
    ]
    lines.append(f"publish: {result['publish']}")
    if work := result["matrix_work"]:
        lines.append(
            f"matrix work {work['gflop']:.2f} GFLOP per set: at the {work['gflop_per_s']:.0f} "
            f"GFLOP/s of one large product {work['least_ms']:.1f} ms, "
            f"{100 * work['share_of_network']:.0f} % of 'network'"
        )
    return [*lines, _memory(result), _rates(result["sets_per_second"])]


def _memory(result: dict[str, Any]) -> str:
    line = f"peak memory {result['peak_memory_mb']:.0f} MB"
    if (gpu := result["gpu_memory_mb"]) is None:
        return line
    return (
        f"{line}; on the GPU PyTorch {gpu['pytorch']:.0f} MB, all programs {gpu['in_use']:.0f} MB"
    )


def _rates(rates: dict[str, float]) -> str:
    return (
        f"{rates['step']:.2f} sets per second end to end, {rates['boxes']:.2f} from decoded "
        f"images, {rates['original']:.2f} by the method of the original code"
    )
