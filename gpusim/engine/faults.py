"""What to say of a concentration that has gone wrong."""

import numpy as np

from gpusim.model import Model
from gpusim.model.exchange import effects_by_state
from gpusim.model.tables import EffectKind


def largest_source(model: Model, field: int, fired: dict[str, int], steps: int) -> str:
    """What has added most to a field at once so far, in words."""
    cells, exchange, states, names = model.cells, model.exchange, model.states, model.fields
    unit = names.units[field]
    initial = float(names.initial[field].max())
    found = [(initial, f"its initial value of {initial:g} {unit}")]

    def secretes(state: str, amount: float) -> None:
        found.append((amount, f"state '{state}', which adds {amount:g} {unit} a step"))

    made = exchange.production[field] * model.step
    for layer, amounts in ((states.tissue, made.max(axis=1)), (states.immune, (made - made[:, :1]).max(axis=0))):
        n = int(np.argmax(amounts))
        secretes(layer[n], float(amounts[n]))
    for name, value in zip(states.tissue, exchange.held[field], strict=True):
        if value > 0:
            found.append((float(value), f"state '{name}', which holds {value:g} {unit}"))
    for of, state, effect in effects_by_state(exchange, len(states.names)):
        if of == field and effect["kind"] == EffectKind.SECRETION:
            secretes(states.names[state], float(effect["rate"]) * model.step)
    for name, rule in zip(cells.rule_names, cells.rules, strict=True):
        for release in cells.releases[rule["first_release"] : rule["end_release"]]:
            if release["field"] == field and fired[name]:
                amount = float(release["amount"])
                found.append(
                    (amount, f"rule '{name}', which releases {amount:g} {unit} at each of {fired[name]} firings")
                )
    for name, row in zip(model.reactions.names, model.reactions.rows, strict=True):
        terms = model.reactions.terms
        consumed, made = terms[row["first_consumed"] : row["first_made"]], terms[row["first_made"] : row["end_made"]]
        for term in made[made["field"] == field]:
            there = [names.initial[field].max() for field in consumed["field"]]
            extent = float(np.min(there / consumed["coefficient"]))
            amount = float(term["coefficient"]) * extent
            found.append((amount, f"reaction '{name}', which makes {amount:g} {unit} of what is there at first"))
    for dose in model.doses:
        if dose.field == field and dose.step < steps:
            amount = float(dose.amounts.max())
            found.append((amount, f"therapy '{dose.name}', which adds {amount:g} {unit}"))
    amount, words = max(found, key=lambda each: each[0])
    return words if amount > 0 else "no source at all"
