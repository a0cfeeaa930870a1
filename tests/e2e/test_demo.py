#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""./demo with the programs of this build, as TAP."""
import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.abspath(os.environ.get("top_srcdir", os.path.join(HERE, "../..")))
BUILD = os.path.abspath(os.environ.get("top_builddir", TOP))
DEMO = os.path.join(TOP, "demo")
LOGS = [os.path.join(TOP, "packaging", "demo", n)
        for n in ("auth.log", "access.log")]

run_count = 0
failed = 0


def ok(good, name, *details):
    global run_count, failed
    run_count += 1
    failed += not good
    print("%sok %d - %s" % ("" if good else "not ", run_count, name))
    if not good:
        for detail in details:
            for line in str(detail).splitlines()[:40]:
                print("# " + line)
    sys.stdout.flush()


class Place:
    """A folder for the demo's temporary files, which must be empty after it."""

    def __init__(self):
        self.path = tempfile.mkdtemp(prefix="kuzet-test.")
        os.chmod(self.path, 0o755)
        self.tmp = os.path.join(self.path, "tmp")
        os.mkdir(self.tmp)
        os.chmod(self.tmp, 0o1777)

    def file(self, name, content):
        path = os.path.join(self.path, name)
        with open(path, "wb") as f:
            f.write(content)
        return path

    def environment(self):
        return dict(os.environ, TMPDIR=self.tmp, KUZET_DEMO_BUILD=BUILD)

    def demo(self, *arguments, **options):
        return subprocess.run([DEMO, *arguments], env=self.environment(),
                              timeout=300, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              **options)

    def processes(self):
        """Command lines of processes that work below this place."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open("/proc/%s/cmdline" % pid, "rb") as f:
                    command = f.read().decode(errors="replace")
            except OSError:
                continue
            if self.tmp in command and "kuzet-" in command:
                found.append(command.replace("\0", " "))
        return found

    def is_clean(self):
        return not os.listdir(self.tmp) and not self.processes()


def objects(done):
    return [json.loads(line) for line in done.stdout.decode().splitlines()]


def bundled_logs(place):
    done = place.demo("--input", *LOGS, "--json")
    found = objects(done)
    ok(done.returncode == 0 and found and found[-1]["type"] == "summary",
       "the bundled logs arrive, and the last line is the summary",
       done.stderr.decode())
    if not found:
        return
    summary = found[-1]
    lines = sum(len(open(p, "rb").read().splitlines()) for p in LOGS)
    ok(summary["lines_read"] == summary["events_stored"] == lines
       and summary["duplicates_dropped"] == 0,
       "every line is stored, none twice", summary)
    incidents = found[:-1]
    ok(all(i["type"] == "incident" for i in incidents)
       and len(incidents) == summary["incidents"]
       and len({i["id"] for i in incidents}) == len(incidents),
       "each incident is printed once", *incidents)
    ok(all(i["first_seen"].startswith("2024-11-18T") for i in incidents),
       "incidents have the time of their events, not of their arrival")
    titles = {(i["rule"]["title"], i["group"].get("source.ip"))
              for i in incidents}
    for wanted in [
            ("SSH brute force", "203.0.113.45"),
            ("SSH login after many failures", "203.0.113.45"),
            ("SSH user enumeration", "198.51.100.77"),
            ("Password spraying over SSH", "2001:db8:77::5"),
            ("SSH scanning", "198.51.100.140"),
            ("SQL injection", "203.0.113.99"),
            ("Attack tool on the web server", "203.0.113.99"),
            ("Probing for sensitive files", "198.51.100.77"),
            ("Probing for administration pages", "198.51.100.77"),
            ("Web scanning", "198.51.100.77"),
            ("Path traversal", "203.0.113.120"),
            ("Successful path traversal", "203.0.113.120"),
            ("Command injection", "203.0.113.66"),
            ("Cross-site scripting", "198.51.100.201"),
            ("Failed logins on a web form", "203.0.113.12"),
            ("New account raised at once", None)]:
        ok(wanted in titles, "the bundled logs hold: %s by %s" % wanted, *titles)
    ok(not any(str(ip).startswith("192.0.2.") for _, ip in titles),
       "ordinary visitors raise nothing", *titles)


def odd_files(place):
    line = b"2024-11-18T10:00:%02d.000000+05:00 web-1 app[7]: number %d"
    text = b"\n".join(line % (i, i) for i in range(10))
    unfinished = place.file("unfinished.log", text)
    ended = place.file("ended.log", text.replace(b"number", b"count") + b"\n")
    odd = place.file("a [b]*? 'c'.log", text.replace(b"number", b"odd") + b"\n")
    packed = place.file("packed.log.gz", gzip.compress(text + b"\n"))
    empty = place.file("empty.log", b"")
    blank = place.file("blank.log", b"one\n\n\nfour\r\n")
    link = os.path.join(place.path, "link.log")
    os.symlink(ended, link)
    done = place.demo("--json", "--input", unfinished, ended, odd, packed,
                      empty, blank, link, "-", input=b"a\nb\nc")
    found = objects(done)
    ok(done.returncode == 0 and found
       and found[-1]["lines_read"] == 47 and found[-1]["events_stored"] == 47,
       "an unfinished last line, odd names, gzip, blank lines, a double and"
       " standard input all arrive once", done.stderr.decode(), *found)
    with open(unfinished, "rb") as f:
        ok(f.read() == text, "the user's own file is left as it was")
    os.chmod(unfinished, 0o600)
    done = place.demo("--json", "--input", unfinished)
    found = objects(done)
    ok(done.returncode == 0 and found and found[-1]["events_stored"] == 10,
       "a file that only its owner may read arrives", done.stderr.decode())


def wrong_usage(place):
    for arguments, word in [
            (["--input"], "--input"),
            (["--input", "/nonexistent.log"], "no such file"),
            (["--input", place.path], "folder"),
            (["--rules", "/nonexistent"], "no such folder"),
            (["--year", "26"], "no year"),
            (["--keep", place.path], "not empty"),
            (["--frobnicate"], "unknown option")]:
        done = place.demo(*arguments)
        ok(done.returncode == 2 and word in done.stderr.decode()
           and not done.stdout,
           "refused with a reason: demo " + " ".join(arguments)
           .replace(place.path, "DIR"), done.stderr.decode())


def keeping(place):
    keep = os.path.join(place.path, "keep")
    os.chmod(place.path, 0o755)
    done = place.demo("--json", "--keep", keep, "--input", LOGS[0])
    ok(done.returncode == 0
       and os.path.isdir(os.path.join(keep, "collector-state"))
       and os.path.exists(os.path.join(keep, "collector.log")),
       "--keep keeps the state and the logs", done.stderr.decode())
    ok(place.demo("--json", "--keep", keep, "--input", LOGS[0]).returncode == 2,
       "a folder that was kept is not used again")


def interruptible():
    """A test that runs in the background was told to ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def interrupted(place):
    for sent in (signal.SIGINT, signal.SIGTERM):
        big = place.file("big.log", b"".join(
            b"2024-11-18T10:00:00.000000+05:00 web-1 app[7]: number %d\n" % i
            for i in range(200000)))
        demo = subprocess.Popen([DEMO, "--json", "--input", big],
                                env=place.environment(),
                                preexec_fn=interruptible,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 60
        while len(place.processes()) < 2 and time.monotonic() < deadline \
                and demo.poll() is None:
            time.sleep(0.02)
        demo.send_signal(sent)
        _, errors = demo.communicate(timeout=60)
        ok(demo.returncode not in (0, None) and place.is_clean(),
           "%s stops everything and leaves nothing" % sent.name,
           demo.returncode, errors.decode(), os.listdir(place.tmp),
           *place.processes())


def main():
    for program in ("kuzet-agent", "kuzet-collector", "kuzetctl"):
        if not os.path.exists(os.path.join(BUILD, program)):
            print("1..0 # SKIP %s is not built" % program)
            return 0
    if shutil.which("openssl") is None:
        print("1..0 # SKIP no openssl")
        return 0
    place = Place()
    try:
        bundled_logs(place)
        ok(place.is_clean(), "the demo leaves nothing behind",
           os.listdir(place.tmp), *place.processes())
        odd_files(place)
        wrong_usage(place)
        keeping(place)
        interrupted(place)
    finally:
        shutil.rmtree(place.path, ignore_errors=True)
    print("1..%d" % run_count)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
