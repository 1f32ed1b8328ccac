"""How a machine that was just made proves that its host key is its own, before it is sent anything secret.

It is made with a word in its user data that nobody else is told, and signs its host keys with it (HMAC-SHA256) as the first
thing that it does. Then it forgets the word. Whoever else answers at its address has no such signature of the key that he shows.

The word follows from the private SSH key and the machine's name, which is never given twice: so it stands in no state, and a
machine that an interrupted run left behind can still be asked. Who learns a word learns nothing of the key, and no other word.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Final

from agentgpu_iac.plan.machine_paths import PROOF_FILE, PROVE_FILE, WORD_FILE
from agentgpu_iac.provisioning.spheron.client import CloudInit, WriteFile

SSH_KEY_CONFIG: Final = "agentgpu:sshPrivateKey"

PROVE: Final = f"""\
# Signs the public host keys of this machine with the word that it was made with, and forgets that.
import glob, hashlib, hmac, os

if os.path.exists("{WORD_FILE}"):
    with open("{WORD_FILE}", "rb") as file:
        word = file.read()
    with open("{PROOF_FILE}.new", "w") as proof:
        for path in glob.glob("/etc/ssh/ssh_host_*_key.pub"):
            with open(path, "rb") as file:
                line = b" ".join(file.read().split()[:2])
            print(hmac.new(word, line, hashlib.sha256).hexdigest(), file=proof)
    os.chmod("{PROOF_FILE}.new", 0o644)
    os.replace("{PROOF_FILE}.new", "{PROOF_FILE}")
    os.remove("{WORD_FILE}")
"""


def once_named(name: str) -> str:
    """A machine's name that no other machine had, by eight random hexadecimal digits at its end."""
    return f"{name}-{secrets.token_hex(4)}"


def word_of(private_key: str, machine_name: str) -> str:
    """The word of a machine: 64 hexadecimal digits. The name must be one that no other machine had."""
    text = f"the word by which {machine_name} proves its host key"
    return hmac.new(private_key.strip().encode(), text.encode(), hashlib.sha256).hexdigest()


def is_proven(said: str, word: str, host_key: str) -> bool:
    """Whether one line of what a machine says is the signature of a host key (type and base64) with its word."""
    wanted = hmac.new(word.encode(), host_key.encode(), hashlib.sha256).hexdigest().encode()
    return any(hmac.compare_digest(line.encode(errors="replace"), wanted) for line in said.split())


def proving(cloud_init: CloudInit) -> CloudInit:
    """The same for a machine whose secrets come later: its first act is to sign its host keys. The word is still to come."""
    files = (
        WriteFile(path=WORD_FILE, content="", owner="root:root", permissions="0600"),
        WriteFile(path=PROVE_FILE, content=PROVE, owner="root:root", permissions="0755"),
    )
    return cloud_init.model_copy(
        update={
            "write_files": (*files, *cloud_init.write_files),
            "runcmd": (f"python3 {PROVE_FILE}", *(f"{command} prepare" for command in cloud_init.runcmd)),
        }
    )


def is_proving(cloud_init: CloudInit) -> bool:
    """Whether a machine of this cloud-init needs a word."""
    return any(file.path == WORD_FILE for file in cloud_init.write_files)


def with_word(cloud_init: CloudInit, word: str) -> CloudInit:
    """The same, with the word where one belongs."""
    files = tuple(
        file.model_copy(update={"content": word}) if file.path == WORD_FILE else file for file in cloud_init.write_files
    )
    return cloud_init.model_copy(update={"write_files": files})
