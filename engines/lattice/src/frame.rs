//! Frames in and out (docs/engine_protocol.md): header, JSON head, safetensors payload.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use crate::fault::Fault;

const MAGIC: &[u8; 4] = b"XCK1";
const HEADER_BYTES: usize = 16;
const MAX_HEAD_BYTES: usize = 16 << 20;
const MAX_PAYLOAD_BYTES: usize = 64 << 20;

/// A named F32 tensor of an answer, row-major.
pub struct Tensor {
    pub name: String,
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

/// What an operation answers: the fields of the head beside `id` and `ok`, and the tensors.
pub struct Answer {
    pub head: Value,
    pub tensors: Vec<Tensor>,
}

impl Answer {
    pub fn head(head: Value) -> Self {
        Self { head, tensors: Vec::new() }
    }

    pub fn empty() -> Self {
        Self::head(json!({}))
    }
}

/// The head of a request frame and the size of its payload, after all sizes are checked.
pub fn decode(frame: &[u8]) -> Result<(Map<String, Value>, usize), Fault> {
    if frame.len() < HEADER_BYTES || &frame[..4] != MAGIC {
        return Err(Fault::bad_request("no frame: it does not begin with XCK1 and two sizes"));
    }
    let head_bytes = u32::from_le_bytes([frame[4], frame[5], frame[6], frame[7]]) as usize;
    let mut size = [0; 8];
    size.copy_from_slice(&frame[8..16]);
    let payload_bytes = usize::try_from(u64::from_le_bytes(size)).unwrap_or(usize::MAX);
    if head_bytes > MAX_HEAD_BYTES || payload_bytes > MAX_PAYLOAD_BYTES {
        return Err(Fault::bad_request(format!(
            "frame too large: head of {head_bytes} bytes, payload of {payload_bytes} bytes"
        )));
    }
    if frame.len() != HEADER_BYTES + head_bytes + payload_bytes {
        return Err(Fault::bad_request(format!(
            "truncated frame: {} bytes, announced {}",
            frame.len(),
            HEADER_BYTES + head_bytes + payload_bytes
        )));
    }
    match serde_json::from_slice(&frame[HEADER_BYTES..HEADER_BYTES + head_bytes]) {
        Ok(Value::Object(head)) => Ok((head, payload_bytes)),
        Ok(_) => Err(Fault::bad_request("the head is not a JSON object")),
        Err(error) => Err(Fault::bad_request(format!("the head is not JSON: {error}"))),
    }
}

/// The tensors of a request, by name.
pub struct Payload<'a> {
    header: Map<String, Value>,
    data: &'a [u8],
}

impl<'a> Payload<'a> {
    /// `bytes`: one safetensors blob, or nothing.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Fault> {
        if bytes.is_empty() {
            return Ok(Self { header: Map::new(), data: bytes });
        }
        let broken = || Fault::bad_request("the payload is no safetensors blob");
        let (length, rest) = bytes.split_first_chunk::<8>().ok_or_else(broken)?;
        let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| broken())?;
        let (header, data) = rest.split_at_checked(length).ok_or_else(broken)?;
        match serde_json::from_slice(header) {
            Ok(Value::Object(header)) => Ok(Self { header, data }),
            _ => Err(broken()),
        }
    }

    /// The values of an F32 tensor of one dimension; none when there is no tensor of this name.
    pub fn floats(&self, name: &str) -> Result<Option<Vec<f32>>, Fault> {
        let Some(entry) = self.header.get(name) else { return Ok(None) };
        let offset = |i: usize| entry["data_offsets"][i].as_u64().and_then(|at| usize::try_from(at).ok());
        let range = offset(0).zip(offset(1)).and_then(|(begin, end)| self.data.get(begin..end));
        let flat = entry["dtype"] == "F32" && entry["shape"].as_array().is_some_and(|shape| shape.len() == 1);
        match range {
            Some(range) if flat && range.len() % 4 == 0 => {
                let value = |bytes: &[u8]| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
                Ok(Some(range.chunks_exact(4).map(value).collect()))
            }
            _ => Err(Fault::bad_request(format!("the tensor \"{name}\" is not F32 [n]"))),
        }
    }
}

/// An encoded answer whose payload is still in the tensors: it is copied once, into the caller's memory.
pub struct Encoded {
    start: Vec<u8>,
    tensors: Vec<Tensor>,
    pub size: usize,
}

/// Encodes an answer or the reason why there is none; `id` is echoed.
pub fn encode(id: &Value, result: Result<Answer, Fault>) -> Encoded {
    match result.and_then(|answer| encode_answer(id, answer)) {
        Ok(encoded) => encoded,
        Err(fault) => {
            let error = json!({"code": fault.code, "message": fault.message, "type": fault.kind});
            assemble(&json!({"id": id, "ok": false, "error": error}), &[], Vec::new())
        }
    }
}

fn encode_answer(id: &Value, mut answer: Answer) -> Result<Encoded, Fault> {
    answer.head["id"] = id.clone();
    answer.head["ok"] = Value::Bool(true);
    let header = if answer.tensors.is_empty() { Vec::new() } else { safetensors_header(&answer.tensors) };
    let data: usize = answer.tensors.iter().map(|tensor| 4 * tensor.values.len()).sum();
    if header.len() + data > MAX_PAYLOAD_BYTES {
        return Err(Fault::unsupported(format!("the answer has {data} bytes, a frame holds {MAX_PAYLOAD_BYTES}")));
    }
    Ok(assemble(&answer.head, &header, answer.tensors))
}

fn assemble(head: &Value, payload_header: &[u8], tensors: Vec<Tensor>) -> Encoded {
    let head = head.to_string();
    let data: usize = tensors.iter().map(|tensor| 4 * tensor.values.len()).sum();
    let mut start = Vec::with_capacity(HEADER_BYTES + head.len() + payload_header.len());
    start.extend_from_slice(MAGIC);
    start.extend_from_slice(&(head.len() as u32).to_le_bytes());
    start.extend_from_slice(&((payload_header.len() + data) as u64).to_le_bytes());
    start.extend_from_slice(head.as_bytes());
    start.extend_from_slice(payload_header);
    let size = start.len() + data;
    Encoded { start, tensors, size }
}

/// Length, then JSON padded with spaces to 8 bytes. Tensor names are ours and need no escapes.
fn safetensors_header(tensors: &[Tensor]) -> Vec<u8> {
    let mut json = String::from("{");
    let mut offset = 0;
    for tensor in tensors {
        let end = offset + 4 * tensor.values.len();
        let comma = if offset == 0 && json.len() == 1 { "" } else { "," };
        // Writing to a String cannot fail.
        let _ = write!(
            json,
            r#"{comma}"{}":{{"dtype":"F32","shape":{:?},"data_offsets":[{offset},{end}]}}"#,
            tensor.name, tensor.shape
        );
        offset = end;
    }
    json.push('}');
    while json.len() % 8 != 0 {
        json.push(' ');
    }
    let mut header = (json.len() as u64).to_le_bytes().to_vec();
    header.extend_from_slice(json.as_bytes());
    header
}

impl Encoded {
    /// Writes the frame; `out` has exactly `size` bytes.
    pub fn write_to(&self, out: &mut [u8]) {
        let (start, mut rest) = out.split_at_mut(self.start.len());
        start.copy_from_slice(&self.start);
        for tensor in &self.tensors {
            let (bytes, after) = rest.split_at_mut(4 * tensor.values.len());
            for (target, value) in bytes.chunks_exact_mut(4).zip(&tensor.values) {
                target.copy_from_slice(&value.to_le_bytes());
            }
            rest = after;
        }
    }
}
