"""How every command of the documents is tried: a new one fails the tests until it stands here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Run:
    """Run as shown, or in a shorter form that does the same for less time."""

    instead: str = ""


@dataclass(frozen=True)
class RunBy:
    """Run by a test of another place, named as pytest does."""

    test: str


@dataclass(frozen=True)
class Parsed:
    """Not run, for a reason; real parsers read it, and files and names are looked up."""

    because: str


Way = Run | RunBy | Parsed

BAGS = RunBy("test/unit/tools/test_pages.py::test_bags")
OWN_CAR = RunBy("test/unit/tools/test_pages.py::test_own_car")
LIVE = RunBy(
    "test/ros/demo/test_node_check.py::test_a_healthy_vehicle_lacks_nothing_and_gives_parameters"
)
DEPLOYMENT = RunBy("test/unit/tools/test_deployment_page.py::test_commands_run_in_the_order_shown")
DEMO = RunBy("test/ros/demo/test_node_demo.py::test_demo_shows_what_the_node_published")
STAGES = RunBy("test/unit/documentation/test_documented_runs.py::test_all_stages_are_trained")
SHIPPING = RunBy(
    "test/unit/studies/test_shipped_weights.py::test_manifest_accounts_for_the_weights"
)
SECURITY = RunBy("test/ros/node/test_security_policy.py::test_policy_is_what_the_node_needs")

ROS_INSTALLED = Parsed("needs an installed ROS 2")
ANNOTATED_DATA = Parsed("needs a downloaded data set and days")
MINUTES = Parsed("takes ten minutes; its parts have tests in test/unit/evaluation")
LONG = Parsed("takes an hour; its parts have tests in test/unit/evaluation")

BENCHMARK = "streampetr benchmark --model tiny --frames 1 --warm-up 0 --size 720x400 --threads 1"
JUDGED = "--every 5 --judge-every 5 --max-frames 1"
TRAINED = "streampetr evaluate out/train/tiny_synthetic/model.safetensors --source"

README: dict[str, Way] = {
    "scripts/demo": DEMO,
    "scripts/test": Run("scripts/test test/architecture/test_layers.py"),
    "export PIP_BREAK_SYSTEM_PACKAGES=1": ROS_INSTALLED,
    "cd ~/ros2_ws/src && git clone <this repository> && cd .. && "
    "rosdep install --from-paths src -y": ROS_INSTALLED,
    "python3 -m pip install -r src/*/requirements/run.txt": Run("scripts/setup"),
    "colcon build && . install/setup.bash": ROS_INSTALLED,
    "ros2 launch streampetr_ros streampetr.launch.py weights:=/data/r50.safetensors device:=cuda "
    "cameras:=front,front_right,front_left,rear,rear_left,rear_right "
    "'image_topic:=/sensing/{camera}/image_raw'": ROS_INSTALLED,
    "scripts/setup": Run(),
    ".venv/bin/streampetr replay synthetic:3 --model tiny --out out/replay": Run(
        "streampetr replay synthetic:3 --model tiny --out out/replay --limit 2"
    ),
    ".venv/bin/streampetr benchmark --model tiny --model stream_petr_r50_428q": Run(BENCHMARK),
}

BAGS_PAGE: dict[str, Way] = {
    ".venv/bin/streampetr record synthetic:3 -o out/drive --limit 3": BAGS,
    ".venv/bin/streampetr check out/drive --write-params out/rig.yaml": BAGS,
    ".venv/bin/streampetr replay out/drive --params out/rig.yaml --model tiny --video --mcap "
    "--out out/result": BAGS,
    "ros2 launch streampetr_ros replay.launch.py bag:=out/drive "
    "weights:=models/tiny_synthetic.safetensors rviz:=true": ROS_INSTALLED,
}

DEPLOYMENT_PAGE: dict[str, Way] = {
    "streampetr export random:0 --model tiny --precision fp16 --out out/tiny_fp16": DEPLOYMENT,
    "streampetr replay synthetic:1 --model tiny --weights out/tiny_fp16 --backend onnxruntime "
    "--out out/replay --limit 2": DEPLOYMENT,
    "python studies/precision_table.py models/tiny_synthetic.safetensors": MINUTES,
    "streampetr export out/tiny_fp16 --to tensorrt_rtx --compute-capability 8.6 "
    "--compute-capability 8.9": DEPLOYMENT,
    "streampetr export out/tiny_fp16 --to tensorrt": DEPLOYMENT,
    "ros2 run streampetr_ros streampetr_node --ros-args --params-file vehicle.yaml "
    "-p model.build_only:=true": ROS_INSTALLED,
    "ros2 launch streampetr_ros streampetr.launch.py params_file:=vehicle.yaml "
    "build_only:=true": ROS_INSTALLED,
    "ros2 launch streampetr_ros streampetr.launch.py params_file:=vehicle.yaml": ROS_INSTALLED,
    "ros2 launch streampetr_ros streampetr.launch.py weights:=out/tiny_fp16 "
    "backend:=tensorrt_rtx device:=cuda": ROS_INSTALLED,
    "ros2 launch streampetr_ros streampetr.launch.py weights:=/data/r50.safetensors "
    "precision:=fp16 device:=cuda": ROS_INSTALLED,
}

OWN_CAR_PAGE: dict[str, Way] = {
    ".venv/bin/streampetr check --live --seconds 3 --model tiny --write-params rig.yaml": LIVE,
    ".venv/bin/streampetr record synthetic:3 -o out/drive --limit 4": OWN_CAR,
    ".venv/bin/streampetr check out/drive --sets 4": OWN_CAR,
    ".venv/bin/streampetr overlay out/drive --out out/overlay": OWN_CAR,
    "ros2 launch streampetr_ros streampetr.launch.py params_file:=rig.yaml "
    "weights:=/data/r50.safetensors rviz:=true": ROS_INSTALLED,
}

PERFORMANCE: dict[str, Way] = {
    "streampetr benchmark --model tiny --model stream_petr_r50_428q --threads 2 --reference "
    "--json out/speed.json": Run(f"{BENCHMARK} --reference --json out/speed.json"),
    "streampetr benchmark --model tiny --sweep cameras --sweep queries --sweep memory "
    "--sweep image --json out/sweeps.json": Run(
        f"{BENCHMARK} --sweep cameras --json out/sweeps.json"
    ),
}

TRACKING: dict[str, Way] = {
    "streampetr track results_nusc.json --drives v1.0-trainval --output tracking_result.json": (
        Run()
    ),
    "python studies/tracking_table.py --drive synthetic:0-3 --seeds 0 1": Run(
        "python studies/tracking_table.py --drive synthetic:0 --seeds 0"
    ),
    'python studies/tracking_table.py --drive "$STREAMPETR_DATA/nusc_mini_val_meta" '
    "--seeds 0 1 2 3 4": Parsed("needs recordings; the command above differs in them only"),
}

TRAINING: dict[str, Way] = {
    "scripts/train_tiny": STAGES,
    "streampetr train config/train/petr_r50_nuscenes.yaml --max-minutes 9 --resume": ANNOTATED_DATA,
    f"{TRAINED} synthetic:0-39 --every 5 --judge-every 5": Run(f"{TRAINED} synthetic:0 {JUDGED}"),
    "torchrun --nproc-per-node 8 -m streampetr_ros train "
    "config/train/stream_petr_r50_428q_nuscenes.yaml": ANNOTATED_DATA,
    "streampetr synthesize out/world --scenes 4 --rate 12 --key-every 6": Run(
        "streampetr synthesize out/world --scenes 1 --rate 12 --key-every 6 --seconds 0.5 "
        "--width 352 --height 198"
    ),
    "streampetr evaluate models/tiny_synthetic.safetensors "
    "--source nuscenes:out/world:v1.0-synthetic:synthetic --tracking --out out/judged": Run(
        "streampetr evaluate models/tiny_synthetic.safetensors "
        "--source nuscenes:out/world:v1.0-synthetic:synthetic --json out/evaluation.json"
    ),
    f"{TRAINED} synthetic:0-39 --every 5 --judge-every 5 --farthest 40 "
    "--json out/evaluation.json": Run(
        f"{TRAINED} synthetic:0 {JUDGED} --farthest 40 --json out/evaluation.json"
    ),
    "python studies/ship_weights.py out/train/tiny_synthetic "
    "--metrics out/evaluation.json": SHIPPING,
    "python studies/ablation_table.py out/train/tiny_synthetic/model.safetensors --workers 2": LONG,
}

TROUBLESHOOTING: dict[str, Way] = {
    "ros2 security create_keystore keystore": ROS_INSTALLED,
    "ros2 security create_enclave keystore /streampetr": ROS_INSTALLED,
    "ros2 security create_permission keystore /streampetr config/sros2_policy.xml": SECURITY,
    "export ROS_SECURITY_KEYSTORE=$PWD/keystore ROS_SECURITY_ENABLE=true "
    "ROS_SECURITY_STRATEGY=Enforce": ROS_INSTALLED,
    "ros2 run streampetr_ros streampetr_node --ros-args --enclave /streampetr": ROS_INSTALLED,
}

#: Page -> command as it is shown -> how it is tried.
CONTRIBUTING: dict[str, Way] = {
    "scripts/setup": RunBy("test/unit/documentation/test_documented_runs.py::test_scripts_run"),
    ". scripts/environment.sh --local": Parsed("every other command here runs in that environment"),
}

WAYS: dict[str, dict[str, Way]] = {
    "README.md": README,
    "CONTRIBUTING.md": CONTRIBUTING,
    "docs/bags.md": BAGS_PAGE,
    "docs/deployment.md": DEPLOYMENT_PAGE,
    "docs/own_car.md": OWN_CAR_PAGE,
    "docs/performance.md": PERFORMANCE,
    "docs/tracking.md": TRACKING,
    "docs/training.md": TRAINING,
    "docs/troubleshooting.md": TROUBLESHOOTING,
}
