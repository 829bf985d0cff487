"""The sentiment model of the offline preset: a head for multilingual-e5-small, trained on our own lines.

README.md says what the labels mean and how the lines were made.
"""

from pathlib import Path

FOLDER = Path(__file__).parent
HEAD_FILE = FOLDER / "head.npz"
