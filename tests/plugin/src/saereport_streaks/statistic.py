"""What the statistic is and where; its accumulator needs torch, which naming it does not."""

from __future__ import annotations

from saereport.measure import Statistic

STATISTIC = Statistic("streaks", ("streaks",), "saereport_streaks.streaks:Streaks")
