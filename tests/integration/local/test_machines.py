"""State machines: tokens, retries, catches, waits and names, through boto3 as the product calls them."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from infra.local import asl
from infra.local.world import World
from tests.integration.local.toybox import seen


def start(world: World, do: str, name: str = "run-1") -> str:
    answer = world.client("stepfunctions").start_execution(
        stateMachineArn=world.resources["Machine"].ref, name=name, input=json.dumps({"do": do})
    )
    return str(answer["executionArn"])


def end(world: World, arn: str) -> dict[str, Any]:
    return dict(world.client("stepfunctions").describe_execution(executionArn=arn))


def test_a_step_answered_by_token_goes_on_after_its_wait(world: World) -> None:
    began = world.clock.now()
    arn = start(world, "answer")
    world.run()
    done = end(world, arn)
    assert done["status"] == "SUCCEEDED"
    assert json.loads(done["output"]) == {"do": "answer", "answer": {"n": 1}}
    assert timedelta(seconds=30) <= world.clock.now() - began < timedelta(seconds=31)


def test_an_error_is_retried_by_its_exact_name_with_growing_pauses(world: World) -> None:
    began = world.clock.now()
    arn = start(world, "again")
    world.run()
    assert seen(world) == ["again"] * 3
    assert end(world, arn)["error"] == "TryAgain"
    assert timedelta(seconds=30) <= world.clock.now() - began < timedelta(seconds=31)  # 10 and 20


@pytest.mark.parametrize("do", ["human", "refuse"])
def test_a_caught_error_is_compensated(world: World, do: str) -> None:
    arn = start(world, do)
    world.run()
    assert seen(world) == [do, "undo"]
    failed = end(world, arn)
    assert (failed["status"], failed["error"]) == ("FAILED", "Compensated")
    data = world.machines.executions[arn].data
    assert data["error"]["Error"] == "NeedsHuman"
    assert ("broken" in data["error"]["Cause"]) == (do == "human")
    assert data["undone"] == {"said": None}


def test_a_token_that_nobody_answers_times_out_on_the_worlds_clock(world: World) -> None:
    start(world, "silence")
    world.pump()
    world.advance(599)
    world.pump()
    assert seen(world) == ["silence"]
    world.advance(2)
    world.pump()
    assert seen(world) == ["silence", "undo"]


def test_a_token_is_good_once(world: World) -> None:
    arn = start(world, "silence")
    world.pump()
    states, token = world.client("stepfunctions"), world.machines.executions[arn].token
    states.send_task_success(taskToken=token, output="{}")
    with pytest.raises(states.exceptions.TaskTimedOut):
        states.send_task_success(taskToken=token, output="{}")
    with pytest.raises(states.exceptions.InvalidToken):
        states.send_task_success(taskToken="unknown", output="{}")


def test_a_name_starts_once(world: World) -> None:
    states = world.client("stepfunctions")
    assert start(world, "silence") == start(world, "silence")
    with pytest.raises(states.exceptions.ExecutionAlreadyExists):
        start(world, "answer")
    world.run()
    with pytest.raises(states.exceptions.ExecutionAlreadyExists):
        start(world, "silence")
    assert seen(world) == ["silence", "undo"]


def test_a_stopped_execution_moves_no_more(world: World) -> None:
    arn = start(world, "answer")
    world.client("stepfunctions").stop_execution(executionArn=arn, cause="enough")
    world.run()
    assert end(world, arn)["status"] == "ABORTED"
    assert seen(world) == []


def test_an_unknown_machine_or_execution_is_refused_as_on_aws(world: World) -> None:
    with pytest.raises(ClientError, match="StateMachineDoesNotExist"):
        world.client("stepfunctions").start_execution(stateMachineArn="arn:aws:states:eu-central-1:1:stateMachine:x")
    with pytest.raises(ClientError, match="ExecutionDoesNotExist"):
        end(world, "arn:aws:states:eu-central-1:1:execution:x:y")


@pytest.mark.parametrize(
    ("state", "word"),
    [
        ({"Type": "Parallel", "Branches": []}, "Parallel"),
        ({"Type": "Task", "Resource": "arn:aws:states:::sns:publish", "End": True}, "sns:publish"),
        ({"Type": "Pass", "Assign": {}, "End": True}, "Assign"),
        ({"Type": "Pass", "Next": "Nowhere"}, "Nowhere"),
        ({"Type": "Pass"}, "Next or End"),
    ],
)
def test_what_is_not_emulated_is_refused_by_name_when_the_machine_is_made(
    world: World, state: dict[str, Any], word: str
) -> None:
    with pytest.raises(asl.Unsupported, match=word):
        world.machines.define("bad", json.dumps({"StartAt": "S", "States": {"S": state}}))
