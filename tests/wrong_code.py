"""Wrong solutions, each with the mistake that must be named."""

from collections import Counter

import pytest

from cnnbook.checking import Exercise


class WrongCode(list):
    """Wrong solutions of a ladder's exercises: (exercise, mistake, solution)."""

    def __call__(self, exercise: str, mistake: str):
        """Mark a function or class as wrong, with the name of its mistake."""

        def mark(solution):
            self.append((exercise, mistake, solution))
            return solution

        return mark

    def cases(self):
        """Return them for pytest's parametrize, with names."""
        return [
            pytest.param(*each, id=f"{each[0]}: {each[1]} ({each[2].__name__})")
            for each in self
        ]

    def rarely_made(self, ladder) -> list[tuple[str, str]]:
        """Return the mistakes of a ladder that are not made in two ways at least."""
        made = Counter((name, mistake) for name, mistake, _ in self)
        return [
            (exercise.name, mistake.name)
            for exercise in vars(ladder).values()
            if isinstance(exercise, Exercise)
            for mistake in exercise.mistakes
            if made[exercise.name, mistake.name] < 2
        ]
