"""A conversation that goes on, kept within a model's context.

    system | user assistant | user assistant | user        and room for an answer
             ^^^^^^^^^^^^^^ these go first

What the system says stays, and so does what the user said last.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gptkit.chat.conversation import Conversation, Message
from gptkit.chat.encoding import ChatEncoder
from gptkit.errors import PromptError


@dataclass
class Dialogue:
    """What was said so far; `encoder` belongs to the model that answers."""

    encoder: ChatEncoder
    context_length: int
    system: str | None = None
    turns: Conversation = field(default_factory=list)
    forgotten: int = 0
    """Turns, from the first on, that the model no longer reads."""

    def ask(self, text: str) -> list[int]:
        """Add what the user says; return the tokens that ask for an answer.

        A quarter of the context stays free for it. The oldest turns are passed over until that is
        so, up to the next one of the user's; they stay in `turns`.

        Raises: PromptError, with nothing added, where what is said is too long by itself;
        DataError where the template refuses the conversation.
        """
        turns = [*self.turns, Message(role="user", content=text)]
        most = self.context_length - self.context_length // 4
        questions = [i for i, turn in enumerate(turns) if turn["role"] == "user"]
        for first in (i for i in questions if i >= self.forgotten):
            tokens = self.encoder.prompt([*self._opening(), *turns[first:]])
            if len(tokens) <= most:
                self.turns, self.forgotten = turns, first
                return tokens
        raise PromptError(
            f"this is {len(tokens)} tokens long with what belongs to it; the model reads"
            f" {self.context_length} and needs room to answer: {most} at most"
        )

    def answer(self, text: str) -> None:
        """Add what the assistant said."""
        self.turns.append(Message(role="assistant", content=text))

    def reset(self) -> None:
        """Forget everything but what the system says."""
        self.turns, self.forgotten = [], 0

    def messages(self) -> Conversation:
        """Return the whole conversation."""
        return [*self._opening(), *self.turns]

    def _opening(self) -> Conversation:
        return [] if self.system is None else [Message(role="system", content=self.system)]
