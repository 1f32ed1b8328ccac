"""The front: an account of AWS on a loopback port. moto answers; what it lacks, and faults that a test orders, come first.

It runs in the test's own process, so that a test orders faults and looks at what was asked by plain Python. One of them
serves every test of a process: ``reset`` empties the account.
"""

from __future__ import annotations

import io
import json
import os
import re
import threading
from collections.abc import Callable, Iterable
from typing import Any, Final
from urllib.parse import parse_qs, parse_qsl, unquote, urlsplit

import boto3
from moto.ec2.models import ec2_backends
from moto.moto_api._internal.models import moto_api_backend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from tests.e2e.ports import HOST, free_ports
from tests.e2e.pulumi.aws.cloud import ACCOUNT, REGION
from tests.e2e.pulumi.aws.front.answers import Answer, AwsError, as_error, as_json
from tests.e2e.pulumi.aws.front.ec2 import ClusterGroups, Ec2
from tests.e2e.pulumi.aws.front.eks import Eks, operation
from tests.e2e.pulumi.aws.front.faults import Faults

Environ = dict[str, Any]

_SERVICE: Final = re.compile(r"Credential=[^/]+/[^/]+/[^/]+/([^/]+)/")
_TAGS: Final = re.compile(rb"<Tag>.*?</Tag>")
_CONTROL: Final = "/v20180820/tags/"
_LARGE: Final = 100_000.0
_RELEASE: Final = re.compile(r"/(?P<kubernetes>\d+\.\d+)/.*-v(?P<release>\d{8})/release_version$")


class _Quiet(MotoRequestHandler):
    """A server that writes no line for each request."""

    def log_request(self, *_: object) -> None:
        pass


class Front:
    """The account, and what a test may order and look at."""

    def __init__(self) -> None:
        os.environ["MOTO_IAM_LOAD_MANAGED_POLICIES"] = "true"
        (port,) = free_ports(1)
        self.endpoint = f"http://{HOST}:{port}"
        self.faults = Faults()
        self.calls: list[str] = []
        """Operations in the order in which they came, those of services alone that the front reads."""
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._server = make_server(HOST, port, self._application, threaded=True, request_handler=_Quiet)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self._renew()

    def _renew(self) -> None:
        groups = ClusterGroups(self.client("ec2"))
        self.eks = Eks(ACCOUNT, REGION, self.faults, groups)
        self.ec2 = Ec2(ACCOUNT, REGION)
        self.bucket_tags: dict[str, bytes] = {}
        self.quotas: dict[str, float] = {}
        """vCPUs that the account may run, by the code of a quota; those that are not here carry anything."""
        self.calls.clear()

    def client(self, service: str) -> Any:
        """A client of the account."""
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )

    def reset(self) -> None:
        """Empty the account."""
        moto_api_backend.reset()
        self._renew()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()

    def _application(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(length) if length else b""
        environ["wsgi.input"] = io.BytesIO(body)
        found = _SERVICE.search(environ.get("HTTP_AUTHORIZATION", ""))
        service = found[1] if found else ""
        try:
            answer = self._answer(service, environ, body)
        except AwsError as error:
            answer = as_error(service, error)
        if answer is None:
            found_by_moto: Iterable[bytes] = self._moto(environ, start_response)
            return found_by_moto
        headers = [*answer.headers, ("Content-Length", str(len(answer.body)))]
        start_response(f"{answer.status} -", headers)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [answer.body]

    def _answer(self, service: str, environ: Environ, body: bytes) -> Answer | None:
        """What the front says; None where moto answers."""
        method, path = environ["REQUEST_METHOD"], urlsplit(environ["RAW_URI"]).path  # whole where a proxy is asked
        if path.startswith(_CONTROL):
            return self._tags_of_bucket(method, unquote(path.removeprefix(_CONTROL)), body)
        match service:
            case "eks" if (asked := operation(method, path)) is not None:
                name, named = asked
                self._met(name)
                query = parse_qs(environ.get("QUERY_STRING", ""))
                return as_json(self.eks.answer(name, named, {**query, **json.loads(body or b"{}")}))
            case "ec2" | "iam" | "sts" if body:
                form = dict(parse_qsl(body.decode(), keep_blank_values=True))
                action = form.get("Action", "")
                self._met(action)
                if action == "DescribeLaunchTemplateVersions":
                    _keep_tags_of_templates_apart()
                elif action == "DescribeNatGateways":
                    _tell_mode_of_gateways()
                return self.ec2.answer(form) if service == "ec2" else None
            case "s3" if method == "PUT" and b"<Tags>" in body:  # a bucket is made with its tags
                self.bucket_tags[f"arn:aws:s3:::{path.strip('/')}"] = b"".join(_TAGS.findall(body))
                return None
            case "ssm" if environ.get("HTTP_X_AMZ_TARGET", "").endswith(".GetParameter"):
                return _release(json.loads(body)["Name"])
            case "servicequotas" if environ.get("HTTP_X_AMZ_TARGET", "").endswith(".GetServiceQuota"):
                self._met("GetServiceQuota")
                return as_json(self._quota(json.loads(body)))
            case _:
                if target := environ.get("HTTP_X_AMZ_TARGET"):
                    self._met(target.rpartition(".")[2])
                return None

    def _met(self, name: str) -> None:
        self.calls.append(name)
        self.faults.refuse(name)

    def _quota(self, asked: dict[str, str]) -> dict[str, Any]:
        """What the account may run: moto knows quotas of a VPC alone."""
        code = asked["QuotaCode"]
        return {"Quota": {**asked, "Value": self.quotas.get(code, _LARGE), "Unit": "None", "Adjustable": True}}

    def _tags_of_bucket(self, method: str, arn: str, body: bytes) -> Answer:
        """S3 Control's tags, which moto keeps for other things than buckets."""
        if method == "POST":
            self.bucket_tags[arn] = b"".join(_TAGS.findall(body))
        elif method == "DELETE":
            self.bucket_tags.pop(arn, None)
        if method != "GET":
            return Answer(status=204)
        head = b'<ListTagsForResourceResult xmlns="http://awss3control.amazonaws.com/doc/2018-08-20/"><Tags>'
        text = head + self.bucket_tags.get(arn, b"") + b"</Tags></ListTagsForResourceResult>"
        return Answer(headers=(("Content-Type", "text/xml"),), body=text)


def _keep_tags_of_templates_apart() -> None:
    """moto shows the tags of a launch template itself among those that it puts on what it launches."""
    for template in ec2_backends[ACCOUNT][REGION].launch_templates.values():
        for version in template.versions:
            specifications = version.data.get("TagSpecifications", [])
            version.data["TagSpecifications"] = [
                each for each in specifications if each["ResourceType"] != "launch-template"
            ]


def _tell_mode_of_gateways() -> None:
    """moto's NAT gateways say not that they stand in one zone; an import would then know neither subnet nor address."""
    for gateway in ec2_backends[ACCOUNT][REGION].nat_gateways.values():
        vars(gateway)["availability_mode"] = "zonal"


def _release(name: str) -> Answer | None:
    """The public parameter of a released AMI: moto has none of them, and takes none."""
    found = _RELEASE.search(name)
    if found is None:
        return None
    value = f"{found['kubernetes']}.2-{found['release']}"
    arn = f"arn:aws:ssm:{REGION}::parameter{name}"
    return as_json({"Parameter": {"Name": name, "Type": "String", "Value": value, "Version": 1, "ARN": arn}})
