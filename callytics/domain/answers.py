"""What answers of chat models have in common, whatever they are asked."""


def unfenced(answer: str) -> str:
    """The JSON of an answer that shows it as code, as models without a grammar like to."""
    start, end = answer.find("{"), answer.rfind("}")
    return answer[start : end + 1] if start >= 0 else answer
