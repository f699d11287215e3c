"""Where messages come from. A source yields rows; `pipeline.publish` sends them. One file a source."""
