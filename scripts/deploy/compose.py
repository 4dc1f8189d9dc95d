"""Checks deploy/compose.yaml with a parser of the Compose Specification, and that it fits the server and the image."""

import re
import sys
from pathlib import Path

import yaml
from compose_spec import PyCompose

ROOT = Path(__file__).resolve().parent.parent.parent
COMPOSE = ROOT / "deploy/compose.yaml"
SECRETS = {"POSTGRES_PASSWORD": "secret", "RELIVE_ROOT_KEY": "key"}


def interpolated(text, environment):
    """The variables of the text filled in, as Compose does it: `${NAME:-default}`, `${NAME:?error}`."""

    def value(found):
        name, kind, rest = found.groups()
        if environment.get(name):
            return environment[name]
        if kind == ":-":
            return rest
        raise LookupError(f"{name}: {rest}")

    return re.sub(r"\$\{(\w+)(:-|:\?)([^}]*)\}", value, text)


def main():
    text = COMPOSE.read_text()
    problems = []
    for name in SECRETS:
        try:
            interpolated(text, {key: value for key, value in SECRETS.items() if key != name})
            problems.append(f"it starts without {name}")
        except LookupError:
            pass
    filled = interpolated(text, SECRETS)
    PyCompose.from_yaml(filled).validate()
    services = yaml.safe_load(filled)["services"]
    relive = services["relive"]
    settings = (ROOT / "docs/operating.md").read_text()
    problems += [f"there is no setting {name}" for name in relive["environment"] if f"`{name}`" not in settings]
    for url, service in [("DATABASE_URL", "postgres"), ("RELIVE_NATS_URL", "nats")]:
        host = re.search(r"(?:@|//)(\w+):\d+", relive["environment"][url])[1]
        if host != service or service not in services or service not in relive["depends_on"]:
            problems.append(f"{url} leads to {host}")
    dockerfile = ROOT / "deploy" / relive["build"]["context"] / relive["build"]["dockerfile"]
    port = re.search(r"^EXPOSE (\d+)$", dockerfile.read_text(), re.MULTILINE)[1]
    if not relive["ports"][0].endswith(f":{port}"):
        problems.append(f"the image listens on {port}")
    if not relive["ports"][0].startswith("127.0.0.1:"):
        problems.append("it is reached without TLS from elsewhere")
    if not all(service.get("restart") for service in services.values()):
        problems.append("a service is not started again")
    if problems:
        sys.exit("compose.py: " + "\n  ".join(problems))
    print(f"compose: {len(services)} services are valid")


if __name__ == "__main__":
    main()
