"""Starts MiniStack with its gaps closed, and writes down what IAM decided: run by ``infra.acceptance.second``.

Beside AWS's own interface it answers two addresses: ``/_acceptance/state`` says what still moves, and
``/_acceptance/rights`` which action each role asked for and what was decided.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parent))

gaps = import_module("gaps")

#: The file that holds how many seconds the story's clock is ahead of the machine's.
CLOCK: Final = "ACCEPTANCE_CLOCK"


def _module(name: str) -> Any:
    return import_module(f"ministack.{name}")


def ahead() -> float:
    """Seconds that the story has jumped so far."""
    try:
        return float(Path(os.environ[CLOCK]).read_text() or 0)
    except FileNotFoundError:
        return 0.0


def now() -> float:
    """The story's time, in seconds since 1970."""
    return time.time() + ahead()


class Listener:
    """Counts invocations and keeps IAM's decisions by role and action."""

    def __init__(self) -> None:
        self.invocations = 0
        self.decisions: Counter[tuple[str, str, str, bool]] = Counter()
        self._lock = threading.Lock()

    def listen(self) -> None:
        """Put an ear to the two places through which everything goes."""
        functions, judge = _module("services.lambda_svc"), _module("core.iam_evaluator")
        dispatch, enforce = functions._execute_function_dispatch, judge.enforce

        def counted(*args: Any, **kwargs: Any) -> Any:
            with self._lock:
                self.invocations += 1
            return dispatch(*args, **kwargs)

        def heard(access_key: str, action: str, *args: Any, **kwargs: Any) -> Any:
            verdict = enforce(access_key, action, *args, **kwargs)
            session = _module("services.sts")._sessions.get(access_key)
            if session:
                role = session["Arn"].split("/")[1]
                resource = kwargs.get("resource_arn", "*")
                with self._lock:
                    self.decisions[role, action, str(resource), verdict is None] += 1
            return verdict

        functions._execute_function_dispatch, judge.enforce = counted, heard

    def rights(self) -> list[dict[str, Any]]:
        """Every decision once, with how often it was taken."""
        with self._lock:
            told = list(self.decisions.items())
        return [
            {"role": role, "action": action, "resource": resource, "allowed": allowed, "times": times}
            for (role, action, resource, allowed), times in told
        ]

    def state(self) -> dict[str, Any]:
        """What still moves, and when what waits inside the engine moves next (the story's time)."""
        functions, queues, events, machines = (
            import_module(f"ministack.services.{name}")
            for name in ("lambda_svc", "sqs", "eventbridge", "stepfunctions")
        )
        moment = now()
        waiting, ready, depth = [], 0, {}
        for queue in list(queues._queues._data.values()):
            seen = [message.get("visible_at", 0) for message in list(queue["messages"])]
            waiting += [when for when in seen if when > moment]
            ready += sum(when <= moment for when in seen)
            depth[queue["attributes"]["QueueArn"].rsplit(":", 1)[1]] = len(seen)
        fires = []
        for key, rule in list(events._rules._data.items()):
            every = events._parse_rate_seconds(rule.get("ScheduleExpression", ""))
            if every:
                fires.append(events._rule_last_fired.get(key, rule.get("CreationTime", moment)) + every)
        runs = list(machines._executions._data.values())
        return {
            "invocations": self.invocations,
            "running": functions.executions_in_flight()[0] + sum(functions._esm_inflight.values()),
            "ready": ready,
            "messages": {name: count for name, count in depth.items() if count},
            "visible_next": min(waiting, default=None),
            "fires_next": min(fires, default=None),
            "denied": [one for one in self.rights() if not one["allowed"]],
            "executions": {run["name"]: [run["status"], len(run.get("events", []))] for run in runs},
        }


def answering(application: Any, listener: Listener) -> Any:
    """MiniStack's own ASGI application, and our two addresses before it."""
    pages = {"/_acceptance/state": listener.state, "/_acceptance/rights": listener.rights}

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        page = pages.get(scope.get("path", ""))
        if scope["type"] != "http" or page is None:
            await application(scope, receive, send)
            return
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(page()).encode()})

    return answer


def main() -> None:
    """Run until it is told to stop."""
    application = _module("app")
    listener = Listener()
    listener.listen()
    for gap in gaps.GAPS:
        gap.close(now)
    application.app = answering(application.app, listener)
    os.environ["PYTHONPATH"] = str(Path(__file__).resolve().parent / "inside")  # for functions, which inherit it
    application.main()


if __name__ == "__main__":
    main()
