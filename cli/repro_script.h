// The script that `crosscheck export` puts into its folder.
#ifndef CROSSCHECK_CLI_REPRO_SCRIPT_H_
#define CROSSCHECK_CLI_REPRO_SCRIPT_H_

#include <string_view>

namespace crosscheck {

inline constexpr std::string_view kReproScript =
    R"py("""usage: repro.py [MINE.safetensors] [--transformers]

Shows what the model in this folder must answer (p<i>.logits_f64: the exact logits in float64, [positions, vocabulary]).
With MINE.safetensors, which holds your engine's p<i>.logits [positions or fewer last ones, vocabulary], compares.
With --transformers, compares Hugging Face Transformers in float32. Needs NumPy; exit status 2 when something differs.
"""
import json, os, sys
import numpy as np

FOLDER = os.path.dirname(os.path.abspath(__file__))
DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8"}


def read_safetensors(path):
    blob = open(path, "rb").read()
    begin = 8 + int.from_bytes(blob[:8], "little")
    tensors = {}
    for name, info in json.loads(blob[8:begin]).items():
        if name != "__metadata__":
            first, last = info["data_offsets"]
            tensors[name] = np.frombuffer(blob[begin + first:begin + last], DTYPES[info["dtype"]]).reshape(info["shape"])
    return tensors


def transformers_logits(prompts):
    import torch, transformers
    model = transformers.AutoModelForCausalLM.from_pretrained(FOLDER, dtype=torch.float32).eval()
    with torch.no_grad():
        return {f"p{i}.logits": model(torch.tensor([ids])).logits[0].double().numpy() for i, ids in enumerate(prompts)}


expected = read_safetensors(os.path.join(FOLDER, "expected.safetensors"))
prompts = []
while f"p{len(prompts)}.input_ids" in expected:
    prompts.append(expected[f"p{len(prompts)}.input_ids"].tolist())
files = [argument for argument in sys.argv[1:] if not argument.startswith("--")]
mine = transformers_logits(prompts) if "--transformers" in sys.argv else read_safetensors(files[0]) if files else {}
# What correct float32 implementations are off by; an engine may be off by four times as much.
GOLDEN = json.load(open(os.path.join(FOLDER, "golden.json")))
fp32, wrong = GOLDEN["errors"]["logits_f32_vs_f64"], 0
for i, ids in enumerate(prompts):
    logits = expected[f"p{i}.logits_f64"]
    print(f"p{i}: ids {ids}")
    print(f"    exact: next token {logits[-1].argmax()}, logit {logits[-1].max():.9g}; float32 is off by {fp32:.3g}")
    if f"p{i}.greedy_ids" in expected:
        greedy = expected[f"p{i}.greedy_ids"].tolist()
        assert greedy[0] == logits[-1].argmax()
        print(f"    exact: greedy continuation {greedy}")
    if f"p{i}.logits" in mine:
        rows = np.asarray(mine[f"p{i}.logits"], np.float64).reshape(-1, logits.shape[1])
        error = np.abs(rows - logits[-len(rows):])
        at = np.unravel_index(error.argmax(), error.shape)
        differs = not error.max() <= 4 * fp32
        wrong += differs
        print(f"    yours: {'WRONG' if differs else 'agrees'}, largest error {error.max():.3g} at position "
              f"{len(logits) - len(rows) + at[0]}, token {at[1]}")
if not prompts:  # the case is about requests that an engine must refuse, or about an order of calls
    print("no legal prompt; the requests to the engine:", *map(json.dumps, GOLDEN["requests"]), sep="\n    ")
sys.exit(2 if wrong else 0)
)py";

}  // namespace crosscheck

#endif  // CROSSCHECK_CLI_REPRO_SCRIPT_H_
