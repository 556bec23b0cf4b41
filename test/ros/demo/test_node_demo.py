"""The first command of README.md shows what the node made of six cameras."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[3]


def test_demo_shows_what_the_node_published(tmp_path: Path) -> None:
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "```bash\nscripts/demo\n" in page
    # Elsewhere the script would set up an environment beside the one in use.
    set_up = Path(sys.prefix) == ROOT / ".venv"
    program = ["scripts/demo"] if set_up else [sys.executable, "-m", "streampetr_ros.ros.demo.demo"]
    # Nodes of other tests must not be heard.
    environment = {**os.environ, "ROS_DOMAIN_ID": str(101 + os.getpid() % 100)}
    done = subprocess.run(
        [*program, "--frames", "2", "--pictures", "1", "--out", str(tmp_path)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    text = " ".join(done.stdout.split())
    assert done.returncode == 0, done.stdout + done.stderr
    pattern = r"through the node: (\d) \(0 with fewer cameras\), (\d+) boxes"
    sets, boxes = re.findall(pattern, text)[0]
    assert 1 <= int(sets) <= 2
    assert int(boxes) > 0
    assert "end_to_end" in text
    for name in ("000_cameras.jpg", "000_top_view.png"):
        with Image.open(tmp_path / name) as picture:
            assert min(picture.size) > 100
