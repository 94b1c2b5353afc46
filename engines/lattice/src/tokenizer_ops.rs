//! Extension `tokenizer/1`: the engine's own byte-level BPE on a `tokenizer.json`.

use std::collections::BTreeMap;

use lattice_inference::tokenizer::Tokenizer;
use lattice_inference::tokenizer::bpe::BpeTokenizer;
use serde_json::{Value, json};

use crate::fault::Fault;
use crate::frame::Answer;
use crate::request::{self, Fields};

/// Far beyond every text: the engine cuts what is longer.
const LONGEST: usize = 1 << 26;

struct Loaded {
    tokenizer: BpeTokenizer,
    /// Strings that the engine always takes as their tokens.
    parsed: Vec<String>,
    /// The engine puts a token of its own beside those of every text.
    adds: bool,
}

/// The tokenizers that were loaded, by the name that `load_tokenizer` gave them.
#[derive(Default)]
pub struct Tokenizers {
    loaded: BTreeMap<String, Loaded>,
}

impl Tokenizers {
    fn find(&self, fields: &Fields) -> Result<&Loaded, Fault> {
        let name = request::text(fields, "tokenizer")?;
        self.loaded.get(name).ok_or_else(|| Fault::bad_request(format!("there is no tokenizer {name}")))
    }

    pub fn load(&mut self, fields: &Fields) -> Result<Answer, Fault> {
        let json = match (fields.get("json"), fields.get("path")) {
            (Some(_), None) => request::text(fields, "json")?.to_string(),
            (None, Some(_)) => {
                let path = request::text(fields, "path")?;
                std::fs::read_to_string(path)
                    .map_err(|error| Fault::refused(format!("{path}: {error}"), "io::Error"))?
            }
            _ => return Err(Fault::bad_request("expected the text \"json\" or the \"path\" of a tokenizer.json")),
        };
        let tokenizer = BpeTokenizer::from_tokenizer_json_str(&json)?.with_max_seq_len(LONGEST);
        let added = added_tokens(&json);
        let ids = added.iter().filter_map(|token| token["id"].as_u64()).map(|id| id + 1);
        let size = ids.chain([tokenizer.vocab_size() as u64]).max();
        let parsed = added.iter().filter_map(|token| token["content"].as_str()).map(str::to_string).collect();
        let adds = !encode(&tokenizer, "").is_empty();
        let name = format!("tokenizer-{}", self.loaded.len() + 1);
        self.loaded.insert(name.clone(), Loaded { tokenizer, parsed, adds });
        Ok(Answer::head(json!({"tokenizer": name, "size": size, "added": added})))
    }

    pub fn encode(&self, fields: &Fields) -> Result<Answer, Fault> {
        let Loaded { tokenizer, parsed, adds } = self.find(fields)?;
        let plain = match request::text(fields, "special")? {
            "plain" => true,
            "parsed" => false,
            _ => return Err(Fault::bad_request("\"special\" is neither \"plain\" nor \"parsed\"")),
        };
        if *adds && !request::flag(fields, "add_special_tokens")? {
            return Err(Fault::unsupported("the engine adds a token to every text"));
        }
        let mut ids = Vec::new();
        for text in request::array(fields, "texts")? {
            let text = text.as_str().ok_or_else(|| Fault::bad_request("\"texts\" holds no text"))?;
            if plain && parsed.iter().any(|token| text.contains(token)) {
                return Err(Fault::unsupported("special strings as text: the engine takes them as their tokens"));
            }
            ids.push(encode(tokenizer, text));
        }
        Ok(Answer::head(json!({"ids": ids})))
    }

    pub fn decode(&self, fields: &Fields) -> Result<Answer, Fault> {
        let tokenizer = &self.find(fields)?.tokenizer;
        if request::flag(fields, "skip_special_tokens")? {
            return Err(Fault::unsupported("\"skip_special_tokens\""));
        }
        let mut texts = Vec::new();
        for sequence in request::array(fields, "ids")? {
            let ids: Option<Vec<u32>> = sequence.as_array().and_then(|ids| ids.iter().map(as_id).collect());
            let ids = ids.ok_or_else(|| Fault::bad_request("\"ids\" holds no list of token ids"))?;
            texts.push(tokenizer.decode(&ids).ok_or_else(|| Fault::unsupported("this tokenizer decodes nothing"))?);
        }
        Ok(Answer::head(json!({"texts": texts})))
    }
}

fn as_id(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|id| u32::try_from(id).ok())
}

/// A batch of one text is padded to its own length only.
fn encode(tokenizer: &BpeTokenizer, text: &str) -> Vec<u32> {
    let mut batch = tokenizer.tokenize_batch(&[text]);
    batch.pop().map_or_else(Vec::new, |tokens| tokens.input_ids[..tokens.real_length].to_vec())
}

/// `{id, content, special}` of each added token of the file, which the engine has accepted.
fn added_tokens(json: &str) -> Vec<Value> {
    let file: Value = serde_json::from_str(json).unwrap_or_default();
    let tokens = file["added_tokens"].as_array().cloned().unwrap_or_default();
    let entry = |token: Value| json!({"id": token["id"], "content": token["content"], "special": token["special"]});
    tokens.into_iter().map(entry).collect()
}
