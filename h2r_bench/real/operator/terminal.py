"""What the operator sees in a terminal, and how the operator answers. Works over ssh."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from h2r_bench.envs.scene.compiled import SceneSpec
from h2r_bench.real.operator.verdict import Verdict, judged, stopped_as_unsafe
from h2r_bench.real.scene_cards.cards import SceneCard, placements, shopping_list

Ask = Callable[[str], str]
"""Shows a prompt and returns the line that was typed, as `input` does."""


class Terminal:
    """Screens and questions."""

    def __init__(self, console: Console | None = None, ask: Ask | None = None) -> None:
        self.console = console or Console()
        self.interactive = ask is not None or (self.console.is_terminal and sys.stdin.isatty())
        """Whether anybody is there to answer."""
        self._input = ask or self.console.input

    def _ask(self, prompt: str) -> str:
        """A line that was typed; the end of the input (Ctrl-D) is as good as Ctrl-C."""
        try:
            return self._input(prompt)
        except EOFError:
            raise KeyboardInterrupt from None

    def say(self, message: str, style: str = "") -> None:
        """One line."""
        self.console.print(message, style=style or None, soft_wrap=True, highlight=False)

    def choose(self, question: str, answers: dict[str, str]) -> str:
        """Ask until the answer is one of `answers` (key to meaning); "" is the plain Enter key."""
        keys = "  ".join(f"[bold]{key or 'Enter'}[/bold] {meaning}" for key, meaning in answers.items())
        while True:
            self.console.print(f"{question}   {keys}", highlight=False)
            answer = self._ask("> ").strip().lower()
            if answer in answers:
                return answer
            self.say(f"{answer!r} is none of these", "yellow")

    def line(self, question: str) -> str:
        """A line of free text."""
        return self._ask(question).strip()

    def card(self, card: SceneCard, scene: SceneSpec, title: str, where: Sequence[str]) -> None:
        """A scene card: what goes where, and where its pictures are."""
        table = Table(box=None, pad_edge=False)
        for heading in ("put", "size (cm)", "forward (cm)", "left (cm)", "turned"):
            table.add_column(heading, justify="left" if heading in ("put", "size (cm)") else "right")
        for place in placements(scene, card.outlines):
            numbers = (f"{place.forward_cm:.1f}", f"{place.left_cm:+.1f}", f"{place.turn_deg:+.0f}°")
            table.add_row(Text(place.name), place.size_cm, *numbers)
        self.console.print(Panel(table, title=title, subtitle=card.instruction, title_align="left"))
        for line in where:
            self.say(line, "dim")

    def shopping(self, cards: Sequence[SceneCard]) -> None:
        """Everything a session needs on the table."""
        table = Table(title=f"You need for these {len(cards)} scenes", title_justify="left")
        for heading in ("thing", "size (cm)", "how many"):
            table.add_column(heading)
        for name, size, count in shopping_list(cards):
            table.add_row(name, size, str(count))
        self.console.print(table)

    def verdict(self, card: SceneCard, *, stopped: bool) -> Verdict | str | None:
        """Ask for the verdict by the card's rubric.

        Returns the verdict, the reason why the run does not count, or None to stop here without one.
        """
        rubric = card.rubric
        table = Table(title="What happened? The first that is true:", title_justify="left", box=None)
        table.add_column("key", style="bold")
        table.add_column("verdict")
        for number, failure in enumerate(rubric, 1):
            table.add_row(str(number), failure)
        table.add_row("s", "success: none of these")
        table.add_row("d", "stopped, because the policy was dangerous: a failure")
        table.add_row("v", "void: it was not the policy's doing; the run is repeated")
        table.add_row("q", "stop here; you are asked again next time")
        self.console.print(table)
        keys = {str(number): "" for number in range(1, len(rubric) + 1)} | dict.fromkeys("sdvq", "")
        answer = self._key("you stopped the arm: d or v" if stopped else "your verdict", keys)
        if answer == "q":
            return None
        if answer == "v":
            return self.line("why does it not count? > ") or "no reason given"
        note = self.line("a note, or Enter > ")
        if answer == "d":
            return stopped_as_unsafe(rubric, 0, note)
        return judged(rubric, len(rubric) if answer == "s" else int(answer) - 1, note)

    def _key(self, question: str, keys: dict[str, str]) -> str:
        while True:
            answer = self._ask(f"{question} > ").strip().lower()
            if answer in keys:
                return answer
            self.say(f"{answer!r} is none of {', '.join(keys)}", "yellow")
