import pytest

from tests.support.promql import metrics_of


@pytest.mark.parametrize(
    ("expr", "names"),
    [
        ("vector(1)", set()),
        ("up == 0", {"up"}),
        ('(sum(up{job="callytics"}) or vector(0)) == 0', {"up"}),
        ("max without (instance, pod) (increase(late_total[5m])) > 2", {"late_total"}),
        ('a{b="c{d}",e!~".+[.].+"} / on (x) group_left (y) sum by (z) (f[1h])', {"a", "f"}),
        ('count by (alertname) (ALERTS{alertstate="firing"})', {"ALERTS"}),
        ("sum by (model_name) (vllm:num_requests_running)", {"vllm:num_requests_running"}),
        ("histogram_quantile(0.95, sum by (le) (rate(x_bucket[$__rate_interval])))", {"x_bucket"}),
        ("1e3 * a and b unless c offset 5m", {"a", "b", "c"}),
    ],
)
def test_the_metrics_of_an_expression(expr: str, names: set[str]) -> None:
    assert metrics_of(expr) == names
