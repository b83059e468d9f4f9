"""What was measured, as ratios: data, text, and a page with its plot."""

import json
import os
import platform
import re
import statistics
import subprocess
from pathlib import Path

from bench.plot import plot

CONTENDERS = ("popgate", "peer", "raw", "relay")
# What is compared, and how each figure is written.
COMPARED = {"rate": "", "cpu": "CPU", "first octet": "first octet", "memory": "memory", "p99": "p99"}
BEGIN, END = "<!-- results: written by tests/bench/run --document -->", "<!-- end of results -->"


def print_round(scenario, number, figures):
    values = "; ".join(f"{name}: " + ", ".join(f"{metric} {value:.4g}" for metric, value in each.items()
                                               if metric in COMPARED) for name, each in figures.items())
    print(f"{scenario.name}, round {number + 1}: {values}", flush=True)


def _ratios(result, metric, over):
    """[median, least, greatest] of popgate's figure by another's of the same round; None where there is none."""
    values = [each["popgate"][metric] / each[over][metric] for each in result.rounds
              if metric in each.get("popgate", {}) and each.get(over, {}).get(metric)]
    return [statistics.median(values), min(values), max(values)] if values else None


def _medians(result):
    first = result.rounds[0]
    return {name: {metric: statistics.median(each[name][metric] for each in result.rounds)
                   for metric in first[name]} for name in first}


def as_data(results, *, quick):
    """What results.json holds."""
    return {"quick": quick, "machine": _machine(), "scenarios": [{
        "name": each.scenario.name, "title": each.scenario.title, "unit": each.scenario.unit,
        "goals": each.scenario.goals, "medians": _medians(each),
        "ratios": {over: {metric: found for metric in COMPARED if (found := _ratios(each, metric, over))}
                   for over in ("peer", "raw", "relay")},
        "rounds": each.rounds} for each in results]}


def _machine():
    def first_words(*command, count=3):
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return " ".join(text.split()[:count])

    model = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return {"processors": os.cpu_count(), "model": model[1] if model else platform.machine(),
            "Dovecot": first_words("dovecot", "--version", count=1),
            "HAProxy": first_words("haproxy", "-v"), "OpenSSL": first_words("openssl", "version", count=2),
            "Linux": platform.release()}


# --- text

def _figure(metric, unit, value):
    """With its unit, in few digits."""
    if metric == "rate":
        return f"{_digits(1 / value)} s" if unit == "openings" else f"{_digits(value)} {unit}/s"
    if metric == "cpu":
        return f"{_digits(value)} " + {"messages": "s/1,000 messages", "MB": "s/GB"}.get(unit, "s/1,000 sessions")
    return f"{_digits(value / 1000)} kB" if metric == "memory" else f"{_digits(value)}" + (
        " ms" if metric == "first octet" else "")


def _digits(value):
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value >= 0.1 or value == 0 else f"{value:.2g}"


def _ratio(found):
    if not found:
        return ""
    middle, least, greatest = (_digits(each) for each in found)
    return middle if least == greatest else f"{middle} ({least}–{greatest})"


def _rows(data):
    """(scenario, metric, {contender: figure}, ratio to peer, to raw, to relay) of all that is compared."""
    for each in data["scenarios"]:
        for metric in COMPARED:
            figures = {name: _figure(metric, each["unit"], measured[metric])
                       for name, measured in each["medians"].items() if metric in measured}
            if "popgate" in figures:
                yield each, metric, figures, *(_ratio(each["ratios"][over].get(metric)) for over in CONTENDERS[1:])


def as_text(data):
    lines = [("scenario", "", *CONTENDERS, "to peer", "to raw", "to relay", "wanted")]
    for each, metric, figures, *compared in _rows(data):
        wanted = each["goals"].get(metric, "")
        if metric == "rate" and "raw" in each["goals"]:
            wanted += f"; to raw {each['goals']['raw']}"
        lines.append((each["name"], COMPARED[metric], *(figures.get(name, "") for name in CONTENDERS), *compared, wanted))
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines)


# --- a page

def _as_markdown(data):
    machine = data["machine"]
    lines = [f"Medians of {max(len(each['rounds']) for each in data['scenarios'])} rounds, with the least and the greatest;"
             f" {machine['processors']} processors ({machine['model']}), Linux {machine['Linux']},"
             f" Dovecot {machine['Dovecot']}, {machine['HAProxy']}, {machine['OpenSSL']}.", "",
             "![popgate beside Dovecot imapc](performance.svg)", "",
             "| scenario | popgate | Dovecot imapc | raw IMAP | HAProxy | popgate : imapc | popgate : raw |",
             "| --- | --- | --- | --- | --- | --- | --- |"]
    for each, metric, figures, peer, raw, _relay in _rows(data):
        title = each["title"] + (f", {COMPARED[metric]}" if COMPARED[metric] else "")
        lines.append(f"| {title} | " + " | ".join(figures.get(name, "") for name in CONTENDERS) + f" | {peer} | {raw} |")
    return "\n".join(lines)


def document(data, folder):
    """Draws performance.svg and puts the table into performance.md, between its two marks."""
    (folder / "performance.svg").write_text(plot(data))
    page = folder / "performance.md"
    before, _, rest = page.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    page.write_text(f"{before}{BEGIN}\n{_as_markdown(data)}\n{END}{after}")


def write_results(data, out):
    out.mkdir(parents=True, exist_ok=True)
    (out / "results.json").write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n")
    (out / "results.txt").write_text(as_text(data) + "\n")
    (out / "performance.svg").write_text(plot(data))
