"""BERT (Devlin et al., 2019) and its kin, as transformers implements them: a stage is one layer of the encoder.

The state is what the layer says of every token, and where tokens are no padding. Embeddings belong to the first stage,
what transformers puts behind the last layer for classification (BERT's pooler) to the classifier.
"""

from typing import Annotated, Any, Literal

from pydantic import Field
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForSequenceClassification

from manyexits.batches.state import State, parts
from manyexits.models.backbones import Backbone

READS = "texts"
BESIDE = ("cls.", "lm_head.", "vocab_", "discriminator_predictions.", "generator_", "qa_outputs.", "mlm.", "nsp.")
"""What checkpoints hold beside the encoder, for what they were trained on."""
BUFFERS = ("position_ids", "token_type_ids")
"""Counted numbers that older checkpoints hold, too."""
OLD = {".gamma": ".weight", ".beta": ".bias"}
"""Names of a norm's weights in older checkpoints."""
NAMES = {
    "bert": {"inner": "intermediate_size"},
    "roberta": {"inner": "intermediate_size"},
    "electra": {"inner": "intermediate_size", "embedding": "embedding_size"},
    "distilbert": {"n_blocks": "n_layers", "width": "dim", "heads": "n_heads", "inner": "hidden_dim"},
}
"""Kind -> our options, and what transformers calls them where that is not as in COMMON."""
COMMON = {
    "n_blocks": "num_hidden_layers",
    "width": "hidden_size",
    "heads": "num_attention_heads",
    "vocabulary": "vocab_size",
    "positions": "max_position_embeddings",
    "segments": "type_vocab_size",
    "epsilon": "layer_norm_eps",
}
DROPOUTS = {"distilbert": ("dropout", "attention_dropout", "seq_classif_dropout")}
"""Kind -> names of its dropouts; of others hidden_dropout_prob and attention_probs_dropout_prob."""
EPSILON = 1e-12
"""That LayerNorm adds to a variance."""
RESERVED = {"roberta": 2}
"""Kind -> position embeddings that no token takes: RoBERTa counts from behind the padding's."""


FIXED = {
    "hidden_act": "gelu",
    "activation": "gelu",
    "position_embedding_type": "absolute",
    "sinusoidal_pos_embds": False,
    "is_decoder": False,
}
"""What a checkpoint's configuration may say of what no option of ours changes."""


class Embed(nn.Module):
    """Ids and segments of tokens -> the first state."""

    def __init__(self, kind: str, model: Any) -> None:
        super().__init__()
        self.segmented = kind != "distilbert"
        self.embeddings = model.embeddings
        self.project = getattr(model, "embeddings_project", nn.Identity())

    def forward(self, inputs: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """(ids, segments, mask), each (B, T), -> tokens (B, T, D) and the mask."""
        ids, segments, mask = inputs
        told = {"token_type_ids": segments} if self.segmented else {}
        embedded: Tensor = self.project(self.embeddings(ids, **told))
        return embedded, mask


class EncoderLayer(nn.Module):
    """One layer of the encoder, which sees no padding."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Tokens (B, T, D) and mask (B, T) -> the same."""
        tokens, mask = state
        return self.layer(tokens, attention_mask=mask[:, None, None, :]), mask


class ClassToken(nn.Module):
    """The first token."""

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T, D) -> (B, D)."""
        return tokens[:, 0]


class Last(nn.Module):
    """What stands behind the last layer."""

    def __init__(self, kind: str, model: Any) -> None:
        super().__init__()
        if kind == "bert":
            self.head = nn.Sequential(model.bert.pooler, model.dropout, model.classifier)
        elif kind == "distilbert":
            self.head = nn.Sequential(ClassToken(), model.pre_classifier, nn.ReLU(), model.dropout, model.classifier)
        else:
            self.head = model.classifier

    def forward(self, state: tuple[Tensor, Tensor]) -> Tensor:
        """Tokens and mask -> outputs (B, O)."""
        outputs: Tensor = self.head(state[0])
        return outputs


class Encoder(Backbone):
    """A model of transformers as stages."""

    def __init__(self, kind: str, model: Any, tapped: str, embedding_stage: bool) -> None:
        self.kind, self.configuration = kind, model.config
        self.prefix = f"{model.base_model_prefix}."
        base = model.base_model
        layers = [EncoderLayer(layer) for layer in (base.transformer if kind == "distilbert" else base.encoder).layer]
        embed = Embed(kind, base)
        stages = [embed, *layers] if embedding_stage else [nn.Sequential(embed, layers[0]), *layers[1:]]
        new = ("pre_classifier", "classifier") if kind == "distilbert" else "classifier"
        super().__init__(stages, Last(kind, model), new)
        self.tapped, self.positions = tapped, model.config.max_position_embeddings - RESERVED.get(kind, 0)
        names = {id(value): name for name, value in model.state_dict(keep_vars=True).items()}
        self.original = {names[id(value)]: name for name, value in self.state_dict(keep_vars=True).items()}

    def check(self, inputs: State) -> None:
        """Refuse texts longer than there are positions.

        Raises:
            ValueError: for these, and for images.
        """
        first = parts(inputs)[0]
        if first.is_floating_point():
            raise ValueError("the backbone bert reads texts, but the dataset holds images; name another of them")
        if first.shape[1] > self.positions:
            raise ValueError(
                f"the backbone has positions for {self.positions} tokens, but texts have up to {first.shape[1]}; lower"
                " its length"
            )

    def tap(self, state: State) -> Tensor:
        """The first token (B, D), or the mean over all that are no padding."""
        tokens, mask = parts(state)
        if self.tapped == "token":
            return tokens[:, 0]
        counted = mask[:, :, None].to(tokens.dtype)
        return (tokens * counted).sum(1) / counted.sum(1)

    def scaled(self, state: State, factor: float) -> State:
        """The same state, the gradient of whose tokens is multiplied on its way back."""
        tokens, mask = parts(state)
        scaled = super().scaled(tokens, factor)
        assert isinstance(scaled, Tensor)
        return scaled, mask

    def unlike(self, configuration: dict[str, Any]) -> list[str]:
        """Options and fixed parts of the network that the configuration sets otherwise; what it leaves out has the
        default of transformers."""
        if (kind := configuration.get("model_type")) != self.kind:
            return [f"model_type {kind!r} instead of {self.kind!r}"]
        own, usual = self.configuration.to_dict(), AutoConfig.for_model(self.kind).to_dict()
        expected = {name: own[name] for name in (COMMON | NAMES[self.kind]).values() if name in own} | FIXED
        found = {name: configuration.get(name, usual.get(name, expected[name])) for name in expected}
        return [
            f"{name} {found[name]!r} instead of {value!r}" for name, value in expected.items() if found[name] != value
        ]

    def renamed(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """A checkpoint's weights under the names of transformers' model for classification, the encoder's alone."""
        beside = BESIDE if self.kind == "bert" else (*BESIDE, "pooler.")  # whose classifier reads it
        kept = {name: value for name, value in weights.items() if not _beside(name.removeprefix(self.prefix), beside)}
        own = {name for name in self.original if not name.startswith(self.prefix)}
        found = {}
        for name, value in kept.items():
            for old, new in OLD.items():
                name = name.removesuffix(old) + new if name.endswith(old) else name
            found[name if name.startswith(self.prefix) or name in own else f"{self.prefix}{name}"] = value
        return found


def _beside(name: str, prefixes: tuple[str, ...]) -> bool:
    return name.startswith(prefixes) or name.rpartition(".")[2] in BUFFERS


def build(
    outputs: int,
    *,
    kind: Literal["bert", "roberta", "electra", "distilbert"] = "bert",
    n_blocks: Annotated[int, Field(ge=1, le=4096)] = 12,
    width: Annotated[int, Field(ge=1, le=65536)] = 768,
    heads: Annotated[int, Field(ge=1, le=4096)] = 12,
    inner: Annotated[int, Field(ge=1, le=65536)] = 3072,
    embedding: Annotated[int, Field(ge=1, le=65536)] | None = None,
    vocabulary: Annotated[int, Field(ge=16, le=10_000_000)] = 30522,
    length: Annotated[int, Field(ge=4, le=1_000_000)] = 128,
    positions: Annotated[int, Field(ge=4, le=1_000_000)] = 512,
    segments: Annotated[int, Field(ge=1, le=16)] = 2,
    epsilon: Annotated[float, Field(gt=0, le=1)] | None = None,
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1,
    tapped: Literal["token", "mean"] = "token",
    embedding_stage: bool = False,
) -> Backbone:
    """An encoder as stages, without pretrained weights; the defaults are bert-base-uncased.

    Args:
        outputs: of the classifier.
        kind: which of the family.
        n_blocks: layers, and the embeddings where they are a stage.
        width: of a token.
        heads: of attention.
        inner: width of the hidden layer behind attention.
        embedding: width of ELECTRA's embeddings; null: a token's.
        vocabulary: pieces, as the dataset's tokenizer has them.
        length: tokens to which texts are cut, special ones counted.
        positions: tokens of the longest text that its position embeddings allow.
        segments: numbers that tell first and second texts apart.
        epsilon: that LayerNorm adds to a variance; null: 1e-12. RoBERTa's checkpoints have 1e-5.
        dropout: everywhere, the attention weights included.
        tapped: what an exit reads: the first token, or the mean over all.
        embedding_stage: whether an exit can sit behind the embeddings, which are block 1 then.

    Raises:
        ValueError: for a width that the heads do not divide, an option that the kind does not have.
    """
    if width % heads:
        raise ValueError(f"a width of {width} cannot be shared by {heads} heads; choose a multiple")
    if embedding and kind != "electra":
        raise ValueError(f"'embedding' belongs to electra, and the kind is {kind}; remove it")
    if length > positions:
        raise ValueError(f"'length' {length} is more than the {positions} positions; lower it")
    if epsilon and kind == "distilbert":
        raise ValueError("'epsilon' of distilbert is always 1e-12; remove it")
    layers = n_blocks - embedding_stage
    if layers < 1:
        raise ValueError("the embeddings are the only block; raise n_blocks")
    options: dict[str, Any] = {
        "n_blocks": layers,
        "width": width,
        "heads": heads,
        "inner": inner,
        "embedding": embedding or width,
        "vocabulary": vocabulary,
        "positions": positions + RESERVED.get(kind, 0),
        "segments": segments,
        "epsilon": epsilon or EPSILON,
    }
    names = COMMON | NAMES[kind]
    told = {names[option]: value for option, value in options.items() if option in names}
    told |= dict.fromkeys(DROPOUTS.get(kind, ("hidden_dropout_prob", "attention_probs_dropout_prob")), dropout)
    config = AutoConfig.for_model(kind, num_labels=outputs, **told)
    model = AutoModelForSequenceClassification.from_config(config, attn_implementation="sdpa")
    return Encoder(kind, model, tapped, embedding_stage).train()
