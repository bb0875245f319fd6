"""Search a PostgreSQL table by words and vectors, and rerank what is found.

pip install crossrank 'psycopg[binary]'
python examples/postgresql.py postgresql://localhost/postgres FOLDER QUESTION...

Needs pgvector 0.8 or later. The folder's passages are written to the table ``passages``; to search a table of
your own, give ``SEARCH`` its columns.
"""

import json
import re
import sys
from collections.abc import Iterable

import psycopg
from psycopg.rows import dict_row

from crossrank import BiEncoder, Candidate, Document, Searcher, load_documents, split_documents
from crossrank.index.filters import Condition, parse_filters
from crossrank.retrieval.fusion import reciprocal_rank_fusion

# A vector of the bundled bi-encoder has 384 numbers. In other languages, replace 'english' everywhere.
TABLE = r"""
CREATE EXTENSION IF NOT EXISTS vector;
CREATE TABLE IF NOT EXISTS passages (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text NOT NULL UNIQUE,
    title text NOT NULL,
    text text NOT NULL,
    metadata jsonb NOT NULL,
    vector vector(384) NOT NULL,
    words tsvector GENERATED ALWAYS AS (to_tsvector('english', title || ' ' || text)) STORED,
    length integer GENERATED ALWAYS AS (
        cardinality(regexp_split_to_array(title || ' ' || text, '\W+'))
    ) STORED
);
CREATE INDEX IF NOT EXISTS passages_vector ON passages USING hnsw (vector vector_cosine_ops);
CREATE INDEX IF NOT EXISTS passages_words ON passages USING gin (words);
"""

# BM25, since PostgreSQL's own ts_rank does not know which words are rare. It reads every row that shares a
# word with the question, except stop words; for millions of rows, use an extension of PostgreSQL with BM25.
FILTER = "metadata @@ ALL (%(filters)s::jsonpath[])"
SEARCH = f"""
WITH matches AS (
    SELECT number, length, cardinality(positions) AS times, count(*) OVER (PARTITION BY lexeme) AS rows
    FROM passages, unnest(words) AS word (lexeme, positions, weights)
    WHERE words @@ replace(plainto_tsquery('english', %(query)s)::text, ' & ', ' | ')::tsquery
        AND lexeme = ANY (tsvector_to_array(to_tsvector('english', %(query)s)))
), collection AS (
    SELECT count(*) AS size, avg(length) AS mean FROM passages
), scored AS (
    SELECT number, sum(
        greatest(ln((size - rows + 0.5) / (rows + 0.5)), 1e-6)
        * times * 2.2 / (times + 1.2 * (0.25 + 0.75 * length / mean))
    )::float AS bm25
    FROM matches, collection GROUP BY number
), lexical AS (
    SELECT number FROM scored JOIN passages USING (number) WHERE {FILTER}
    ORDER BY bm25 DESC, number LIMIT %(depth)s
), dense AS (
    SELECT number FROM passages WHERE {FILTER} ORDER BY vector <=> %(vector)s::vector LIMIT %(depth)s
)
SELECT number, id, title, text, metadata, bm25, 1 - (vector <=> %(vector)s::vector) AS similarity
FROM passages LEFT JOIN scored USING (number)
WHERE number IN (TABLE lexical UNION TABLE dense) ORDER BY number
"""


class PostgreSQLRetriever:
    """A first stage over the table: its rankings by words and by vectors, fused."""

    def __init__(self, database: psycopg.Connection, embedder: BiEncoder) -> None:
        self.database, self.embedder = database, embedder

    def retrieve(self, query: str, k: int, *, filters: str | Iterable[str] = ()) -> list[Candidate]:
        """The best ``k`` rows, with what words and vectors say about each."""
        asked = {
            "query": query.replace("\0", " "),  # the one character that PostgreSQL refuses
            "vector": json.dumps(self.embedder.encode_queries([query])[0].tolist()),
            "filters": [json_path(condition) for condition in parse_filters(filters)],
            "depth": max(k, 100),
        }
        with self.database.cursor(row_factory=dict_row) as cursor:
            rows = {row["number"]: row for row in cursor.execute(SEARCH, asked)}
        similarity = {number: row["similarity"] for number, row in rows.items()}
        words = {number: row["bm25"] for number, row in rows.items() if row["bm25"]}
        best = max(words.values(), default=1.0)
        rankings = {
            "lexical": sorted(words, key=words.__getitem__, reverse=True)[: asked["depth"]],
            "dense": sorted(rows, key=similarity.__getitem__, reverse=True)[: asked["depth"]],
        }
        return [
            Candidate(
                Document(*(rows[number][name] for name in ("id", "text", "title", "metadata"))),
                rank,
                score,
                ranks,
                evidence={"similarity": similarity[number], "word_match": words.get(number, 0.0) / best},
                embedder=self.embedder.fingerprint,
            )
            for rank, (number, score, ranks) in enumerate(reciprocal_rank_fusion(rankings)[:k], start=1)
        ]


def json_path(condition: Condition) -> str:
    """A filter such as ``year>=2020`` in SQL's language for JSON: ``$."year" >= 2020``."""
    operator = condition.operator
    is_number = re.fullmatch(r"-?(0|[1-9]\d*)(\.\d+)?", condition.text)
    value = condition.text if is_number else json.dumps(condition.text)
    comparison = f"$.{json.dumps(condition.field)} {operator if operator[0] in '<>' else '=='} {value}"
    return f"!({comparison})" if operator == "!=" else comparison


def connect(address: str) -> psycopg.Connection:
    """Connect to the database, with the table in it."""
    # Not prepared: a plan that has to fit all questions is several times slower here.
    database = psycopg.connect(address, autocommit=True, prepare_threshold=None)
    database.execute(TABLE)
    # By default, HNSW finds 40 rows at most, and fewer if a filter drops some of them.
    database.execute("SET hnsw.ef_search = 100")
    database.execute("SET hnsw.iterative_scan = strict_order")
    return database


def add(database: psycopg.Connection, embedder: BiEncoder, passages: list[Document]) -> None:
    """Write passages to the table; those with the same id are replaced."""
    vectors = embedder.encode_documents([passage.content for passage in passages])
    rows = [
        (
            passage.id,
            passage.title,
            passage.text,
            json.dumps(dict(passage.metadata)),
            json.dumps(vector.tolist()),
        )
        for passage, vector in zip(passages, vectors, strict=True)
    ]
    with database.transaction(), database.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO passages (id, title, text, metadata, vector) VALUES (%s, %s, %s, %s, %s) "
            "ON CONFLICT (id) DO UPDATE SET (title, text, metadata, vector) = "
            "(excluded.title, excluded.text, excluded.metadata, excluded.vector)",
            rows,
        )


def main(address: str, folder: str, questions: list[str]) -> None:
    """Add the folder to the table, then answer each question."""
    embedder = BiEncoder()
    with connect(address) as database:
        add(database, embedder, split_documents(load_documents([folder]).documents))
        searcher = Searcher(PostgreSQLRetriever(database, embedder))
        for question in questions:
            print(question)
            for hit in searcher.search(question, candidates=20, top_n=3):
                print(f"  {hit.rank}. {hit.score:.4f}  {hit.document.id}  {' '.join(hit.text.split())[:80]}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
