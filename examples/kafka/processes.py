"""Processes that outlive the command that began them: which they are, whether they run, how they end."""
import json, os, signal, subprocess, sys, time
from pathlib import Path


def process(pid):
    """A process and when it began: the kernel may give its number to another one later."""
    return {"pid": pid, "began": fields(pid)[19] if fields(pid) else None}


def fields(pid):
    """What the kernel says of a process, from its state on."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return None


def runs(one):
    """Whether it is the same process still; a frozen one runs, too."""
    said = fields(one["pid"]) if one else None
    return bool(said) and said[19] == one["began"] and said[0] != "Z"


def tell(one, sign):
    """Sends a signal, if the process is still the same."""
    if runs(one):
        os.kill(one["pid"], sign)


def end(all_of_them, seconds):
    """Asks processes to end, and ends those that do not; gives those that are still there."""
    for sign, wait in ((signal.SIGTERM, seconds), (signal.SIGKILL, 5)):
        for one in all_of_them:
            tell(one, sign)
            tell(one, signal.SIGCONT)
        await_gone(all_of_them, wait)
    return [one for one in all_of_them if runs(one)]


def await_gone(all_of_them, seconds):
    deadline = time.monotonic() + seconds
    while any(map(runs, all_of_them)) and time.monotonic() < deadline:
        time.sleep(0.05)


# -- the file that says what runs -----------------------------------------------------------------------------------


def read(path):
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def keep(path, what):
    """Written whole or not at all."""
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(what))
    part.rename(path)


def watch(path, stop):
    """A process of its own that runs the command `stop` when the time `until` in the file is over."""
    script = f"""
import json, subprocess, time
while True:
    try:
        left = json.load(open({str(path)!r})).get("until", 0) - time.time()
    except (OSError, ValueError):
        break
    if left <= 0:
        subprocess.run({stop!r})
        break
    time.sleep(min(left, 5))
"""
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return process(subprocess.Popen([sys.executable, "-c", script], **quiet, start_new_session=True).pid)
