"""Nodes of Kafka, each a broker and a controller (KRaft): their settings, their folders, their processes."""
import socket, struct, subprocess, sys, time
from processes import process

READY_SECONDS = 120
LOGGING = """rootLogger.level = warn
rootLogger.appenderRef.c.ref = C
appender.c.type = Console
appender.c.name = C
appender.c.target = SYSTEM_ERR
appender.c.layout.type = PatternLayout
appender.c.layout.pattern = %d %p %c %m%n
"""


def plan(count, listeners):
    """Free ports for a new cluster: for each node its plain listener, its controller, and what else is asked for."""
    names = ["PLAINTEXT", "CONTROLLER", *listeners]
    held = [socket.socket() for _ in range(count * len(names))]
    for each in held:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    nodes = [dict(zip(names, ports[n * len(names):])) for n in range(count)]
    return {"nodes": nodes, "protocols": {"PLAINTEXT": "PLAINTEXT", "CONTROLLER": "PLAINTEXT", **listeners}}


def address(cluster, listener="PLAINTEXT"):
    return ",".join(f"127.0.0.1:{node[listener]}" for node in cluster["nodes"])


def lay(folder, cluster, more):
    """Settings of every node, and a data folder for those that have none. `more`: lines of settings, SCRAM credentials."""
    (folder / "log4j2.properties").write_text(LOGGING)
    tools = []
    for number in range(1, len(cluster["nodes"]) + 1):
        home = folder / str(number)
        home.mkdir(exist_ok=True)
        (home / "server.properties").write_text(properties(home, cluster, number) + more["lines"])
        if not (home / "data" / "meta.properties").exists():
            tools.append(format_data(folder, home, cluster, more["scram"]))
    for tool in tools:
        said = tool.communicate()[0]
        if tool.returncode != 0:
            sys.exit(f"kafka: a data folder cannot be made: {said.strip()}")


def properties(home, cluster, number):
    """Small internal topics: 50 partitions of each, as usual, would be most of a laptop's start. And a small buffer for the
    cleaner of compacted topics: the usual one takes 128 MiB, which is half of the memory of a node of three."""
    nodes, copies = cluster["nodes"], min(3, len(cluster["nodes"]))
    enough = 2 if copies == 3 else 1
    mine = {name: f"{name}://127.0.0.1:{port}" for name, port in nodes[number - 1].items()}
    told = mine | {name: f"{name}://{all[number - 1]}" for name, all in cluster.get("advertised", {}).items()}
    voters = ",".join(f"{n}@127.0.0.1:{node['CONTROLLER']}" for n, node in enumerate(nodes, 1))
    kinds = ",".join(f"{name}:{kind}" for name, kind in cluster["protocols"].items())
    return f"""process.roles=broker,controller
node.id={number}
controller.quorum.voters={voters}
listeners={','.join(mine.values())}
advertised.listeners={','.join(url for name, url in told.items() if name != 'CONTROLLER')}
listener.security.protocol.map={kinds}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={home}/data
auto.create.topics.enable=false
default.replication.factor={copies}
min.insync.replicas={enough}
offsets.topic.num.partitions=4
offsets.topic.replication.factor={copies}
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor={copies}
transaction.state.log.min.isr={enough}
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor={copies}
share.coordinator.state.topic.min.isr={enough}
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
log.index.size.max.bytes=1048576
log.cleaner.dedupe.buffer.size=8388608
"""


def format_data(folder, home, cluster, scram):
    options = [word for each in scram for word in ("--add-scram", each)]
    command = java(folder, "-XX:TieredStopAtLevel=1") + ["kafka.tools.StorageTool", "format", f"--cluster-id={cluster['id']}"]
    return subprocess.Popen(command + ["-c", "server.properties", *options], cwd=home, text=True,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def java(folder, *options):
    return ["java", *options, "-XX:+UseSerialGC", f"-Dlog4j2.configurationFile={folder}/log4j2.properties",
            "-cp", f"{folder}/jars/*"]


def begin(folder, cluster, number):
    """Begins a node. Of several, each gets by with little: three share a laptop with the hubs."""
    room = ["-Xms128m", "-Xmx640m"] if len(cluster["nodes"]) == 1 else ["-Xms64m", "-Xmx256m", "-XX:TieredStopAtLevel=1"]
    home = folder / str(number)
    with open(home / "kafka.log", "ab") as log:
        return subprocess.Popen(java(folder, *room) + ["kafka.Kafka", "server.properties"], cwd=home,
                                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)


def await_ready(folder, cluster, children):
    """Waits until every node of `children` (by number) knows all of them. Gives their processes; on failure none is left."""
    deadline = time.monotonic() + READY_SECONDS
    problem = None
    while problem is None and time.monotonic() < deadline:
        dead = next((number for number, child in children.items() if child.poll() is not None), None)
        if dead:
            problem = f"node {dead} ended with {children[dead].returncode}; see {folder}/{dead}/kafka.log"
        elif all(set(children) <= known(cluster["nodes"][number - 1]["PLAINTEXT"]) for number in children):
            return {number: process(child.pid) for number, child in children.items()}
        time.sleep(0.1)
    for child in children.values():
        child.kill()
        child.wait()
    sys.exit(f"kafka: {problem or f'not ready after {READY_SECONDS} s; see kafka.log in the folders under {folder}'}")


def known(port):
    """The brokers that a metadata request names. An open port alone is not enough."""
    body = struct.pack(">hhih", 3, 0, 1, -1) + struct.pack(">i", 0)
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as peer:
            peer.sendall(struct.pack(">i", len(body)) + body)
            size = struct.unpack(">i", exactly(peer, 4))[0]
            return set(brokers(exactly(peer, min(size, 1 << 20))))
    except (OSError, struct.error):
        return set()


def exactly(peer, size):
    got = peer.recv(size, socket.MSG_WAITALL)
    if len(got) < size:
        raise OSError("the connection ended")
    return got


def brokers(answer):
    """Numbers out of a metadata answer, version 0: correlation, count, then number, host and port of each."""
    count, at = struct.unpack_from(">i", answer, 4)[0], 8
    for _ in range(count):
        number, length = struct.unpack_from(">ih", answer, at)
        yield number
        at += 6 + length + 4
