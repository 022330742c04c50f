"""The broker's files: Maven's own client fetches them, versions stand in pom.xml, hashes in jars.sha256."""
import hashlib, os, re, shutil, subprocess, sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def get(jars, here=HERE):
    """Fetches into `jars` what is pinned beside pom.xml in `here`; says what is wrong, or None."""
    need_programs()
    if wrong(jars, here) is None:
        return None
    shutil.rmtree(jars, ignore_errors=True)
    command = ["mvn", "-q", "-B", "-f", str(here / "pom.xml"), "dependency:copy-dependencies",
               "-DincludeScope=runtime", f"-DoutputDirectory={jars}"]
    if subprocess.run(command, stdin=subprocess.DEVNULL).returncode != 0:
        return "Maven could not fetch the files; the reason stands above"
    if (name := wrong(jars, here)) is not None:
        shutil.rmtree(jars, ignore_errors=True)
        return f"{name}: not the file that {here.name}/jars.sha256 names; nothing was kept"
    return None


def wrong(jars, here=HERE):
    """The first file that is not as pinned, or None. A file too many is as wrong as one too few: the JVM loads all."""
    pinned = dict(reversed(line.split()) for line in (here / "jars.sha256").read_text().splitlines())
    found = {path.name for path in jars.glob("*.jar")}
    if found != set(pinned):
        return sorted(found ^ set(pinned))[0]
    return next((name for name in sorted(found) if sha256(jars / name) != pinned[name]), None)


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") \
            else hashlib.sha256(file.read()).hexdigest()


def need_programs():
    """Debian's own packages, where they are missing: a Java 17 without a desktop, and Maven."""
    missing = [] if java_version() >= 17 else ["default-jre-headless"]
    missing += [] if shutil.which("mvn") else ["maven"]
    if not missing:
        return
    if not shutil.which("apt-get"):
        sys.exit(f"{' and '.join(missing)} must be installed (Java 17 or newer, and Maven)")
    root = [] if os.geteuid() == 0 else ["sudo"]
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["apt-get", "update", "-q"], ["apt-get", "install", "-qy", "--no-install-recommends", *missing]):
        subprocess.run(root + command, env=quiet, stdout=sys.stderr, stdin=subprocess.DEVNULL, check=True)


def java_version():
    if not shutil.which("java"):
        return 0
    said = subprocess.run(["java", "-version"], capture_output=True, text=True).stderr
    found = re.search(r'version "(\d+)', said)
    return int(found[1]) if found else 0
