"""Resample a file: python client.py song.wav (needs boto3, requests, AWS keys, and API=https://...)"""

import os
import sys
import time
import uuid
from functools import partial
from io import FileIO
from pathlib import Path

import boto3
import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from urllib3.util import Retry

API, AWS, HTTP, source = os.environ["API"], boto3.Session(), requests.Session(), Path(sys.argv[1])
call = partial(HTTP.request, timeout=60)  # and again after a broken connection or a fault of the server:
again = Retry(6, backoff_factor=1, status_forcelist=range(500, 600), allowed_methods=None, raise_on_status=False)
HTTP.get_adapter(API).max_retries = again
HTTP.hooks["response"] = lambda answer, **_: answer if answer.ok else sys.exit(f"\n{answer.status_code} {answer.text}")


def signed(request):  # as requests' `auth`
    aws = AWSRequest(request.method, request.url, data=request.body)
    SigV4Auth(AWS.get_credentials(), "execute-api", AWS.region_name).add_auth(aws)
    request.headers.update(aws.headers)
    return request


def show(what, done, total):
    print(f"\r{what:12}[{'#' * int(30 * done / total):30}] {done / total:4.0%}", end="", flush=True)


class Watched(FileIO):
    def read(self, size=-1):
        chunk = super().read(size)
        show("Uploading", self.tell(), source.stat().st_size)
        return chunk


wanted = {"filename": source.name, "size_bytes": source.stat().st_size}
job = call("POST", f"{API}/jobs", json=wanted, auth=signed).json()
call("PUT", job["upload"]["url"], data=Watched(source))
while (job := job | call("GET", f"{API}/jobs/{job['id']}", auth=signed).json())["status"] not in ("ready", "failed"):
    show("Resampling", job["progress"], 1)
    time.sleep(1)
if job["error"]:
    sys.exit(f"\n{job['error']['code']}: {job['error']['detail']}")
key = {"Idempotency-Key": uuid.uuid4().hex}  # should the answer get lost, it can be had again
url = call("POST", job["link"], headers=key, allow_redirects=False).headers["Location"]  # the link is spent now
with source.with_suffix(".32k.mp3").open("wb") as file:
    while file.tell() < (total := job["result"]["size_bytes"]):  # what broke off goes on where it ended
        with call("GET", url, headers={"Range": f"bytes={file.tell()}-"}, stream=True) as answer:
            try:
                for chunk in answer.iter_content(1 << 16):
                    show("Downloading", file.tell() + file.write(chunk), total)
            except requests.RequestException:
                print("\nbroken off, resuming")
print(f"\nSaved {file.name}")
