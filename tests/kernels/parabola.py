"""A surrogate family as a user would define it, for tests: the parabola 3/4 (1 - z^2).

It is compact, has kinks and uses only plain arithmetic."""

SETTINGS = {"reach": 1.0, "compact": True, "breaks": (-1.0, 1.0)}


def density(z):
    return 0.0 if abs(z) >= 1.0 else 0.75 * (1.0 - z * z)


def cdf(z):
    inside = min(max(z, -1.0), 1.0)
    return 0.5 + 0.75 * inside - 0.25 * inside * inside * inside
