"""A user's file of weights, read without running any code, and put into a net."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from synthaug.errors import SynthaugError

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")
_INSIDE = ("state_dict", "model_state_dict", "model")
_WRAPPERS = ("module.", "_orig_mod.")


def check_file(path: Path) -> Path:
    """Return the full path of a file of weights, without reading it.

    Raises:
        SynthaugError: it does not exist, or its name does not end as that of a file of weights.
    """
    if path.suffix not in SUFFIXES:
        raise SynthaugError(f"--weights {str(path)!r} is no file of weights", f"give a file {', '.join(SUFFIXES)}")
    if not path.is_file():
        fault = "is a folder" if path.is_dir() else "does not exist"
        raise SynthaugError(f"the file of weights {str(path)!r} {fault}", "correct the path")
    return path.resolve()


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, or of a state dict that `torch.save` wrote.

    A state dict may lie under one of the keys `state_dict`, `model_state_dict` or `model`, and its keys may begin with
    the prefix of a wrapper (`module.`). Pickled objects other than tensors are refused.

    Raises:
        SynthaugError: the file cannot be read, or holds anything else.
    """
    hint = "save only tensors: safetensors.torch.save_file(net.state_dict(), 'weights.safetensors')"
    shown = f"the file of weights {str(path)!r}"
    try:
        found = _opened(path)
    except pickle.UnpicklingError as error:
        raise SynthaugError(f"{shown} holds more than tensors; it is not opened", hint) from error
    except Exception as error:  # on bytes that are no pickle, torch's unpickler raises errors of many kinds
        cause = str(error).strip().partition("\n")[0][:160]
        raise SynthaugError(f"{shown} cannot be read: {cause}", hint) from error
    for key in _INSIDE:
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    if not isinstance(found, Mapping) or not all(isinstance(value, Tensor) for value in found.values()):
        raise SynthaugError(f"{shown} holds no state dict", hint)
    state = dict(found)
    for prefix in _WRAPPERS:
        if state and all(key.startswith(prefix) for key in state):
            state = {key.removeprefix(prefix): tensor for key, tensor in state.items()}
    return state


def _opened(path: Path) -> Any:
    if path.suffix == ".safetensors":
        return load_file(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # pickles of another protocol, which are refused anyway
        return torch.load(path, map_location="cpu", weights_only=True)


def put_into(net: nn.Module, state: Mapping[str, Tensor], path: Path, name: str) -> None:
    """Load `state` into a net without its last layer. What the net does not have, such as that layer, is left out.

    Raises:
        SynthaugError: a tensor of the net is missing or has another shape.
    """
    wanted = net.state_dict()
    needed = [key for key in wanted if not key.endswith("num_batches_tracked")]
    hint = f"give the weights of {name}, or name the net that they belong to: --classifier finetune:timm:NAME"
    missing = [key for key in needed if key not in state]
    if missing:
        raise SynthaugError(
            f"the weights {str(path)!r} do not belong to {name}: {len(missing)} of {len(needed)} tensors are missing, "
            f"first {missing[0]!r}",
            hint,
        )
    for key in needed:
        if state[key].shape != wanted[key].shape:
            raise SynthaugError(
                f"the weights {str(path)!r} do not belong to {name}: {key!r} is {list(state[key].shape)} instead of "
                f"{list(wanted[key].shape)}",
                hint,
            )
    net.load_state_dict({key: state.get(key, tensor) for key, tensor in wanted.items()})
