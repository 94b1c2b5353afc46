//! The models of one engine and the operations on them.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use lattice_inference::model::Qwen35Model;
use serde_json::{Value, json};

use crate::adapter::Adapter;
use crate::ernie::Ernie;
use crate::fault::{Fault, guard};
use crate::formats::Served;
use crate::frame::{self, Answer, Payload};
use crate::request::{self, Fields};
use crate::sessions::{self, Owner};
use crate::tokenizer_ops::Tokenizers;
use crate::{generate, hello, logits, probe, sampler};

/// A loaded model by the engine's own kind, each with its operations.
enum Kind {
    Qwen35(Loaded),
    Ernie(Ernie),
}

pub struct Engine {
    models: BTreeMap<String, Kind>,
    next_model: u64,
    tokenizers: Tokenizers,
}

/// A loaded model. Decoder sessions borrow their owner mutably, so the owner is what is kept.
pub struct Loaded {
    decoder: Option<Owner>,
    #[cfg(has_sessions)]
    pub copies: sessions::Copies,
    /// The weights in another format, which then answer instead of the f32 model.
    pub served: Option<Served>,
    adapter: Option<Adapter>,
    /// Whether the model uses its adapter now; the engine has one place for a hook.
    pub adapter_installed: bool,
}

impl Loaded {
    fn load(path: &str, format: Option<&str>, adapter: Option<&str>) -> Result<Self, Fault> {
        let adapter = adapter.map(|folder| Adapter::read(Path::new(folder))).transpose()?;
        if adapter.is_some() && !matches!(format, None | Some("f32")) {
            return Err(Fault::unsupported("an adapter on weights of another format"));
        }
        let mut model = Qwen35Model::from_safetensors(Path::new(path))?;
        if let Some(adapter) = &adapter {
            adapter.install(&mut model)?;
        }
        let served = Served::load(&model, Path::new(path), format)?;
        let adapter_installed = adapter.is_some();
        let decoder = Some(Owner::new(model));
        Ok(Self {
            decoder,
            #[cfg(has_sessions)]
            copies: sessions::Copies::new(path),
            served,
            adapter,
            adapter_installed,
        })
    }

    /// Installs the adapter for a request that uses it, and removes it for one that says `"adapter": false`.
    fn prepare_adapter(&mut self, fields: &Fields) -> Result<(), Fault> {
        let Some(adapter) = self.adapter.clone() else { return Ok(()) };
        let wanted = match request::optional(fields, "adapter") {
            None => true,
            Some(value) => value.as_bool().ok_or_else(|| Fault::bad_request("\"adapter\" is not true or false"))?,
        };
        adapter.take_applied();
        if wanted != self.adapter_installed {
            self.with_model(|model| if wanted { adapter.install(model) } else { Adapter::remove(model) })?;
            self.adapter_installed = wanted;
        }
        Ok(())
    }

    /// Says in the counters of an answer how many rows the adapter changed.
    fn count_adapter(&self, answer: &mut Answer) {
        if let (Some(adapter), true) = (&self.adapter, answer.head["counters"].is_object()) {
            answer.head["counters"]["adapter"] = Value::from(adapter.take_applied());
        }
    }

    /// The f32 decoder; a model that is served in another format has none.
    pub fn decoder(&mut self) -> Result<&mut Owner, Fault> {
        self.refuse_other_format()?;
        self.decoder.as_mut().ok_or_else(|| Fault::internal("the model was lost in an earlier panic"))
    }

    /// The f32 model; a model that is served in another format has none.
    pub fn model(&self) -> Result<&Qwen35Model, Fault> {
        self.refuse_other_format()?;
        self.stored_model()
    }

    fn refuse_other_format(&self) -> Result<(), Fault> {
        match &self.served {
            Some(served) => Err(Fault::unsupported(format!("this operation on {} weights", served.format()))),
            None => Ok(()),
        }
    }

    /// The model as its checkpoint has it, in whatever format it is served.
    pub fn stored_model(&self) -> Result<&Qwen35Model, Fault> {
        let decoder = self.decoder.as_ref();
        decoder.map(Owner::model).ok_or_else(|| Fault::internal("the model was lost in an earlier panic"))
    }

    /// Runs `body` on the model by itself, outside the decoder, which gives no mutable access to it. The model survives
    /// a panic of `body`.
    pub fn with_model<T>(&mut self, body: impl FnOnce(&mut Qwen35Model) -> Result<T, Fault>) -> Result<T, Fault> {
        self.decoder()?;
        let Some(decoder) = self.decoder.take() else { unreachable!("checked in the line above") };
        let mut model = decoder.into_model();
        let result = guard(|| body(&mut model));
        self.decoder = Some(Owner::new(model));
        result
    }
}

impl Engine {
    /// `options` is a JSON object or empty. A `variant` is refused, for there is none; other fields are ignored, as in
    /// messages.
    pub fn open(options: &[u8]) -> Result<Self, Fault> {
        if !options.is_empty() {
            let Ok(Value::Object(options)) = serde_json::from_slice(options) else {
                return Err(Fault::bad_request("the options of the engine are not a JSON object"));
            };
            if let Some(variant) = request::optional(&options, "variant") {
                return Err(Fault::unsupported(format!("the engine lattice has no variant {variant}")));
            }
        }
        Ok(Self { models: BTreeMap::new(), next_model: 1, tokenizers: Tokenizers::default() })
    }

    /// The answer to one request frame. `id` receives the request's id as soon as it is known.
    pub fn answer(&mut self, frame: &[u8], id: &mut Value) -> Result<Answer, Fault> {
        let (fields, payload_bytes) = frame::decode(frame)?;
        *id = Value::from(request::unsigned(&fields, "id")?);
        let start = Instant::now();
        let op = request::text(&fields, "op")?;
        if let Ok(loaded) = self.loaded(&fields) {
            loaded.prepare_adapter(&fields)?;
        }
        let mut answer = match op {
            _ if op != "unload"
                && let Some(ernie) = self.ernie(&fields) =>
            {
                ernie.answer(op, &fields)
            }
            "hello" => hello::answer(&fields),
            "ping" | "bye" => Ok(Answer::empty()),
            // One request runs at a time, so there is nothing to cancel.
            "cancel" => request::unsigned(&fields, "target").map(|_| Answer::empty()),
            "load" => self.load(&fields, payload_bytes),
            "unload" => self.unload(&fields),
            "load_tokenizer" => self.tokenizers.load(&fields),
            "encode" => self.tokenizers.encode(&fields),
            "decode" => self.tokenizers.decode(&fields),
            "logits" => logits::answer(self.loaded(&fields)?, &fields),
            "nll" => probe::nll(self.loaded(&fields)?, &fields),
            "hidden" => probe::hidden(self.loaded(&fields)?, &fields),
            "taps" => probe::taps(self.loaded(&fields)?, &fields),
            "program" => sessions::program(self.loaded(&fields)?, &fields),
            "generate" => generate::answer(self.loaded(&fields)?, &fields),
            "draw" => sampler::draw(&fields, &Payload::parse(&frame[frame.len() - payload_bytes..])?),
            "invert" => sampler::invert(&fields, &Payload::parse(&frame[frame.len() - payload_bytes..])?),
            other => Err(Fault::unsupported(format!("unknown op \"{other}\""))),
        }?;
        if let Ok(loaded) = self.loaded(&fields) {
            loaded.count_adapter(&mut answer);
        }
        // A fuzzing engine would see the digits of the time: the same input shall take the same branches.
        let seconds = if cfg!(coverage_counters) { 0.0 } else { start.elapsed().as_secs_f64() };
        answer.head["seconds"] = Value::from(seconds);
        Ok(answer)
    }

    /// The Qwen3.5 model of the request.
    fn loaded(&mut self, fields: &Fields) -> Result<&mut Loaded, Fault> {
        let handle = request::text(fields, "model")?;
        match self.models.get_mut(handle) {
            Some(Kind::Qwen35(loaded)) => Ok(loaded),
            Some(Kind::Ernie(_)) => Err(Fault::unsupported("the engine's ERNIE model has no such operation")),
            None => Err(Fault::bad_request(format!("no model {handle} is loaded"))),
        }
    }

    /// The ERNIE model of the request, if it names one.
    fn ernie(&self, fields: &Fields) -> Option<&Ernie> {
        match self.models.get(fields.get("model")?.as_str()?)? {
            Kind::Ernie(ernie) => Some(ernie),
            Kind::Qwen35(_) => None,
        }
    }

    fn load(&mut self, fields: &Fields, payload_bytes: usize) -> Result<Answer, Fault> {
        if fields.contains_key("config") || payload_bytes > 0 {
            return Err(Fault::unsupported("lattice loads a folder of files only: give \"path\""));
        }
        check_load_options(fields)?;
        let path = request::text(fields, "path")?;
        let format = load_option(fields, "format")?;
        let adapter = load_option(fields, "adapter")?;
        let (kind, vocab, context, eos) = match read_config(Path::new(path)) {
            Some(config) if Ernie::serves(&config) => {
                if adapter.is_some() || !matches!(format, None | Some("f32")) {
                    return Err(Fault::unsupported("adapters and weight formats of the engine's ERNIE model"));
                }
                let ernie = Ernie::load(Path::new(path), &config)?;
                let (vocab, context, eos) = (ernie.vocab(), ernie.context(), json!(ernie.eos()));
                (Kind::Ernie(ernie), vocab, context, eos)
            }
            _ => {
                let loaded = Loaded::load(path, format, adapter)?;
                let model = loaded.stored_model()?;
                let config = model.config();
                let (vocab, context, eos) = (config.vocab_size, model.max_context(), json!(config.eos_token_id));
                (Kind::Qwen35(loaded), vocab, context, eos)
            }
        };
        let handle = format!("m{}", self.next_model);
        let answer = json!({
            "model": handle,
            "vocab": vocab,
            "context": context,
            "paths": hello::paths(),
            "eos": eos,
            "echo": {"dtype": "f32", "threads": 1, "path": path, "format": format.unwrap_or("f32")},
        });
        self.models.insert(handle, kind);
        self.next_model += 1;
        Ok(Answer::head(answer))
    }

    fn unload(&mut self, fields: &Fields) -> Result<Answer, Fault> {
        let handle = request::text(fields, "model")?;
        match self.models.remove(handle) {
            Some(_) => Ok(Answer::empty()),
            None => Err(Fault::bad_request(format!("no model {handle} is loaded"))),
        }
    }
}

/// Which loader a folder is for; what cannot be read here is the default loader's to refuse.
fn read_config(folder: &Path) -> Option<Value> {
    serde_json::from_slice(&std::fs::read(folder.join("config.json")).ok()?).ok()
}

/// A load option that is a string or absent.
fn load_option<'a>(fields: &'a Fields, name: &str) -> Result<Option<&'a str>, Fault> {
    let Some(options) = request::optional(fields, "options") else { return Ok(None) };
    match request::optional(request::object(options, "\"options\"")?, name) {
        None => Ok(None),
        Some(value) => {
            Ok(Some(value.as_str().ok_or_else(|| Fault::bad_request(format!("option \"{name}\" is not a string")))?))
        }
    }
}

/// One dtype, one thread. Options that nobody knows are ignored.
fn check_load_options(fields: &Fields) -> Result<(), Fault> {
    let Some(options) = request::optional(fields, "options") else { return Ok(()) };
    let options = request::object(options, "\"options\"")?;
    if request::optional(options, "dtype").is_some() {
        request::text(options, "dtype")?;
    }
    let neutral = [("dtype", json!("f32")), ("threads", json!(1))];
    for (name, only) in neutral {
        match request::optional(options, name) {
            Some(value) if *value != only => return Err(Fault::unsupported(format!("option \"{name}\": {value}"))),
            _ => {}
        }
    }
    Ok(())
}
