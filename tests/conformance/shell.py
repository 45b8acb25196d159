"""The real kubectl on the target, in one namespace, with nobody's settings but ours."""

import contextlib
import json
import os
import selectors
import subprocess
import time

PATIENCE = 30.0


class Kubectl:
    """kubectl as a command: called with its arguments, returns what it printed."""

    def __init__(self, binary, kubeconfig, home, namespace="default"):
        self._binary, self._kubeconfig, self._home = binary, kubeconfig, home
        self.namespace = namespace

    def within(self, namespace):
        return Kubectl(self._binary, self._kubeconfig, self._home, namespace)

    def __call__(self, *arguments, stdin="", fails=False, **environment):
        """Run to the end; return what it printed (on stderr too when it is meant to fail)."""
        done = subprocess.run(
            self._command(arguments),
            input=stdin if isinstance(stdin, str) else json.dumps(stdin),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            env=self._environment() | environment,
            check=False,
        )
        said = f"kubectl {' '.join(arguments)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert (done.returncode != 0) == bool(fails), said
        return done.stdout + (done.stderr if fails else "")

    def json(self, *arguments):
        return json.loads(self(*arguments, "-o", "json"))

    def create(self, *objects, **more):
        return self("create", "-f", "-", stdin="\n".join(map(json.dumps, objects)), **more)

    def apply(self, *objects, flags=(), **more):
        return self("apply", *flags, "-f", "-", stdin="\n".join(map(json.dumps, objects)), **more)

    @contextlib.contextmanager
    def running(self, *arguments):
        """Start, and yield the lines it prints; it ends with the block."""
        process = subprocess.Popen(
            self._command(arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=self._environment(),
        )
        try:
            yield Lines(process)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()

    def _command(self, arguments):
        cache = f"--cache-dir={self._home / 'cache'}"
        return [self._binary, f"--namespace={self.namespace}", cache, *arguments]

    def _environment(self):
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self._home),
            "KUBECONFIG": str(self._kubeconfig),
            "TZ": "UTC",
        }


class Lines:
    """Lines of a process's output, read with a deadline."""

    def __init__(self, process):
        self.process = process
        self.seen = []
        self._rest = b""

    def until(self, *words, patience=PATIENCE):
        """Read until a line has all the words; return it."""
        end = time.monotonic() + patience
        while True:
            for line in self.seen:
                if all(word in line for word in words):
                    return line
            self._more(words, end)

    def ready(self, patience):
        """Whether something more has come within this time."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            return bool(selector.select(patience))

    def end(self, patience=PATIENCE):
        """Read to the end; return the exit code."""
        return self.process.wait(timeout=patience)

    def _more(self, words, end):
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            assert selector.select(max(0, end - time.monotonic())), f"{words} did not come: {self.seen}"
        piece = os.read(self.process.stdout.fileno(), 65536)
        assert piece, f"output ended before {words}: {self.seen}"
        *whole, self._rest = (self._rest + piece).split(b"\n")
        self.seen += [line.decode() for line in whole]
