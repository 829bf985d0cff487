"""Grafana's dashboards as code: what is drawn stands here, and Grafana reads the JSON that is made of it."""

from collections.abc import Mapping

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.dashboards import batches, calls, models, overview

BOARDS = (overview.BOARD, calls.BOARD, models.BOARD, batches.BOARD)


def written() -> Mapping[str, str]:
    """The files, by name."""
    encoder = JSONEncoder(sort_keys=True, indent=2)
    return {f"{board.uid!s}.json": encoder.encode(board) + "\n" for board in BOARDS}
