"""The structs of _layout.py against the C header, by a C compiler."""

from __future__ import annotations

import ctypes
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from ravine import _layout as layout

PROJECT = Path(__file__).parents[1]
HEADER = PROJECT / "../../include/ravine.h"  # in an sdist: native/include/ravine.h
if not HEADER.exists():
    HEADER = PROJECT / "native/include/ravine.h"
STRUCTS = {
    "rvn_tensor": layout.Tensor,
    "rvn_step_input": layout.StepInput,
    "rvn_step_report": layout.StepReport,
    "rvn_load_options": layout.LoadOptions,
    "rvn_metric_report": layout.MetricReport,
    "rvn_range_options": layout.RangeOptions,
    "rvn_range_result": layout.RangeResult,
    "rvn_sampler_options": layout.SamplerOptions,
    "rvn_function": layout.Function,
    "rvn_check_gradient_options": layout.CheckGradientOptions,
    "rvn_gradient_check": layout.GradientCheck,
    "rvn_noise_scale": layout.NoiseScale,
    "rvn_hessian_options": layout.HessianOptions,
    "rvn_hessian_extremes_result": layout.HessianExtremes,
    "rvn_loss_slice_options": layout.LossSliceOptions,
    "rvn_activation_statistics_result": layout.ActivationStatistics,
    "rvn_record": layout.Record,
    "rvn_statistics": layout.Statistics,
    "rvn_entry": layout.Entry,
    "rvn_parameter": layout.Parameter,
    "rvn_slot": layout.Slot,
    "rvn_host_call": layout.HostCall,
    "rvn_host_rule": layout.HostRule,
    "rvn_options": layout.Options,
}


@pytest.mark.skipif(not shutil.which("cc") or not HEADER.exists(), reason="needs cc and the header")
def test_sizes_and_offsets_are_those_of_the_header(tmp_path: Path) -> None:
    expected, lines = [], []
    for name, python in STRUCTS.items():
        lines.append(f'printf("%zu\\n", sizeof({name}));')
        expected.append(ctypes.sizeof(python))
        for field, _ in python._fields_:
            lines.append(f'printf("%zu\\n", offsetof({name}, {field}));')
            expected.append(getattr(python, field).offset)
    source = tmp_path / "offsets.c"
    source.write_text(
        '#include <stdio.h>\n#include "ravine.h"\nint main(void) {' + "\n".join(lines) + "}"
    )
    program = tmp_path / "offsets"
    subprocess.run(["cc", f"-I{HEADER.parent}", source, "-o", program], check=True)
    found = subprocess.run([program], check=True, capture_output=True, text=True).stdout.split()
    assert [int(number) for number in found] == expected


def test_the_step_report_is_unpacked_where_its_fields_are() -> None:
    raw = layout.StepReport(1, 2.0, 3.0, 4.0, 5.0, 6, 7)
    assert struct.calcsize(layout.STEP_REPORT) == ctypes.sizeof(raw)
    assert struct.unpack(layout.STEP_REPORT, bytes(raw)) == (1, 2.0, 3.0, 4.0, 5.0, 6, 7)


def test_every_struct_knows_its_size() -> None:
    for python in STRUCTS.values():
        assert python().struct_size == ctypes.sizeof(python)
