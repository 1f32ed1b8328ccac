"""What a service answers: a body or an error, in the form that AWS gives it in."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

JSON, XML = "application/json", "text/xml"
_EC2 = "http://ec2.amazonaws.com/doc/2016-11-15/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer by HTTP."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


class AwsError(Exception):
    """An error of AWS: its HTTP status, its code and its sentence."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.message = message


def as_json(content: Mapping[str, Any]) -> Answer:
    """An answer of a service that speaks JSON."""
    return Answer(headers=(("Content-Type", JSON),), body=json.dumps(content).encode())


def as_ec2(action: str, inner: str) -> Answer:
    """An answer of EC2."""
    text = f'<{action}Response xmlns="{_EC2}"><requestId>{uuid.uuid4()}</requestId>{inner}</{action}Response>'
    return Answer(headers=(("Content-Type", XML),), body=text.encode())


def as_error(service: str, error: AwsError) -> Answer:
    """An error as this service says it."""
    if service in ("ec2", "iam", "sts"):
        inner = f"<Code>{error.code}</Code><Message>{escape(error.message)}</Message>"
        if service == "ec2":
            text = f"<Response><Errors><Error>{inner}</Error></Errors><RequestID>{uuid.uuid4()}</RequestID></Response>"
        else:
            text = f"<ErrorResponse><Error><Type>Sender</Type>{inner}</Error></ErrorResponse>"
        return Answer(status=error.status, headers=(("Content-Type", XML),), body=text.encode())
    headers = (("Content-Type", JSON), ("x-amzn-ErrorType", error.code))
    body = json.dumps({"__type": error.code, "message": error.message}).encode()
    return Answer(status=error.status, headers=headers, body=body)
