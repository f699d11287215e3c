"""From rollups to alerts: baselines, spike tests, episodes, notifications and the scheduler."""
