//! Extension `tokenizer/1`: the crate `tokenizers` on a `tokenizer.json`.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};
use tokenizers::Tokenizer;

use crate::{Failure, bad_request};

/// The tokenizers that were loaded, by the name that `load` gave them.
#[derive(Default)]
pub struct Tokenizers {
    loaded: HashMap<String, Tokenizer>,
    names: usize,
}

fn refused(what: &str, error: impl std::fmt::Display) -> Failure {
    Failure { code: "refused", message: format!("{what}: {error}"), kind: "tokenizers::Error" }
}

fn flag(head: &Value, key: &str) -> Result<bool, Failure> {
    match head.get(key) {
        None => Ok(false),
        Some(Value::Bool(value)) => Ok(*value),
        Some(_) => Err(bad_request(format!("\"{key}\": expected true or false"))),
    }
}

fn list<'a>(head: &'a Value, key: &str) -> Result<&'a Vec<Value>, Failure> {
    head.get(key).and_then(Value::as_array).ok_or_else(|| bad_request(format!("\"{key}\": expected a list")))
}

fn sequence(value: &Value) -> Result<Vec<u32>, Failure> {
    let wrong = || bad_request("\"ids\": expected a list of lists of token ids");
    let id = |id: &Value| id.as_u64().and_then(|id| u32::try_from(id).ok()).ok_or_else(wrong);
    value.as_array().ok_or_else(wrong)?.iter().map(id).collect()
}

impl Tokenizers {
    fn find(&mut self, head: &Value) -> Result<&mut Tokenizer, Failure> {
        let name = head.get("tokenizer").and_then(Value::as_str);
        let name = name.ok_or_else(|| bad_request("no string \"tokenizer\""))?;
        self.loaded.get_mut(name).ok_or_else(|| bad_request(format!("there is no tokenizer \"{name}\"")))
    }

    /// `{json: text}` or `{path}` of a `tokenizer.json`. Truncation and padding of the file are switched off: they are
    /// about batches, and every id counts here.
    pub fn load(&mut self, head: &Value) -> Result<Value, Failure> {
        let text = |key: &str| head.get(key).and_then(Value::as_str);
        let parsed = match (text("json"), text("path")) {
            (Some(json), None) => Tokenizer::from_bytes(json).map_err(|error| refused("tokenizer.json", error)),
            (None, Some(path)) => Tokenizer::from_file(path).map_err(|error| refused(path, error)),
            _ => Err(bad_request("expected the text \"json\" or the \"path\" of a tokenizer.json")),
        };
        let mut tokenizer = parsed?;
        tokenizer.with_truncation(None).map_err(|error| refused("truncation", error))?;
        tokenizer.with_padding(None);
        let largest = tokenizer.get_vocab(true).into_values().max();
        let added: BTreeMap<_, _> = tokenizer.get_added_tokens_decoder().into_iter().collect();
        let entry = |(id, token): (u32, tokenizers::AddedToken)| json!({"id": id, "content": token.content, "special": token.special});
        let added: Vec<Value> = added.into_iter().map(entry).collect();
        self.names += 1;
        let name = format!("tokenizer-{}", self.names);
        self.loaded.insert(name.clone(), tokenizer);
        Ok(json!({"tokenizer": name, "size": largest.map_or(0, |id| u64::from(id) + 1), "added": added}))
    }

    /// `special` says what a special string in a text is: `parsed`, its token, or `plain`, text like any other.
    /// `add_special_tokens`: those that the post-processor adds, such as a beginning-of-sequence token.
    pub fn encode(&mut self, head: &Value) -> Result<Value, Failure> {
        let tokenizer = self.find(head)?;
        let add = flag(head, "add_special_tokens")?;
        let plain = match head.get("special").and_then(Value::as_str) {
            Some("plain") => true,
            Some("parsed") => false,
            _ => return Err(bad_request("\"special\": expected \"plain\" or \"parsed\"")),
        };
        tokenizer.set_encode_special_tokens(plain);
        let mut ids = Vec::new();
        for (i, text) in list(head, "texts")?.iter().enumerate() {
            let text = text.as_str().ok_or_else(|| bad_request("\"texts\": expected texts"))?;
            let encoding = tokenizer.encode_fast(text, add).map_err(|error| refused(&format!("text {i}"), error))?;
            ids.push(json!(encoding.get_ids()));
        }
        Ok(json!({"ids": ids}))
    }

    /// Ids that the vocabulary lacks give no text, as in the crate.
    pub fn decode(&mut self, head: &Value) -> Result<Value, Failure> {
        let tokenizer = self.find(head)?;
        let skip = flag(head, "skip_special_tokens")?;
        let mut texts = Vec::new();
        for (i, ids) in list(head, "ids")?.iter().enumerate() {
            let text = tokenizer.decode(&sequence(ids)?, skip);
            texts.push(text.map_err(|error| refused(&format!("sequence {i}"), error))?);
        }
        Ok(json!({"texts": texts}))
    }
}
