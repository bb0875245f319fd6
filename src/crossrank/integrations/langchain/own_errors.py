"""Let crossrank's errors pass through pydantic models unchanged."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ValidationError

from crossrank.errors import CrossrankError


class OwnErrors(BaseModel):
    """A model that raises crossrank's own errors; pydantic would wrap those that are ValueErrors."""

    def __init__(self, **fields: Any) -> None:
        try:
            super().__init__(**fields)
        except ValidationError as error:
            for problem in error.errors():
                own = problem.get("ctx", {}).get("error")
                if isinstance(own, CrossrankError):
                    raise own from None
            raise
