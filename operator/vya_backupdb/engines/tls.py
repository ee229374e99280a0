"""The four TLS modes in the words of each client and driver. What a client lacks is refused, never weakened.

``require`` encrypts and verifies nothing, ``verify-ca`` verifies the chain, ``verify-full`` the host name as well.
MariaDB's clients know no ``verify-ca``: they verify both or nothing, and verify by default from 11.4 on.
"""

import ssl
from collections.abc import Mapping
from typing import Final

from vya_backupdb.domain.config import DatabaseConfig, SSLMode
from vya_backupdb.domain.errors import ConfigurationError
from vya_backupdb.engines.clients import Client

#: libpq would read ~/.postgresql/root.crt and turn ``require`` into ``verify-ca``; a path that cannot be stops that.
NO_FILE: Final = "/nonexistent/vya-backupdb"

#: The field as users know it, in the file and in the cluster.
MODE: Final = "ssl_mode (spec.tls.mode of a BackupInstance)"
CHECK_HINT: Final = f"Check {MODE}, the CA that is given to trust, and the server's certificate."

_MYSQL_MODES: Final[Mapping[SSLMode, str]] = {
    SSLMode.DISABLE: "DISABLED",
    SSLMode.REQUIRE: "REQUIRED",
    SSLMode.VERIFY_CA: "VERIFY_CA",
    SSLMode.VERIFY_FULL: "VERIFY_IDENTITY",
}


def libpq_parameters(config: DatabaseConfig) -> dict[str, str]:
    """Return the connection parameters of libpq (driver and clients alike) for the mode in force."""
    mode = config.effective_ssl_mode
    verifies = mode in (SSLMode.VERIFY_CA, SSLMode.VERIFY_FULL)
    return {
        "sslmode": mode.value,
        "sslrootcert": (config.ssl_ca_cert if verifies else None) or NO_FILE,
        "sslcert": config.ssl_client_cert or NO_FILE,
        "sslkey": config.ssl_client_key or NO_FILE,
        # a Kerberos ticket of whoever runs us is none of this connection's business
        "gssencmode": "disable",
    }


def client_options(config: DatabaseConfig, client: Client) -> tuple[str, ...]:
    """Return the command line options of a MySQL or MariaDB client. Raise ConfigurationError for what it lacks."""
    mode = config.effective_ssl_mode
    verifies = mode in (SSLMode.VERIFY_CA, SSLMode.VERIFY_FULL)
    files = (
        *((f"--ssl-ca={config.ssl_ca_cert}",) if verifies else ()),
        *((f"--ssl-cert={config.ssl_client_cert}",) if config.ssl_client_cert else ()),
        *((f"--ssl-key={config.ssl_client_key}",) if config.ssl_client_key else ()),
    )
    if client.product == "MariaDB":
        return _mariadb_options(mode, files)
    if mode is SSLMode.DISABLE:
        # caching_sha2_password over plain TCP needs the server's RSA key while its cache is cold
        return ("--ssl-mode=DISABLED", "--get-server-public-key")
    return (f"--ssl-mode={_MYSQL_MODES[mode]}", *files)


def _mariadb_options(mode: SSLMode, files: tuple[str, ...]) -> tuple[str, ...]:
    if mode is SSLMode.DISABLE:
        return ("--skip-ssl",)
    if mode is SSLMode.REQUIRE:
        # 11.4 and later verify unless told not to; 10.11 takes the same words
        return ("--ssl", "--skip-ssl-verify-server-cert", *files)
    if mode is SSLMode.VERIFY_CA:
        refuse_verify_ca()
    return ("--ssl", "--ssl-verify-server-cert", *files)


def refuse_verify_ca() -> None:
    """Raise ConfigurationError: MariaDB's clients cannot verify the chain without the host name."""
    raise ConfigurationError(
        "the TLS mode verify-ca is not known to MariaDB's clients",
        hint=f"Set {MODE} to verify-full with a certificate for the host's name, or to require.",
    )


def python_context(config: DatabaseConfig) -> ssl.SSLContext | None:
    """Return the context for PyMySQL, or None for plain text. Raise ConfigurationError for an unreadable file."""
    mode = config.effective_ssl_mode
    if mode is SSLMode.DISABLE:
        return None
    verifies = mode in (SSLMode.VERIFY_CA, SSLMode.VERIFY_FULL)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = mode is SSLMode.VERIFY_FULL
    context.verify_mode = ssl.CERT_REQUIRED if verifies else ssl.CERT_NONE
    try:
        if verifies and config.ssl_ca_cert:
            context.load_verify_locations(config.ssl_ca_cert)
        if config.ssl_client_cert and config.ssl_client_key:
            context.load_cert_chain(config.ssl_client_cert, config.ssl_client_key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"the TLS files of instance {config.id!r} cannot be read: {error.strerror or error}",
            hint="Check ssl_ca_cert, ssl_client_cert and ssl_client_key (in the cluster: the Secrets of spec.tls).",
        ) from error
    return context
