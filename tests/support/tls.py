"""Certificates for tests, by the openssl command, and clients that speak TLS to Limpet."""

import datetime
import os
import shutil
import socket
import ssl
import subprocess

from support.client import Client, connect
from support.wire import Wire

KINDS = {"ecdsa": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"], "rsa": ["-newkey", "rsa:2048"]}


class Certificate:
    """A PEM file with a certificate (and the chain behind it), one with its key, and the issuer that clients trust."""

    def __init__(self, file, key, authority):
        self.file, self.key, self.authority = str(file), str(key), str(authority)

    @property
    def table(self):
        """As a listener's file has it."""
        return {"file": self.file, "key": self.key}

    def take(self, other, *what):
        """Its files hold from now on what the other's do, or these of them ("file", "key"): new ones, renamed into their place."""
        for kind in what or ("file", "key"):
            os.rename(shutil.copy(getattr(other, kind), getattr(self, kind) + ".next"), getattr(self, kind))

    def der(self):
        with open(self.file) as file:
            return ssl.PEM_cert_to_DER_cert(file.read())


def _openssl(*arguments):
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def make(folder, name="shop", names=("shop.test",), kind="ecdsa", days=30, authority=None, is_authority=False):
    """Self-signed, or issued by `authority`, another of these. Valid for so many days from now; -1: until yesterday."""
    file, key = folder / f"{name}.pem", folder / f"{name}.key"
    extensions = [f"subjectAltName={','.join(('IP:' if n[0].isdigit() else 'DNS:') + n for n in names)}"] if names else []
    if is_authority:
        extensions.append("basicConstraints=critical,CA:TRUE")
    else:
        extensions.append("basicConstraints=CA:FALSE")
    how = [word for extension in extensions for word in ("-addext", extension)]
    request = folder / f"{name}.csr"
    _openssl("req", "-new", *KINDS[kind], "-nodes", "-keyout", key, "-out", request, "-subj", f"/O=Limpet tests/CN={name}", *how)
    signing = ["-CA", authority.file, "-CAkey", authority.key, "-CAcreateserial"] if authority else ["-signkey", key]
    until = ["-days", days]
    if days < 0 and ssl.OPENSSL_VERSION_INFO >= (3, 4):  # which asks for a beginning before that end
        end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)
        until = ["-not_before", "20200101000000Z", "-not_after", end.strftime("%Y%m%d%H%M%SZ")]
    _openssl("x509", "-req", "-in", request, "-out", file, *until, "-copy_extensions", "copy", *signing)
    return Certificate(file, key, authority.authority if authority else file)


def tls_table(*certificates, **keys):
    return {"certificates": [certificate.table for certificate in certificates], **keys}


def context(certificate=None, *, version=None, alpn=None):
    """A client's context that trusts this certificate's issuer; nobody in particular without one."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if certificate is None:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    else:
        made.load_verify_locations(certificate.authority)
        made.verify_flags &= ~ssl.VERIFY_X509_STRICT  # which wants more of an authority than a test has
    if version:
        made.minimum_version = made.maximum_version = version
    if alpn:
        made.set_alpn_protocols(alpn)
    return made


def server_context(certificate, *, alpn=None):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(certificate.file, certificate.key)
    if alpn:
        made.set_alpn_protocols(alpn)
    return made


class SafeClient(Client):
    """One connection to Limpet through TLS."""

    def __init__(self, address, how=None, name="shop.test", preface=b"", session=None, source=None):
        sock = connect(address, source=source)
        sock.sendall(preface)
        try:
            self.tls = (how or context()).wrap_socket(sock, server_hostname=name, session=session, suppress_ragged_eofs=False)
        except BaseException:
            sock.close()
            raise
        Wire.__init__(self, self.tls)

    def half_close(self):
        """Says by TLS that nothing more follows, and waits for the same."""
        try:
            self.tls.unwrap()
        except (ssl.SSLError, OSError):
            pass

    def cut(self):
        """Ends the connection without a word of TLS."""
        self.tls.shutdown(socket.SHUT_RDWR)
        self.tls.close()
