"""A small S3 on the loopback: it lists, describes and serves objects, refuses what is not rightly signed, and fails on demand.

Signatures are checked by AWS's own library, so that ours are held against another's arithmetic. It also stands for the
Pod Identity agent and for STS.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

KEY_ID, SECRET, TOKEN = "AKIDEXAMPLE", "wJalr/EXAMPLE+KEY", "session/token+=="
AGENT_TOKEN = "a-pods-token"
EXPIRES = "2999-01-01T00:00:00Z"
PAGE = 2


@dataclass(frozen=True)
class Stored:
    """An object, uploaded whole or in parts, with or without a SHA-256, encrypted by S3 or by a key of KMS."""

    content: bytes
    part_bytes: int = 0
    has_sha256: bool = False
    encryption: str = "AES256"

    def _parts(self) -> list[bytes]:
        size = self.part_bytes or max(1, len(self.content))
        return [self.content[start : start + size] for start in range(0, len(self.content), size)]

    @property
    def etag(self) -> str:
        if self.encryption != "AES256":
            return hashlib.md5(b"opaque" + self.content).hexdigest()
        if not self.part_bytes:
            return hashlib.md5(self.content).hexdigest()
        joined = b"".join(hashlib.md5(part).digest() for part in self._parts())
        return f"{hashlib.md5(joined).hexdigest()}-{len(self._parts())}"

    @property
    def sha256(self) -> str:
        if not self.part_bytes:
            return base64.b64encode(hashlib.sha256(self.content).digest()).decode()
        joined = b"".join(hashlib.sha256(part).digest() for part in self._parts())
        return f"{base64.b64encode(hashlib.sha256(joined).digest()).decode()}-{len(self._parts())}"


@dataclass
class S3:
    """What the server holds, how it misbehaves, and what it was asked."""

    objects: dict[str, Stored] = field(default_factory=dict)
    region: str = "eu-west-1"
    altered: dict[str, bytes] = field(default_factory=dict)
    """Contents that are served instead of those that are listed."""
    failures: list[int] = field(default_factory=list)
    """Status codes for the next requests for content."""
    served_pieces: int | None = None
    """Pieces after which the line is dead."""
    pieces: list[tuple[str, str]] = field(default_factory=list)
    keys_given: int = 0
    url: str = ""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    s3: S3

    def log_message(self, format: str, *args: Any) -> None:
        del format, args

    def answer(self, code: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        if form["Action"] != ["AssumeRoleWithWebIdentity"] or form["WebIdentityToken"] != [AGENT_TOKEN]:
            return self.answer(403)
        self.s3.keys_given += 1
        keys = f"<AccessKeyId>{KEY_ID}</AccessKeyId><SecretAccessKey>{SECRET}</SecretAccessKey>"
        keys += f"<SessionToken>{TOKEN}</SessionToken><Expiration>{EXPIRES}</Expiration>"
        space = 'xmlns="https://sts.amazonaws.com/doc/2011-06-15/"'
        return self.answer(200, f"<R {space}><Result><Credentials>{keys}</Credentials></Result></R>".encode())

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        if parts.path == "/pod-identity":
            return self._keys()
        if not self._is_signed():
            return self.answer(403, b"SignatureDoesNotMatch")
        if f"/{self.s3.region}/s3/" not in self.headers["Authorization"]:
            return self.answer(400, b"AuthorizationHeaderMalformed", x_amz_bucket_region=self.s3.region)
        bucket, _, key = unquote(parts.path).removeprefix("/").partition("/")
        if bucket != "acme-models":
            return self.answer(404, b"NoSuchBucket")
        if not key:
            return self._list(query)
        if key not in self.s3.objects:
            return self.answer(404, b"NoSuchKey")
        if self.command == "HEAD":
            return self._describe(self.s3.objects[key], query)
        return self._serve(key)

    do_HEAD = do_GET  # noqa: N815 - the name that http.server calls

    def _keys(self) -> None:
        if self.headers["Authorization"] != AGENT_TOKEN:
            return self.answer(401)
        self.s3.keys_given += 1
        keys = {"AccessKeyId": KEY_ID, "SecretAccessKey": SECRET, "Token": TOKEN, "Expiration": EXPIRES}
        return self.answer(200, json.dumps(keys).encode())

    def _is_signed(self) -> bool:
        given = self.headers.get("Authorization", "")
        if not given or self.headers.get("x-amz-security-token") != TOKEN:
            return False
        signed = given.partition("SignedHeaders=")[2].partition(",")[0].split(";")
        scope = given.partition("Credential=")[2].partition(",")[0].split("/")
        request = AWSRequest(
            self.command,
            f"http://{self.headers['Host']}{self.path}",
            headers={name: self.headers[name] for name in signed if name != "host"},
        )
        request.context["timestamp"] = self.headers["x-amz-date"]
        request.context["payload_signing_enabled"] = True
        auth = S3SigV4Auth(Credentials(KEY_ID, SECRET, TOKEN), "s3", scope[2])
        canonical = auth.canonical_request(request)
        return bool(given.endswith(auth.signature(auth.string_to_sign(request, canonical), request)))

    def _list(self, query: dict[str, str]) -> None:
        after = query.get("continuation-token", "")
        keys = [key for key in sorted(self.s3.objects) if key.startswith(query["prefix"]) and key > after]
        listed = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(self.s3.objects[key].content)}</Size>"
            f"<ETag>&quot;{self.s3.objects[key].etag}&quot;</ETag></Contents>"
            for key in keys[:PAGE]
        )
        more = len(keys) > PAGE
        token = f"<NextContinuationToken>{escape(keys[PAGE - 1])}</NextContinuationToken>" if more else ""
        space = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
        truncated = f"<IsTruncated>{'true' if more else 'false'}</IsTruncated>"
        return self.answer(200, f"<ListBucketResult {space}>{truncated}{token}{listed}</ListBucketResult>".encode())

    def _describe(self, stored: Stored, query: dict[str, str]) -> None:
        length = len(stored.content)
        if query.get("partNumber") == "1" and stored.part_bytes:
            length = min(length, stored.part_bytes)
        checksums = {"x_amz_checksum_sha256": stored.sha256} if stored.has_sha256 else {}
        if self.headers.get("x-amz-checksum-mode") != "ENABLED":
            checksums = {}
        return self.answer(200, Content_Length=str(length), x_amz_server_side_encryption=stored.encryption, **checksums)

    def _serve(self, key: str) -> None:
        stored = self.s3.objects[key]
        if self.headers["If-Match"] != f'"{stored.etag}"':
            return self.answer(412, b"PreconditionFailed")
        if self.s3.failures:
            return self.answer(self.s3.failures.pop())
        if self.s3.served_pieces is not None and len(self.s3.pieces) >= self.s3.served_pieces:
            return self.answer(403, b"the line is dead")
        self.s3.pieces.append((key, self.headers["Range"]))
        first, _, last = self.headers["Range"].removeprefix("bytes=").partition("-")
        content = self.s3.altered.get(key, stored.content)
        return self.answer(206, content[int(first) : int(last) + 1])


@contextmanager
def running(s3: S3) -> Iterator[S3]:
    """Serve until the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"s3": s3}))
    server.daemon_threads = True
    s3.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield s3
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
