#!/usr/bin/env python3
"""Print how fast the synthetic world is rendered on this machine, with its truth.

python studies/render_speed.py --device cpu
"""

from __future__ import annotations

import argparse

from studies.speed import images_per_second

SIZES = ((352, 128), (528, 297), (704, 256), (800, 450))


def main() -> None:
    """Measure the usual image sizes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu", help="torch device")
    parser.add_argument("--frame-sets", type=int, default=12, help="frame sets per size")
    options = parser.parse_args()
    for width, height in SIZES:
        speed = images_per_second(width, height, options.device, options.frame_sets)
        print(f"{width}x{height}: {speed:.1f} images per second on {options.device}")


if __name__ == "__main__":
    main()
