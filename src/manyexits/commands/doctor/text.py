"""A report as text: coloured tables on a terminal, plain lines elsewhere."""

import sys
from itertools import groupby

from manyexits.commands.doctor import DATA, Finding, Report, Target

COLOURS = {"ok": "green", "note": "yellow", "missing": "red"}
MANY = 3
"""Findings that share a line where the same is to be said of them; fewer have a line each."""


def show(report: Report) -> None:
    """Print a report, the answer at its end, where the eye lands."""
    if sys.stdout.isatty() and report.targets:
        _tables(report)
    else:
        print("\n".join(lines(report)))


def blocks(report: Report) -> dict[str, list[Finding]]:
    """All sections, the tables and figures as the last one."""
    drawn = {"Tables and figures": _together(report.targets)} if report.targets else {}
    return {title: _alike(section) for title, section in report.sections.items()} | drawn


def _alike(section: list[Finding]) -> list[Finding]:
    """One line for neighbours of whom the same is said."""
    found: list[Finding] = []
    for (state, says), group in groupby(section, key=lambda finding: (finding.state, finding.says)):
        alike = list(group)
        names = ", ".join(each.what for each in alike)
        found += [Finding(state, f"these {len(alike)}", f"{says}: {names}")] if len(alike) >= MANY else alike
    return found


def _together(targets: list[Target]) -> list[Finding]:
    """One line for many that lack the same, or nothing."""
    found: list[Finding] = []
    for lacks, group in groupby(sorted(targets, key=lambda target: target.lacks), key=lambda target: target.lacks):
        alike = list(group)
        if len(alike) < MANY:
            found += map(_drawn, alike)
            continue
        names = ", ".join(f"{_name(each)} {each.done}/{each.total}" for each in alike)
        hours = max(each.hours for each in alike)
        says = f"{_able(lacks)}; of their trainings are there: {names}; the rest may take up to {hours:,.0f} h for one"
        found.append(Finding("missing" if lacks else "ok", f"these {len(alike)}", says))
    return found


def _name(target: Target) -> str:
    return f"{target.name} ({target.kind.removesuffix('s')})"


def _able(lacks: tuple[str, ...]) -> str:
    return f"lacks {'; '.join(lacks)}" if lacks else "can be built"


def _drawn(target: Target) -> Finding:
    trained = f"{target.done} of {target.total} trainings are there"
    if target.done < target.total:
        trained += f", the rest may take up to {target.hours:,.0f} h by their time limits"
    joint = ". " if target.lacks else "; "
    return Finding("missing" if target.lacks else "ok", _name(target), f"{_able(target.lacks)}{joint}{trained}")


def answer(report: Report) -> str:
    """The last line: how much of the study can be built."""
    able, all_ = sum(not target.lacks for target in report.targets), len(report.targets)
    others = [
        finding.what
        for title, section in report.sections.items()
        if title != DATA
        for finding in section
        if finding.state == "missing"
    ]
    built = f"{able} of {all_} tables and figures can be built here."
    first = built if report.targets else "Which tables and figures can be built is not known yet."
    return first + (f" First see to: {', '.join(others)}." if others else "")


def lines(report: Report) -> list[str]:
    """Plain lines."""
    found = []
    for title, section in blocks(report).items():
        wide = max(len(finding.what) for finding in section)
        found += [title, *(f"  {f.state:<8} {f.what:<{wide}}  {f.says}" for f in section), ""]
    return [*found, answer(report)]


def _tables(report: Report) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    terminal = Console(highlight=False)
    for title, section in blocks(report).items():
        table = Table(
            box=None, show_header=False, title=title, title_justify="left", title_style="bold", padding=(0, 1)
        )
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for finding in section:  # Text, since a path may hold what rich takes for markup
            table.add_row(Text(finding.state, COLOURS[finding.state]), Text(finding.what), Text(finding.says))
        terminal.print(table)
        terminal.print()
    terminal.print(Text(answer(report), "bold green" if report.complete else "bold red"))
