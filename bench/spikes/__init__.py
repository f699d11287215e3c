"""What the volume test is worth on count series: labelled ones by a public benchmark's rules, and synthetic ones."""
