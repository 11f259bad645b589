"""TLS between nodes: a host's certificate, made at its start and kept in memory; a router trusts exactly that one.

Certificates say who listens, the handshake of `link` who may talk: it is bound to the certificate, so that neither
end's proof can be used on another connection.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import NamedTuple

from dspex_actors.errors import InvalidRequest

KEEPALIVE = ((socket.TCP_KEEPIDLE, 2), (socket.TCP_KEEPINTVL, 1), (socket.TCP_KEEPCNT, 3))
UNSENT_MS = 5000
"""How long what was sent may stay unacknowledged: a node that vanished closes nothing."""
BACKLOG = 128
# Clocks of two machines are never compared, so a certificate is valid at any time; it lives as long as its process.
_SINCE, _UNTIL = datetime(2000, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class TlsAddress:
    """Where a host listens for routers on other nodes; `certificate` (DER) is the one to accept there."""

    ip: str
    port: int
    certificate: bytes


class Identity(NamedTuple):
    """A certificate (DER), and what listens with it and its key."""

    certificate: bytes
    context: ssl.SSLContext


def make_identity() -> Identity:
    """A new key and a certificate that it has signed itself; neither is on a disk."""
    from cryptography import x509  # only a host that has other nodes needs it
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "dspex host")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_SINCE)
        .not_valid_after(_UNTIL)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    secret = key.private_bytes(serialization.Encoding.PEM, *plain)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0  # a connection lasts as long as its ends: nothing is ever resumed
    _load(context, secret + certificate.public_bytes(serialization.Encoding.PEM))
    return Identity(certificate.public_bytes(serialization.Encoding.DER), context)


def trusting(certificate: bytes) -> ssl.SSLContext:
    """What connects to the host that has this certificate (DER), and to nobody else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False  # the certificate itself is known, whatever name is in it
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=certificate)
    return context


def binding_of(certificate: bytes) -> bytes:
    """What ties a handshake to a connection that is encrypted with this certificate's key."""
    return sha256(certificate).digest()


def listen_at(ip: str, ports: Iterable[int]) -> socket.socket:
    """A socket that listens at this address, at the first port that is free; 0 is any.

    Raises:
        InvalidRequest: It cannot listen there, or all ports are taken.
    """
    try:
        family, kind, _, _, where = socket.getaddrinfo(ip, None, type=socket.SOCK_STREAM)[0]
        for port in ports:
            sock = socket.socket(family, kind)
            try:
                return _listening(sock, (where[0], port, *where[2:]))
            except OSError as error:
                sock.close()
                if error.errno != errno.EADDRINUSE:
                    raise
    except OSError as error:
        raise InvalidRequest(
            f"A host cannot listen at {ip}, which Ray says is this node's address ({error.strerror}): start Ray on "
            "this node with --node-ip-address=<an address that it has and other nodes reach>."
        ) from error
    raise InvalidRequest(f"Every port of DSPEX_STREAM_PORTS is taken at {ip}: give a range with one for each host.")


def _listening(sock: socket.socket, where: tuple[object, ...]) -> socket.socket:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # these options pass on to what is accepted
    for option, value in (*KEEPALIVE, (socket.TCP_USER_TIMEOUT, UNSENT_MS)):
        sock.setsockopt(socket.IPPROTO_TCP, option, value)
    sock.bind(where)
    sock.listen(BACKLOG)
    return sock


def _load(context: ssl.SSLContext, pem: bytes) -> None:
    """Python takes a key by the path of a file; this one is in memory, and gone when it is closed."""
    with open(os.memfd_create("dspex-identity"), "wb") as file:
        file.write(pem)
        file.flush()
        context.load_cert_chain(f"/proc/self/fd/{file.fileno()}")
