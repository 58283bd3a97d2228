"""Print the exact versions of all packages of the container image, from an environment in which the tests passed.

    python containers/lock.py > containers/lock.txt

They are the dependencies in pyproject.toml, without extras, and their dependencies. Run it in the environment of
`make test`.
"""

import re
import tomllib
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def follow(requirements: list[str], extras: set[str], seen: dict[str, set[str]]) -> None:
    """Add requirements, and all that they need in turn, to the names found so far.

    Parameters
    ----------
    requirements : list of str
        Requirements such as ``numpy>=1.26``.
    extras : set of str
        Extras of the requiring distribution that are wanted.
    seen : dict of set of str
        Names found so far, and the extras wanted of each; changed in place.
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
