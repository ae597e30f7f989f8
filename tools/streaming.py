"""A `medtune serve` of one's own, and requests to it over plain sockets."""

import asyncio
import json
import pathlib
import signal
import socket
import subprocess
import time
import urllib.request


class Server:
    """Runs while the block lasts, without a key, on a free port of loopback."""

    def __init__(self, medtune, model, options=()):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        command = [medtune, "serve", model, "--bind", f"127.0.0.1:{self.port}", *options]
        begun = time.perf_counter()
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                break
            except OSError:
                if self.process.poll() is not None:
                    raise SystemExit(self.process.stderr.read().decode()) from None
                time.sleep(0.005)
        # From the start of the program to the first connection.
        self.ready = time.perf_counter() - begun

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.stop()

    def stop(self):
        """Ends it as a service manager would; its exit status."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return "did not end"

    def resident(self):
        """Bytes of memory that are not files."""
        lines = pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))

    def processor_seconds(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / 100

    def metrics(self, *names):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics") as response:
            text = response.read().decode()
        lines = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
        return {name: sum(float(value) for key, value in lines if name in key) for name in names}

    def request(self, path, body):
        payload = json.dumps(body).encode()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: localhost:{self.port}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(payload)}\r\nConnection: close\r\n\r\n"
        )
        return head.encode() + payload

    async def post(self, path, body):
        """Status, headers and the whole body, without the framing of chunks."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(self.request(path, body))
            await writer.drain()
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
            rest = await reader.read()
        finally:
            writer.close()
        if headers.get("transfer-encoding") == "chunked":
            rest = unchunked(rest)
        return int(head[0].split()[1]), headers, rest


def unchunked(data):
    parts, place = [], 0
    while True:
        end = data.index(b"\r\n", place)
        size = int(data[place:end], 16)
        if size == 0:
            return b"".join(parts)
        parts.append(data[end + 2 : end + 2 + size])
        place = end + 4 + size
