"""A worker in Python, standard library only: it runs `processor` tasks as Python functions. docs/worker-protocol.md explains each step."""
import base64, json, os, queue, signal, socket, sys, threading, time, traceback, urllib.error, urllib.request

SERVER, JOIN_TOKEN = os.environ["KEELSON_URL"].rstrip("/"), os.environ["KEELSON_TOKEN"]


def count_words(args, log, cancelled):
    words = args["text"].split()
    log(f"{len(words)} words")
    return {"words": len(words), "longest": max(words, key=len, default="")}


def wait(args, log, cancelled):
    log(f"waiting {args['seconds']} s")
    cancelled.wait(args["seconds"])


PROCESSORS = {"py-count-words": count_words, "py-wait": wait}
held, done, draining = {}, set(), False  # token -> its Attempt; tokens that ended here; whether to take no more
lease = {"ends": float("inf")}  # by this machine's monotonic clock
reports = queue.Queue()  # (token, began, ended, end); ended is None for a start


class Attempt(threading.Event):
    """Set when the task is to end; `order` says why."""

    order = None


def call(path, body, bearer, timeout=30):
    headers = {"authorization": f"Bearer {bearer}", "content-type": "application/json"}
    request = urllib.request.Request(f"{SERVER}/worker/v1/{path}", json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return json.loads(answer.read() or "null")
    except urllib.error.HTTPError as error:
        problem = json.loads(error.read() or "{}")
        if problem.get("code") in ("lease-expired", "unknown-incarnation"):
            start_anew(problem["code"])
        raise OSError(f"{path}: {error.code} {problem.get('code')}: {problem.get('detail')}") from None


def start_anew(why):
    """A new image of this process: no thread of the old one survives, so nothing that it ran goes on."""
    print(f"the lease is lost ({why}): starting anew", file=sys.stderr, flush=True)
    os.execv(sys.executable, [sys.executable, *sys.argv])


def run(task, attempt):
    token, began, lines, end = task["token"], time.monotonic(), [], {"end": "succeeded"}
    reports.put((token, began, None, None))
    try:
        outputs = PROCESSORS[task["input"]["processor"]](task["input"].get("args"), lines.append, attempt)
        end["outputs"] = outputs or {}
    except Exception as error:
        lines.append(traceback.format_exc())
        end = {"end": "failed", "reason": {"code": "processor-error", "message": f"{type(error).__name__}: {error}"[:8000]}}
    if attempt.order:
        kind = {"stop": "stopped", "timeout": "failed"}.get(attempt.order, "lost")
        end = {"end": kind, "reason": {"code": attempt.order, "message": f"ended by the order {attempt.order}"}}
    text = "".join(f"{line}\n" for line in lines)
    for secret in task["secrets"]:
        text = text.replace(secret, "***")
    if text:
        end["log"] = {"offset": 0, "data": base64.b64encode(text.encode()[:1_000_000]).decode()}
    reports.put((token, began, time.monotonic(), end))


def take(assignments):
    if assignments and time.monotonic() > lease["ends"]:  # an old answer, read after a pause of this process
        start_anew("it ran out during a pause")
    for task in assignments:
        if task["token"] in held or task["token"] in done:  # a repetition: the answer before this one was not lost after all
            continue
        held[task["token"]] = Attempt()
        threading.Thread(target=run, args=(task, held[task["token"]]), daemon=True).start()


def obey(orders):
    for order in orders:
        token = order["token"]
        if token in held:
            held[token].order = held[token].order or order["reason"]
            held[token].set()
        elif token not in done:  # its assignment never came; should it come now, it must not start
            done.add(token)
            now = time.monotonic()
            reports.put((token, now, now, {"end": "lost", "reason": {"code": "not-held", "message": "never received"}}))


def report_loop(credential):
    while True:
        batch = [reports.get()]
        while not reports.empty() and len(batch) < 1000:
            batch.append(reports.get())
        while True:
            now, bodies = time.monotonic(), []
            for token, began, ended, end in batch:
                body = {"kind": "started", "token": token, "startedAgoMs": (now - began) * 1000}
                if ended is not None:
                    body |= {"kind": "ended", "endedAgoMs": (now - ended) * 1000, **end}
                bodies.append(body)
            try:
                answer = call("report", {"reports": bodies}, credential)
                break
            except OSError as error:  # the report may have been taken: the same one again does no harm
                print(error, file=sys.stderr, flush=True)
                time.sleep(1)
        for token in (token for token, _, ended, _ in batch if ended is not None):
            done.add(token)
            held.pop(token, None)
        take(answer["assignments"])


def renew_loop(credential, every):
    while True:
        time.sleep(every)
        sent = time.monotonic()
        try:
            answer = call("renew", {"held": list(held)}, credential, timeout=every)
            lease["ends"] = sent + answer["leaseMs"] / 1000
            obey(answer["kill"])
        except OSError as error:
            print(error, file=sys.stderr, flush=True)


def watch_loop():
    while (left := lease["ends"] - 1 - time.monotonic()) > 0:
        time.sleep(left)
    start_anew("not renewed in time")


def stop(*_):
    global draining
    draining = True


def main():
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    sent = time.monotonic()
    me = call("register", {
        "protocol": 1, "name": f"{socket.gethostname()}-python", "group": "default", "slots": 4,
        "capabilities": [f"processor:{name}" for name in PROCESSORS],
        "host": socket.gethostname(), "pid": os.getpid(), "version": "example",
    }, JOIN_TOKEN)
    credential, lease["ends"] = me["credential"], sent + me["leaseMs"] / 1000
    for loop, args in ((renew_loop, (credential, me["renewEveryMs"] / 1000)), (watch_loop, ()), (report_loop, (credential,))):
        threading.Thread(target=loop, args=args, daemon=True).start()
    print(f"joined as incarnation {me['incarnation']}", flush=True)
    while not (draining and not held):
        try:
            answer = call("poll", {"held": list(held), "waitMs": 1000 if draining else 5000, "draining": draining}, credential)
            obey(answer["kill"])
            take(answer["assignments"])
        except OSError as error:
            print(error, file=sys.stderr, flush=True)
            time.sleep(1)
    call("leave", {}, credential)


if __name__ == "__main__":
    main()
