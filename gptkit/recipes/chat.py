"""gptkit chat: talk to a model that was taught to answer."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gptkit.atomic import write_text
from gptkit.chat.dialogue import Dialogue
from gptkit.chat.encoding import ChatEncoder
from gptkit.errors import GptkitError
from gptkit.generation.engine import Sample
from gptkit.recipes.converse import lines
from gptkit.recipes.journal import say
from gptkit.recipes.load import DType, Run, load_run
from gptkit.recipes.writing import Writing, WritingOptions
from gptkit.runtime.interrupt import ctrl_c_raises

_HELP = "/reset, /save FILE, /seed N, /exit; Ctrl-C ends an answer, Ctrl-D the conversation"


def run_chat(
    path: Path | None,
    *,
    system: str | None,
    options: WritingOptions,
    checkpoint: str | None,
    dtype: DType,
    allow_plugins: bool,
) -> None:
    """Answer the lines of the standard input, in one conversation.

    Raises: ConfigError for a model without a chat template; CheckpointError.
    """
    loaded = load_run(
        path, checkpoint=checkpoint, dtype=dtype, allow_plugins=allow_plugins, say=say
    )
    encoder = ChatEncoder(loaded.tokenizer)
    dialogue = Dialogue(encoder, loaded.config.model.context_length, system)
    chat = Chat(loaded, dialogue, encoder, options)
    # What is wrong with an option is said before the first question.
    chat.writing(Sample([0]))
    say(f"{loaded.run_dir}, step {loaded.step}")
    say(_HELP)
    with ctrl_c_raises(), suppress(KeyboardInterrupt):
        for line in lines(None):
            if line.strip() == "/exit":
                return
            try:
                if line.startswith("/"):
                    chat.command(line)
                elif line.strip():
                    chat.turn(line)
            except GptkitError as error:
                say(f"error: {error}")
            except OSError as error:
                say(f"error: {error.filename}: {error.strerror}")


@dataclass
class Chat:
    """A model in conversation."""

    loaded: Run
    dialogue: Dialogue
    encoder: ChatEncoder
    options: WritingOptions

    def turn(self, text: str) -> None:
        """Print the answer to `text`."""
        forgotten = self.dialogue.forgotten
        tokens = self.dialogue.ask(text)
        if self.dialogue.forgotten > forgotten:
            say(f"the first {self.dialogue.forgotten} turns are out of the model's sight now")
        # Each answer has random numbers of its own, decided by the seed and its place.
        writing = self.writing(Sample(tokens, index=len(self.dialogue.turns)))
        pieces: list[str] = []
        try:
            for piece in writing.pieces(0):
                print(piece, end="", flush=True)
                pieces.append(piece)
        except KeyboardInterrupt:
            writing.end()
        print(flush=True)
        if writing.samples[0].finish_reason == "context":
            say("the context is full: the answer ends here")
        self.dialogue.answer("".join(pieces).strip())

    def writing(self, sample: Sample) -> Writing:
        """Return what goes on from a sample's prompt until the answer ends."""
        options: WritingOptions = {
            **self.options,
            "stop": self.encoder.stop_texts,
            "on_overflow": "stop",
        }
        return Writing(
            self.loaded.engine,
            self.loaded.tokenizer,
            [sample],
            keep=True,
            stop_tokens=self.encoder.stop_tokens,
            **options,
        )

    def command(self, line: str) -> None:
        """Do what a line that begins with a slash asks for."""
        name, _, argument = line.strip().partition(" ")
        argument = argument.strip()
        if name == "/reset" and not argument:
            self.dialogue.reset()
            say("a new conversation")
        elif name == "/seed" and argument.lstrip("-").isdecimal():
            self.options["seed"] = int(argument)
        elif name == "/save" and argument:
            self._save(Path(argument).expanduser())
        else:
            say(f"error: {line.strip()}: there is {_HELP}")

    def _save(self, path: Path) -> None:
        if path.exists():
            say(f"error: {path}: is there already; give another name")
            return
        if not self.dialogue.turns:
            say("error: nothing was said yet")
            return
        row = {"messages": self.dialogue.messages()}
        write_text(path, json.dumps(row, ensure_ascii=False) + "\n")
        say(f"saved {path}, a line that gptkit finetune can learn from")
