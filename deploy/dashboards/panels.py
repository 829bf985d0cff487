"""The kinds of panels that the dashboards are made of, and the frame that they have in common."""

from collections.abc import Mapping, Sequence
from itertools import count

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import stat, timeseries
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.models import common, dashboard
from grafana_foundation_sdk.models.common import DataSourceRef

TAG = "callytics"
SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
GREEN, YELLOW, RED = "green", "#EAB839", "red"

Bound = tuple[str, float]
Panel = stat.Panel | timeseries.Panel


def board(
    uid: str, title: str, about: str, rows: Mapping[str, Sequence[Panel]]
) -> dashboard.Dashboard:
    """A dashboard: its rows of panels, the data source and queues to choose, the way to the others."""
    frame = (
        builders.Dashboard(f"Callytics: {title}")
        .uid(uid)
        .description(about)
        .tags([TAG])
        .readonly()
        .timezone("browser")
        .refresh("30s")
        .time("now-3h", "now")
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
        .with_variable(
            builders.DatasourceVariable("datasource").label("Prometheus").type("prometheus")
        )
        .with_variable(_queues())
        .link(
            builders.DashboardLink("Dashboards")
            .type(dashboard.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .include_vars(include_vars=True)
            .keep_time(keep_time=True)
        )
    )
    number_of = count(1)
    for name, panels in rows.items():
        frame.with_row(builders.Row(name).id(next(number_of)))
        for panel in panels:
            frame.with_panel(panel.id(next(number_of)))
    return frame.build()


def _queues() -> builders.QueryVariable:
    return (
        builders.QueryVariable("queue")
        .label("Queue")
        .description("A variant's lane, stt.v2 say, is a queue of its own.")
        .datasource(SOURCE)
        .query("label_values(queue_length, queue)")
        .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(dashboard.VariableSort.ALPHABETICAL_ASC)
        .multi(multi=True)
        .include_all(include_all=True)
        .all_value(".*")
        .current(dashboard.VariableOption(selected=True, text="All", value="$__all"))
    )


def number(
    title: str,
    about: str,
    expr: str,
    *,
    unit: str = "short",
    good: float = 0,
    bad: float | None = None,
    width: int = 4,
) -> stat.Panel:
    """One figure as it is now: green at `good`, red from `bad` on, which may lie on either side of it."""
    base, steps = GREEN, []
    if bad is not None:
        base, limit, beyond = (GREEN, bad, RED) if bad > good else (RED, good, GREEN)
        steps = [(beyond, limit)]
    return (
        stat.Panel()
        .title(title)
        .description(about)
        .datasource(SOURCE)
        .with_target(Dataquery().expr(expr).instant().ref_id("A"))
        .unit(unit)
        .thresholds(_thresholds(base, *steps))
        .color_mode(common.BigValueColorMode.BACKGROUND)
        .graph_mode(common.BigValueGraphMode.NONE)
        .reduce_options(common_builders.ReduceDataOptions().calcs(["lastNotNull"]))
        .no_value("no data")
        .height(4)
        .span(width)
    )


def graph(
    title: str,
    about: str,
    *queries: tuple[str, str],
    unit: str = "short",
    limit: float | None = None,
    stacked: bool = False,
    width: int = 8,
) -> timeseries.Panel:
    """Lines over time, each query a PromQL and a legend; a line in red at `limit`, where an alert fires."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(about)
        .datasource(SOURCE)
        .unit(unit)
        .min(0)
        .line_width(1)
        .fill_opacity(30 if stacked else 8)
        .show_points(common.VisibilityMode.NEVER)
        .legend(_legend())
        .tooltip(common_builders.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI))
        .height(8)
        .span(width)
    )
    if stacked:
        panel.stacking(common_builders.StackingConfig().mode(common.StackingMode.NORMAL))
    if limit is not None:
        panel.thresholds(_thresholds(GREEN, (RED, limit)))
        style = common.GraphThresholdsStyleMode.DASHED
        panel.thresholds_style(common_builders.GraphThresholdsStyleConfig().mode(style))
    for letter, (expr, legend) in zip("ABCDEFGH", queries, strict=False):
        panel.with_target(Dataquery().expr(expr).legend_format(legend).range().ref_id(letter))
    return panel


def _legend() -> common_builders.VizLegendOptions:
    return (
        common_builders.VizLegendOptions()
        .display_mode(common.LegendDisplayMode.LIST)
        .placement(common.LegendPlacement.BOTTOM)
        .show_legend(show_legend=True)
    )


def _thresholds(base: str, *steps: Bound) -> builders.ThresholdsConfig:
    found = [dashboard.Threshold(color=color, value=value) for color, value in steps]
    return (
        builders.ThresholdsConfig()
        .mode(dashboard.ThresholdsMode.ABSOLUTE)
        .steps([dashboard.Threshold(color=base, value=None), *found])
    )
