"""Load a text file as a LangChain document."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path

from langchain_core.document_loaders import BaseLoader
from langchain_core.documents import Document

from crossrank.errors import InputError, file_error

# Byte order marks; UTF-32 first, since its mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class TextLoader(BaseLoader):
    """Reads one text file as one document, with its path in ``metadata["source"]``.

    Args:
        file_path: The file.
        encoding: Its encoding; UTF-8 by default, on every system.
        autodetect_encoding: If decoding fails, use the byte order mark, or else Windows-1252.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     _ = Path(folder, "tea.txt").write_text("Tea is a drink.")
        ...     [document.page_content for document in TextLoader(f"{folder}/tea.txt").load()]
        ['Tea is a drink.']
    """

    def __init__(
        self, file_path: str | Path, encoding: str | None = None, autodetect_encoding: bool = False
    ) -> None:
        self.file_path = file_path
        self.encoding = encoding
        self.autodetect_encoding = autodetect_encoding

    def lazy_load(self) -> Iterator[Document]:
        """Yield the document.

        Raises:
            InputError: The file cannot be read, or is not in this encoding.
        """
        try:
            data = Path(self.file_path).read_bytes()
        except OSError as error:
            message = f"{self.file_path} cannot be read: {error.strerror or error}"
            raise file_error(message, error) from error
        text = self._decode(data).replace("\r\n", "\n").replace("\r", "\n")
        yield Document(page_content=text, metadata={"source": str(self.file_path)})

    def _decode(self, data: bytes) -> str:
        encoding = self.encoding or "utf-8"
        if encoding.lower().replace("_", "-") in {"utf-8", "utf8"}:
            encoding = "utf-8-sig"  # the same, without a byte order mark in the text
        try:
            return data.decode(encoding)
        except LookupError as error:
            raise InputError(f"there is no encoding {encoding!r}; try 'utf-8' or 'cp1252'") from error
        except UnicodeDecodeError as error:
            if not self.autodetect_encoding:
                raise InputError(
                    f"{self.file_path} is not in {self.encoding or 'UTF-8'}; give its encoding, such as "
                    "encoding='cp1252', or autodetect_encoding=True"
                ) from error
        marked = next((name for mark, name in _MARKS if data.startswith(mark)), None)
        return data.decode(marked or "cp1252", errors="replace")
