#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Agents are configured by their collector: a group's file is checked, tried,
kept or given up, whatever is killed in between."""

import contextlib
import fcntl
import json
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import sys

import harness
from harness import Skip, World, wait_for

GROUPS = "agent_groups: groups\n"


def central(w, name="web-1", extra=""):
    """what a trusting agent.yaml has more"""
    return f"""\
central:
  accept: true
  key: orders.pub
  paths: ["{w.dir}/central/**"]
  fall_back: 3600s
{extra}heartbeat: 500ms
"""


@contextlib.contextmanager
def site():
    with World() as w:
        (w.dir / "groups").mkdir()
        (w.dir / "central").mkdir()
        w.log("own.log").write_text("of its own\n")
        w.start_collector(GROUPS)
        (w.dir / "orders.pub").write_text(
            w.ctl("agent", "config", "key").stdout)
        yield w


def group(w, inputs, agents="[web-1]", name="web.yaml", more=""):
    listed = "".join(f"""
  - type: file
    name: {n}
    paths: ["{p}"]""" for n, p in inputs) or " []"
    (w.dir / "groups" / name).write_text(
        f"agents: {agents}\n{more}inputs:{listed}\n")


def at_agent(w, name="web-1"):
    """how the agent says that its configuration is"""
    for a in w.ctl_json("agent", "list"):
        if a["agent"] == name:
            return a.get("status", {}).get("central", {})
    return {}


def wait_state(w, state, version=None):
    def there():
        c = at_agent(w)
        return c if c.get("state") == state and (
            version is None or c["version"] > version) else None
    return wait_for(f"the configuration to be {state}", there)


def messages(w):
    return {e.get("event.original") for e in w.events("--flat")}


def push(w):
    return w.ctl("agent", "config", "push", "--json")


def test_way():
    """a configuration is applied, refused, renewed and taken away"""
    with site() as w:
        (w.dir / "central/a.log").write_text("from the group\n")
        group(w, [("extra", w.dir / "central/a.log")], agents='["web-*"]')
        push(w)
        w.start_agent(extra=central(w))
        first = wait_state(w, "applied")
        assert first["group"] == "web.yaml", first
        wait_for("both files' lines", lambda: messages(w) >= {
            "of its own", "from the group"})
        shown = w.ctl_json("agent", "config", "show")
        assert [(c["agent"], c["state"], c["connected"]) for c in shown] == [
            ("web-1", "applied", True)], shown
        # what the owner does not list is refused, with file, line, remedy
        group(w, [("passwords", "/etc/shadow")])
        push(w)
        refused = wait_state(w, "refused", first["version"])
        assert "web.yaml:3: inputs.paths: /etc/shadow" in refused["reason"]
        assert "central.paths" in refused["reason"]
        # so is what would make it another agent; the line is named
        group(w, [], more="state_dir: /tmp/x\n")
        push(w)
        refused = wait_state(w, "refused", refused["version"])
        assert "web.yaml:2: state_dir: unknown key" in refused["reason"]
        # the good one works on
        with open(w.dir / "central/a.log", "a") as f:
            f.write("still from the group\n")
        wait_for("the line", lambda: "still from the group" in messages(w))
        # the same content again: a new version, and nothing else
        group(w, [("extra", w.dir / "central/a.log")], agents='["web-*"]')
        push(w)
        again = wait_state(w, "applied", refused["version"])
        assert again["hash"] == first["hash"]
        # in no group any more
        (w.dir / "groups/web.yaml").unlink()
        push(w)
        wait_state(w, "applied", again["version"])
        with open(w.dir / "central/a.log", "a") as f:
            f.write("nobody reads\n")
        with open(w.log("own.log"), "a") as f:
            f.write("and the end\n")
        wait_for("the line", lambda: "and the end" in messages(w))
        assert "nobody reads" not in messages(w)


def test_dry_run():
    """a dry run says what would change, or why not, and changes nothing"""
    with site() as w:
        group(w, [("extra", w.dir / "central/a.log")])
        push(w)
        agent = w.start_agent(extra=central(w))
        before = wait_state(w, "applied")
        group(w, [("other", w.dir / "central/b.log")],
              more="scan_interval: 1s\n")
        r = w.ctl("agent", "config", "push", "--dry-run", "--json")
        [answer] = [json.loads(line) for line in r.stdout.splitlines()]
        assert answer["result"] == "good", answer
        changes = {(c["key"], c.get("input"), c["change"])
                   for c in answer["changes"]}
        assert changes == {("scan_interval", None, "changed"),
                           ("inputs", "extra", "removed"),
                           ("inputs", "other", "added")}, changes
        text = w.ctl("agent", "config", "diff", "--agent", "web-1").stdout
        assert "added    inputs of other" in text, text
        group(w, [("other", "/etc/shadow")])
        r = w.ctl("agent", "config", "check", check=False)
        assert r.returncode == 1 and "refused: web.yaml:3:" in r.stdout, r
        assert at_agent(w)["version"] == before["version"]
        assert "reloaded" not in agent.text()
        # a folder that is wrong is refused as a whole
        (w.dir / "groups/web.yaml").write_text("agents: []\ninputs: []\n")
        r = w.ctl("agent", "config", "push", check=False)
        assert r.returncode == 2 and "web.yaml:1: agents: must be a list" in (
            r.stderr), r
        # a group has one file
        (w.dir / "groups/web.yaml").write_text("inputs: []\n")
        (w.dir / "groups/web.yml").write_text("inputs: []\n")
        r = w.ctl("agent", "config", "push", check=False)
        assert r.returncode == 2 and "are one group" in r.stderr, r
        (w.dir / "groups/web.yml").unlink()
        group(w, [])
        group(w, [], name="x.yaml")
        r = w.ctl("agent", "config", "push", check=False)
        assert r.returncode == 2 and "an agent has one group" in r.stderr, r


def test_fall_back():
    """one that cuts the agent off is given up, and stays so"""
    with site() as w:
        (w.dir / "central/a.log").write_text("good\n")
        group(w, [("extra", w.dir / "central/a.log")])
        push(w)
        agent = w.start_agent(extra=central(w))
        good = wait_state(w, "applied")
        # the trial is begun, and its collector is gone before it can say so
        collector = w.processes[0]
        (w.dir / "central/b.log").write_text("bad\n")
        group(w, [("other", w.dir / "central/b.log")])
        state = w.dir / "web-1-state/central.state"
        collector.signal(signal.SIGSTOP)
        collector.kill()
        # an agent that finds a trial, and no collector
        agent.kill()
        trial = state.read_text().replace("state applied", "state trial")
        state.write_text(trial)
        (w.dir / "web-1-state/central.good").rename(
            w.dir / "web-1-state/central.trial")
        agent = w.start_agent(extra=central(w).replace("3600s", "1s"))
        wait_for("it to fall back", lambda: (
            "state fallen_back" in state.read_text() and not
            (w.dir / "web-1-state/central.trial").exists()))
        assert "back to the one before" in agent.text()
        # the machine is busy: the next one has time
        w.agent_config(extra=central(w))
        agent.signal(signal.SIGHUP)
        wait_for("the reload", lambda: (
            "configuration reloaded" in agent.text()))
        # the same version is not tried again, a new one is
        group(w, [("extra", w.dir / "central/a.log")])
        w.start_collector(GROUPS)
        fallen = wait_state(w, "fallen_back")
        assert fallen["version"] == good["version"], (fallen, good)
        assert "acknowledged anything" in fallen["reason"]
        push(w)
        wait_state(w, "applied", good["version"])


def test_tries():
    """a trial during which the agent ends again and again is given up"""
    with site() as w:
        group(w, [("extra", w.dir / "central/a.log")])
        push(w)
        agent = w.start_agent(extra=central(w))
        version = wait_state(w, "applied")["version"]
        w.processes[0].kill()
        agent.kill()
        # it finds a trial, and nobody who could acknowledge anything
        folder = w.dir / "web-1-state"
        state = folder / "central.state"
        state.write_text(state.read_text().replace(
            "state applied", "state trial"))
        (folder / "central.good").rename(folder / "central.trial")
        for i in range(1, 4):
            agent = w.start_agent(extra=central(w))
            wait_for(f"start {i} to be counted",
                     lambda i=i: f"tries {i}\n" in state.read_text())
            agent.kill()
        agent = w.start_agent(extra=central(w))
        wait_for("it to be given up", lambda: (
            "state fallen_back" in state.read_text() and not
            (folder / "central.trial").exists()))
        w.start_collector(GROUPS)
        fallen = wait_state(w, "fallen_back")
        assert fallen["version"] == version, fallen
        assert "ended 3 times" in fallen["reason"], fallen


def test_order_and_restart():
    """an order that comes again after the agent's restart is not done"""
    with site() as w:
        config = central(w, extra=RESPONSE % (w.dir / "evidence.txt"))
        agent = w.start_agent(extra=config)
        wait_for("the agent", lambda: at_agent(w).get("accept"))
        agent.signal(signal.SIGSTOP)
        asking = subprocess.Popen(
            [harness.BUILD / "kuzetctl", "--socket",
             w.dir / "collector.sock", "respond", "collect", "--agent",
             "web-1", "--reason", "a test"], stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, env=w.env)
        try:
            def orders(state):
                return [o for o in w.ctl_json("respond", "list")
                        if o["state"] == state]
            [sent] = wait_for("it to be sent", lambda: orders("sent"))
            agent.kill()
            w.start_agent(extra=config)
            [order] = wait_for("its answer", lambda: orders("answered"))
        finally:
            asking.kill()
            asking.wait()
        assert order["id"] == sent["id"], order
        assert order["result"] == "refused", order
        assert "cannot know whether it was done" in order["message"], order
        assert not w.events("--where", "event.action=collect_evidence",
                            "--where", "event.outcome=success")


def test_kill():
    """whatever is killed, one of the configurations is whole"""
    with site() as w:
        config = central(w)
        group(w, [("extra", w.dir / "central/a.log")])
        push(w)
        agent = w.start_agent(extra=config)
        version = wait_state(w, "applied")["version"]
        for i in range(6):
            group(w, [(f"extra{i}", w.dir / f"central/{i}.log")])
            push(w)
            agent.kill()
            agent = w.start_agent(extra=config)
            version = wait_state(w, "applied", version)["version"]
        (w.dir / "central/5.log").write_text("the last\n")
        wait_for("its line", lambda: "the last" in messages(w))
        # copies that are no longer what was signed are not used
        agent.kill()
        good = w.dir / "web-1-state/central.good"
        good.write_text(good.read_text().replace("extra5", "extra6"))
        agent = w.start_agent(extra=config)
        wait_for("it to say so", lambda: (
            "the signature is wrong" in agent.text()))
        wait_state(w, "applied")  # it came again
        assert "extra6" not in good.read_text()


def test_trust():
    """without consent, or signed by another, nothing is taken"""
    with site() as w:
        group(w, [("extra", w.dir / "central/a.log")], agents='["*"]')
        push(w)
        refusing = central(w).replace("accept: true", "accept: false")
        agent = w.start_agent(extra=refusing)
        wait_for("it to say that it does not", lambda: (
            at_agent(w).get("accept") is False))
        shown = w.ctl_json("agent", "config", "show")
        assert shown[0]["state"] == "not accepted", shown
        agent.stop()
        # another key: the collector's messages are rejected, and counted
        (w.dir / "collector-state/orders.key").unlink()
        w.processes[0].stop()
        w.start_collector(GROUPS)
        agent = w.start_agent(extra=central(w))
        wait_for("it to count one", lambda: at_agent(w).get("rejected", 0))
        assert "signed with another key" in agent.text()
        assert at_agent(w)["state"] == "none"


RESPONSE = """\
  inputs: [file]
response:
  enabled: [block_address, stop_service, collect_evidence]
  services: [listed.service]
  evidence: ["%s"]
  never: [198.51.100.0/24]
  max_time: 1h
"""


def respond(w, *args):
    """the answer; right after its start an agent takes no order"""
    def answered():
        r = w.ctl("respond", *args, "--agent", "web-1", "--reason", "a test",
                  "--json", check=False)
        if not r.stdout:
            return {"error": r.stderr}
        a = json.loads(r.stdout)
        a = wait_for("the answer", lambda: next(
            (o for o in w.ctl_json("respond", "list")
             if o["id"] == a["id"] and o["state"] == "answered"), None))
        return None if "ask again" in a.get("message", "") else a
    return wait_for("an answer", answered)


def blocked():
    r = subprocess.run(["nft", "list", "set", "inet", "kuzet", "blocked4"],
                       capture_output=True, text=True, check=False)
    return r.stdout


def inner_response():
    """what is ordered is done once, for its time, by the responder alone"""
    with site() as w:
        (w.dir / "evidence.txt").write_text("what was there\n")
        w.start_agent(extra=central(
            w, extra=RESPONSE % (w.dir / "evidence.txt")))
        wait_for("the agent", lambda: at_agent(w).get("accept"))
        a = respond(w, "block", "203.0.113.7", "--for", "40m")
        assert a["result"] == "done", a
        assert "203.0.113.7 timeout 40m" in blocked(), blocked()
        # a shorter time takes the place of the longer, and ends by itself
        a = respond(w, "block", "203.0.113.7", "--for", "1s")
        assert a["result"] == "done", a
        wait_for("the end of its time", lambda: "203.0.113.7" not in blocked())
        respond(w, "block", "203.0.113.8", "--for", "40m")
        a = respond(w, "unblock", "203.0.113.8")
        assert a["result"] == "done" and "203.0.113.8" not in blocked(), a
        for args, why in (
                (("block", "127.0.0.1", "--for", "5m"), "never blocked"),
                (("block", "198.51.100.7", "--for", "5m"), "never blocked"),
                (("block", "203.0.113.7", "--for", "2h"), "max_time"),
                (("block", "anything", "--for", "5m"), "no address"),
                (("stop", "other.service", "--for", "5m"), "does not list")):
            a = respond(w, *args)
            assert a["result"] == "refused" and why in a["message"], (args, a)
        assert "target" in respond(w, "block", "--for", "5m")["error"]
        assert "seconds" in respond(w, "block", "203.0.113.7")["error"]
        a = respond(w, "collect")
        assert a["result"] == "done", a
        evidence = str(w.dir / "evidence.txt")

        def gathered():
            items = {e["kuzet.response.item"]: e.get("message", "")
                     for e in w.events("--flat", "--where",
                                       "event.action=collect_evidence")
                     if "kuzet.response.item" in e}
            return items if evidence in items else None
        items = wait_for("the evidence", gathered)
        assert set(items) >= {"processes", "sockets", "logins"}, set(items)
        assert items[evidence].strip() == "what was there", items[evidence]
        done = w.events("--flat", "--where", "event.action=block_address",
                        "--where", "event.outcome=success")
        assert len(done) == 3 and done[0]["event.kind"] == "event", done
        assert done[0]["kuzet.response.by"] == "local:0", done[0]
        noted = w.ctl("audit", "log", "--json").stdout
        assert "block_address 203.0.113.7 on web-1 for 2400 s: a test" in noted
        listed = w.ctl("respond", "list", "--json").stdout.splitlines()
        assert len(listed) >= 9, listed


def loopback_up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        fcntl.ioctl(s, 0x8914, struct.pack("16sH14x", b"lo", 1 | 64))


def apart(inner, *argv):
    """runs an inner test as the child of a command that sets it apart"""
    r = subprocess.run(
        [*argv, sys.executable, __file__, inner.__name__],
        env=dict(os.environ, KUZET_IN_NETWORK="1"), capture_output=True,
        text=True, check=False)
    for line in r.stdout.splitlines():
        print(f"# {line}")
    if r.returncode == REFUSED:
        raise Skip("the kernel refuses namespaces of its own: "
                   f"{r.stderr.strip()[-200:]}")
    if (skipped := r.stdout.partition("# SKIP ")[2]):
        raise Skip(skipped.splitlines()[0])
    assert r.returncode == 0, r.stderr[-2000:]


def test_response():
    """responses are done with real nftables, in a network of their own"""
    if os.geteuid() != 0:
        raise Skip("a network namespace needs root")
    for program in ("unshare", "nft"):
        harness.need(program)
    probe = subprocess.run(
        [shutil.which("unshare"), "-n", "nft", "list", "ruleset"],
        capture_output=True, text=True, check=False)
    if probe.returncode != 0:
        raise Skip(f"the kernel refuses: {probe.stderr.strip()}")
    apart(inner_response, "unshare", "-n")


# systemd as a user's: what asks for the machine's is led to it.  It needs a
# cgroup, which is its own as well, and is removed again.
REFUSED = 77
SYSTEMD = "/lib/systemd/systemd"
HOUSE = """\
mount -t tmpfs none /run && mkdir /run/cgroup &&
mount -t cgroup2 none /run/cgroup && mkdir /run/cgroup/kuzet-test-$0 ||
    exit 77
sh -c 'echo 0 > /run/cgroup/kuzet-test-$0/cgroup.procs || exit 77
exec unshare -C -m sh -c "mkdir /run/own && mount -t cgroup2 none /run/own &&
mount --bind /run/own /sys/fs/cgroup || exit 77
exec \\"\\$@\\"" sh "$@"' $0 "$@"
status=$?
kill -9 -1 2>/dev/null
until find /run/cgroup/kuzet-test-$0 -depth -type d -exec rmdir {} + \
    2>/dev/null; do sleep 0.1; done
exit $status
"""
UNIT = """\
[Service]
ExecStart=/bin/sleep infinity
"""


def systemd(w):
    """one that runs what tests stop, under the names of the machine's"""
    units = pathlib.Path("/run/units/systemd/user")
    for path in (units, pathlib.Path("/run/user/systemd"),
                 pathlib.Path("/run/systemd/system")):
        path.mkdir(parents=True)
    os.symlink("/run/user/systemd/private", "/run/systemd/private")
    for name in ("listed", "idle", "other"):
        (units / f"{name}.service").write_text(UNIT)
    (units / "base.target").write_text("[Unit]\nDescription=nothing\n")
    p = harness.Process(
        [SYSTEMD, "--user", "--unit=base.target"], w.dir / "systemd.log",
        {"PATH": os.environ["PATH"], "HOME": "/run/user",
         "XDG_RUNTIME_DIR": "/run/user", "XDG_CONFIG_HOME": "/run/units"})
    w.processes.append(p)
    with contextlib.suppress(AssertionError):
        wait_for("systemd", lambda: not p.alive() or
                 systemctl("show", "--property=Version") is not None)
    if not p.alive() or systemctl("start", "listed.service",
                                  "other.service") is None:
        raise Skip(f"systemd does not run here: {p.text()[-200:]}")


def systemctl(*args):
    """what it prints, if it does what it is asked to"""
    r = subprocess.run(["systemctl", *args], capture_output=True, text=True,
                       check=False)
    return r.stdout.strip() if r.returncode == 0 else None


def shown(unit, name):
    return systemctl("show", f"--property={name}", "--value", unit)


def inner_services():
    """a service is stopped, and started again after its time"""
    with site() as w:
        systemd(w)
        services = "listed.service, idle.service, absent.service"
        w.start_agent(extra=central(w, extra=(RESPONSE % "/nowhere").replace(
            "listed.service", services)))
        wait_for("the agent", lambda: at_agent(w).get("accept"))
        a = respond(w, "stop", "listed.service", "--for", "40m")
        assert a["result"] == "done", a
        assert shown("listed.service", "ActiveState") == "inactive"
        timer = f"kuzet-{a['id']}.timer"
        assert shown(timer, "ActiveState") == "active", timer
        assert "40min" in shown(timer, "TimersMonotonic"), timer
        for unit, why in (("other.service", "does not list"),
                          ("listed.service", "does not run"),
                          ("idle.service", "does not run"),
                          ("absent.service", "does not run")):
            a = respond(w, "stop", unit, "--for", "1s")
            assert a["result"] == "refused" and why in a["message"], (unit, a)
            assert not shown(f"kuzet-{a['id']}.timer", "TimersMonotonic"), a
        assert shown("other.service", "ActiveState") == "active"
        # its administrator has the last word
        assert systemctl("stop", timer) == ""
        assert systemctl("start", "listed.service") == ""
        before = shown("listed.service", "MainPID")
        a = respond(w, "stop", "listed.service", "--for", "1s")
        assert a["result"] == "done", a
        wait_for("its start", lambda: shown(
            "listed.service", "ActiveState") == "active")
        assert shown("listed.service", "MainPID") != before
        done = wait_for("both events", lambda: w.events(
            "--flat", "--where", "event.action=stop_service",
            "--where", "event.outcome=success")[1:])
        assert done[0]["kuzet.response.target"] == "listed.service", done


def test_services():
    """services are stopped for a while by a real systemd, which is our own"""
    if os.geteuid() != 0:
        raise Skip("namespaces need root")
    for program in ("unshare", "systemctl", "systemd-run"):
        harness.need(program)
    if not os.path.exists(SYSTEMD):
        raise Skip("systemd is not installed")
    probe = subprocess.run(
        ["unshare", "-mnpC", "--fork", "--mount-proc", "true"],
        capture_output=True, text=True, check=False)
    if probe.returncode != 0:
        raise Skip(f"the kernel refuses: {probe.stderr.strip()}")
    apart(inner_services, "unshare", "-mnp", "--fork", "--kill-child",
          "--mount-proc", "sh", "-c", HOUSE, str(os.getpid()))


if __name__ == "__main__":
    if os.environ.get("KUZET_IN_NETWORK"):
        loopback_up()
        harness.main([inner_response, inner_services])
    else:
        harness.main([test_way, test_dry_run, test_fall_back, test_tries,
                      test_kill, test_trust, test_order_and_restart,
                      test_response, test_services])
