"""Real stores of several servers: a master with replicas and Sentinels, and a Cluster."""

import shutil
import subprocess
import time
from pathlib import Path
from typing import Any, Self

from redis import Redis
from redis.crc import key_slot
from redis.exceptions import RedisError

from gateway.edge.store.embedded import find_server, tethered
from tests.support.ports import free_port
from tests.support.store import ValkeyServer

HOST = "127.0.0.1"
SLOTS = 16384
REPLICATION = ("--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1")
DURABLE = ("--appendonly", "yes", "--appendfsync", "everysec")


def debian_redis() -> str | None:
    """Return Debian's redis-server, which speaks TLS, or None where it is not installed."""
    return shutil.which("redis-server")


def until(probe: Any, what: str, seconds: float = 20.0) -> Any:
    """Return the probe's first true value; a server that does not answer counts as not yet."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if value := probe():
                return value
        except RedisError:
            pass
        time.sleep(0.02)
    raise AssertionError(f"it never happened: {what}")


class Sentinel:
    """One Sentinel process."""

    def __init__(
        self,
        master: int,
        quorum: int,
        lines: tuple[str, ...] = (),
        binary: str | None = None,
        host: str = HOST,
    ) -> None:
        self.port = free_port()
        # its files lie where a server's would
        self.files = ValkeyServer()
        self.binary = binary
        self.lines = (
            "port 0" if lines else f"port {self.port}",
            f"bind {HOST}",
            f"dir {self.files.directory}",
            # before the service: they tell how its host is to be read
            *(line.replace("PORT", str(self.port)) for line in lines),
            f"sentinel monitor main {host} {master} {quorum}",
            "sentinel down-after-milliseconds main 500",
            "sentinel failover-timeout main 2000",
        )

    def start(self) -> Self:
        """Start it; it answers in a moment."""
        path: Path = self.files.directory / "sentinel.conf"
        path.write_text("\n".join(self.lines) + "\n")
        command = [self.binary or find_server(), str(path), "--sentinel"]
        with (self.files.directory / "log").open("ab") as log:
            self.files.process = subprocess.Popen(
                tethered(command), stdout=log, stderr=log, start_new_session=True
            )
        return self

    def client(self) -> Redis:
        """Return a plain client, for looking inside."""
        return Redis(host=HOST, port=self.port, protocol=2, socket_timeout=1)

    def close(self) -> None:
        """End it and remove its files."""
        self.files.close()


class Replicated:
    """A master, replicas, and Sentinels that fail over within about two seconds."""

    def __init__(self, replicas: int = 1, sentinels: int = 3) -> None:
        self.master = ValkeyServer(*REPLICATION, *DURABLE, port=free_port())
        self.replicas = [
            ValkeyServer(
                *REPLICATION, *DURABLE, "--replicaof", f"{HOST} {self.master.port}", port=free_port()
            )
            for _ in range(replicas)
        ]
        quorum = sentinels // 2 + 1
        self.sentinels = [Sentinel(self.master.port, quorum) for _ in range(sentinels)]

    @property
    def settings(self) -> dict[str, Any]:
        """The ``redis`` section."""
        nodes = [f"{HOST}:{each.port}" for each in self.sentinels]
        return {"url": None, "sentinel": {"service": "main", "nodes": nodes}}

    def __enter__(self) -> Self:
        self.master.start()
        for each in self.replicas:
            each.start()
        for each in self.replicas:
            with each.client() as client:
                until(lambda c=client: c.info("replication")["master_link_status"] == "up", "replication")
        for each in self.sentinels:
            each.start()
        for each in self.sentinels:
            with each.client() as client:
                until(lambda c=client: self._is_ready(c), "the Sentinels know each other")
        return self

    def _is_ready(self, client: Redis) -> bool:
        told = client.execute_command("SENTINEL", "MASTER", "main")
        state = told if isinstance(told, dict) else dict(zip(told[::2], told[1::2], strict=True))
        state = {_text(name): _text(value) for name, value in state.items()}
        return (
            int(state["num-other-sentinels"]) == len(self.sentinels) - 1
            and int(state["num-slaves"]) == len(self.replicas)
            and state["flags"] == "master"
        )

    def told_master(self) -> int:
        """Return the port of the master as the first Sentinel knows it."""
        with self.sentinels[0].client() as client:
            return int(client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main")[1])

    def __exit__(self, *_: object) -> None:
        for each in (*self.sentinels, *self.replicas, self.master):
            each.close()


class ClusterStore:
    """A Cluster of three masters; the one that holds ``key`` has a replica."""

    def __init__(self, key: str, replicas: int = 1, timeout: int = 1000) -> None:
        self.key = key
        self.members = [
            ValkeyServer(
                *REPLICATION, *DURABLE,
                "--cluster-enabled", "yes", "--cluster-port", str(free_port()),
                "--cluster-node-timeout", str(timeout), "--cluster-replica-validity-factor", "0",
                port=free_port(),
            )
            for _ in range(3 + replicas)
        ]  # fmt: skip

    @property
    def settings(self) -> dict[str, Any]:
        """The ``redis`` section; the member that will fail is named first."""
        nodes = [f"{HOST}:{self.holder.port}", *(f"{HOST}:{each.port}" for each in self.masters)]
        return {"url": None, "cluster": list(dict.fromkeys(nodes))}

    @property
    def masters(self) -> list[ValkeyServer]:
        """The first masters."""
        return self.members[:3]

    @property
    def holder(self) -> ValkeyServer:
        """Who holds the key at first."""
        return self.members[min(2, key_slot(self.key.encode()) * 3 // SLOTS)]

    def _bus(self, member: ValkeyServer) -> str:
        return member.options[member.options.index("--cluster-port") + 1]

    def __enter__(self) -> Self:
        for number, each in enumerate(self.members):
            each.start()
            with each.client() as client:
                client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
                if number < 3:
                    first = -(-SLOTS * number // 3)
                    last = -(-SLOTS * (number + 1) // 3) - 1
                    client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
        with self.members[0].client() as client:
            for each in self.members[1:]:
                client.execute_command("CLUSTER", "MEET", HOST, each.port, self._bus(each))
        for each in self.members:
            with each.client() as client:
                until(lambda c=client: self._knows_all(c), "the members know each other")
        for each in self.members[3:]:
            self._follow(each, self.holder)
        for each in self.members:
            with each.client() as client:
                until(lambda c=client: self._is_whole(c), "the Cluster is whole")
        return self

    def _info(self, client: Redis) -> dict[str, str]:
        text = client.execute_command("CLUSTER", "INFO")
        if isinstance(text, dict):
            return text
        return dict(line.split(":", 1) for line in _text(text).split())

    def _knows_all(self, client: Redis) -> bool:
        return int(self._info(client)["cluster_known_nodes"]) == len(self.members)

    def _is_whole(self, client: Redis) -> bool:
        slots = client.execute_command("CLUSTER", "SLOTS")
        told = str(slots)
        ports = all(str(each.port) in told for each in self.members)
        return self._info(client)["cluster_state"] == "ok" and ports

    def _follow(self, replica: ValkeyServer, master: ValkeyServer) -> None:
        with master.client() as client:
            name = _text(client.execute_command("CLUSTER", "MYID"))
        with replica.client() as client:
            until(
                lambda: client.execute_command("CLUSTER", "REPLICATE", name), "the replica knows its master"
            )
            until(lambda: client.info("replication")["master_link_status"] == "up", "replication")

    def __exit__(self, *_: object) -> None:
        for each in self.members:
            each.close()


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
