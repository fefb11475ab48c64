"""Names of the precisions that the engine computes in. `engine/select.py` chooses among them."""

ALL_PRECISIONS = ("fp32", "tf32", "fp16", "bf16", "auto")
PRECISION_HELP = (
    "of the vocoder: fp32, tf32 (GPUs, and CPUs with AMX), fp16 (GPUs), bf16 (on CPUs, with AVX-512 BF16 or AMX), or "
    "auto: fp16 on GPUs, and on CPUs bf16 if a short measurement finds it faster, else fp32"
)
