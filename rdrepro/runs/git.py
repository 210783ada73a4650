"""The commit of the checkout, and whether tracked files differ from it."""

import subprocess

from rdrepro import paths


def git_state() -> tuple[str | None, bool | None]:
    """The commit, and whether a tracked file outside results/ differs from it.

    Both are None without git.
    """
    commit = _git("rev-parse", "HEAD")
    changes = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!results")
    return (commit, bool(changes)) if commit else (None, None)


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(paths.ROOT), *arguments], capture_output=True, text=True, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
