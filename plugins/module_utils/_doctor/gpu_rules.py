# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules for NVIDIA GPUs, on the Incus host and in an instance."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.anklume.stt.plugins.module_utils._doctor.rules import Evidence, Rule, objects, prints
from ansible_collections.anklume.stt.plugins.module_utils._doctor.snapshot import INCUS_HOST, Snapshot

JOURNALS = ("journal *", "hops", "refused *")
BROKEN = ("GPU-02", "GPU-05", "GPU-08", "GPU-10", "GPU-13", "INC-04", "INC-06", "SVC-02", "HOP-*")
"""What follows from a GPU that cannot be asked at all."""


def _wanted(snapshot: Snapshot, key: str) -> Iterator[dict[str, str]]:
    for one in objects(snapshot, "instances")[1]:
        if one[key]:
            yield one


def _no_card(snapshot: Snapshot) -> Iterator[Evidence]:
    said = snapshot.get("gpus")
    for one in _wanted(snapshot, "gpu"):
        if not said.skipped and not said.text.strip():
            line = f"no GPU, and {one['instance']} has a device of type gpu"
            yield Evidence(said.command, line, {}, one["host"])


def _no_tools(snapshot: Snapshot) -> Iterator[Evidence]:
    said = snapshot.get("nvidia_tools")
    for one in _wanted(snapshot, "nvidia_runtime"):
        if not said.skipped and not said.text.strip():
            line = f"not found, and {one['instance']} has nvidia.runtime"
            yield Evidence(said.command, line, {}, one["host"])


def _no_uvm(snapshot: Snapshot) -> Iterator[Evidence]:
    nodes, smi = snapshot.get("devices"), snapshot.get("nvidia-smi")
    if "/dev/nvidiactl" in nodes.text and "/dev/nvidia-uvm\n" not in f"{nodes.text}\n" and not smi.status:
        yield Evidence(nodes.command, f"{' '.join(nodes.text.split())}, and no /dev/nvidia-uvm")


def _does_not_fit(snapshot: Snapshot) -> Iterator[Evidence]:
    for name, said in snapshot.named("fit *"):
        if said.status and not said.skipped:
            yield Evidence(said.command, said.text, {}, name.partition(" ")[2])


RULES = (
    Rule(
        code="GPU-01",
        kind=INCUS_HOST,
        title="the instance asks for a GPU, and Incus sees none on this host",
        cause="There is none, its driver is not loaded, or a virtual machine does not get it. The instance does not"
        " start: `Failed to detect requested GPU device`.",
        fix=("lspci -nn | grep -i nvidia", "apt install nvidia-driver && reboot"),
        look=_no_card,
        hides=("GPU-02", "INC-04", "INC-06", "CFG-*", "HOP-*"),
    ),
    Rule(
        code="GPU-02",
        kind=INCUS_HOST,
        title="the NVIDIA container tools are not installed",
        cause="nvidia.runtime hands the driver's libraries to a container by nvidia-container-cli. Without it Incus"
        " says `The NVIDIA container tools couldn't be found`.",
        fix=("apt install libnvidia-container-tools",),
        look=_no_tools,
        hides=("INC-04", "INC-06", "GPU-08", "CFG-*", "HOP-*"),
    ),
    Rule(
        code="GPU-03",
        kind=INCUS_HOST,
        title="the NVIDIA driver in the kernel and its library have different versions",
        cause="The driver was updated while the older one was loaded.",
        fix=("reboot",),
        look=prints(r"(?i)driver/library version mismatch", "nvidia-smi"),
        hides=BROKEN,
    ),
    Rule(
        code="GPU-04",
        kind=INCUS_HOST,
        title="the NVIDIA driver is not loaded",
        cause="Secure Boot refuses a module that nobody has signed, nouveau holds the card, or the module was not built"
        " for this kernel. With Secure Boot, enrol the key that DKMS signs with.",
        fix=("modprobe nvidia", "mokutil --sb-state", "mokutil --import /var/lib/dkms/mok.pub"),
        look=prints(r"(?i)couldn't communicate with the NVIDIA driver", "nvidia-smi"),
        hides=("GPU-01", *BROKEN),
    ),
    Rule(
        code="GPU-05",
        kind=INCUS_HOST,
        title="nvidia-smi works, and programs cannot compute on the GPU",
        cause="/dev/nvidia-uvm is made when the first program on the host uses CUDA, and none has since the host"
        " started.",
        fix=("nvidia-modprobe -u -c=0",),
        look=_no_uvm,
        hides=("GPU-10", "GPU-13", "SVC-02", "HOP-*"),
    ),
    Rule(
        code="GPU-06",
        kind=INCUS_HOST,
        title="the GPU has a fault",
        cause="The driver reports an Xid: with 79 the card has fallen off the bus, by power, heat, the slot or a"
        " defect; others come from a program or from the memory of the card.",
        fix=("dmesg | grep -i xid", "reboot"),
        look=prints(r"NVRM: Xid|GPU is lost|fallen off the bus", "nvidia-smi", "kernel"),
        hides=("GPU-09", *BROKEN),
    ),
    Rule(
        code="GPU-09",
        kind=INCUS_HOST,
        title="nvidia-smi does not answer",
        cause="A program that is stuck in the driver cannot be ended; what asks the GPU waits too.",
        fix=("dmesg | grep -i -e xid -e nvrm", "reboot"),
        look=prints(r"did not end within", "nvidia-smi"),
        hides=BROKEN,
    ),
    Rule(
        code="GPU-07",
        title="the instance has lost its GPU while it ran",
        cause="A daemon-reload on the host takes the permission for the device away (NVML says `Unknown Error`).",
        fix=("incus restart {instance} --project {project}",),
        look=prints(r"NVML: Unknown Error", "nvidia-smi", *JOURNALS),
        hides=("GPU-10", "GPU-13", "SVC-02", "HOP-*", "CFG-05"),
    ),
    Rule(
        code="GPU-08",
        kind=INCUS_HOST,
        title="the instance does not start, as its GPU cannot be handed over",
        cause="The mount hook of nvidia.runtime has failed: mostly the driver is not loaded on the host, or a driver of"
        " another version than its tools is.",
        fix=("nvidia-container-cli -k -d /dev/stderr info",),
        look=prints(r"Failed to run mount hooks|nvidia-container-cli: .*", "log *", "plan refused"),
        hides=("INC-04", "INC-06", "CFG-*", "HOP-*"),
    ),
    Rule(
        code="GPU-10",
        title="the program finds no CUDA device",
        cause="The service was set for a GPU, or for float16, which is for GPUs, and the instance has none that it can"
        " use.",
        fix=("@ nvidia-smi", "make fit"),
        look=prints(
            r"(?i)no CUDA device found|sees no CUDA device|no CUDA-capable device|CUDA driver version is insufficient"
            r"|float16.*(?:not support|do not support)",
            *JOURNALS,
        ),
        hides=("SVC-02", "HOP-*", "CFG-05"),
    ),
    Rule(
        code="GPU-11",
        title="the GPU's memory is full",
        cause="The model, its working memory and other programs on the GPU need more than there is. What fits is told"
        " before an apply; a program that came later is not known there.",
        fix=("nvidia-smi", "make fit"),
        look=prints(
            r"(?i)CUDA (?:failed with error |error: )?out of memory|CUDA_ERROR_OUT_OF_MEMORY|cudaMalloc failed",
            *JOURNALS,
        ),
        hides=("SVC-02", "HOP-*", "CFG-05"),
    ),
    Rule(
        code="GPU-12",
        title="a library of CUDA is not found",
        cause="CTranslate2 needs cuBLAS 12 and cuDNN 9. The role installs them beside the engine; a release that was"
        " cut off, or a program of another place, lacks them.",
        fix=("make apply-stt",),
        look=prints(
            r"Library lib(?:cublas|cudnn)\S* is not found|lib(?:cublas|cudnn)\S*: cannot open shared object", *JOURNALS
        ),
        hides=("SVC-02", "HOP-*", "CFG-05"),
    ),
    Rule(
        code="GPU-13",
        title="the GPU does not work since the host slept",
        cause="After a suspend CUDA answers with error 999, until its module is loaded anew.",
        fix=("modprobe -r nvidia_uvm && modprobe nvidia_uvm",),
        look=prints(r"(?i)CUDA.*(?:\b999\b|unknown error)|cudaErrorUnknown", *JOURNALS),
        hides=("GPU-10", "SVC-02", "HOP-*", "CFG-05"),
    ),
    Rule(
        code="GPU-14",
        title="the GPU cannot compute in this type",
        cause="int8 fails on the newest cards (RTX 50) with a CTranslate2 that does not know them yet.",
        fix=("make fit",),
        look=prints(r"CUBLAS_STATUS_NOT_SUPPORTED", *JOURNALS),
        hides=("SVC-02", "HOP-*", "CFG-05"),
    ),
    Rule(
        code="GPU-15",
        kind=INCUS_HOST,
        preflight=True,
        title="the speech model does not fit the GPU",
        cause="The model, in its compute type and with what else is on the GPU, needs more memory than there is, or a"
        " type that this GPU cannot compute in. An apply is refused for the same reason.",
        fix=("make fit",),
        look=_does_not_fit,
    ),
)
