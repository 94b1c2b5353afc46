"""Template of an adapter (README.md beside it): a toy bigram model behind the protocol's model/1, with NumPy only."""
import json, os, sys
import numpy as np
frames = os.fdopen(os.dup(1), "wb")  # answers go here; what libraries print goes to stderr, which is the log
os.dup2(2, 1)
class Refused(Exception): pass  # the engine rejects the input by an error of its own
CODES = (((Refused, OSError), "refused"), (NotImplementedError, "unsupported"), ((KeyError, TypeError), "bad_request"))

class Model:  # replace this class by calls of your engine
    def __init__(self, folder):
        config = json.load(open(os.path.join(folder, "config.json")))
        config = config.get("text_config", config)
        self.vocab, self.context = config["vocab_size"], config["max_position_embeddings"]
        waves = np.outer(np.arange(self.vocab) + 1, np.arange(config["hidden_size"]) + 1)
        self.embedding, self.head = np.sin(waves), np.cos(waves)
    def hidden(self, ids):  # [S, d]
        if not all(type(i) is int for i in ids): raise TypeError("ids: expected integers")
        if not 1 <= len(ids) <= self.context or min(ids) < 0 or max(ids) >= self.vocab: raise Refused("wrong ids")
        return self.embedding[ids]
    def logits(self, ids): return self.hidden(ids) @ self.head.T  # [S, V]

def answer(request, op):  # the answer's head and tensors
    if op == "hello":
        return {"protocol": 1, "name": "example", "version": "1", "build": np.__version__, "environment": {},
                "extensions": ["core", "model/1"], "limits": {"storage": ["F32", "BF16", "F16"]}}, {}
    if op in ("ping", "bye") or (op == "cancel" and type(request["target"]) is int): return {}, {}
    if op == "load":
        models[name := f"model-{request['id']}"] = model = Model(request["path"])
        return {"model": name, "vocab": model.vocab, "context": model.context, "echo": {"dtype": "f32"},
                "paths": ["prompt", "readout", "session"]}, {}
    if op not in ("unload", "logits", "nll", "hidden"): raise NotImplementedError("there is no op " + op)
    model = models.pop(request["model"]) if op == "unload" else models[request["model"]]
    if op == "hidden": return {}, {"hidden": model.hidden(request["ids"])}
    if op == "nll":  # [S - 1]
        rows = model.logits(request["ids"])[:-1]
        return {}, {"nll": np.log(np.exp(rows).sum(-1)) - rows[np.arange(len(rows)), request["ids"][1:]]}
    positions, tensors, counters = [], {}, {}
    for i, sequence in enumerate(request["sequences"] if op == "logits" else []):
        rows = model.logits(sequence["ids"])
        prefill = sum(sequence.get("chunks", [len(rows)]))  # tokens of the calls for many; the others come one by one
        first = {"prompt": len(rows) - 1, "readout": 0, "session": prefill - 1}[request["path"]]
        positions, tensors[f"logits.{i}"] = positions + [[*range(first, len(rows))]], rows[first:]
        counters = {request["path"]: len(rows), "prefill": prefill, "step": len(rows) - prefill}
    return {"positions": positions, "counters": counters}, tensors

models, read = {}, sys.stdin.buffer.read
while len(header := read(16)) == 16:  # magic, sizes of head and payload
    request, _ = json.loads(read(int.from_bytes(header[4:8], "little"))), read(int.from_bytes(header[8:], "little"))
    try: head, tensors = answer(request, request["op"])
    except Exception as e:
        code = next((code for kinds, code in CODES if isinstance(e, kinds)), "internal")
        head, tensors = {"error": {"code": code, "message": str(e), "type": type(e).__name__}}, {}
    table, blob, head = {}, b"", json.dumps({"id": request["id"], "ok": "error" not in head, **head}).encode()
    for name, values in tensors.items():  # the payload is one safetensors blob
        table[name] = {"dtype": "F32", "shape": values.shape, "data_offsets": [len(blob), len(blob) + 4 * values.size]}
        blob += values.astype("<f4").tobytes()
    index = json.dumps(table).encode()
    payload = len(index).to_bytes(8, "little") + index + blob if table else b""
    frames.write(b"XCK1" + len(head).to_bytes(4, "little") + len(payload).to_bytes(8, "little") + head + payload)
    frames.flush()
