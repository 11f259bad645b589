"""Settings: flags over `DSPEX_*` variables over `dspex.toml` over defaults."""

from __future__ import annotations

import hashlib
import re
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, unquote_plus

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

MAX_BODY_BYTES = 8 * 1024 * 1024

_OF_USER = re.compile(r"(?<=://)([^:/@]*):([^@]*)(?=@)")
_PORT = re.compile(r"[0-9]{1,5}")
_OF_QUERY = re.compile(r"([?&])password=([^&]*)(&?)")


class Settings(BaseSettings):
    """What everything agrees on. Each field is the variable `DSPEX_<FIELD>` and the key `<field>` of `dspex.toml`."""

    model_config = SettingsConfigDict(env_prefix="DSPEX_", toml_file="dspex.toml", extra="forbid", frozen=True)

    home: Path = Field(default=Path(".dspex"), description="data folder: the store, the key, the logs")
    host: str = Field(default="127.0.0.1", description="address that the HTTP front listens on")
    port: int = Field(default=8000, ge=1, le=65535, description="port that the HTTP front listens on")
    api_key: SecretStr | None = Field(default=None, description="the first admin key; generated when not given")
    store_url: str | None = Field(
        default=None, repr=False, description="sqlite:///<file> or postgresql://<user>@<host>/<database>"
    )
    store_password: SecretStr | None = Field(default=None, description="password of the store's PostgreSQL role")
    hosts: int = Field(default=1, ge=1, le=64, description="hosts that own sessions")
    standby: int = Field(default=1, ge=0, le=64, description="warm hosts that take over")
    api_replicas: int | None = Field(
        default=None, ge=1, le=64, description="processes that answer HTTP; 2 with PostgreSQL, else 1, when not given"
    )
    stream_ports: str = Field(
        default="", description="ports that hosts take for routers on other nodes, as 7400-7463; any when not given"
    )
    session_idle_s: float = Field(default=900.0, gt=0, description="idle seconds after which a session leaves memory")
    sessions_in_memory: int = Field(default=10_000, ge=1, description="sessions that a host keeps in memory at most")
    program_loop_s: float = Field(
        default=1.0, gt=0.1, description="seconds that an async program may keep its event loop before it is stopped"
    )
    program_cpu_s: float = Field(default=60.0, gt=0, description="seconds of CPU that a sync program may use in a turn")
    host_max_memory_mb: int | None = Field(
        default=None, ge=100, description="megabytes of its own at which a host is replaced"
    )
    host_max_turns: int | None = Field(default=None, ge=1, description="turns after which a host is replaced")
    host_max_age_s: float | None = Field(default=None, gt=0, description="seconds after which a host is replaced")
    dedicated_limit: int = Field(default=8, ge=0, le=64, description="sessions that may have a host of their own")
    dedicated_memory_mb: int | None = Field(
        default=None, ge=16, description="megabytes that a dedicated session's host may take, unless the session says"
    )
    dedicated_cpus: float | None = Field(
        default=None, ge=0.1, description="processors that a dedicated session's host may take, unless the session says"
    )
    dedicated_cgroup: Path | None = Field(
        default=None, description="a cgroup v2 folder that the kernel's limits of dedicated hosts are made in"
    )
    lm: str = Field(default="mock", description="a DSPy model name, or mock?latency_s=0.1&fail=0.01")
    lm_api_base: str | None = Field(default=None, description="base address of the model's API")
    lm_api_key: SecretStr | None = Field(default=None, description="key of the model's API")
    program_packages: str = Field(
        default="", description="packages that python:pkg.mod:Class programs may come from, comma separated"
    )
    snapshot_entries: int = Field(
        default=100, ge=1, description="a session's state is written down after so many entries of its journal"
    )
    snapshot_bytes: int = Field(default=262_144, ge=1024, description="or after so many bytes of them")
    retention_days: float | None = Field(
        default=None, gt=0, le=36_500, description="days that turns are kept, where a tenant says nothing else"
    )
    retention_turns: int | None = Field(default=None, ge=1, description="turns of a session that are kept, likewise")
    retention_failed_days: float | None = Field(
        default=None, gt=0, le=36_500, description="days that failed attempts are kept, likewise"
    )
    retention_every_s: float = Field(
        default=3600.0, gt=0, le=43_200, description="seconds from one sweep of the past to the next"
    )
    test_mode: bool = Field(default=False, description="shorter waits for tests; never in production")

    @field_validator("home")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @field_validator("stream_ports")
    @classmethod
    def _ports(cls, value: str) -> str:
        low, _, high = value.partition("-")
        if value and not (_PORT.fullmatch(low) and _PORT.fullmatch(high) and 0 < int(low) <= int(high) < 65536):
            raise ValueError("give two ports with a dash between them, the lower one first: 7400-7463")
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags, then variables, then `dspex.toml` in the working directory."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    @property
    def database_url(self) -> str:
        """The store's address, with its password: for opening the store, and nothing else."""
        address, password = self._store
        if password is None or not address.startswith("postgresql"):
            return address
        return f"{address}{'&' if '?' in address else '?'}password={quote(password, safe='')}"

    @property
    def store_secret(self) -> str | None:
        """The store's password, from its own setting or from the address."""
        return self._store[1]

    @property
    def _store(self) -> tuple[str, str | None]:
        address, password = without_password(self.store_url or f"sqlite:///{self.home / 'dspex.sqlite3'}")
        if password is None and self.store_password is not None:
            password = self.store_password.get_secret_value()
        return address, password

    @property
    def has_one_node(self) -> bool:
        """Whether the store is a file, which only one node has."""
        return not self._store[0].startswith("postgresql")

    @property
    def replicas(self) -> int:
        """How many processes answer HTTP: a cluster has one when another is lost."""
        return self.api_replicas or (1 if self.has_one_node else 2)

    @property
    def host_ports(self) -> range:
        """The ports that hosts may listen at for other nodes; 0 is any."""
        low, _, high = self.stream_ports.partition("-")
        return range(int(low), int(high) + 1) if low else range(1)

    @property
    def packages(self) -> tuple[str, ...]:
        """The allow-listed packages."""
        return tuple(part.strip() for part in self.program_packages.split(",") if part.strip())

    @property
    def run_dir(self) -> Path:
        """A short folder for sockets and Ray's temporary files: socket paths end at 107 bytes."""
        digest = hashlib.blake2b(str(self.home).encode(), digest_size=5).hexdigest()
        return Path(tempfile.gettempdir()) / f"dspex-{digest}"

    def plain(self) -> dict[str, Any]:
        """The settings without the secrets, for the processes of this instance: those read secrets from their own
        environment."""
        plain = self.model_dump(mode="json", exclude={"api_key", "lm_api_key", "store_password"})
        return {**plain, "store_url": self.store_url and without_password(self.store_url)[0]}

    def environment(self) -> dict[str, str]:
        """The same as `DSPEX_*` variables."""
        return {f"DSPEX_{name.upper()}": str(value) for name, value in self.plain().items() if value is not None}


def without_password(url: str) -> tuple[str, str | None]:
    """An address of a database without the password in it, and that password.

    >>> without_password("postgresql://ann:s%40cret@db/x?sslmode=require")
    ('postgresql://ann@db/x?sslmode=require', 's@cret')
    """
    if not url.startswith("postgresql"):
        return url, None
    of_user, of_query = _OF_USER.search(url), _OF_QUERY.search(url)
    bare = _OF_QUERY.sub(lambda found: found[1] if found[3] else "", _OF_USER.sub(r"\1", url))
    if of_user is not None:
        return bare, unquote(of_user[2])
    return bare, None if of_query is None else unquote_plus(of_query[2])
