"""The resident engine against what users would write in ten lines: same texts, same checkpoint, one run.

    texts ─► contenders, a process each ─► rounds: everyone in turn, the order rotated ─► figures ─► report, tables

| module | holds |
| --- | --- |
| `run` | a whole run: the shipped checkpoint, then the one of `base` |
| `texts` | which texts: even by file, none twice, drawn by a fixed seed |
| `work` | tokens and multiplications, counted alike for everyone |
| `base` | a GPT-2 of base size with random weights |
| `peers`, `torch_peers`, `exported_peers` | the engine and its peers; `place`, `batches`: what they share |
| `remote`, `contender` | the process of each, seen from both sides |
| `ceiling` | what this machine's plain matrix products reach |
| `measure`, `rounds`, `ablation` | the measuring |
| `figures`, `report`, `tables` | medians and ratios; the JSON document; tables for people |

The parent process imports neither torch nor any peer's library, so that nothing of it competes with what is measured.
"""
