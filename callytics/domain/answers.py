"""What answers of chat models have in common, whatever they are asked."""

NUL = "\0"
"""PostgreSQL keeps it in no text, and in no JSON as the escape."""


def unfenced(answer: str) -> str:
    """The JSON of an answer that shows it as code, as models without a grammar like to; without NULs.

    (One that stands for itself makes it no JSON.)
    """
    answer = answer.replace(r"\u0000", "")
    start, end = answer.find("{"), answer.rfind("}")
    return answer[start : end + 1] if start >= 0 else answer
