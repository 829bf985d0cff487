"""How far the words of a sentence alone tell how it sounds.

    python -m bench.sentiment_words [--lines test] [--show]

On the held-out lines; `--lines train --show` names the lines of the other file that are judged wrongly.
"""

import argparse
from collections.abc import Sequence
from time import perf_counter

from callytics.domain.sentiment_words import find, judge
from callytics.domain.transcript import SentimentLabel
from callytics.model_files.sentiment.lines import Line, accuracy, macro_f1, read_lines


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--lines", choices=("test", "train"), default="test")
    options.add_argument("--show", action="store_true")
    asked = options.parse_args()
    lines = read_lines(asked.lines)
    started = perf_counter()
    labels = [judge(line.text)[0] for line in lines]
    seconds = perf_counter() - started
    report(lines, labels)
    print(f"{1e6 * seconds / len(lines):.0f} µs a line")
    if asked.show:
        show(lines, labels)


def report(lines: Sequence[Line], labels: Sequence[SentimentLabel]) -> None:
    """A row a label; *a word* is the share of its lines in which any word is found."""
    expected = [line.label for line in lines]
    print(f"{'':10} {'lines':>6} {'a word':>7} {'judged so':>10} {'precision':>10} {'recall':>7}")
    for label in SentimentLabel:
        of_label = [line for line in lines if line.label is label]
        covered = sum(bool(find(line.text)) for line in of_label)
        hits = sum(pair == (label, label) for pair in zip(expected, labels, strict=True))
        judged = labels.count(label)
        print(
            f"{label:10} {len(of_label):6} {covered / len(of_label):7.2f} {judged:10} "
            f"{hits / max(1, judged):10.2f} {hits / len(of_label):7.2f}"
        )
    print(f"accuracy {accuracy(expected, labels):.3f}, macro F1 {macro_f1(expected, labels):.3f}")


def show(lines: Sequence[Line], labels: Sequence[SentimentLabel]) -> None:
    for line, label in zip(lines, labels, strict=True):
        if line.label is not label:
            words = ", ".join(word.word for word in find(line.text))
            print(f"{line.label} as {label}: {line.text} [{words}]")


if __name__ == "__main__":
    main()
