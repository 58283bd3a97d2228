"""getnet-train."""

from __future__ import annotations

import argparse
import json
import math
import sys
from dataclasses import asdict
from pathlib import Path


def main(argv: list[str] | None = None) -> int:
    """Run the command line; gives the exit code."""
    parser = argparse.ArgumentParser(prog="getnet-train", description="Train GetNet on photographs.")
    parser.add_argument("--recipe", default="default")
    parser.add_argument("--data", nargs="+", required=True, type=Path)
    parser.add_argument("--run", type=Path, default=Path("runs/default"))
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "getnet_bids" / "photographs")
    parser.add_argument("--max-minutes", type=float, default=math.inf)
    parser.add_argument("--set", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"))
    args = parser.parse_args(argv)

    from lightning.fabric import Fabric

    from .loop import REQUEUE, train
    from .photographs import photographs
    from .recipe import load_recipe

    recipe = load_recipe(args.recipe, **{k: json.loads(v) for k, v in args.set})
    args.run.mkdir(parents=True, exist_ok=True)
    (args.run / "recipe.json").write_text(json.dumps(asdict(recipe), indent=2))
    fabric = Fabric(precision=recipe.precision)
    fabric.launch()
    photos = photographs(args.data, args.cache)
    done = train(recipe, photos, args.run, fabric, args.max_minutes)
    return 0 if done or math.isfinite(args.max_minutes) else REQUEUE


if __name__ == "__main__":
    sys.exit(main())
