"""What Prometheus and Grafana make of Limpet: the metrics, the alert rules and the dashboard that are shipped, held by promtool."""

import json
import pathlib
import re
import subprocess

import pytest

from support.status import Status, promtool, status_table

HERE = pathlib.Path(__file__).resolve().parent
CONF = HERE.parent.parent / "conf"
ALERTS, GRAFANA = CONF / "prometheus-alerts.yml", CONF / "grafana-limpet.json"

needs_promtool = pytest.mark.skipif(not promtool(), reason="promtool is not there")


def check(*arguments, **how):
    done = subprocess.run([promtool(), *arguments], capture_output=True, timeout=60, **how)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
    return done


def served(scene):
    """A Limpet that has something to tell: sessions, a drain, an outage."""
    backends = scene.backends(3)
    limpet = scene.limpet(backends, pool={"affinity": ["cookie"], "passive": {"failures": 1}}, status=status_table())
    users = [limpet.browser() for _ in range(9)]
    for user in users:
        user.get()
        user.get()
    status = Status(limpet)
    status.post("/pools/app/backends/b/drain")
    backends[2].die()
    for user in users:
        user.get()
    status.wait_for_state("c", "down")
    return status


@needs_promtool
def test_the_metrics_pass_prometheus_own_checker(scene):
    answer = served(scene).get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    done = check("check", "metrics", input=answer.body)
    assert (done.stdout, done.stderr) == (b"", b"")


@needs_promtool
def test_the_alert_rules_are_rules_and_fire_where_they_should():
    check("check", "rules", str(ALERTS))
    check("test", "rules", "alerts_test.yml", cwd=HERE)


def grafana_queries():
    dashboard = json.loads(GRAFANA.read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    queries += [annotation["expr"] for annotation in dashboard["annotations"]["list"]]
    assert len(queries) > 30
    return queries


def test_alerts_and_dashboard_ask_for_metrics_that_there_are(scene):
    told = set(re.findall(r"^# TYPE (\S+) ", served(scene).get("/metrics").text, re.M))
    assert len(told) > 40
    variables = json.dumps(json.loads(GRAFANA.read_text())["templating"])
    asked = set(re.findall(r"\blimpet_\w+", " ".join(grafana_queries()) + variables + re.sub(r"#.*", "", ALERTS.read_text())))
    unknown = {name for name in asked if name not in told and re.sub(r"_(bucket|sum|count)$", "", name) not in told}
    assert not unknown


@needs_promtool
def test_the_dashboards_queries_are_promql(tmp_path):
    rules = []
    for index, query in enumerate(grafana_queries()):
        query = query.replace("$__rate_interval", "5m").replace("$instance", ".*").replace("$pool", ".*")
        rules.append({"record": f"panel:{index}", "expr": query})
    file = tmp_path / "queries.yml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))  # YAML holds JSON
    check("check", "rules", str(file))


def test_the_dashboards_panels_do_not_overlap():
    panels = json.loads(GRAFANA.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken and place["x"] + place["w"] <= 24, panel["title"]
        taken |= cells
