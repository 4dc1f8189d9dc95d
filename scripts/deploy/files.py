"""Checks without a server that the files of deploy/ and the workflows can be read, and agree with each other."""

import json
import re
import sys
import tomllib
from pathlib import Path

import jsonschema
import yaml

ROOT = Path(__file__).resolve().parent.parent.parent
CHART = ROOT / "deploy/helm/relive"
problems = []


def expect(is_so, problem):
    if not is_so:
        problems.append(problem)


def check_syntax():
    seen = 0
    for folder in ["deploy", ".github"]:
        for path in sorted((ROOT / folder).rglob("*")):
            # Templates become YAML when they are rendered.
            if path.suffix not in [".yml", ".yaml", ".json"] or "templates" in path.parts:
                continue
            seen += 1
            try:
                json.loads(path.read_text()) if path.suffix == ".json" else list(yaml.safe_load_all(path.read_text()))
            except ValueError as error:
                problems.append(f"{path.relative_to(ROOT)}: {error}")
            except yaml.YAMLError as error:
                problems.append(f"{path.relative_to(ROOT)}: {error}")
    return seen


def check_versions():
    version = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    for name in ["version", "appVersion"]:
        expect(chart[name] == version, f"Chart.yaml: {name} is {chart[name]}, not {version}")
    deb = re.search(r"^CARGO_DEB=(.*)$", (ROOT / "scripts/deploy/cargo-deb.sh").read_text(), re.MULTILINE)[1]
    release = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())
    expect(release["env"]["CARGO_DEB"] == deb, f"release.yml: cargo-deb is not {deb}")
    toolchain = tomllib.loads((ROOT / "rust-toolchain.toml").read_text())["toolchain"]["channel"]
    dockerfile = (ROOT / "deploy/Dockerfile").read_text()
    expect(f"rust:{toolchain}-" in dockerfile, f"Dockerfile: the toolchain is not {toolchain}")


def paths(value, prefix=""):
    """The names in values, as templates write them: `image.tag`."""
    for key, inner in value.items():
        yield prefix + key
        if isinstance(inner, dict):
            yield from paths(inner, f"{prefix}{key}.")


def check_values():
    schema = json.loads((CHART / "values.schema.json").read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    errors = [error.json_path for error in jsonschema.Draft7Validator(schema).iter_errors(defaults)]
    # The one value that nobody can know beforehand.
    expect(errors == ["$.database.existingSecret"], f"values.yaml does not fit its schema: {errors}")
    listed = {name for name in schema["properties"] if name not in ["global", "nameOverride", "fullnameOverride"]}
    expect(listed == set(defaults), f"only in values.yaml or its schema: {sorted(listed ^ set(defaults))}")
    known = set(paths(defaults)) | {"nameOverride", "fullnameOverride"}
    used = set()
    for template in (CHART / "templates").iterdir():
        for name in re.findall(r"\.Values\.([\w.]+)", template.read_text()):
            used.add(name)
            expect(name in known, f"{template.name}: there is no value {name}")
    for name in defaults:
        expect(any(it.split(".")[0] == name for it in used), f"values.yaml: nothing uses {name}")


def main():
    seen = check_syntax()
    check_versions()
    check_values()
    if problems:
        sys.exit("files.py: " + "\n  ".join(problems))
    print(f"files: {seen} files can be read and agree")


if __name__ == "__main__":
    main()
