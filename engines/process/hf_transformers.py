"""Hugging Face Transformers behind the protocol: the model that others reimplement (README.md beside this file).

usage: python3 hf_transformers.py [f32|f64|bf16|f16]

f64 widens what the modelling code computes in float32 (norms, softmax, RoPE, the delta rule) as well, so that
its answers are exact to float64; the other types are what a user gets from from_pretrained(dtype=...).
"""
import contextlib, importlib.util, json, os, sys, types
frames = os.fdopen(os.dup(1), "wb")  # answers go here; what libraries print goes to stderr, which is the log
os.dup2(2, 1)
os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
try:
    import torch, transformers
    from transformers import AutoConfig, AutoModelForCausalLM, DynamicCache
except ImportError as e:
    sys.exit(f"hf_transformers.py: {e}; ci/test-hf installs what it needs, CROSSCHECK_PYTHON names the Python that has it")

DTYPES = {"f32": torch.float32, "f64": torch.float64, "bf16": torch.bfloat16, "f16": torch.float16}
DEFAULT = sys.argv[1] if len(sys.argv) > 1 else "f32"
STAGES = {  # stage: module of a layer, and whether its output (1) or its input (0) is meant
    "mixer_in": ("input_layernorm", 1), "mlp_in": ("post_attention_layernorm", 1), "mlp_out": ("mlp", 1),
    "attn.q_proj_out": ("self_attn.q_proj", 1), "attn.k_proj_out": ("self_attn.k_proj", 1),
    "attn.v": ("self_attn.v_proj", 1), "attn.q_normed": ("self_attn.q_norm", 1),
    "attn.k_normed": ("self_attn.k_norm", 1), "attn.gated": ("self_attn.o_proj", 0),
    "gdn.u": ("linear_attn.in_proj_qkv", 1), "gdn.z": ("linear_attn.in_proj_z", 1),
    "gdn.b": ("linear_attn.in_proj_b", 1), "gdn.a": ("linear_attn.in_proj_a", 1), "gdn.o": ("linear_attn.norm", 0),
    "gdn.normed": ("linear_attn.out_proj", 0), "mixer_out": ("self_attn|linear_attn", 1),
    "mlp.gate": ("mlp.gate_proj", 1), "mlp.up": ("mlp.up_proj", 1), "mlp.activated": ("mlp.down_proj", 0),
    "layer_out": ("", 1)}
OUTSIDE = {"embedding": "embed_tokens", "final_norm": "norm"}

class Refused(Exception): pass  # the engine rejects the input by an error of its own
CODES = ((Refused, "refused"), (NotImplementedError, "unsupported"), ((KeyError, TypeError), "bad_request"))

class Wide(types.ModuleType):  # torch, as modelling code sees it, with float64 in the place of float32
    def __getattr__(self, name): return torch.float64 if name in ("float32", "float") else getattr(torch, name)

def widen(architecture):
    torch.Tensor.float = torch.Tensor.double
    for name in (getattr(transformers, architecture).__module__, "transformers.modeling_rope_utils"):
        sys.modules[name].torch = Wide("torch")

def first(value): return value[0] if isinstance(value, (tuple, list)) else value
class Model:
    def __init__(self, path, options):
        self.dtype = options.get("dtype", DEFAULT)
        if options.get("format", "f32") != "f32" or self.dtype != DEFAULT:
            raise NotImplementedError(f"format {options.get('format')}, dtype {self.dtype} in a program started for {DEFAULT}")
        self.threads = int(options.get("threads", os.environ.get("OMP_NUM_THREADS", os.cpu_count())))
        torch.set_num_threads(self.threads)
        torch.use_deterministic_algorithms(True)
        try:
            config = AutoConfig.from_pretrained(path)
            architecture = transformers.models.auto.modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[config.model_type]
            if self.dtype == "f64": widen(architecture)
            self.lm, info = AutoModelForCausalLM.from_pretrained(
                path, dtype=DTYPES[self.dtype], attn_implementation="eager",
                experts_implementation="eager", output_loading_info=True)
            if lacking := sorted(info["missing_keys"]): raise Refused(f"the files lack {lacking[:5]}")
            self.peft = None
            if options.get("adapter"):
                from peft import PeftModel
                self.peft = PeftModel.from_pretrained(self.lm, options["adapter"], torch_dtype=DTYPES[self.dtype])
        except Exception as e: raise Refused(f"{type(e).__name__}: {e}") from e
        self.lm.to(DTYPES[self.dtype]).eval()
        self.base, self.config = self.lm.model, self.lm.config
        self.vocab, self.context = self.config.vocab_size, self.config.max_position_embeddings
        eos = self.config.eos_token_id  # of config.json: a checkpoint's GenerationConfig does not count
        self.eos = set(eos if isinstance(eos, list) else [] if eos is None else [eos])
        self.loras = sum(hasattr(module, "lora_A") for module in self.lm.modules())
    def echo(self):
        kept = {name: str(p.dtype) for name, p in self.lm.named_parameters() if p.dtype != DTYPES[self.dtype]}
        return {"dtype": self.dtype, "threads": self.threads, "attention": "eager", "adapter": self.peft is not None,
                "arithmetic": "float64 throughout, the modelling code's float32 widened" if self.dtype == "f64"
                else "as from_pretrained", "other_dtypes": kept, "fla": installed("fla"),
                "causal_conv1d": installed("causal_conv1d")}
    def check(self, ids, further=0):
        if not isinstance(ids, list) or not all(type(i) is int for i in ids): raise TypeError("ids: expected integers")
        if not ids or len(ids) + further > self.context:
            raise Refused(f"{len(ids)} tokens and {further} more; from 1 to {self.context} in all")
        if min(ids) < 0 or max(ids) >= self.vocab: raise Refused(f"an id is outside the vocabulary of {self.vocab}")
    def adapted(self, request):  # the context in which a request is answered
        off = self.peft is not None and request.get("adapter", True) is False
        self.active, self.passes = self.loras and not off, 0
        return self.peft.disable_adapter() if off else contextlib.nullcontext()
    def rows(self, ids, cache=None, keep=0):  # logits [rows, V] of the last `keep` positions, 0: all
        self.passes += 1
        return self.lm(torch.tensor([ids]), past_key_values=cache, use_cache=cache is not None, logits_to_keep=keep).logits[0]
    def counters(self, **counts): return counts | ({"adapter": self.loras * self.passes} if self.active else {})
    def logits(self, sequence, path):  # first answered position, logits, counters
        ids = sequence["ids"]
        self.check(ids)
        if "mask" in sequence and not all(sequence["mask"]): raise NotImplementedError("masks")
        if path == "readout": return 0, self.rows(ids), self.counters(readout=len(ids))
        if path == "prompt": return len(ids) - 1, self.rows(ids, keep=1), self.counters(prompt=len(ids))
        if path != "session": raise NotImplementedError(f"path {path}")
        chunks, cache, at, answers = sequence.get("chunks", [len(ids)]), DynamicCache(config=self.config), 0, []
        for chunk in chunks:
            answers = [self.rows(ids[at:at + chunk], cache, keep=1)]
            at += chunk
        answers += [self.rows([token], cache, keep=1) for token in ids[at:]]
        return at - 1, torch.cat(answers), self.counters(prefill=at, step=len(ids) - at)
    def generate(self, request):
        ids, sampling, most = request["ids"], request["sampling"], request["max_tokens"]
        self.check(ids, most)
        neutral = {"top_k": 0, "top_p": 1, "min_p": 0, "repetition_penalty": 1, "frequency_penalty": 0, "presence_penalty": 0}
        for name, value in neutral.items():
            if sampling.get(name, value) != value: raise NotImplementedError(f"{name} {sampling[name]}")
        temperature, random = sampling.get("temperature", 0), torch.Generator().manual_seed(sampling.get("seed", 0) % 2**63)
        cache, chosen, logprobs, stop, following = DynamicCache(config=self.config), [], [], "length", ids
        while len(chosen) < most:
            scores = self.rows(following, cache, keep=1)[0].double() / (temperature or 1)
            token = int(torch.multinomial(scores.softmax(-1), 1, generator=random) if temperature else scores.argmax())
            if token in self.eos or token in request.get("stop", []):
                stop = "eos" if token in self.eos else "stop"
                break
            chosen, following = chosen + [token], [token]
            logprobs.append(scores.log_softmax(-1)[token])
        tensors = {"logprobs": torch.tensor(logprobs, dtype=torch.float64)} if request.get("logprobs") else {}
        counters = self.counters(prefill=len(ids), step=max(len(chosen) - 1, 0), generated=len(chosen))
        return {"ids": chosen, "stop": stop, "order": "huggingface", "counters": counters}, tensors
    def taps(self, ids, wanted):
        self.check(ids)
        found, hooks = {}, []
        def tap(module, name, output):
            def keep(_, inputs, result): found[name] = first(result if output else inputs).detach().clone()
            hooks.append(module.register_forward_hook(keep))
        for i, layer in enumerate(self.base.layers):
            modules = dict(layer.named_modules())
            for stage, (path, output) in STAGES.items():
                for module in (modules[p] for p in path.split("|") if p in modules and stage in wanted):
                    tap(module, f"L{i:02}.{stage}", output)
        for stage in wanted & OUTSIDE.keys(): tap(getattr(self.base, OUTSIDE[stage]), stage, 1)
        try: logits = self.rows(ids, keep=1)
        finally: [hook.remove() for hook in hooks]
        for name, value in found.items():  # [S, ...], of heads [S, heads, D], v [heads, S, D] as the goldens have it
            if name.endswith("gdn.o"): value = value.reshape(len(ids), -1, value.shape[-1])
            elif name.endswith("attn.v"): value = value[0].unflatten(-1, (self.config.num_key_value_heads, -1)).transpose(0, 1)
            else: value = value.reshape(len(ids), *value.shape[-2:] if "_normed" in name else value.shape[-1:])
            found[name] = value
        return found | ({"logits": logits} if "logits" in wanted else {})

def installed(name): return importlib.util.find_spec(name) is not None

def hello():
    limits = {"masks": False, "batched": False, "chunked_prefill": True, "logit_bias": False, "min_p": False,
              "sampler_history": False, "stream": False, "storage": ["F32", "BF16", "F16"],
              "families": ["qwen3_5", "llama", "qwen3_5_moe"], "taps": [*STAGES, *OUTSIDE, "logits"]}
    versions = {name: sys.modules[name].__version__ for name in ("torch", "transformers")}
    return {"protocol": 1, "name": "hf", "version": transformers.__version__, "build": f"torch {torch.__version__}",
            "extensions": ["core", "model/1", "generate/1", "lora/1"], "limits": limits,
            "environment": versions | {"blas": torch.__config__.parallel_info().split("\n")[0], "peft": installed("peft")}}

def answer(request, op):  # the answer's head and tensors
    if op == "hello": return hello(), {}
    if op in ("ping", "bye") or (op == "cancel" and type(request["target"]) is int): return {}, {}
    if op == "load":
        models[name := f"model-{request['id']}"] = model = Model(request["path"], request.get("options", {}))
        return {"model": name, "vocab": model.vocab, "context": model.context, "echo": model.echo(),
                "paths": ["prompt", "readout", "session"]}, {}
    if op not in ("unload", "logits", "nll", "hidden", "taps", "generate"): raise NotImplementedError("there is no op " + op)
    model = models.pop(request["model"]) if op == "unload" else models[request["model"]]
    if op == "unload": return {}, {}
    with torch.inference_mode(), model.adapted(request):
        if op == "generate": return model.generate(request)
        if op in ("taps", "hidden"):
            wanted = request.get("stages", [*STAGES, *OUTSIDE, "logits"]) if op == "taps" else ["final_norm"]
            tensors = model.taps(request["ids"], set(wanted))
            return {"counters": model.counters()}, tensors if op == "taps" else {"hidden": tensors["final_norm"]}
        if op == "nll":
            model.check(request["ids"])
            rows = model.rows(request["ids"])[:-1].double().log_softmax(-1)
            return {"counters": model.counters()}, {"nll": -rows[range(len(rows)), request["ids"][1:]]}
        if request.get("batched"): raise NotImplementedError("batched")
        positions, tensors, total = [], {}, {}
        for i, sequence in enumerate(request["sequences"]):
            begin, rows, counters = model.logits(sequence, request["path"])
            positions, tensors[f"logits.{i}"] = positions + [[*range(begin, begin + len(rows))]], rows
            total = {k: total.get(k, 0) + v for k, v in counters.items()}
        return {"positions": positions, "counters": total}, tensors

models, read = {}, sys.stdin.buffer.read
while len(header := read(16)) == 16:  # magic, sizes of head and payload
    request, _ = json.loads(read(int.from_bytes(header[4:8], "little"))), read(int.from_bytes(header[8:], "little"))
    try: head, tensors = answer(request, request["op"])
    except Exception as e:
        code = next((code for kinds, code in CODES if isinstance(e, kinds)), "internal")
        head, tensors = {"error": {"code": code, "message": str(e), "type": type(e).__name__}}, {}
    table, blob, head = {}, b"", json.dumps({"id": request["id"], "ok": "error" not in head, **head}).encode()
    for name, value in tensors.items():  # the payload is one safetensors blob; bf16 and f16 are exact in F32
        dtype = "F64" if value.dtype == torch.float64 else "F32"
        values = value.detach().to(DTYPES[dtype.lower()]).contiguous()
        data = values.numpy().tobytes()
        table[name] = {"dtype": dtype, "shape": list(values.shape), "data_offsets": [len(blob), len(blob) + len(data)]}
        blob += data
    index = json.dumps(table).encode()
    payload = len(index).to_bytes(8, "little") + index + blob if table else b""
    frames.write(b"XCK1" + len(head).to_bytes(4, "little") + len(payload).to_bytes(8, "little") + head + payload)
    frames.flush()
    if request["op"] == "bye": break
