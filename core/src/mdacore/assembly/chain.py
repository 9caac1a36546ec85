"""An edge's validators, compiled: for each stage a tuple of checks, each fenced and with its policy's `on_error`.

Invariant: a check in a Chain raises only what interrupts its greenlet, and its answer is one that the stage knows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import attrs

from mdacore import events
from mdacore.contracts import Chain, Identity, Validators
from mdacore.queue import OnError
from mdacore.runtime import Breaker, BrokenContract, Fence
from mdacore.words import LOCAL_ERROR, ComponentFailure, Deferral, Discard, Hold, MdaError, Rejection, Reply

Check = Callable[..., Any]

STAGES = tuple(field.name for field in attrs.fields(Validators))

FAULT_REPLIES: Mapping[OnError, Reply | None] = MappingProxyType(
    {
        "defer": LOCAL_ERROR,
        "accept": None,
        "reject": Reply(code=554, enhanced="5.3.0", text="Refused"),
    }
)


@attrs.frozen(kw_only=True)
class BoundValidators:
    """What one policy says at session time, with what bounds it: `breaker` gives each stage its own."""

    validators: Validators
    fence: Fence
    on_error: OnError
    breaker: Callable[[str], Breaker | None] = lambda _stage: None


def stages_of(validators: Validators | None) -> tuple[str, ...]:
    """The stages at which a policy speaks, in the order of a session."""
    return tuple(stage for stage in STAGES if getattr(validators, stage, None) is not None)


def compile_chain(policies: Sequence[BoundValidators]) -> Chain:
    """The checks of all policies, in the order given."""
    return Chain(
        **{
            stage: tuple(
                _fenced(policy, check, stage)
                for policy in policies
                if (check := getattr(policy.validators, stage)) is not None
            )
            for stage in STAGES
        }
    )


def _fenced(policy: BoundValidators, check: Check, stage: str) -> Check:
    fence = attrs.evolve(policy.fence, breaker=policy.breaker(stage))
    fault_reply = FAULT_REPLIES[policy.on_error]
    answers = (Identity, Reply) if stage == "auth" else Reply

    def answer_of(*args: object) -> Any:
        """Behind the fence, so that a useless answer counts as the fault that it is."""
        try:
            answer = check(*args)
        except (Discard, Hold) as verdict:
            raise BrokenContract(f"raised {verdict!r} at {stage}") from verdict
        if answer is None or (isinstance(answer, answers) and not _is_intermediate(answer)):
            return answer
        raise BrokenContract(f"answered a {type(answer).__name__} at {stage}")

    def ask(*args: object) -> Any:
        try:
            return fence.call(answer_of, *args)
        except (Rejection, Deferral) as verdict:  # raised where it should be returned, and clear all the same
            return verdict.reply
        except ComponentFailure:
            return fault_reply  # the fence has logged it
        except MdaError as error:
            fence.log.error(events.PLUGIN_FAILED, component=fence.instance, error=repr(error), exc_info=True)
            return fault_reply

    return ask


def _is_intermediate(answer: object) -> bool:
    """A 3yz would tell the client to go on with what was never asked for."""
    return isinstance(answer, Reply) and 300 <= answer.code < 400
