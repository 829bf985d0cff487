"""`python -m deploy.dashboards` (make dashboards): writes deploy/grafana/dashboards anew."""

from pathlib import Path

from deploy.dashboards import written

FOLDER = Path(__file__).parents[1] / "grafana" / "dashboards"

FOLDER.mkdir(exist_ok=True)
for file in FOLDER.glob("*.json"):
    file.unlink()
for name, content in written().items():
    (FOLDER / name).write_text(content, "utf-8")
