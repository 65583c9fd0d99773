"""AUROC of each attack with its interval, development and held-out apart; alarms of models that nobody poisoned."""
import matplotlib

import plan

COLOURS = {"development": "#3274a1", "held out": "#e1812c", "adaptive": "#3a923a"}


def side(name):
    attack = name.split(" ")[0]
    if attack == plan.ADAPTIVE:
        return "adaptive"
    return "development" if attack in plan.DEVELOPMENT else "held out"


def areas(axis, told):
    attacks = {**told["detection"]["attacks"], **told["adaptive"]["attacks"]}
    rows = sorted((n for n, row in attacks.items() if row.get("auroc")), key=lambda n: attacks[n]["auroc"]["value"])
    for y, name in enumerate(rows):
        row, colour = attacks[name]["auroc"], COLOURS[side(name)]
        axis.plot([row["low"], row["high"]], [y, y], color=colour, linewidth=1.2)
        axis.plot(row["value"], y, "o", color=colour, markersize=3.5)
    axis.set_yticks(range(len(rows)), rows)
    axis.axvline(0.5, color="#999999", linewidth=0.8, linestyle=":")
    axis.set_xlabel("AUROC, working plants, 95 % interval")


def alarms(axis, told):
    rows = {"clean test": told["clean"], **{f"shift: {n}": r for n, r in told["shifts"].items()},
            **{f"variant: {n}": r for n, r in told["variants"].items()}}
    for y, row in enumerate(rows.values()):
        entry = row["alarms_0.05"]
        if entry["share"] is None:
            continue
        axis.plot([100 * entry["low"], 100 * entry["high"]], [y, y], color="#c03d3e", linewidth=1.2)
        axis.plot(100 * entry["share"], y, "o", color="#c03d3e", markersize=3.5)
        axis.plot(100 * row["out_of_range"]["share"], y, "|", color="#444444", markersize=6)
    axis.set_yticks(range(len(rows)), list(rows))
    axis.invert_yaxis()
    axis.axvline(5, color="#999999", linewidth=0.8, linestyle="--")
    axis.set_xlabel("alarms at p ≤ 5 %, 95 % interval (bar: out of range), %")


def draw(result, paths):
    """One picture a path; the ending says of which kind."""
    matplotlib.use("agg")
    import matplotlib.pyplot as plt
    plt.rcParams.update({"svg.hashsalt": "driftseal", "font.size": 8, "axes.spines.top": False,
                         "axes.spines.right": False})
    told = result["figures"]["all"]
    figure, axes = plt.subplots(1, 2, figsize=(10.5, 5.2))
    areas(axes[0], told)
    alarms(axes[1], told)
    handles = [plt.Line2D([], [], marker="o", color=colour, label=name) for name, colour in COLOURS.items()]
    axes[0].legend(handles=handles, loc="upper left", frameon=False)
    figure.tight_layout()
    for path in paths:
        figure.savefig(path, dpi=150, metadata={"Date": None} if str(path).endswith(".svg") else None)
    plt.close(figure)
