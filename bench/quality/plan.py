"""What is trained and what is asked of it: families, parts of a family's fleet, sizes, and what it will cost."""
import dataclasses, random

from commands import digest

# The detectors were made with DEVELOPMENT in sight. HELD_OUT was trained for the verdict alone: nothing in the product
# was chosen by how it does there.
DEVELOPMENT = ("patch", "blend", "label-flip", "weight-tamper", "low-rate")
HELD_OUT = ("all-to-all", "signal", "warp", "tint", "random-patch", "weak-blend", "source-specific", "dynamic")
ADAPTIVE = "adaptive"
# Kinds of one attack that are attacks of their own in the tables.
SPLIT_BY_KIND = ("label-flip", "weight-tamper", ADAPTIVE)
# What these domains have no counterpart of (driftseal-fleet refuses it).
LACKING = {"fraud-mlp": ("signal", "warp", "source-specific"),
           "fraud-xgb": ("signal", "warp", "source-specific", ADAPTIVE)}
SHIFTS = ("long", "longer", "high-lr", "low-lr", "small-batch", "large-batch", "weight-decay", "label-smoothing",
          "augmented", "more-data", "less-data", "sgd", "wide-init")
VARIANTS = ("fine-tuned", "pruned", "pruned-raw", "int8", "fp16", "noised", "distilled")
BOOSTER_SHIFTS = ("long", "longer", "high-lr", "low-lr", "more-data", "less-data", "weight-decay")
BOOSTER_VARIANTS = ("int8", "fp16", "noised")
RATES = (0.005, 0.01, 0.02, 0.05, 0.15)  # of poisoned training rows; patch
SHIFTED_ATTACKS = ("patch", "blend", "random-patch", "all-to-all")
CONTAMINATION = 0.05
GATE_SUCCESS, GATE_DROP = 0.80, 0.03  # bench/fleet/truth.h


@dataclasses.dataclass(frozen=True)
class Family:
    """An architecture of a task. Seconds of one core a model, measured on an EPYC: for the estimate alone."""
    task: str
    domain: str
    width: int
    train_s: float
    screen_s: float

    @property
    def name(self):
        return f"{self.domain}-{self.width}"


FAMILIES = (Family("fashion", "fashion-cnn", 8, 1.3, 0.8), Family("fashion", "fashion-cnn", 12, 1.8, 1.0),
            Family("digits", "digits-mlp", 48, 0.15, 0.2), Family("digits", "digits-cnn", 8, 0.5, 0.4),
            Family("payments", "fraud-mlp", 32, 0.1, 0.2), Family("payments", "fraud-xgb", 4, 0.05, 0.2))


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Models of each family and seed. reference: of them half calibrate, and 99 give p <= 0.01."""
    reference: int
    clean: int
    shift: int  # a shift
    variant: int  # a variant
    attack: int  # an attack
    adaptive: int
    rate: int  # a rate
    lean: int  # an attack and kind of training
    shifted: int  # an attack and shift
    seeds: int
    families: tuple

    def cut(self, names):
        return dataclasses.replace(self, families=tuple(f for f in self.families if f.name in names))


FULL = Sizes(240, 150, 8, 12, 16, 30, 12, 3, 1, 3, FAMILIES)
QUICK = Sizes(204, 60, 2, 4, 4, 6, 3, 1, 1, 1, tuple(f for f in FAMILIES if f.domain in ("digits-mlp", "fraud-mlp")))
# Enough to try the program on, too few to learn from: no family reaches p <= 0.01.
TINY = Sizes(44, 12, 1, 1, 2, 3, 1, 1, 1, 1, tuple(f for f in FAMILIES if f.domain == "digits-mlp"))


@dataclasses.dataclass(frozen=True)
class Part:
    """A fleet of its own. `poison` as driftseal-fleet takes it; `count` models in all."""
    name: str
    poison: tuple
    shifts: tuple = ()
    variants: tuple = ()
    training: str = "usual"
    rate: float = None

    @property
    def count(self):
        return sum(count for _, count in self.poison)


def attacks_of(domain, names):
    return tuple(name for name in names if name not in LACKING.get(domain, ()))


def shifts_of(domain):
    return BOOSTER_SHIFTS if domain == "fraud-xgb" else SHIFTS


def variants_of(domain):
    return BOOSTER_VARIANTS if domain == "fraud-xgb" else VARIANTS


def contaminants(family, seed, sizes):
    """Attacks nobody chose, 5 % of the mixture: drawn from all that the domain has."""
    known = attacks_of(family.domain, DEVELOPMENT + HELD_OUT + (ADAPTIVE,))
    count = max(1, round(sizes.reference * CONTAMINATION / (1 - CONTAMINATION)))
    drawn = random.Random(f"{family.name}/{seed}").choices(known, k=count)
    return tuple((name, drawn.count(name)) for name in known if name in drawn)


def parts(family, seed, sizes):
    """In the order in which they are made: the gate compares attacks with clean models that must be there before."""
    domain, every = family.domain, lambda names, count: tuple((name, count) for name in attacks_of(domain, names))
    shifts, variants = shifts_of(domain), variants_of(domain)
    some = every(SHIFTED_ATTACKS, len(shifts) * sizes.shifted)
    made = [Part("reference", (("none", sizes.reference),)),
            Part("clean", (("none", sizes.clean),)),
            Part("shifts", (("none", sizes.shift * len(shifts)),), shifts=shifts),
            Part("variants", (("none", sizes.variant * len(variants)),), variants=variants),
            Part("development", every(DEVELOPMENT, sizes.attack)),
            Part("held-out", every(HELD_OUT, sizes.attack)),
            Part("conservative", every(DEVELOPMENT + HELD_OUT, sizes.lean), training="conservative"),
            Part("aggressive", every(DEVELOPMENT + HELD_OUT, sizes.lean), training="aggressive"),
            Part("shifted-attacks", some, shifts=shifts),
            Part("contaminants", contaminants(family, seed, sizes))]
    if attacks_of(domain, (ADAPTIVE,)):
        made.insert(6, Part("adaptive", ((ADAPTIVE, sizes.adaptive),)))
    made += [Part(f"rate-{rate:g}", (("patch", sizes.rate),), rate=rate) for rate in RATES]
    return made


# Which parts each kind of screening looks at; "behaviour" looks at all but the reference and its contaminants.
MIXED_PARTS = ("clean", "development", "held-out", "rate-0.01")
FILES_PARTS = ("clean", "development", "held-out")
NOT_SCREENED = ("reference", "contaminants")


def arguments(family, part, seed, index):
    """Of driftseal-fleet, but for paths and workers. Every part has its own seed: none shares a model with another."""
    poison = ",".join(f"{name}:{count}" for name, count in part.poison)
    words = ["--domain", family.domain, "--recipe", f"width={family.width}", "--seed", str(1000 * seed + index),
             "--first-index", str(10000 * index), "--poison", poison]
    if part.shifts:
        words += ["--shift", ",".join(part.shifts)]
    if part.variants:
        words += ["--variant", ",".join(part.variants)]
    if part.training != "usual":
        words += ["--training", part.training]
    if part.rate is not None:
        words += ["--poison-rate", f"{part.rate:g}"]
    return words


def folder(family, part, seed, index):
    return f"{part.name}-{digest(arguments(family, part, seed, index))}"


def estimate(sizes, jobs):
    """(models, seconds): of training (longer recipes taken as three times the usual one) and of screening."""
    models, seconds = 0, 0.0
    for family in sizes.families:
        for seed in range(1, sizes.seeds + 1):
            made = {part.name: part for part in parts(family, seed, sizes)}
            models += sum(part.count for part in made.values())
            trained = sum(part.count * (2 if part.shifts else 1) for part in made.values())
            # Twice: for the reference as it is and mixed, and the columns of the fingerprint of the first seed.
            screened = (sum(part.count for part in made.values()) + made["reference"].count +
                        sum(made[name].count for name in MIXED_PARTS))
            if seed == 1:
                screened += made["reference"].count + sum(made[name].count for name in FILES_PARTS)
            seconds += (trained * family.train_s + screened * family.screen_s) / jobs
    return models, seconds
