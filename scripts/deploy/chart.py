"""Checks the chart in deploy/helm with Helm itself, and what it renders with the schemas of Kubernetes.

Helm and the schemas are those of scripts/deploy/requirements.txt; no cluster is needed.
"""

import re
import sys
from pathlib import Path

import kubernetes_validate
import yaml
from helm_python import Chart, HelmError, lint

ROOT = Path(__file__).resolve().parent.parent.parent
CHART = ROOT / "deploy/helm/relive"
# The oldest that the chart allows, and the newest that has schemas.
VERSIONS = [version for version in kubernetes_validate.utils.all_versions()]
# What a value with each of these changes must be refused for.
REFUSED = {
    "a database is missing": ({"database": {"existingSecret": ""}}, "existingSecret"),
    "an unknown name": ({"replicas": 2}, "replicas"),
    "an unknown name inside": ({"ingress": {"hosts": ["a"]}}, "hosts"),
    "no server": ({"replicaCount": 0}, "replicaCount"),
    "an ingress without a host": ({"ingress": {"enabled": True}}, "host"),
    "a setting that the chart sets": ({"settings": {"RELIVE_LISTEN": "0.0.0.0:1"}}, "RELIVE_LISTEN"),
    "a setting of another program": ({"settings": {"LOG": "debug"}}, "LOG"),
    "a port that is none": ({"service": {"port": 70000}}, "port"),
    "an ingress that nobody trusts": ({"ingress": {"enabled": True, "host": "a.example.org"}}, "trustedProxies"),
    "metrics without a token": ({"serviceMonitor": {"enabled": True}}, "metricsToken"),
}
problems = []


def expect(is_so, problem):
    if not is_so:
        problems.append(problem)


def documents(rendered):
    """The objects of what was rendered, by kind."""
    found = {}
    for name, text in rendered.items():
        if name.endswith(".txt"):
            continue
        for document in yaml.safe_load_all(text):
            if document:
                expect(document["kind"] not in found, f"two of {document['kind']}")
                found[document["kind"]] = document
    return found


def merged(base, change):
    result = dict(base)
    for key, value in change.items():
        result[key] = merged(base[key], value) if isinstance(value, dict) and isinstance(base.get(key), dict) else value
    return result


def render(chart, values):
    return documents(chart.render(values, name="test", namespace="runs"))


def check_schemas(name, objects):
    for version in VERSIONS:
        for kind, document in objects.items():
            # Defined by the Prometheus operator, not by Kubernetes.
            if kind == "ServiceMonitor":
                continue
            try:
                kubernetes_validate.validate(document, version, strict=True)
            except Exception as error:
                problems.append(f"{name}: {kind} is not valid in Kubernetes {version}: {error}")
                return


def check_together(name, objects):
    """What no schema says: that the objects fit each other, the image and the server."""
    pod = objects["Deployment"]["spec"]["template"]
    labels, container = pod["metadata"]["labels"], pod["spec"]["containers"][0]
    selectors = {kind: objects[kind]["spec"]["selector"] for kind in objects if kind in ["Deployment", "PodDisruptionBudget"]}
    selectors = {kind: selector["matchLabels"] for kind, selector in selectors.items()}
    selectors["Service"] = objects["Service"]["spec"]["selector"]
    if "NetworkPolicy" in objects:
        selectors["NetworkPolicy"] = objects["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"]
    for kind, selector in selectors.items():
        expect(selector.items() <= labels.items(), f"{name}: the {kind} does not select the pods")
    ports = {port["name"] for port in container["ports"]}
    expect(objects["Service"]["spec"]["ports"][0]["targetPort"] in ports, f"{name}: the service has no such port")
    routes = (ROOT / "src/http/probes.rs").read_text()
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"]:
        asked = container[probe]["httpGet"]
        expect(f'path = "{asked["path"]}"' in routes and asked["port"] in ports, f"{name}: {probe} asks for {asked}")
    security = {**pod["spec"]["securityContext"], **container["securityContext"]}
    expect(security["runAsNonRoot"] and security["readOnlyRootFilesystem"], f"{name}: it runs with too many rights")
    user = re.search(r"^USER (\d+):", (ROOT / "deploy/Dockerfile").read_text(), re.MULTILINE)[1]
    expect(security["runAsUser"] == int(user), f"{name}: the image's user is {user}")
    stops = pod["spec"]["terminationGracePeriodSeconds"]
    sleeps = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    expect(stops >= sleeps + 10, f"{name}: nothing is left of the grace period after preStop")
    settings = (ROOT / "docs/operating.md").read_text()
    names = [entry["name"] for entry in container["env"]]
    expect(len(names) == len(set(names)), f"{name}: a variable twice")
    for variable in names:
        expect(f"`{variable}`" in settings, f"{name}: there is no setting {variable}")
    plain = [entry["name"] for entry in container["env"] if re.search("TOKEN|KEY|URL", entry["name"]) and "value" in entry]
    expect(not plain, f"{name}: {plain} are not from a secret")


def check_everything(objects):
    """Values arrive where they belong."""
    kinds = {"Deployment", "Service", "ServiceAccount", "Ingress", "PodDisruptionBudget", "HorizontalPodAutoscaler"}
    expect(objects.keys() == kinds | {"ServiceMonitor", "NetworkPolicy"}, f"rendered: {sorted(objects)}")
    expect("replicas" not in objects["Deployment"]["spec"], "the autoscaler and the deployment would both set the number")
    container = objects["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    env = {entry["name"]: entry.get("value") for entry in container["env"]}
    expect(env["RELIVE_BASE_PATH"] == "/relive", "the base path is not passed on")
    expect(env["RELIVE_TRUSTED_PROXIES"] == "10.0.0.0/8,fd00::/8", f"proxies: {env['RELIVE_TRUSTED_PROXIES']}")
    expect(env["RELIVE_MAX_SOCKETS"] == "20000", f"a number has become {env['RELIVE_MAX_SOCKETS']!r}")
    path = objects["Ingress"]["spec"]["rules"][0]["http"]["paths"][0]
    expect(path["path"] == "/relive", "the ingress serves another path")
    expect(path["backend"]["service"]["name"] == objects["Service"]["metadata"]["name"], "the ingress leads nowhere")
    target = objects["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"]
    expect(target == objects["Deployment"]["metadata"]["name"], "the autoscaler scales nothing")
    endpoint = objects["ServiceMonitor"]["spec"]["endpoints"][0]
    expect(endpoint["port"] == objects["Service"]["spec"]["ports"][0]["name"], "the monitor asks another port")
    expect(endpoint["authorization"]["credentials"]["key"] == "RELIVE_METRICS_TOKEN", "the monitor has no token")
    rules = objects["NetworkPolicy"]["spec"]
    expect(rules["ingress"][0]["from"] and len(rules["egress"]) == 2, "the network policy lets everybody in, or out")


def main():
    values = {path.stem: yaml.safe_load(path.read_text()) for path in sorted((CHART / "ci").glob("*.yaml"))}
    objects = 0
    with Chart.load(CHART) as chart:
        for name, given in values.items():
            report = lint(CHART, given, strict=True)
            # An icon is for catalogues of charts.
            severe = [message for message in report["messages"] if message["severity"] > 1]
            expect(not severe and not report["errors"], f"{name}: helm lint says {severe or report['errors']}")
            rendered = render(chart, given)
            check_schemas(name, rendered)
            check_together(name, rendered)
            objects += len(rendered)
        check_everything(render(chart, values["everything"]))
        least = render(chart, values["least"])
        expect(least.keys() == {"Deployment", "Service", "ServiceAccount", "PodDisruptionBudget"}, f"least: {sorted(least)}")
        for what, (change, named) in REFUSED.items():
            try:
                chart.render(merged(values["least"], change), name="test", namespace="runs")
                problems.append(f"{what}: was not refused")
            except HelmError as error:
                expect(named in str(error), f"{what}: refused, but not for {named}: {error}")
    if problems:
        sys.exit("chart.py: " + "\n  ".join(problems))
    print(f"chart: {objects} objects of {len(values)} sets of values are valid in Kubernetes {VERSIONS[0]} to {VERSIONS[-1]}; "
          f"{len(REFUSED)} mistakes are refused")


if __name__ == "__main__":
    main()
