"""An authority of a test's own, whose certificates nobody else trusts, made by the openssl command."""

import os
import subprocess


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


class Authority:
    """Keeps its files in `folder`: `ca` is what trusts it."""

    def __init__(self, folder, name="Test Authority"):
        self.folder = str(folder)
        os.makedirs(self.folder, exist_ok=True)
        self.ca, self.key = self.path("ca.pem"), self.path("ca.key")
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30", "-subj", f"/CN={name}",
                "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-keyout", self.key, "-out", self.ca)

    def path(self, name):
        return os.path.join(self.folder, name)

    def issue(self, *names, rsa=False, days=30, file=None):
        """A certificate for these names ("shop.test", "*.shop.test", "IP:127.0.0.1"): its file and its key's."""
        file = file or f"{len(os.listdir(self.folder))}"
        certificate, key, asked, extensions = (self.path(f"{file}.{end}") for end in ("pem", "key", "csr", "ext"))
        with open(extensions, "w", encoding="ascii") as out:
            out.write("subjectAltName=" + ",".join(name if ":" in name else f"DNS:{name}" for name in names) + "\n")
        kind = ["rsa:2048"] if rsa else ["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
        openssl("req", "-new", "-newkey", *kind, "-nodes", "-subj", f"/CN={names[0].replace('IP:', '')}", "-keyout", key, "-out", asked)
        openssl("x509", "-req", "-in", asked, "-CA", self.ca, "-CAkey", self.key, "-CAcreateserial", "-days", str(days), "-extfile", extensions,
                "-out", certificate)
        return certificate, key
