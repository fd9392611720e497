"""By what clients speak with Limpet, and Limpet with backends at 127.0.0.1: plain or by TLS, and in which version of HTTP on either side."""

import dataclasses
import functools
import ssl

import pytest

from support.tls import Certificate, context, make, server_context, tls_table

HTTP1, HTTP2 = "http/1.1", "h2"
VERSIONS = (HTTP1, HTTP2)
by_each_version = pytest.mark.parametrize("version", VERSIONS)  # of clients


@dataclasses.dataclass(frozen=True)
class Transport:
    certificate: Certificate | None = None  # where TLS is spoken, on both sides: everybody has to prove who they are
    front: str = HTTP1
    back: str = HTTP1

    @property
    def listener(self):
        """What is in a listener's table."""
        return {"tls": tls_table(self.certificate)} if self.certificate else {}

    @property
    def pool(self):
        """And in a pool's."""
        tls = {"tls": {"ca": self.certificate.authority}} if self.certificate else {}
        return {"protocol": self.back, **tls}

    @property
    def files(self):
        """What a backend shows."""
        return {"certificate": self.certificate.file, "key": self.certificate.key} if self.certificate else {}

    @property
    def server(self):
        """What support.truth's servers are to be started with."""
        return {**self.files, "http2": self.back == HTTP2}

    @property
    def backend(self):
        """And scripted backends."""
        return {"version": self.back, "tls": self.certificate and server_context(self.certificate)}

    @property
    def clients(self):
        """And its clients."""
        return {"tls": self.client, "http2": self.front == HTTP2}

    @functools.cached_property
    def client(self) -> ssl.SSLContext | None:
        return self.certificate and context(self.certificate, alpn=[HTTP2] if self.front == HTTP2 else None)


PLAIN = Transport()


def by_tls(folder):
    return Transport(make(folder, "both-sides", names=("shop.test", "127.0.0.1")))


def transport_of(words, sealed):
    """"tls h2 to http/1.1", of which all but "plain" or "tls" may be missing; `sealed` has the certificate."""
    how, _, versions = words.partition(" ")
    front, _, back = (versions or HTTP1).partition(" to ")
    certificate = {"plain": None, "tls": sealed.certificate}[how]
    return Transport(certificate, front, back or front)
