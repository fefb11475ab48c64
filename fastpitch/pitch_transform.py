"""Transform the predicted pitch before the decoder. Shapes: B batch, S symbols.

A user's formula is parsed with `ast`, checked against a list of allowed nodes, and compiled to a small program in
postfix notation. It is never executed as Python. The same program runs eagerly and under TorchScript.
"""

from __future__ import annotations

import ast
import math

import torch
from torch import Tensor, nn

from common.errors import InputError

# For checkpoints without statistics of their voice.
DEFAULT_MEAN_HZ = 218.14
DEFAULT_STD_HZ = 67.24

VARIABLES = {
    "pitch": "predicted pitch in Hz",
    "mean": "the voice's mean pitch in Hz",
    "std": "the voice's standard deviation of pitch in Hz",
    "utterance_mean": "mean of `pitch` over the utterance in Hz",
    "position": "0 at the utterance's first symbol to 1 at its last",
}
FUNCTIONS = {"abs": 1, "exp": 1, "log": 1, "sqrt": 1, "sin": 1, "cos": 1, "floor": 1, "min": 2, "max": 2, "clamp": 3}
_OPERATORS: dict[type[ast.AST], str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**",
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=",
}  # fmt: skip
_MAX_LENGTH = 1000

Instruction = tuple[str, int, float]  # name, number of operands (-1: a number, 0: a variable), the number


def compile_expression(text: str) -> list[Instruction]:
    """Compile a formula such as `mean + 1.5 * (pitch - mean)` to a program in postfix notation.

    Numbers, the names in `VARIABLES`, + - * / **, comparisons (1 or 0), `a if condition else b`, and the functions in
    `FUNCTIONS` are allowed.

    Raises:
        InputError: anything else.
    """
    if len(text) > _MAX_LENGTH:
        raise InputError(f"pitch formula: {len(text)} characters, more than {_MAX_LENGTH}")
    program: list[Instruction] = []
    try:
        _emit(ast.parse(text.strip(), mode="eval").body, program)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        if isinstance(error, InputError):
            raise InputError(f"pitch formula {text!r}: {error}") from error
        raise InputError(f"pitch formula {text!r}: not a formula ({type(error).__name__})") from error
    return program


def _emit(node: ast.expr, program: list[Instruction]) -> None:
    """Append the instructions of the operands of `node`, then its own."""
    number = 0.0
    operands: list[ast.expr] = []
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        try:
            number = float(node.value)  # type: ignore[arg-type]
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise InputError("a number is too large")
        program.append(("number", -1, number))
        return
    if isinstance(node, ast.Name) and node.id in VARIABLES:
        name = node.id
    elif isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        name, operands = _OPERATORS[type(node.op)], [node.left, node.right]
    elif isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _OPERATORS:
        name, operands = _OPERATORS[type(node.ops[0])], [node.left, node.comparators[0]]
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        name, operands = "negative", [node.operand]
    elif isinstance(node, ast.IfExp):
        name, operands = "where", [node.test, node.body, node.orelse]
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FUNCTIONS:
        name, operands = node.func.id, node.args
        if node.keywords or len(operands) != FUNCTIONS[name]:
            raise InputError(f"{name} takes {FUNCTIONS[name]} values")
    else:
        known = ", ".join([*VARIABLES, *FUNCTIONS])
        raise InputError(f"{ast.unparse(node)!r} is not allowed; known names: {known}")
    for operand in operands:
        _emit(operand, program)
    program.append((name, len(operands), number))


def _unary(name: str, x: Tensor) -> Tensor:
    if name == "negative":
        y = -x
    elif name == "abs":
        y = x.abs()
    elif name == "exp":
        y = x.exp()
    elif name == "log":
        y = x.log()
    elif name == "sqrt":
        y = x.sqrt()
    elif name == "sin":
        y = x.sin()
    elif name == "cos":
        y = x.cos()
    else:
        assert name == "floor"
        y = x.floor()
    return y


def _binary(name: str, a: Tensor, b: Tensor) -> Tensor:
    if name == "+":
        y = a + b
    elif name == "-":
        y = a - b
    elif name == "*":
        y = a * b
    elif name == "/":
        y = a / b
    elif name == "**":
        y = torch.pow(a, b)
    elif name == "<":
        y = a < b
    elif name == "<=":
        y = a <= b
    elif name == ">":
        y = a > b
    elif name == ">=":
        y = a >= b
    elif name == "min":
        y = torch.minimum(a, b)
    else:
        assert name == "max"
        y = torch.maximum(a, b)
    return y.to(a.dtype)  # comparisons give 1 or 0


def _ternary(name: str, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    if name == "where":
        y = torch.where(a != 0, b, c)
    else:
        assert name == "clamp"
        y = torch.minimum(torch.maximum(a, b), c)
    return y


def run_program(program: list[tuple[str, int, float]], variables: dict[str, Tensor]) -> Tensor:
    """Run a program from `compile_expression`. All variables have one shape, and so has the result."""
    stack: list[Tensor] = []
    for name, operands, number in program:
        if operands == -1:
            stack.append(torch.full_like(variables["pitch"], number))
        elif operands == 0:
            stack.append(variables[name])
        else:
            last = stack.pop()
            if operands == 1:
                stack.append(_unary(name, last))
            elif operands == 2:
                stack.append(_binary(name, stack.pop(), last))
            else:
                middle = stack.pop()
                stack.append(_ternary(name, stack.pop(), middle, last))
    return stack[0]


class PitchTransform(nn.Module):
    """Flatten, invert, amplify, shift, then apply a user's formula, in this order.

    Assign it to `FastPitch.pitch_transform`. The first three operate on the deviation from the voice's mean.

    Args:
        flatten: set every symbol to the voice's mean.
        invert: mirror the pitch at the mean.
        amplify: factor of the deviation from the mean.
        shift_hz: offset in Hz.
        custom: formula for the pitch in Hz, see `compile_expression`, or "" for none.

    Raises:
        InputError: a value that is not finite, or a formula that is not allowed.
    """

    def __init__(
        self,
        flatten: bool = False,
        invert: bool = False,
        amplify: float = 1.0,
        shift_hz: float = 0.0,
        custom: str = "",
    ) -> None:
        super().__init__()
        if not (math.isfinite(amplify) and math.isfinite(shift_hz)):
            raise InputError(f"pitch: amplify {amplify} and shift {shift_hz} Hz must be finite")
        self.factor = (0.0 if flatten else 1.0) * (-1.0 if invert else 1.0) * float(amplify)
        self.shift_hz = float(shift_hz)
        self.custom = custom
        self.has_program = bool(custom.strip())
        self.program = compile_expression(custom if self.has_program else "pitch")

    def forward(self, pitch: Tensor, mask: Tensor, mean_hz: Tensor, std_hz: Tensor) -> Tensor:
        """pitch [B, S] in standard deviations from the voice's mean, mask [B, S], statistics [B, 1] or [1] -> [B, S].

        Raises:
            InputError: the formula results in a pitch that is not finite.
        """
        pitch = pitch * self.factor + self.shift_hz / std_hz
        if self.has_program:
            hz = run_program(self.program, self._variables(pitch * std_hz + mean_hz, mask, mean_hz, std_hz))
            pitch = ((hz - mean_hz) / std_hz).masked_fill(~mask, 0.0)
            if not bool(torch.isfinite(pitch).all()):
                raise InputError("pitch formula: it gives values that are not finite")
        return pitch.masked_fill(~mask, 0.0)

    def _variables(self, hz: Tensor, mask: Tensor, mean_hz: Tensor, std_hz: Tensor) -> dict[str, Tensor]:
        counts = mask.sum(dim=1, keepdim=True)
        mean = hz.masked_fill(~mask, 0.0).sum(dim=1, keepdim=True) / counts.clamp(min=1)
        position = torch.arange(hz.size(1), device=hz.device).unsqueeze(0) / (counts - 1).clamp(min=1)
        return {
            "pitch": hz,
            "mean": mean_hz.expand_as(hz),
            "std": std_hz.expand_as(hz),
            "utterance_mean": mean.expand_as(hz),
            "position": position.to(hz.dtype),
        }
