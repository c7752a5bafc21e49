"""Curvature of the loss, for the rules that step by it: probe vectors, and what came of them."""

from __future__ import annotations

from ctypes import addressof, byref, c_void_p

import numpy as np

from . import _layout as layout
from ._arrays import Array, address, dtype_code
from ._errors import UsageError
from ._library import lib
from ._parts import Parts


class Curvature(Parts):
    """What `sophia` and `adahessian` are given beside gradients."""

    __slots__ = ()

    def probe(self) -> dict[str, Array]:
        """The vector that the Hessian is to be multiplied by for the next estimate, by name.

        New arrays of 1 and -1, in the shapes and dtypes of the parameters; zeros for a tensor that is
        frozen or whose rule wants no curvature. The same until `curvature` was called, and after a
        resume.
        """
        found: dict[str, Array] = {}
        for name, param in self._params.items():
            out = np.empty(param.shape, param.dtype)
            number, code = self._number(name), dtype_code(param.dtype)
            self._call(lib.rvn_optimizer_probe, number, code, address(out), out.size)
            found[name] = out
        return found

    def curvature(self, products: object = None, *, diagonal: object = None) -> None:
        """Takes an estimate of the Hessian's diagonal into the rule's mean; the next steps use it.

            z = opt.probe()
            opt.curvature(hessian_times(z))    # before every tenth step, say
            opt.step(gradients)

        products
            The Hessian of the loss times the vectors of `probe`, in the form of the gradients and of
            their dtypes. The library multiplies them by the vectors again (Hutchinson's estimate).
        diagonal
            An estimate of the diagonal as it is, in their place: the mean over several vectors, or a
            Gauss-Newton-Bartlett estimate.

        None or a missing name is a tensor that keeps what it has. What is given for tensors whose rule
        wants no curvature is not looked at. Clipping and other stages see none of it.
        """
        if (products is None) == (diagonal is None):
            raise UsageError("curvature() takes products or diagonal, and one of the two")
        field, tree = ("products", products) if diagonal is None else ("diagonal", diagonal)
        what = "Hessian product" if diagonal is None else "Hessian diagonal"
        given = self._gradients.by_name(tree, field)
        pointers = (c_void_p * len(self._gradients.pointers))()
        for name, array in given.items():
            if array is not None:
                number, shape = self._number(name), self._params[name].shape
                self._check_part(number, name, array, shape, what)
                pointers[number] = address(array)
        chosen = {field: addressof(pointers)}
        self._call(
            lib.rvn_optimizer_curvature,
            byref(layout.CurvatureInput(count=len(pointers), **chosen)),
        )
