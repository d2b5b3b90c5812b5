"""Convert a file to MP3: upload, wait, download. Needs boto3, requests, AWS keys, and API=https://.../v1.

A large file goes up in parts. Killed and started again, the client goes on where it was; the job's link waits in
NAME.job.json beside the file until the MP3 is saved.
"""

import argparse
import hashlib
import json
import os
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import boto3
import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from urllib3.util import Retry

IN_PARTS_FROM_BYTES = 16 << 20

arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
arguments.add_argument("source", type=Path, help="the audio file; the MP3 is saved beside it as NAME.32k.mp3")
source = arguments.parse_args().source
destination, state = source.with_suffix(".32k.mp3"), source.with_name(f"{source.name}.job.json")
if destination.exists():
    sys.exit(f"{destination} exists already. Move it, or delete it.")
size = source.stat().st_size

API, AWS, HTTP = os.environ["API"], boto3.Session(), requests.Session()
call = partial(HTTP.request, timeout=60)  # and again after a broken connection or a fault of the server:
again = Retry(8, backoff_factor=1, status_forcelist=range(500, 600), allowed_methods=None, raise_on_status=False)
HTTP.get_adapter(API).max_retries = again
HTTP.hooks["response"] = lambda answer, **_: answer if answer.ok else sys.exit(f"\n{answer.status_code} {answer.text}")


def signed(request):  # as requests' `auth`
    aws = AWSRequest(request.method, request.url, data=request.body)
    SigV4Auth(AWS.get_credentials(), "execute-api", AWS.region_name).add_auth(aws)
    request.headers.update(aws.headers)
    return request


def show(what, done, total):
    if sys.stdout.isatty():
        print(f"\r{what:12}[{'#' * int(30 * done / total):30}] {done / total:4.0%}", end="", flush=True)
    elif done == total:
        print(f"{what} 100%", flush=True)


def look():
    return call("GET", f"{API}/jobs/{job['id']}", auth=signed).json()


def upload_in_parts():
    with source.open("rb") as file:  # a hash of the whole file: parts of two files are never mixed
        fingerprint = f"sha256-{hashlib.file_digest(file, 'sha256').hexdigest()}"
    door, whole = f"{API}/jobs/{job['id']}/upload", {"size_bytes": size, "fingerprint": fingerprint}
    upload = call("POST", door, json=whole, auth=signed).json()
    step, sent = upload["part_size_bytes"], {part["number"] for part in upload["parts"]}
    missing = sorted({*range(1, upload["part_count"] + 1)} - sent)

    def send(number):
        address = call("POST", f"{door}/parts", json={"numbers": [number]}, auth=signed).json()["parts"][0]["url"]
        with source.open("rb") as file:
            file.seek((number - 1) * step)
            call("PUT", address, data=file.read(step))
        sent.add(number)
        show("Uploading", len(sent), upload["part_count"])

    with ThreadPoolExecutor(4) as several:
        list(several.map(send, missing))
    call("POST", f"{door}/complete", auth=signed)


if state.exists():
    job = json.loads(state.read_text())
else:
    once = {"Idempotency-Key": uuid.uuid4().hex}  # should the answer get lost, the same call finds the same job
    new = {"filename": source.name, "size_bytes": size}
    job = call("POST", f"{API}/jobs", json=new, headers=once, auth=signed).json()
    state.touch(mode=0o600)  # whoever reads the link can download the MP3
    state.write_text(json.dumps({**job, "key": uuid.uuid4().hex}))
    job = json.loads(state.read_text())
if look()["status"] == "awaiting-upload" and size > IN_PARTS_FROM_BYTES:
    upload_in_parts()
elif look()["status"] == "awaiting-upload":
    call("PUT", call("GET", job["link"]).json()["upload"]["url"], data=source.read_bytes())
    show("Uploading", size, size)
while (job := job | look())["status"] in ("awaiting-upload", "processing"):
    show("Converting", job["progress"], 1)
    time.sleep(1)
if job["status"] not in ("ready", "claimed"):
    state.unlink()
    sys.exit("\n{code}: {detail}".format(**job["error"]) if job["error"] else f"\nThe job is {job['status']}.")
headers = {"Idempotency-Key": job["key"]}  # should the answer get lost, it can be had again
url = call("POST", job["link"], headers=headers, allow_redirects=False).headers["Location"]  # the link is used now
partial_file = destination.with_suffix(".part")
with partial_file.open("wb") as file:
    while file.tell() < (total := job["result"]["size_bytes"]):  # what broke off goes on where it ended
        with call("GET", url, headers={"Range": f"bytes={file.tell()}-"}, stream=True) as answer:
            try:
                for chunk in answer.iter_content(1 << 16):
                    show("Downloading", file.tell() + file.write(chunk), total)
            except requests.RequestException:
                print("\nbroken off, resuming")
partial_file.rename(destination)
state.unlink()
print(f"\nSaved {destination}")
