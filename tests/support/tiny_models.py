"""Models of the real architectures, small enough that a test makes them, in folders as a hub has them."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors

from callytics.model_files.torchaudio_cpu import allow_torchaudio

allow_torchaudio()
import transformers  # noqa: E402

torch.set_num_threads(1)  # on models this small, threads wait for each other most of the time

HANGUL_AND_MARKS = [*map(chr, range(0xAC00, 0xD7A4)), *" .,?!0123456789"]

_SPECIAL = ("<pad>", "</s>", "<unk>")
_PAD, _END = 0, 1


def save_tokenizer(folder: Path, letters: Iterable[str]) -> Any:
    """A tokenizer whose tokens are single letters."""
    vocabulary = {token: number for number, token in enumerate([*_SPECIAL, *sorted(set(letters))])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    tokenizer.decoder = decoders.Fuse()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", _END)]
    )
    saved = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        model_max_length=512,
    )
    saved.save_pretrained(folder)
    return saved


def save_t5(folder: Path, answers: Mapping[str, str], *, steps: int = 0) -> None:
    """A T5 with random weights, or after enough `steps` one that gives `answers`."""
    torch.manual_seed(0)
    tokenizer = save_tokenizer(folder, "".join([*answers, *answers.values()]))
    network = transformers.T5ForConditionalGeneration(
        transformers.T5Config(
            vocab_size=len(tokenizer),
            d_model=64,
            d_kv=16,
            d_ff=128,
            num_layers=1,
            num_decoder_layers=1,
            num_heads=4,
            dropout_rate=0.0,
            decoder_start_token_id=_PAD,
            pad_token_id=_PAD,
            eos_token_id=_END,
        )
    )
    _teach(network, tokenizer, answers, steps)
    network.save_pretrained(folder)


def _teach(network: Any, tokenizer: Any, answers: Mapping[str, str], steps: int) -> None:
    asked = tokenizer([*answers], padding=True, return_tensors="pt")
    wanted = tokenizer([*answers.values()], padding=True, return_tensors="pt")["input_ids"]
    labels = wanted.masked_fill(wanted == _PAD, -100)
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-3)
    for _ in range(steps):
        network(
            input_ids=asked["input_ids"], attention_mask=asked["attention_mask"], labels=labels
        ).loss.backward()
        optimizer.step()
        optimizer.zero_grad()


def save_token_classifier(
    folder: Path, labels: Sequence[str], *, favourite: str | None = None
) -> None:
    """An ELECTRA that gives each token one of `labels`, always `favourite` if there is one."""
    torch.manual_seed(0)
    config = _electra(save_tokenizer(folder, HANGUL_AND_MARKS), labels)
    network = transformers.ElectraForTokenClassification(config)
    if favourite is not None:
        torch.nn.init.zeros_(network.classifier.weight)
        network.classifier.bias.data = torch.tensor([float(label == favourite) for label in labels])
    network.save_pretrained(folder)


def save_electra(folder: Path, labels: Sequence[str], *, head: bool = True) -> None:
    """An ELECTRA that gives each text one of `labels`, or one without a trained head."""
    torch.manual_seed(0)
    config = _electra(save_tokenizer(folder, HANGUL_AND_MARKS), labels)
    kind = transformers.ElectraForSequenceClassification if head else transformers.ElectraModel
    kind(config).save_pretrained(folder)


def save_taught_electra(folder: Path, answers: Mapping[str, str], *, steps: int) -> None:
    """An ELECTRA that after enough `steps` gives the texts of `answers` their labels."""
    torch.manual_seed(0)
    labels = sorted(set(answers.values()))
    tokenizer = save_tokenizer(folder, HANGUL_AND_MARKS)
    network = transformers.ElectraForSequenceClassification(_electra(tokenizer, labels))
    wanted = torch.tensor([labels.index(label) for label in answers.values()])
    asked = tokenizer([*answers], padding=True, return_tensors="pt")
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-3)
    for _ in range(steps):
        network(**asked, labels=wanted).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    network.save_pretrained(folder)


def save_undecided_electra(folder: Path, texts: Sequence[str]) -> None:
    """An ELECTRA for which half of `texts` are a little more negative than positive."""
    torch.manual_seed(0)
    tokenizer = save_tokenizer(folder, HANGUL_AND_MARKS)
    config = _electra(tokenizer, ("negative", "neutral", "positive"))
    config.initializer_range = 0.3  # else all texts are one to it
    network = transformers.ElectraForSequenceClassification(config).eval()
    with torch.inference_mode():
        logits = network(**tokenizer([*texts], padding=True, return_tensors="pt")).logits
    bias = network.classifier.out_proj.bias.data
    bias[0] -= (logits[:, 0] - logits[:, 2]).median()
    bias[1] -= 1e3
    network.save_pretrained(folder)


def save_sequence_classifier(folder: Path, family: str, labels: Sequence[str]) -> None:
    """A BERT or RoBERTa that gives each text one of `labels`."""
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(
        family,
        vocab_size=len(save_tokenizer(folder, HANGUL_AND_MARKS)),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=514,
        pad_token_id=_PAD,
        id2label=dict(enumerate(labels)),
        label2id={label: number for number, label in enumerate(labels)},
    )
    network = transformers.AutoModelForSequenceClassification.from_config(config)
    network.save_pretrained(folder)


def _electra(tokenizer: Any, labels: Sequence[str]) -> Any:
    return transformers.ElectraConfig(
        vocab_size=len(tokenizer),
        embedding_size=16,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=512,
        pad_token_id=_PAD,
        id2label=dict(enumerate(labels)),
        label2id={label: number for number, label in enumerate(labels)},
    )


def save_bert(folder: Path) -> Any:
    """A BERT with random weights, and as in E5 a few that are far larger than the rest."""
    torch.manual_seed(0)
    tokenizer = save_tokenizer(folder, HANGUL_AND_MARKS)
    network = transformers.BertModel(
        transformers.BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=32,
            num_hidden_layers=3,
            num_attention_heads=2,
            intermediate_size=64,
            max_position_embeddings=64,
            pad_token_id=_PAD,
        )
    )
    network.encoder.layer[1].intermediate.dense.weight.data[3] *= 30
    network.save_pretrained(folder)
    return network.eval()
