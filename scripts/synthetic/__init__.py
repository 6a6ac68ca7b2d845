"""Languages that are made up, of which the best possible prediction is known exactly.

Each gives text, and for windows of it -ln P of every token but the first under the best predictor
that sees no more than the window: what no model can beat, but by luck. `nats` takes (n, T + 1)
tokens and returns (n, T).
"""

from synthetic.copying import Copying
from synthetic.dyck import Dyck
from synthetic.in_context import InContextMarkov
from synthetic.language import Language
from synthetic.markov import Markov
from synthetic.modular import ModularAddition

__all__ = ["Copying", "Dyck", "InContextMarkov", "Language", "Markov", "ModularAddition"]
