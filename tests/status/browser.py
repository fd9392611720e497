"""A real browser, driven through browser.mjs."""

import json
import pathlib
import shutil
import subprocess

HERE = pathlib.Path(__file__).resolve().parent


class Browser:
    """`do` waits for what it asks for, and raises what went wrong. One page at a time."""

    def __init__(self):
        chromium = shutil.which("chromium")
        assert chromium, "Debian's chromium is not installed"
        self.process = subprocess.Popen(["node", "browser.mjs", chromium], cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def do(self, what, **given):
        self.process.stdin.write(json.dumps({"do": what, **given}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "the browser has ended"
        answer = json.loads(line)
        assert "error" not in answer, f"{what} {given}: {answer['error']}"
        return answer["value"]

    def open(self, url, **how):
        self.do("open", url=url, **how)

    def click(self, name, role="button"):
        self.do("click", role=role, name=name)

    def wait(self, selector, text):
        self.do("wait", selector=selector, text=text)

    def text(self, selector):
        """Of all that match."""
        return self.do("text", selector=selector)

    def run(self, script):
        return self.do("run", script=script)

    def close(self):
        self.process.stdin.close()
        self.process.wait(20)
