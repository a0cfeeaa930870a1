#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The audit input: records become events, each once."""

import contextlib
import csv
import os
import pathlib
import pwd
import random
import re
import shutil
import socket
import struct
import subprocess
import time

from harness import (BUILD, PATIENCE, USER, Process, Skip, World, main,
                     wait_for)


def event(n, uid=0):
    head = f"msg=audit(1763773323.123:{n}):"
    return "".join(f"type={line}\n" for line in (
        f"SYSCALL {head} arch=c000003e syscall=59 success=yes exit=0 a0=5 a1=6 "
        f"a2=7 a3=8 items=1 ppid=1 pid={n} auid={uid} uid={uid} gid=0 euid=0 "
        "suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=pts0 ses=3 comm=\"id\" "
        "exe=\"/usr/bin/id\" key=\"run\"",
        f"EXECVE {head} argc=2 a0=\"id\" a1=2D75",
        f"CWD {head} cwd=\"/root\"",
        f"PATH {head} item=0 name=\"/usr/bin/id\" inode=5 dev=08:01 "
        "mode=0100755 ouid=0 ogid=0 rdev=00:00 nametype=NORMAL",
        f"PROCTITLE {head} proctitle=6964002D75",
        f"EOE {head} "))


def inputs(w):
    return f'  - type: audit\n    paths: ["{w.log("audit.log")}"]\n'


def log_in(n):
    return (f"type=USER_LOGIN msg=audit(1763773324.000:{n}): pid=5 uid=0 "
            "auid=4294967295 ses=4294967295 msg='op=login acct=\"bob\" "
            "exe=\"/usr/sbin/sshd\" hostname=? addr=192.0.2.7 terminal=ssh "
            "res=failed'\n")


def fields():
    """records of one event arrive as one, with names that the object knows"""
    with World() as w:
        w.log("audit.log").write_text(event(1) + log_in(2))
        collector = w.start_collector()
        agent = w.start_agent(inputs=inputs(w))
        wait_for("both", lambda: w.stored() >= 2)
        run, login = w.events("--flat")
        assert run["auditd.sequence"] == 1, run
        assert run["process.args"] == ["id", "-u"]
        assert run["process.title"] == "id -u"
        assert run["event.action"] == "executed"
        assert run["user.audit.id"] == "0" and run["auditd.session"] == "3"
        assert run["user.audit.name"] == pwd.getpwuid(0).pw_name
        assert run["user.name"] == pwd.getpwuid(0).pw_name
        assert run["event.original"] == event(1).rstrip("\n")
        assert login["user.name"] == "bob", login
        assert login["source.ip"] == "192.0.2.7"
        assert login["event.outcome"] == "failure"
        assert agent.stop() == 0 and collector.stop() == 0


def killed():
    """agent and collector are killed while the log is written and rotated"""
    with World() as w:
        log = w.log("audit.log")
        log.touch()
        collector = w.start_collector()
        agent = w.start_agent(inputs=inputs(w))
        rng = random.Random(9)
        n = 0
        for turn in range(12):
            text = "".join(event(n + i) for i in range(60))
            n += 60
            cut = rng.randrange(len(text))  # within an event, and a line
            for part in (text[:cut], text[cut:]):
                with open(log, "a", encoding="utf-8") as f:
                    f.write(part)
                time.sleep(rng.random() / 20)
            if turn % 4 == 1:
                agent.kill()
                agent = w.start_agent(inputs=inputs(w))
            if turn % 4 == 2:
                # a log is renamed only after the agent has seen it
                wait_for("some of it", lambda: w.stored() > n - 60)
                log.rename(pathlib.Path(f"{log}.{turn}"))
            if turn == 7:
                collector.kill()
                collector = w.start_collector()
        wait_for("all events", lambda: w.stored() >= n)
        events = w.events("--flat")
        got = sorted(e["auditd.sequence"] for e in events)
        assert got == list(range(n)), (len(got), len(set(got)), n)
        assert all(e.get("process.title") == "id -u" for e in events)
        assert agent.stop() == 0 and collector.stop() == 0


class Auditd:
    """auditd's af_unix plugin: a socket with one reader.  Its folder is root's
    alone, as the manual has it, and the socket everybody's."""

    def __init__(self, w):
        self.path = w.dir / "audit" / "events"
        self.path.parent.mkdir(mode=0o700, exist_ok=True)
        self.listener = self.connection = None

    def start(self):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.path))
        self.path.chmod(0o666)
        self.listener.listen(1)
        self.listener.settimeout(PATIENCE)

    def accept(self):
        if self.connection:
            self.connection.close()
        self.connection, _ = self.listener.accept()
        self.connection.settimeout(PATIENCE)

    def send(self, text):
        self.connection.sendall(text.encode())

    def stop(self):
        # whoever comes again finds nobody, until start()
        self.path.unlink()
        self.listener.close()
        self.connection.close()
        self.connection = None

    def input(self):
        return f'  - type: audit\n    socket: "{self.path}"\n'


def user():
    """Where it can be, the agent's processes are those of another user."""
    return "user: nobody\n" if os.geteuid() == 0 and not USER else ""


def from_socket():
    """records come from auditd's socket as from its log, and again after its restart"""
    with World() as w:
        auditd = Auditd(w)
        collector = w.start_collector()
        # auditd is not there yet
        agent = w.start_agent(inputs=auditd.input(), extra=user())
        wait_for("a word of that",
                 lambda: "trying again until it is there" in agent.text())
        auditd.start()
        auditd.accept()
        text = event(1) + log_in(2)
        for at in range(0, len(text), 300):  # within records
            auditd.send(text[at:at + 300])
        wait_for("both", lambda: w.stored() >= 2)
        run, login = w.events("--flat")
        assert run["auditd.sequence"] == 1, run
        assert run["process.args"] == ["id", "-u"]
        assert run["process.title"] == "id -u"
        assert run["event.action"] == "executed"
        assert run["event.dataset"] == "auditd.log"
        assert run["input.type"] == "audit"
        assert run["log.flags"] == ["multiline"]
        assert run["user.audit.name"] == pwd.getpwuid(0).pw_name
        assert run["user.name"] == pwd.getpwuid(0).pw_name
        assert run["event.original"] == event(1).rstrip("\n")
        assert login["user.name"] == "bob", login
        assert login["source.ip"] == "192.0.2.7"
        # it ends within a record
        torn = log_in(3)[:90]
        auditd.send(torn)
        auditd.stop()
        wait_for("what there was", lambda: w.stored() >= 3)
        auditd.start()
        auditd.accept()
        auditd.send(event(4))
        wait_for("the next", lambda: w.stored() >= 4)
        part, again = w.events("--flat")[2:]
        assert part["event.original"] == torn, part
        assert part["log.flags"] == ["truncated"], part
        assert again["auditd.sequence"] == 4, again
        # more than one event of the spool takes
        head = "msg=audit(1763773325.000:5):"
        text = "".join(f"type=EXECVE {head} a{i}={'41' * 4000}\n"
                       for i in range(40)) + f"type=EOE {head} \n"
        auditd.send(text)
        wait_for("its parts", lambda: w.stored() >= 7)
        parts = w.events("--flat")[4:]
        assert "\n".join(p["event.original"] for p in parts) + "\n" == text
        assert [p["auditd.sequence"] for p in parts] == [5, 5, 5]
        assert ["split" in p["log.flags"] for p in parts] == [
            True, True, False], [p["log.flags"] for p in parts]
        assert agent.stop() == 0 and collector.stop() == 0


def in_spool(w, text):
    """whether it is in the spool, the last of it"""
    for path in (w.dir / "web-1-state/spool").glob("*"):
        with contextlib.suppress(FileNotFoundError):  # one that was replaced
            if path.is_file() and text.encode() in path.read_bytes():
                return True
    return False


def killed_with_socket():
    """nothing that came from the socket into the spool is lost by kill -9"""
    with World() as w:
        auditd = Auditd(w)
        auditd.start()
        n, turns = 200, 3
        for turn in range(turns):  # no collector: all of it stays
            agent = w.start_agent(inputs=auditd.input(), extra=user())
            auditd.accept()
            auditd.send("".join(event(turn * n + i) for i in range(n)))
            last = f"type=EOE msg=audit(1763773323.123:{turn * n + n - 1})"
            wait_for("the last of them",
                     lambda last=last: in_spool(w, last))
            agent.kill()
        collector = w.start_collector()
        agent = w.start_agent(inputs=auditd.input(), extra=user())
        w.wait_stored(n * turns)
        auditd.accept()
        auditd.send(event(n * turns))
        # what is under way when it is told to end goes to the spool, too
        auditd.send(log_in(n * turns + 1))
        w.wait_stored(n * turns + 2)
        got = [e["auditd.sequence"] for e in w.events("--flat")]
        assert sorted(got) == list(range(n * turns + 2)), (len(got), got[-5:])
        assert agent.stop() == 0 and collector.stop() == 0


AUDITD_CONF = """\
local_events = no
write_logs = yes
log_file = {dir}/audit.log
log_group = root
log_format = RAW
flush = NONE
plugin_dir = {dir}/plugins.d
max_log_file_action = IGNORE
space_left = 2
space_left_action = IGNORE
admin_space_left = 1
admin_space_left_action = IGNORE
disk_full_action = IGNORE
disk_error_action = IGNORE
tcp_listen_port = 60
distribute_network = yes
"""
PLUGIN_CONF = """\
active = yes
direction = out
path = builtin_af_unix
type = builtin
args = 0666 {dir}/events
format = {format}
"""


class RealAuditd:
    """auditd itself, with a network and a /run of its own: it takes records
    over TCP, as from another machine's auditd, not from the kernel."""

    def __init__(self, w):
        if os.geteuid() != 0:
            raise Skip("needs root")
        for tool in ("auditd", "ausearch", "ip", "unshare", "nsenter"):
            if shutil.which(tool) is None:
                raise Skip(f"{tool} is not installed")
        self.w = w
        self.dir = w.dir / "auditd"
        (self.dir / "plugins.d").mkdir(parents=True)
        for path in (self.dir, self.dir / "plugins.d"):
            path.chmod(0o700)
        self.process = None

    def start(self, output):
        for path, text in (
                (self.dir / "auditd.conf", AUDITD_CONF),
                (self.dir / "plugins.d/af_unix.conf", PLUGIN_CONF)):
            path.write_text(text.format(dir=self.dir, format=output))
            path.chmod(0o640)
        self.process = Process(
            ["unshare", "-nm", "sh", "-c", "mount -t tmpfs none /run && "
             f"ip link set lo up && exec auditd -n -c {self.dir} -s nochange"],
            self.w.dir / "auditd.log")
        self.w.processes.append(self.process)
        wait_for("auditd", lambda: self.feed("") or not self.process.alive())
        if not self.process.alive():
            raise Skip(f"auditd does not run here: {self.process.text()}")

    def feed(self, text):
        """whether it took these lines"""
        frames = b"".join(
            struct.pack("<IBBIHI", 0xff0000fe, 0, 0, 0, len(line), n) + line
            for n, line in enumerate(text.encode().splitlines(), 1))
        r = subprocess.run(
            ["nsenter", "-t", str(self.process.pid), "-n", "bash", "-c",
             "cat > /dev/tcp/127.0.0.1/60"], input=frames, check=False,
            capture_output=True)
        return r.returncode == 0

    def read(self):
        """{serial: what ausearch(8) says of it}"""
        log = ["ausearch", "--input", str(self.dir / "audit.log")]
        rows = subprocess.run([*log, "--format", "csv"], capture_output=True,
                              text=True, check=True).stdout.splitlines()
        told = {int(row["SERIAL_NUM"]): row for row in csv.DictReader(rows)}
        text = subprocess.run([*log, "-i"], capture_output=True, text=True,
                              check=True).stdout
        for line in text.splitlines():
            serial = re.search(r"msg=audit\([^)]*:(\d+)\)", line)
            for key in ("syscall", "comm", "auid"):
                value = re.search(rf" {key}=(.+?) (?=[a-z]+[0-9]?=)", line)
                if serial and value and line.startswith("type=SYSCALL"):
                    told[int(serial[1])][key] = value[1]
        return told


def call(n, number, comm, exe, paths, uid=0, good=True):
    """an event of a system call, as the kernel writes it"""
    head = f"msg=audit(1763773323.123:{n}):"
    lines = [
        f"SYSCALL {head} arch=c000003e syscall={number} "
        f"success={'yes' if good else 'no'} exit={0 if good else -13} a0=5 "
        f"a1=6 a2=7 a3=8 items={len(paths)} ppid=1 pid={n} auid=0 uid={uid} "
        f"gid={uid} euid={uid} suid={uid} fsuid={uid} egid={uid} sgid={uid} "
        f"fsgid={uid} tty=pts0 ses=3 comm={comm} exe=\"{exe}\" key=\"k\"",
        f"CWD {head} cwd=\"/root\""]
    lines += [f"PATH {head} item={i} name={name} inode={5 + i} dev=08:01 "
              f"mode=0100644 ouid=0 ogid=0 rdev=00:00 nametype={kind}"
              for i, (name, kind) in enumerate(paths)]
    return "".join(f"type={line}\n" for line in (*lines, f"EOE {head} "))


def real_auditd():
    """auditd itself hands records over, and they say what ausearch reads in them"""
    with World() as w:
        auditd = RealAuditd(w)
        auditd.start("string")
        collector = w.start_collector()
        agent = w.start_agent(
            inputs=f'  - type: audit\n    socket: "{auditd.dir}/events"\n',
            extra=user())
        # it drops what comes while nobody is connected
        wait_for("the agent", lambda: "events: connected" in agent.text())
        nobody = pwd.getpwnam("nobody").pw_uid
        assert auditd.feed(
            event(10) + event(11, nobody) +
            call(12, 257, '"cp"', "/usr/bin/cp",
                 [('"/srv/"', "PARENT"), ('"/srv/new"', "CREATE")]) +
            call(13, 263, '"rm"', "/usr/bin/rm",
                 [('"/srv/"', "PARENT"), ("2F7372762F6120CEB2", "DELETE")]) +
            call(14, 257, "6D79206A6F62", "/opt/job",
                 [('"/etc/shadow"', "NORMAL")], nobody, False) +
            call(15, 268, '"chmod"', "/usr/bin/chmod",
                 [('"/srv/new"', "NORMAL")]) + log_in(16))
        wait_for("the last", lambda: 16 in {
            e.get("auditd.sequence") for e in w.events("--flat")})
        ours = {e["auditd.sequence"]: e for e in w.events("--flat")
                if 10 <= e.get("auditd.sequence", 0) <= 16}
        told = auditd.read()
        assert sorted(ours) == list(range(10, 17)), sorted(ours)
        for n in range(10, 16):
            e, row = ours[n], told[n]
            assert e["process.executable"] == row["HOW"], (e, row)
            assert e["process.name"] == row["comm"], (e, row)
            assert e["auditd.data.syscall"] == row["syscall"], (e, row)
            assert e["user.name"] == row["SUBJ_SEC"], (e, row)
            assert e["user.audit.name"] == row["auid"], (e, row)
            assert e["file.path"] == row["OBJ_PRIME"], (e, row)
            assert e["event.action"] == row["ACTION"], (e, row)
            assert e["event.outcome"].startswith(row["RESULT"][:4]), (e, row)
        assert ours[16]["user.name"] == "bob", ours[16]
        assert told[16]["RESULT"] == "failed", told[16]
        auditd.process.stop()
        auditd.start("binary")
        wait_for("a word of that", lambda: auditd.feed(log_in(20)) and
                 "must be of the format string" in agent.text())
        assert agent.stop() == 0 and collector.stop() == 0


def checked():
    """what a socket cannot be is said with file and line"""
    with World() as w:
        log = w.log("audit.log")
        log.touch()
        for inputs, word in (
                (f'  - {{type: audit, socket: "{log}"}}', "is no socket"),
                (f'  - {{type: audit, socket: /run/x, paths: ["{log}"]}}',
                 "the log or the socket"),
                ('  - {type: audit, socket: /run/x}\n'
                 '  - {type: audit, name: b, socket: /run/x}',
                 "of another input"),
                (f'  - {{type: file, paths: ["{log}"], socket: /run/x}}',
                 "has no such key")):
            path = w.agent_config(inputs=inputs)
            r = subprocess.run(
                [BUILD / "kuzet-agent", "-c", path, "--check-config"],
                capture_output=True, text=True, env=w.env, check=False)
            assert r.returncode == 2, r
            assert word in r.stderr and f"{path}:" in r.stderr, r
        path = w.agent_config(inputs='  - {type: audit, socket: /run/none}')
        r = subprocess.run(
            [BUILD / "kuzet-agent", "-c", path, "--check-config"],
            capture_output=True, text=True, env=w.env, check=False)
        assert r.returncode == 0, r


if __name__ == "__main__":
    main([fields, killed, from_socket, killed_with_socket, real_auditd,
          checked])
