"""Ratios, as text and JSON."""

import json
import statistics

# {metric: what its ratio is of}, those that are compared
COMPARED = ("rate", "cpu", "first octet", "memory", "p99")


def print_round(scenario, number, figures):
    values = ", ".join(f"{name} " + " ".join(f"{metric} {value:.4g}" for metric, value in each.items()
                                             if metric in COMPARED) for name, each in figures.items())
    print(f"{scenario.name} round {number + 1}: {values}", flush=True)


def ratios(result, metric, over):
    """(median, least, greatest) of popgate's figure by another's in the same round; None where there is none."""
    values = [each["popgate"][metric] / each[over][metric] for each in result.rounds
              if metric in each.get("popgate", {}) and each.get(over, {}).get(metric)]
    return (statistics.median(values), min(values), max(values)) if values else None


def medians(result):
    """{contender: {metric: median}}"""
    names = result.rounds[0]
    return {name: {metric: statistics.median(each[name][metric] for each in result.rounds)
                   for metric in result.rounds[0][name]} for name in names}


def as_data(result):
    scenario = result.scenario
    compared = {over: {metric: found for metric in COMPARED if (found := ratios(result, metric, over))}
                for over in ("peer", "raw", "relay")}
    return {"name": scenario.name, "title": scenario.title, "unit": scenario.unit, "goals": scenario.goals,
            "medians": medians(result), "ratios": compared, "rounds": result.rounds}


def write_results(results, out, *, quick):
    data = {"quick": quick, "scenarios": [as_data(each) for each in results]}
    out.mkdir(parents=True, exist_ok=True)
    (out / "results.json").write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n")
    print_table(data)


def print_table(data):
    print(f"\n{'scenario':24} {'metric':12} {'popgate':>10} {'peer':>10} {'raw':>10} {'relay':>10}   ratio to peer (spread)   to raw  goals")
    for each in data["scenarios"]:
        for metric in COMPARED:
            row = {name: figures[metric] for name, figures in each["medians"].items() if metric in figures}
            if "popgate" not in row:
                continue
            cells = " ".join(f"{row[name]:10.4g}" if name in row else f"{'':10}" for name in ("popgate", "peer", "raw", "relay"))
            peer, raw = each["ratios"]["peer"].get(metric), each["ratios"]["raw"].get(metric)
            spread = f"{peer[0]:8.3g} ({peer[1]:.3g}..{peer[2]:.3g})" if peer else ""
            goal = each["goals"].get(metric, "")
            if metric == "rate" and "raw" in each["goals"]:
                goal += f", raw {each['goals']['raw']}"
            print(f"{each['name']:24} {metric:12} {cells}   {spread:24} {f'{raw[0]:.3g}' if raw else '':7} {goal}")
