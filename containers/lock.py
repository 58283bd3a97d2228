"""Print the exact versions of all that the image needs, from an environment in which the tests passed.

    python containers/lock.py > containers/lock.txt

The dependencies in pyproject.toml are followed, extras apart. Run it in the environment of `make test`.
"""

import re
import tomllib
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def follow(requirements: list[str], extras: set[str], seen: dict[str, set[str]]) -> None:
    """Add all that some requirements need to what was found so far.

    Parameters
    ----------
    requirements : list of str
        Such as ``numpy>=1.26``.
    extras : set of str
        Those of the requiring distribution that are asked for.
    seen : dict of set of str
        Names found so far, and the extras asked of each; added to.
    """
    for requirement in map(Requirement, requirements):
        asked = [{"extra": extra} for extra in ("", *extras)]
        if requirement.marker is not None and not any(
            requirement.marker.evaluate(environment) for environment in asked
        ):
            continue
        name = canonicalize_name(requirement.name)
        if name not in seen or not requirement.extras <= seen[name]:
            seen.setdefault(name, set()).update(requirement.extras)
            follow(distribution(name).requires or [], seen[name], seen)


if __name__ == "__main__":
    project = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text())["project"]
    found: dict[str, set[str]] = {}
    follow(project["dependencies"], set(), found)
    print("# Made by containers/lock.py: exact versions of all that the image needs, torch's CUDA libraries apart.")
    for name in sorted(found):
        # The part after + tells the build (+cpu, +cu126), which the index chooses.
        print(f"{name}=={re.sub(r'[+].*', '', distribution(name).version)}")
