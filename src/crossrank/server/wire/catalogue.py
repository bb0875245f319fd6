"""All wire formats that the server speaks."""

from __future__ import annotations

from crossrank.server.wire import WireFormat
from crossrank.server.wire.cohere import CohereV1, CohereV2
from crossrank.server.wire.infinity import Infinity
from crossrank.server.wire.jina import Jina
from crossrank.server.wire.llama_cpp import LlamaCpp
from crossrank.server.wire.nim import Nim
from crossrank.server.wire.pinecone import Pinecone
from crossrank.server.wire.sagemaker import SageMaker
from crossrank.server.wire.shared import SHARED
from crossrank.server.wire.tei import TeiPredict, TeiRerank
from crossrank.server.wire.vllm import VllmRerank, VllmScore
from crossrank.server.wire.voyage import Voyage
from crossrank.server.wire.weaviate import Weaviate

WIRES: tuple[WireFormat, ...] = (
    *SHARED,
    CohereV2(),
    CohereV1(),
    Jina(),
    Voyage(),
    TeiRerank(),
    TeiPredict(),
    VllmRerank(),
    VllmScore(),
    Infinity(),
    LlamaCpp(),
    Nim(),
    Pinecone(),
    Weaviate(),
    SageMaker(),
)
"""The formats that ``crossrank serve`` speaks, each at its own paths."""
