"""Writes the generated tables into README.md and DEVIATIONS.md: `make tables`."""

from rdrepro.paths import ROOT
from rdrepro.study.blocks import fill_block, generated_blocks


def main() -> None:
    for name in ("README.md", "DEVIATIONS.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        for block, content in generated_blocks(ROOT / "results" / "runs").items():
            text = fill_block(text, block, content)
        (ROOT / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
