"""Checks docker/compose.yaml against the Compose Specification, and that every file that it names is in the repository.

compose_spec (PyPI `compose-spec`, MIT or Apache-2.0) reads the file as the specification says, knows every field of it, and
finds networks, volumes and secrets that nobody defines.
"""
import json, sys
from pathlib import Path
import yaml
from compose_spec import PyCompose

file = Path(sys.argv[1])
compose = PyCompose.from_json(json.dumps(yaml.safe_load(file.read_text()))) # which resolves `<<` and anchors
compose.validate()
services = compose.to_dict()["services"]
problems = [f"{name} waits for {other}, which is not there" for name, one in services.items()
            for other in one.get("depends_on", {}) if other not in services]
for name, one in services.items():
    mounts = [mount.split(":")[0] if isinstance(mount, str) else mount.get("source", "") for mount in one.get("volumes", [])]
    problems += [f"{name} mounts {path}, which is not there" for path in mounts
                 if path.startswith(".") and "secrets" not in path and not (file.parent / path).exists()]
    if one.get("restart") and not (one.get("healthcheck") or one.get("build")):
        problems.append(f"{name} has no healthcheck")
    if ":latest" in one.get("image", ":"):
        problems.append(f"{name} has an image without a version")
sys.exit("\n".join(problems) or 0)
