"""The resident engine against what users would write in ten lines: same texts, same checkpoint, one run.

    texts ─► plan: a process a contender ─► rounds: everyone in turn, the order rotated ─► figures ─► report

| module | holds |
| --- | --- |
| `texts` | which texts: even by file, none twice, read by a fixed seed |
| `work` | tokens and multiplications, counted alike for everyone |
| `base` | a GPT-2 of base size with random weights |
| `peers`, `torch_peers`, `exported_peers` | the engine and its peers, each built in a process of its own |
| `remote`, `contender` | that process, seen from both sides |
| `ceiling` | what this machine's plain matrix products reach |
| `rounds`, `measure`, `ablation` | the measuring |
| `figures`, `report` | medians and ratios; JSON and tables |

The parent process imports neither torch nor any peer's library, so that nothing of it competes with what is measured.
"""
