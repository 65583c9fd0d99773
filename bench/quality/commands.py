"""Runs a program, with what it cost; files that appear whole or not at all; digests of options."""
import hashlib, json, os, pathlib, signal, subprocess, time


class QualityError(Exception):
    pass


def digest(options):
    """12 hexadecimal digits of anything JSON can hold."""
    return hashlib.sha256(json.dumps(options, sort_keys=True).encode()).hexdigest()[:12]


def file_digest(path):
    found = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            found.update(block)
    return found.hexdigest()[:12]


def write_json(path, value):
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    with open(partial, "w") as file:
        json.dump(value, file, indent=1)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def read_json(path):
    """None where the file is not there; a damaged one is an error that names it."""
    try:
        text = pathlib.Path(path).read_text()
    except FileNotFoundError:
        return None
    try:
        return json.loads(text)
    except ValueError as error:
        raise QualityError(f"{path}: expected JSON: {error}. Remove it to have it made again")


def run(command, log, accepted=(0,), output=None):
    """Runs to the end, messages in `log`, standard output in `output` where given. Returns exit code, seconds of wall
    clock and of all processors, and the largest memory of one process (the program's own or that of one of its
    children). Not an accepted code: QualityError with the last lines."""
    command = [str(part) for part in command]
    pathlib.Path(log).parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with open(log, "w") as messages:
        messages.write("$ " + " ".join(command) + "\n")
        messages.flush()
        out = open(output, "w") if output else messages
        try:
            process = subprocess.Popen(command, stdout=out, stderr=messages, stdin=subprocess.DEVNULL)
            try:
                _, status, used = os.wait4(process.pid, 0)
            except BaseException:  # Ctrl-C: let it finish what it writes
                process.send_signal(signal.SIGINT)
                process.wait()
                raise
            process.returncode = os.waitstatus_to_exitcode(status)
        finally:
            if output:
                out.close()
    code = process.returncode
    if code not in accepted:
        last = "\n".join(pathlib.Path(log).read_text(errors="replace").splitlines()[-6:])
        raise QualityError(f"{command[0]} ended with {code}, expected {accepted}; {log} ends with:\n{last}")
    return {"code": code, "wall_s": time.monotonic() - started, "cpu_s": used.ru_utime + used.ru_stime,
            "peak_mb": used.ru_maxrss / 1024}
