"""A worker that computes nothing: what it does with a job is written in the job's prompt. Speaks the same frames as the real one."""

from __future__ import annotations

import json
import os
import sys
import threading
import time

from engine.graph.wire import pack, read_frame


def main() -> None:
    output = os.fdopen(os.dup(1), "wb", buffering=0)
    cancelled = threading.Event()

    def send(header, *parts):
        output.write(pack(header, parts))

    def read(count):
        data = sys.stdin.buffer.read(count)
        if len(data) != count:
            raise EOFError
        return data

    def work(head, number, orders):
        def emit(*events):
            nonlocal number
            rows = []
            for event in events:
                number += 1
                rows.append({"job_id": head["id"], "sequence": number, "time": time.time(), **event})
            send({"type": "events", "job": head["id"]}, json.dumps(rows).encode())

        emit({"type": "job_started", "attempt": head["attempt"], "total": 1})
        emit({"type": "node_started", "node_id": "1", "display_id": "1", "parent_id": None})
        if orders.get("die_before_attempt", 0) > head["attempt"]:
            os.kill(os.getpid(), 9)
        while orders.get("wait") and not (cancelled.is_set() and not orders.get("deaf")):
            time.sleep(0.01)
        state = "cancelled" if cancelled.is_set() else orders.get("state", "succeeded")
        node = {
            "node_id": "1",
            "display_id": "1",
            "parent_id": None,
            "cached": False,
            "reason": "",
            "seconds": 0.0,
            "ui": {"text": ["done"]},
        }
        emit({"type": "node_finished", **node}, {"type": "job_finished", "state": state, "error": None, "ran": 1, "cached": 0, "failed": 0})

    try:
        read_frame(read)
        print("a stray line on stderr", file=sys.stderr)
        send({"type": "catalogue"}, b'{"nodes": {}}')
        send({"type": "ready", "about": {"device": {"name": "fake"}}})
        while True:
            frame = read_frame(read)
            if frame.header["type"] == "run":
                cancelled.clear()
                head, orders = frame.header["job"], json.loads(frame.parts[1])
                if orders.get("untaken_before_attempt", 0) > head["attempt"]:
                    os.kill(os.getpid(), 9)
                send({"type": "taken", "job": head["id"]})
                threading.Thread(target=work, args=(head, frame.header["sequence"], orders), daemon=True).start()
            elif frame.header["type"] == "forget" and os.environ.get("FAKE_WORKER_FORGETS") != "no":
                send({"type": "forgot", "jobs": frame.header["jobs"]})
            elif frame.header["type"] == "cancel":
                cancelled.set()
    except EOFError:
        return


if __name__ == "__main__":
    main()
