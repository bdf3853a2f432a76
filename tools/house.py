"""The structure of the package as a table: rooms, sizes, names that occur twice, arrows that point upward.

    python tools/house.py

Exit status 1 when a rule of docs/architecture.md is broken: more than 14 modules in a room (18 in the root),
a file over 400 lines, a module name or a public class name twice, an import of a floor above.
"""

from __future__ import annotations

import ast
import statistics
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "h2r_bench"
MOST_MODULES, MOST_IN_ROOT, MOST_LINES, MOST_MEDIAN = 14, 18, 400, 120
SHARED_NAMES = {"__init__", "__main__", "base", "config", "agent", "model", "catalog"}
"""Module names that say the same in every room."""

FLOORS: tuple[tuple[str, ...], ...] = (
    (
        "types",
        "registry",
        "extras",
        "geometry",
        "motion",
        "files",
        "ranges",
        "statistics",
        "inline_svg",
        "cli",
        "moved",
    ),
    ("envs", "datasets"),
    ("evaluation", "policies", "remote", "video_metrics"),
    ("training", "reporting", "real"),
    ("run", "collect", "train", "predict", "serve", "report"),
)
"""From the ground up: a room imports from its own floor and from those below it."""
STRANGERS = (("envs", "policies"), ("policies", "envs"), ("envs", "evaluation"), ("datasets", "policies"))
"""Rooms that know nothing of each other: what both need stands below them."""
ALLOWED = {
    # What a picture of the robot shows where is a fact of the arena, not of an environment.
    ("policies.knn.frame_encoders", "envs.scene.arena"),
}
"""Single arrows between strangers, each with its reason."""


def modules() -> dict[str, Path]:
    """All modules by their dotted names below the package."""
    found = sorted(PACKAGE.rglob("*.py"))
    return {".".join(path.relative_to(PACKAGE).with_suffix("").parts): path for path in found}


def room(module: str) -> str:
    """The room or root module that `module` belongs to."""
    return module.partition(".")[0]


def imports(path: Path) -> Iterator[str]:
    """What of the package `path` imports, wherever in it, as dotted names below the package."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("h2r_bench."):
            yield node.module.removeprefix("h2r_bench.")
        elif isinstance(node, ast.ImportFrom) and node.module == "h2r_bench":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (
                alias.name.removeprefix("h2r_bench.")
                for alias in node.names
                if alias.name.startswith("h2r_bench.")
            )


def forbidden() -> list[str]:
    """Arrows that point upward or join strangers."""
    level = {name: number for number, names in enumerate(FLOORS) for name in names}
    broken = []
    for module, path in modules().items():
        for target in imports(path):
            pair = (room(module), room(target))
            if pair[0] not in level or pair[1] not in level or (module, target) in ALLOWED:
                continue
            if level[pair[1]] > level[pair[0]] or pair in STRANGERS:
                broken.append(f"{module} -> {target}")
    return sorted(set(broken))


def crowded() -> list[str]:
    """Rooms with too many modules."""
    sizes = Counter(module.rpartition(".")[0] for module in modules() if not module.endswith("__init__"))
    return [
        f"{name or 'the root'}: {size}"
        for name, size in sizes.items()
        if size > (MOST_MODULES if name else MOST_IN_ROOT)
    ]


def unmarked() -> list[str]:
    """Rooms that are no packages: a wheel would leave them out."""
    rooms = {path.parent for path in PACKAGE.rglob("*.py")}
    return sorted(str(each.relative_to(PACKAGE)) for each in rooms if not (each / "__init__.py").exists())


def doubled_modules() -> list[str]:
    """Module names that occur twice."""
    places = defaultdict(list)
    for module in modules():
        places[module.rpartition(".")[2]].append(module)
    return [
        f"{name}: {', '.join(where)}"
        for name, where in places.items()
        if len(where) > 1 and name not in SHARED_NAMES
    ]


def doubled_classes() -> list[str]:
    """Public classes of one name."""
    places = defaultdict(list)
    for module, path in modules().items():
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(module)
    return [f"{name}: {', '.join(where)}" for name, where in places.items() if len(where) > 1]


def lengths() -> dict[str, int]:
    """Lines of each module."""
    return {module: len(path.read_text().splitlines()) for module, path in modules().items()}


def main() -> int:
    """Print the table; returns the exit status."""
    sizes = lengths()
    median = statistics.median(size for module, size in sizes.items() if not module.endswith("__init__"))
    long = [f"{module}: {size}" for module, size in sizes.items() if size > MOST_LINES]
    rows: dict[str, list[str]] = {
        "crowded rooms": crowded(),
        "rooms without __init__.py": unmarked(),
        f"files over {MOST_LINES} lines": long,
        "module names twice": doubled_modules(),
        "public class names twice": doubled_classes(),
        "forbidden imports": forbidden(),
    }
    rooms = Counter(
        module.rpartition(".")[0] or "(root)" for module in sizes if not module.endswith("__init__")
    )
    print(
        f"{len(sizes)} modules, {sum(sizes.values())} lines, median {median:g} lines (at most {MOST_MEDIAN})"
    )
    print("modules by room: " + ", ".join(f"{name} {size}" for name, size in sorted(rooms.items())))
    for title, found in rows.items():
        print(f"{title}: {len(found)}" + "".join(f"\n    {each}" for each in found))
    return int(any(rows.values()) or median > MOST_MEDIAN)


if __name__ == "__main__":
    sys.exit(main())
