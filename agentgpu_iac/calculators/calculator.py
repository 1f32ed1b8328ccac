"""A calculator: one question, or one a line. Each gives one answer: figures, or a rejection where the case does not fit.

Both calculators are for people at a prompt and for checks over thousands of measured cases.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from agentgpu_iac.calculators.predict import predict
from agentgpu_iac.calculators.question import CaseRejection, PredictQuestion, Question, SizeQuestion, option
from agentgpu_iac.calculators.size import size
from agentgpu_iac.catalog.store import Catalog
from agentgpu_iac.errors import BadInput, Fault, did_you_mean
from agentgpu_iac.inputs import MOST_LINE_BYTES, NotJsonError, json_of
from agentgpu_iac.spec.document import Document

_Question = TypeVar("_Question", bound=Question)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calculator(Generic[_Question]):
    """A calculator with its question type: answers one question, or one a line."""

    name: str
    question: type[_Question]
    answer_question: Callable[[_Question, Catalog], Document]

    def answer(self, options: Mapping[str, Any], catalog: Catalog, source: str = "") -> dict[str, Any]:
        """Answer one question given as long options.

        Raises:
            BadInput: with a fault for each option that is unknown, missing, or no such value.
        """
        place = source or self.name
        try:
            question = self.question.model_validate(dict(options), by_alias=True, by_name=False)
        except ValidationError as error:
            raise BadInput(self._faults(error, place)) from None
        answer = self.answer_question(question, catalog)
        body: dict[str, Any] = answer.model_dump(mode="json", by_alias=True)
        return {"rejection": body} if isinstance(answer, CaseRejection) else body

    def answer_lines(self, lines: Iterable[str], catalog: Catalog) -> Iterator[dict[str, Any]]:
        """Answer one question a line, in order; a faulty line becomes ``{"error": ...}`` and stops nothing."""
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            if len(line) > MOST_LINE_BYTES:
                yield {
                    "error": f"line {number}: is longer than {MOST_LINE_BYTES:,} bytes, the most that is read of a line"
                }
                continue
            try:
                options = json_of(line, f"line {number}")
                if not isinstance(options, dict):
                    raise BadInput.one(f"line {number}", "is not a JSON object")
                given = {key: value for key, value in options.items() if value is not None and value != ""}
                yield self.answer(given, catalog, f"line {number}")
            except NotJsonError as error:
                (fault,) = error.faults
                yield {"error": f"line {number}: {fault.message.removeprefix('is ')} at column {fault.column}"}
            except BadInput as error:
                message = str(error)
                yield {"error": message if message.startswith("line ") else f"line {number}: {message}"}

    def _faults(self, error: ValidationError, place: str) -> Iterator[Fault]:
        known = [option(name) for name in self.question.model_fields]
        for detail in error.errors(include_url=False, include_context=False, include_input=False):
            path = str(detail["loc"][0]) if detail["loc"] else ""
            if detail["type"] == "extra_forbidden":
                yield Fault(source=place, path=path, message="no such option", hint=did_you_mean(path, known))
            elif detail["type"] == "missing":
                yield Fault(source=place, path=path, message="is required")
            else:
                message = detail["msg"].replace("Input should be", "must be")
                yield Fault(source=place, path=path, message=message[:1].lower() + message[1:])


SIZE = Calculator(name="size", question=SizeQuestion, answer_question=size)
PREDICT = Calculator(name="predict", question=PredictQuestion, answer_question=predict)
