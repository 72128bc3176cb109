"""A table as one LaTeX float: booktabs, experiments over their rows, numbers aligned at the point."""

import re
from collections.abc import Iterable, Sequence
from itertools import takewhile

import pandas as pd

SPECIAL = {each: f"\\{each}" for each in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "−": "$-$",
    "–": "--",
    "×": r"$\times$",
    "√": r"$\surd$",
    "→": r"$\to$",
}
"""Letters that LaTeX reads otherwise, or that its fonts lack."""
NUMBER = re.compile(r"[+-]?[\d,]+(?:\.\d+)?")
SPREAD = re.compile(rf"({NUMBER.pattern}) ± ({NUMBER.pattern})")
EMPTY = "–"
BOLD = re.compile(r"\*\*(.+?)\*\*")
"""What stands out in a cell."""


PAGE = 6.75
"""Inches that a float of two columns is wide."""
LETTER, GAP = 0.05, 0.083
"""Inches of a letter in the size of a script, on average, and between two columns."""


def latex(label: str, caption: str, sections: dict[str, pd.DataFrame], notes: Sequence[str]) -> str:
    """All sections as one float.

    Args:
        label: behind `tab:`.
        caption: a sentence.
        sections: title -> cells as text; what a first column repeats stands once.
        notes: under the sections.
    """
    lines = [
        r"% \usepackage{booktabs,multirow}",
        r"\begin{table*}",
        r"\centering",
        r"\scriptsize",
        r"\setlength{\tabcolsep}{3pt}",
    ]
    lines += [rf"\caption{{{escaped(caption)}}}", rf"\label{{tab:{label}}}"]
    for title, cells in sections.items():
        lines += [rf"\par\medskip {escaped(title)}"]
        for part in parts(cells):
            lines += [r"\par\smallskip", *tabular(part)]
    if notes:
        lines += [r"\par\medskip\raggedright"]
        lines += [rf"{escaped(note)}.\par" for note in notes]
    return "\n".join([*lines, r"\end{table*}", ""])


def parts(cells: pd.DataFrame) -> list[pd.DataFrame]:
    """A section as it is, or cut into parts that each fit on a page: all begin with its first columns of text."""
    texts = {str(name): [str(cell) for cell in cells[name]] for name in cells.columns}
    widths = {name: LETTER * max(map(len, [name, *values])) + GAP for name, values in texts.items()}
    first = list(takewhile(lambda name: _kind(_plain(texts[name])) == "text", texts))[:2]
    found: list[list[str]] = [[]]
    for name in [each for each in texts if each not in first]:
        if found[-1] and sum(widths[each] for each in (*first, *found[-1], name)) > PAGE:
            found.append([])
        found[-1].append(name)
    return [cells[[*first, *names]] for names in found]


def tabular(cells: pd.DataFrame) -> list[str]:
    """One section. A column of means with deviations becomes two, so that both stand at their points."""
    columns = {str(name): [str(cell) for cell in cells[name]] for name in cells.columns}
    kinds = {name: _kind(_plain(values)) for name, values in columns.items()}
    spec = "".join({"text": "l", "number": "r", "spread": r"r@{\,$\pm$\,}r"}[kind] for kind in kinds.values())
    head = " & ".join(_head(name, kind) for name, kind in kinds.items())
    first, *others = columns
    rows: list[str] = []
    for place, name in enumerate(columns[first]):
        begins = place == 0 or columns[first][place - 1] != name
        rows += [r"\midrule"] if begins and place else []
        length = next((n for n, other in enumerate(columns[first][place:]) if other != name), len(cells) - place)
        over = rf"\multirow{{{length}}}{{*}}{{{escaped(name)}}}" if length > 1 else escaped(name)
        parts = [over if begins else "", *(_cell(columns[column][place], kinds[column]) for column in others)]
        rows.append(" & ".join(parts) + r" \\")
    return [
        rf"\begin{{tabular}}{{{spec}}}",
        r"\toprule",
        head + r" \\",
        r"\midrule",
        *rows,
        r"\bottomrule",
        r"\end{tabular}",
    ]


def escaped(text: str) -> str:
    """Text as LaTeX prints it."""
    return "".join(SPECIAL.get(letter, letter) for letter in text)


def _plain(values: Iterable[str]) -> list[str]:
    return [BOLD.sub(r"\1", value) for value in values]


def _kind(values: Iterable[str]) -> str:
    told = [value for value in values if value != EMPTY]
    if any(SPREAD.fullmatch(value) for value in told):
        return "spread"
    return "number" if told and all(NUMBER.fullmatch(value) for value in told) else "text"


def _head(name: str, kind: str) -> str:
    return {"text": "{0}", "number": r"\multicolumn{{1}}{{r}}{{{0}}}", "spread": r"\multicolumn{{2}}{{c}}{{{0}}}"}[
        kind
    ].format(escaped(name))


def _cell(text: str, kind: str) -> str:
    bold = BOLD.fullmatch(text)
    plain = bold[1] if bold else text

    def shown(part: str) -> str:
        return rf"\textbf{{{escaped(part)}}}" if bold else escaped(part)

    if kind != "spread":
        return shown(plain)
    if found := SPREAD.fullmatch(plain):
        return f"{shown(found[1])} & {shown(found[2])}"
    if NUMBER.fullmatch(plain):  # one seed: no deviation, and room for the sign of one
        return rf"\multicolumn{{1}}{{r@{{\phantom{{\,$\pm$\,}}}}}}{{{shown(plain)}}} &"
    return rf"\multicolumn{{2}}{{c}}{{{shown(plain)}}}"
